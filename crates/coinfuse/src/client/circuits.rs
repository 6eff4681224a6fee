//! The circuits of a client, by isolation.

use super::circuit::{OpenCircuit, OpenError, Place};
use super::stream::Stream;
use super::{CircuitReport, ClientError, Inner};
use crate::connect::Isolation;
use coinfuse_delivery::{ExitFailure, Host, Target};
use coinfuse_directory::Path;
use coinfuse_wire::{ByteCount, RelayId};
use core::time::Duration;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// A target that so many exits do not open is not opened by one more.
const EXITS: usize = 3;
/// After so many lost circuits the client enters by another relay.
const LOST: usize = 2;

/// The circuits of a client.
#[derive(Default)]
pub(super) struct Circuits {
    open: Mutex<HashMap<Isolation, Vec<Arc<OpenCircuit>>>>,
    /// Held by whoever builds for an isolation, so that others wait for the circuit instead of
    /// building one each.
    building: Mutex<HashMap<Isolation, Arc<AsyncMutex<()>>>>,
}

impl Circuits {
    fn lock(&self) -> MutexGuard<'_, HashMap<Isolation, Vec<Arc<OpenCircuit>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place on an open circuit whose exit may open the target.
    fn find(
        &self,
        isolation: Isolation,
        target: &Target,
        excluded: &BTreeSet<RelayId>,
    ) -> Option<Place> {
        let open = self.lock();
        let fits = |circuit: &&Arc<OpenCircuit>| {
            let exit = circuit.path.last();
            let allowed = match target.host() {
                Host::Ip(ip) => exit.exit_policy.allows(*ip, target.port()),
                Host::Name(_) => exit.exit_policy.may_allow_port(target.port()),
            };
            circuit.is_open() && allowed && !excluded.contains(&exit.relay)
        };
        let mut fitting = open.get(&isolation)?.iter().filter(fits);
        fitting.find_map(Place::take)
    }

    fn insert(&self, isolation: Isolation, circuit: Arc<OpenCircuit>) {
        self.lock().entry(isolation).or_default().push(circuit);
    }

    fn builder(&self, isolation: Isolation) -> Arc<AsyncMutex<()>> {
        let mut building = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        building.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(building.entry(isolation).or_default())
    }

    pub(super) fn report(&self) -> Vec<CircuitReport> {
        let open = self.lock();
        let circuits = open.values().flatten().filter(|circuit| circuit.is_open());
        circuits
            .map(|circuit| CircuitReport {
                built_in: circuit.built_in,
                hops: circuit.report(),
            })
            .collect()
    }

    /// What each hop of each circuit carried since this was asked last.
    pub(super) fn carried(&self) -> Vec<(RelayId, ByteCount)> {
        let open = self.lock();
        let circuits = open.values().flatten();
        circuits.flat_map(|circuit| circuit.carried()).collect()
    }

    pub(super) fn close(&self, isolation: Isolation) {
        let circuits = self.lock().remove(&isolation);
        circuits
            .into_iter()
            .flatten()
            .for_each(|circuit| circuit.close());
    }

    pub(super) fn close_all(&self) {
        let all = core::mem::take(&mut *self.lock());
        all.into_values()
            .flatten()
            .for_each(|circuit| circuit.close());
    }

    /// Forgets circuits that are over, and those that nobody uses any more: their streams keep
    /// them open.
    fn sweep(&self, max_age: Duration) {
        self.lock().retain(|_, circuits| {
            circuits.retain(|circuit| circuit.is_open() && circuit.unused_for() < max_age);
            !circuits.is_empty()
        });
    }
}

/// Why an attempt failed, and on which path, if there was one.
struct Failed {
    error: ClientError,
    path: Option<Path>,
}

impl Failed {
    const fn has_no_path(&self) -> bool {
        matches!(self.error, ClientError::NoPath(_))
    }
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        Self { error, path: None }
    }
}

/// What the attempts for one stream have shown so far.
#[derive(Default)]
struct Attempts {
    /// Relays to do without.
    excluded: BTreeSet<RelayId>,
    /// Relays to do without if there are others.
    doubted: BTreeSet<RelayId>,
    /// Exits that did not open the stream.
    refused: Vec<(RelayId, ExitFailure)>,
    /// Circuits that were lost, nobody knows by whom.
    lost: usize,
}

impl Attempts {
    /// Who is to be left out of the next path.
    fn learn(&mut self, failed: &Failed) {
        let Some(path) = &failed.path else {
            return;
        };
        let at = |hop| path.hop(hop).map(|relay| relay.relay);
        self.excluded.extend(failed.error.culprit(at));
        match &failed.error {
            ClientError::Exit(failure) => {
                self.excluded.insert(path.last().relay);
                self.refused.push((path.last().relay, *failure));
            }
            ClientError::CircuitLost | ClientError::StreamsEnded(_) | ClientError::Stalled => {
                self.lost += 1;
                self.doubted.insert(path.last().relay);
                if self.lost >= LOST {
                    self.doubted.insert(path.first().relay);
                }
            }
            _ => {}
        }
    }

