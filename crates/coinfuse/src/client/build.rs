//! Building a circuit: choose, pay, connect, extend.

use super::cell::Cell;
use super::circuit::{OpenCircuit, Parts};
use super::control::Control;
use super::payer::{Claims, HopAccount, Purchase};
use super::{ClientError, Inner};
use crate::clock::random;
use crate::connect::Isolation;
use crate::lane::{LaneReader, write};
use crate::link::{LinkKey, LinkLease};
use crate::relay::open_control_lane;
use coinfuse_circuit::{
    CircuitNumber, ClientCircuit, Create, HopPlan, LaneHeader, NextHop, OnionKey, Seed, Suite,
};
use coinfuse_delivery::{Host, Target};
use coinfuse_directory::{Descriptor, ExitNeed, Path, PathConstraints, select_path};
use coinfuse_wire::{Encode, HopIndex, Msat, RelayId};
use quinn::SendStream;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::time::timeout;

impl Inner {
    /// Chooses relays for a circuit to a target, without those that just failed.
    pub(super) fn choose(
        &self,
        target: &Target,
        excluded: &BTreeSet<RelayId>,
    ) -> Result<Path, ClientError> {
        let need = match target.host() {
            Host::Ip(ip) => ExitNeed::Address(*ip, target.port()),
            Host::Name(_) => ExitNeed::Name {
                port: target.port(),
            },
        };
        let of_all = self.constraints();
        let constraints = of_all.clone().exit_to(need);
        let constraints = constraints.exclude(excluded.iter().copied());
        let directory = self.directory();
        if self.config.hops > 1 {
            self.memory.tend_guards(&directory, &of_all);
        }
        let history = self.memory.history();
        Ok(select_path(&directory, &constraints, &history, random())?)
    }

    /// What holds for all circuits.
    fn constraints(&self) -> PathConstraints {
        let config = &self.config;
        let avoided = self.payer.avoided(self.clock.now());
        let constraints = PathConstraints::new(config.hops)
            .max_price(config.max_price)
            .pay_with(self.mints.iter().cloned())
            .exclude(config.excluded_relays.iter().copied().chain(avoided))
            .exclude_countries(config.excluded_countries.iter().copied())
            .suites(Suite::ALL.map(|suite| coinfuse_directory::Suite::new(suite.code())))
            .fresh_at(self.clock.unix());
        match config.max_total_price {
            Some(total) => constraints.max_total_price(total),
            None => constraints,
        }
    }

    /// Builds a circuit along a path. Let it run to its end: what it buys is then accounted for, and
    /// what went wrong is remembered.
    pub(super) async fn build(
        self: &Arc<Self>,
        path: Path,
        isolation: Isolation,
    ) -> Result<OpenCircuit, ClientError> {
        let built = self.build_with(&path, isolation).await;
        match &built {
            Ok(_) => self.memory.worked(path.hops().iter().map(|hop| hop.relay)),
            Err(error) => {
                let relay = |hop| path.hop(hop).map(|relay| relay.relay);
                self.memory.went_wrong(error, true, relay);
            }
        }
        built
    }

    async fn build_with(
        self: &Arc<Self>,
        path: &Path,
        isolation: Isolation,
    ) -> Result<OpenCircuit, ClientError> {
        let begun = self.clock.now();
        let hops = path.hops().iter();
        let accounts = hops.map(|relay| self.payer.claim(relay, isolation));
        let accounts: Claims = accounts.collect::<Result<Vec<_>, _>>()?.into();
        // Paying and connecting do not need each other.
        let ready =
            async { tokio::try_join!(self.first_payments(path, &accounts), self.first_link(path)) };
        let ready = timeout(self.config.build_timeout, ready).await;
        let (purchases, link) = ready.unwrap_or(Err(ClientError::BuildTimedOut))?;
        let (cell, control, number) = self.connect_hops(path, &accounts, purchases, &link).await?;
        let tokens = accounts.iter().map(|account| account.token).collect();
        // The control task has them for as long as it needs them, and no longer.
        drop(accounts);
        let unless_opened = cell.leaving.clone().drop_guard();
        self.controls.spawn(control.run());
        let built_in = self.clock.now().saturating_since(begun);
        let open = async {
            let data = open_data_lane(&link, number).await?;
            OpenCircuit::start(Parts {
                cell,
                path: path.clone(),
                payer: Arc::clone(&self.payer),
                memory: Arc::clone(&self.memory),
                tokens,
                link,
                data,
                built_in,
                patience: self.config.stall_timeout,
            })
            .await
        };
        let open = timeout(self.config.hop_timeout, open).await;
        let open = open.unwrap_or(Err(ClientError::BuildTimedOut))?;
        unless_opened.disarm();
        Ok(open)
    }

