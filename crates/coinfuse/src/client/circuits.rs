//! The circuits of a client, by isolation.

use super::circuit::{OpenCircuit, OpenError, Place};
use super::stream::Stream;
use super::{CircuitReport, ClientError, Inner};
use crate::connect::Isolation;
use coinfuse_delivery::{ExitFailure, Host, Target};
use coinfuse_wire::{ByteCount, RelayId};
use core::time::Duration;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Mutex as AsyncMutex;

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

impl Inner {
    pub(super) async fn connect(
        self: &Arc<Self>,
        target: &Target,
        isolation: Isolation,
    ) -> Result<Stream, ClientError> {
        let mut excluded = BTreeSet::new();
        let mut before = None;
        let mut attempt = 1;
        loop {
            let error = match self.try_connect(target, isolation, &mut excluded).await {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            };
            // That no further path is left says less than what was wrong with the last one.
            let error = match (error, before) {
                (ClientError::NoPath(_), Some(before)) => return Err(before),
                (error, _) => error,
            };
            if attempt >= self.config.attempts || !error.is_worth_another_path() {
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
        excluded: &mut BTreeSet<RelayId>,
    ) -> Result<Stream, ClientError> {
        let place = self.place(target, isolation, excluded).await?;
        let circuit = Arc::clone(place.circuit());
        match place.open(target).await {
            Ok(stream) => Ok(stream),
            Err(OpenError::Lost) => {
                circuit.close();
                Err(ClientError::CircuitLost)
            }
            Err(OpenError::Exit(failure)) => {
                excluded.insert(circuit.path.last().relay);
                Err(failure.into())
            }
        }
    }

    /// A place for one more stream: on a circuit that there is, or on a new one.
    async fn place(
        self: &Arc<Self>,
        target: &Target,
        isolation: Isolation,
        excluded: &mut BTreeSet<RelayId>,
    ) -> Result<Place, ClientError> {
        if let Some(place) = self.circuits.find(isolation, target, excluded) {
            return Ok(place);
        }
        let builder = self.circuits.builder(isolation);
        let _one_at_a_time = builder.lock().await;
        if let Some(place) = self.circuits.find(isolation, target, excluded) {
            return Ok(place);
        }
        let circuit = self.build_new(target, isolation, excluded).await?;
        // Others may have filled it up already.
        Place::take(&circuit).ok_or(ClientError::Exit(ExitFailure::CircuitLimit))
    }

    async fn build_new(
        self: &Arc<Self>,
        target: &Target,
        isolation: Isolation,
        excluded: &mut BTreeSet<RelayId>,
    ) -> Result<Arc<OpenCircuit>, ClientError> {
        let path = self.choose(target, excluded)?;
        match self.build(path.clone(), isolation).await {
            Ok(circuit) => {
                let circuit = Arc::new(circuit);
                self.circuits.insert(isolation, Arc::clone(&circuit));
                Ok(circuit)
            }
            Err(error) => {
                let culprit = error.culprit().and_then(|hop| path.hop(hop));
                excluded.extend(culprit.map(|relay| relay.relay));
                Err(error)
            }
        }
    }

    pub(super) async fn prepare(
        self: &Arc<Self>,
        target: &Target,
        isolation: Isolation,
    ) -> Result<CircuitReport, ClientError> {
        let circuit = self
            .build_new(target, isolation, &mut BTreeSet::new())
            .await?;
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