    /// Whether it makes sense to go on after this.
    fn may_go_on(&self, error: &ClientError) -> bool {
        error.is_worth_another_path() && self.refused.len() < EXITS
    }
}

impl Inner {
    pub(super) async fn connect(
        self: &Arc<Self>,
        target: &Target,
        isolation: Isolation,
    ) -> Result<Stream, ClientError> {
        let begun = self.clock.now();
        let mut attempts = Attempts::default();
        let mut before = None;
        let mut attempt = 1;
        loop {
            let failed = match self.try_connect(target, isolation, &attempts).await {
                Ok(stream) => return Ok(stream),
                Err(failed) => failed,
            };
            attempts.learn(&failed);
            // That no further path is left says less than what was wrong with the last one.
            let error = match (failed.error, before) {
                (ClientError::NoPath(_), Some(before)) => return Err(before),
                (error, _) => error,
            };
            let late = self.clock.now().saturating_since(begun) >= self.config.retry_for;
            if attempt >= self.config.attempts || late || !attempts.may_go_on(&error) {
                return Err(error);
            }
            tracing::debug!(%error, attempt, "trying another path");
            before = Some(error);
            attempt += 1;
        }
    }

    async fn try_connect(
        self: &Arc<Self>,
        target: &Target,
        isolation: Isolation,
        attempts: &Attempts,
    ) -> Result<Stream, Failed> {
        let place = self.place_without(target, isolation, attempts).await?;
        let circuit = Arc::clone(place.circuit());
        let error = match place.open(target).await {
            Ok(stream) => {
                self.memory.stream_opened(&circuit.relays());
                for (exit, failure) in &attempts.refused {
                    self.memory.another_exit_did(*exit, *failure);
                }
                return Ok(stream);
            }
            Err(OpenError::Lost) => {
                circuit.lost();
                ClientError::CircuitLost
            }
            Err(OpenError::Exit(failure)) => {
                let exit = circuit.path.last().relay;
                self.memory.stream_refused(exit, failure);
                failure.into()
            }
        };
        let path = Some(circuit.path.clone());
        Err(Failed { error, path })
    }

    /// As [`Self::place`], by what the attempts so far have shown.
    async fn place_without(
        self: &Arc<Self>,
        target: &Target,
        isolation: Isolation,
        attempts: &Attempts,
    ) -> Result<Place, Failed> {
        let all = &attempts.excluded | &attempts.doubted;
        match self.place(target, isolation, &all).await {
            Err(failed) if failed.has_no_path() && all.len() > attempts.excluded.len() => {
                self.place(target, isolation, &attempts.excluded).await
            }
            place => place,
        }
    }

    /// A place for one more stream: on a circuit that there is, or on a new one.
    async fn place(
        self: &Arc<Self>,
        target: &Target,
        isolation: Isolation,
        excluded: &BTreeSet<RelayId>,
    ) -> Result<Place, Failed> {
        if let Some(place) = self.circuits.find(isolation, target, excluded) {
            return Ok(place);
        }
        let one_at_a_time = self.circuits.builder(isolation).lock_owned().await;
        if let Some(place) = self.circuits.find(isolation, target, excluded) {
            return Ok(place);
        }
        let building = self.build_new(target, isolation, excluded, Some(one_at_a_time));
        let circuit = building.await?;
        // Others may have filled it up already.
        Place::take(&circuit).ok_or_else(|| ClientError::Exit(ExitFailure::CircuitLimit).into())
    }

    /// Builds a circuit. It goes on if nobody waits for it any more, since it is paid: the next
    /// stream finds it.
    async fn build_new(
        self: &Arc<Self>,
        target: &Target,
        isolation: Isolation,
        excluded: &BTreeSet<RelayId>,
        one_at_a_time: Option<OwnedMutexGuard<()>>,
    ) -> Result<Arc<OpenCircuit>, Failed> {
        let path = self.choose(target, excluded)?;
        let inner = Arc::clone(self);
        let building = tokio::spawn(async move {
            let _one_at_a_time = one_at_a_time;
            match inner.build(path.clone(), isolation).await {
                Ok(circuit) => {
                    let circuit = Arc::new(circuit);
                    inner.circuits.insert(isolation, Arc::clone(&circuit));
                    Ok(circuit)
                }
                Err(error) => {
                    let path = Some(path);
                    Err(Failed { error, path })
                }
            }
        });
        building
            .await
            .unwrap_or_else(|_| Err(ClientError::CircuitLost.into()))
    }

    pub(super) async fn prepare(
        self: &Arc<Self>,
        target: &Target,
        isolation: Isolation,
    ) -> Result<CircuitReport, ClientError> {
        let nobody = BTreeSet::new();
        let building = self.build_new(target, isolation, &nobody, None).await;
        let circuit = building.map_err(|failed| failed.error)?;
        Ok(CircuitReport {
            built_in: circuit.built_in,
            hops: circuit.report(),
        })
    }
}

/// Sweeps now and then, as long as the client is there.
pub(super) async fn tend(client: Weak<Inner>) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let Some(client) = client.upgrade() else {
            return;
        };
        client.circuits.sweep(client.config.circuit_age);
    }
}