    /// Makes the sessions with all hops, one after the other.
    async fn connect_hops(
        &self,
        path: &Path,
        accounts: &Claims,
        purchases: Vec<Purchase>,
        link: &LinkLease,
    ) -> Result<(Arc<Cell>, Control, CircuitNumber), ClientError> {
        let (machine, create) = ClientCircuit::start(
            self.plans(path, accounts, &purchases)?,
            self.config.top_up,
            self.config.circuit,
            || Seed::new(random()),
        )?;
        let cell = Arc::new(Cell::new(machine, self.clock, self.shutdown.child_token()));
        let (number, patience) = (self.next_number(), self.config.hop_timeout);
        let first = timeout(patience, open_control(link, number, &create)).await;
        let first = first.unwrap_or(Err(ClientError::Silent(HopIndex::default())));
        let ((send, reader), answer) = first?;
        self.note_first_payments(&cell, purchases);
        let now = self.clock.now();
        cell.with(|state| state.machine.created(now, self.clock.unix(), &answer))?;
        let mut control = Control {
            cell: Arc::clone(&cell),
            payer: Arc::clone(&self.payer),
            memory: Arc::clone(&self.memory),
            accounts: Arc::clone(accounts),
            send,
            reader,
            since: now,
        };
        let ready = control.until_ready(patience).await;
        if ready.is_err() {
            control.release_accounts();
        }
        ready.map(|()| (cell, control, number))
    }

    async fn first_link(&self, path: &Path) -> Result<LinkLease, ClientError> {
        let first = path.first();
        let key = LinkKey::new(*first.keys.link.as_bytes());
        self.links
            .get(key, &first.addresses)
            .await
            .map_err(|error| ClientError::Link {
                relay: first.relay,
                error,
            })
    }

    /// Buys what the hops are paid with their handshakes: nothing for accounts that have enough
    /// to begin with. When those run low, they are topped up like any other.
    ///
    /// What was begun is bought even if this future is dropped, and the accounts stay claimed until
    /// then, so that nobody buys for them a second time.
    async fn first_payments(
        &self,
        path: &Path,
        accounts: &Claims,
    ) -> Result<Vec<Purchase>, ClientError> {
        let hops = path.hops().iter().zip(accounts.iter());
        let wanted = hops.map(|(relay, account)| self.first_payment(relay, account));
        let wanted: Vec<_> = wanted.collect();
        let (payer, accounts) = (Arc::clone(&self.payer), Arc::clone(accounts));
        let unix = self.clock.unix();
        let buying = tokio::spawn(async move {
            let accounts = accounts.iter().map(|claim| claim.account());
            let wants: Vec<_> = accounts.zip(wanted).collect();
            payer.buy(unix, &wants).await
        });
        buying.await.unwrap_or(Err(ClientError::CircuitLost))
    }

    fn first_payment(&self, relay: &Descriptor, account: &HopAccount) -> Msat {
        let (up, down) = self.config.top_up.first_payment(&relay.price);
        let low_water = relay.price.down.charge(self.config.top_up.low_water);
        let enough = up.saturating_add(down.min(low_water));
        match self.payer.left(account) >= enough {
            true => Msat::ZERO,
            false => up.saturating_add(down),
        }
    }

    fn plans(
        &self,
        path: &Path,
        accounts: &Claims,
        purchases: &[Purchase],
    ) -> Result<Vec<HopPlan>, ClientError> {
        let hops = path.hops().iter().zip(accounts.iter()).zip(purchases);
        hops.map(|((relay, account), purchase)| {
            let (up, _) = self.config.top_up.first_payment(&relay.price);
            Ok(HopPlan {
                relay: relay.relay,
                onion_key: OnionKey::new(*relay.keys.onion.as_bytes()),
                suite: suite(relay).ok_or(ClientError::BadDescriptor(relay.relay))?,
                link: NextHop {
                    link_key: *relay.keys.link.as_bytes(),
                    addresses: relay.addresses.clone(),
                },
                ceiling: self.config.max_price,
                account: account.token,
                upstream: up,
                offer: purchase.offer(),
            })
        })
        .collect()
    }

    fn note_first_payments(&self, cell: &Cell, purchases: Vec<Purchase>) {
        let mut state = cell.lock();
        for (index, purchase) in purchases.into_iter().enumerate() {
            if let Some(hop) = HopIndex::new(index) {
                state.note_first(hop, purchase);
            }
        }
    }
}

/// The relay's first choice among the suites that both speak. A machine without AES hardware
/// takes the other one where it can.
fn suite(relay: &Descriptor) -> Option<Suite> {
    let both: Vec<_> = relay
        .suites
        .iter()
        .filter_map(|suite| Suite::from_code(suite.get()))
        .collect();
    let slow_aes = !crate::hardware::has_aes();
    both.iter()
        .find(|suite| !(slow_aes && **suite == Suite::AesGcm))
        .or(both.first())
        .copied()
}

/// A control lane, and the first hop's answer on it.
async fn open_control(
    link: &LinkLease,
    number: CircuitNumber,
    create: &Create,
) -> Result<((SendStream, LaneReader), Vec<u8>), ClientError> {
    let (send, recv) = link.open_bi().await.map_err(|_| ClientError::CircuitLost)?;
    let mut lane = (send, LaneReader::new(recv));
    let answer = open_control_lane(&mut lane, number, create.suite, &create.handshake)
        .await
        .map_err(ClientError::FirstHop)?;
    Ok((lane, answer))
}

async fn open_data_lane(
    link: &LinkLease,
    circuit: CircuitNumber,
) -> Result<(SendStream, LaneReader), ClientError> {
    let (mut send, recv) = link.open_bi().await.map_err(|_| ClientError::CircuitLost)?;
    let header = LaneHeader::Data { circuit }.to_bytes();
    write(&mut send, header.into())
        .await
        .map_err(|_| ClientError::CircuitLost)?;
    Ok((send, LaneReader::new(recv)))
}
