//! Building a circuit: choose, pay, connect, extend.

use super::cell::Cell;
use super::circuit::{OpenCircuit, Parts};
use super::control::Control;
use super::payer::{HopAccount, Purchase};
use super::{ClientError, Inner};
use crate::clock::random;
use crate::connect::Isolation;
use crate::lane::{LaneReader, write};
use crate::link::{LinkKey, LinkLease};
use crate::relay::open_control_lane;
use coinfuse_circuit::{
    CircuitNumber, ClientCircuit, HopPlan, LaneHeader, NextHop, OnionKey, Seed, Suite,
};
use coinfuse_delivery::{Host, Target};
use coinfuse_directory::{Descriptor, ExitNeed, Path, PathConstraints, select_path};
use coinfuse_wire::{Encode, HopIndex, Msat, RelayId};
use quinn::SendStream;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock, PoisonError};
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
        let directory = self.directory.read();
        let directory = directory.unwrap_or_else(PoisonError::into_inner);
        if self.config.hops > 1 {
            self.memory.tend_guards(&directory, &of_all);
        }
        let select = |history: &_| select_path(&directory, &constraints, history, random());
        Ok(self.memory.with(select)?)
    }

    /// What holds for all circuits.
    fn constraints(&self) -> PathConstraints {
        let config = &self.config;
        let avoided = self.payer.avoided(self.clock.now());
        let constraints = PathConstraints::new(config.hops)
            .max_price(config.max_price)
            .pay_with(self.mint_urls.iter().cloned())
            .exclude(config.excluded_relays.iter().copied().chain(avoided))
            .exclude_countries(config.excluded_countries.iter().copied())
            .suites(Suite::ALL.map(|suite| coinfuse_directory::Suite::new(suite.code())))
            .fresh_at(self.clock.unix());
        match config.max_total_price {
            Some(total) => constraints.max_total_price(total),
            None => constraints,
        }
    }

    /// Builds a circuit along a path.
    pub(super) async fn build(
        self: &Arc<Self>,
        path: Path,
        isolation: Isolation,
    ) -> Result<OpenCircuit, ClientError> {
        let accounts = path
            .hops()
            .iter()
            .map(|relay| self.payer.account(relay, isolation))
            .collect::<Result<Vec<_>, _>>()?;
        let begun = OnceLock::new();
        let built = timeout(
            self.config.build_timeout,
            self.build_with(path.clone(), accounts.clone(), &begun),
        );
        let built = built
            .await
            .unwrap_or_else(|_| Err(timed_out(&path, &begun)));
        match &built {
            Ok(_) => self.memory.worked(path.hops().iter().map(|hop| hop.relay)),
            Err(error) => {
                let relay = |hop| path.hop(hop).map(|relay| relay.relay);
                self.memory.went_wrong(error, relay);
                let unused = accounts.iter();
                unused.for_each(|account| self.payer.release(account, None));
            }
        }
        built
    }

    async fn build_with(
        self: &Arc<Self>,
        path: Path,
        accounts: Vec<HopAccount>,
        progress: &OnceLock<Arc<Cell>>,
    ) -> Result<OpenCircuit, ClientError> {
        let begun = self.clock.now();
        // Paying and connecting do not need each other.
        let (purchases, link) = tokio::try_join!(
            self.first_payments(&path, &accounts),
            self.first_link(&path)
        )?;
        let (machine, create) = ClientCircuit::start(
            self.plans(&path, &accounts, &purchases)?,
            self.config.top_up,
            self.config.circuit,
            || Seed::new(random()),
        )?;
        let cell = Arc::new(Cell::new(machine, self.clock, self.shutdown.child_token()));
        let cell = progress.get_or_init(|| cell);
        let number = self.next_number();
        let (send, recv) = link.open_bi().await.map_err(|_| ClientError::CircuitLost)?;
        let mut lane = (send, LaneReader::new(recv));
        let answer = open_control_lane(&mut lane, number, create.suite, &create.handshake)
            .await
            .map_err(ClientError::FirstHop)?;
        self.note_first_payments(cell, purchases);
        let now = self.clock.now();
        cell.with(|state| state.machine.created(now, self.clock.unix(), &answer))?;
        let (send, reader) = lane;
        let mut control = Control {
            cell: Arc::clone(cell),
            payer: Arc::clone(&self.payer),
            memory: Arc::clone(&self.memory),
            accounts: accounts.clone(),
            send,
            reader,
        };
        control.until_ready().await?;
        let unless_opened = cell.leaving.clone().drop_guard();
        self.controls.spawn(control.run());
        let data = open_data_lane(&link, number).await?;
        let built_in = self.clock.now().saturating_since(begun);
        let open = OpenCircuit::start(Parts {
            cell: Arc::clone(cell),
            path,
            payer: Arc::clone(&self.payer),
            memory: Arc::clone(&self.memory),
            tokens: accounts.iter().map(|account| account.token).collect(),
            link,
            data,
            built_in,
        })
        .await?;
        unless_opened.disarm();
        Ok(open)
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
    async fn first_payments(
        &self,
        path: &Path,
        accounts: &[HopAccount],
    ) -> Result<Vec<Purchase>, ClientError> {
        let wants: Vec<_> = path
            .hops()
            .iter()
            .zip(accounts)
            .map(|(relay, account)| {
                let (up, down) = self.config.top_up.first_payment(&relay.price);
                let low_water = relay.price.down.charge(self.config.top_up.low_water);
                let enough = up.saturating_add(down.min(low_water));
                let wanted = match self.payer.left(account) >= enough {
                    true => Msat::ZERO,
                    false => up.saturating_add(down),
                };
                (account, wanted)
            })
            .collect();
        self.payer.buy(self.clock.unix(), &wants).await
    }

    fn plans(
        &self,
        path: &Path,
        accounts: &[HopAccount],
        purchases: &[Purchase],
    ) -> Result<Vec<HopPlan>, ClientError> {
        let hops = path.hops().iter().zip(accounts).zip(purchases);
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

/// Which hop is waited for, once the first one was sent something.
fn timed_out(path: &Path, begun: &OnceLock<Arc<Cell>>) -> ClientError {
    let missing = begun.get().and_then(|cell| {
        let mut hops = (0..path.hops().len()).filter_map(HopIndex::new);
        hops.find(|hop| cell.credit(*hop).is_none())
    });
    missing.map_or(ClientError::BuildTimedOut, ClientError::Silent)
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
