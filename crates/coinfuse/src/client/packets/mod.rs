//! One-shot packets: a question to a service of some relay, and its answer, without a circuit.
//!
//! ```text
//! Client::ask, broadcast ── exchange ── stock ── purchase ── payer    vouchers, bought ahead
//!                             │           └ route                     ways there and back
//!                             └ post ── packet lane                   packets, answers
//! ```

mod blame;
mod broadcast;
mod config;
mod error;
mod exchange;
mod fit;
mod journey;
mod post;
mod purchase;
mod route;
mod stock;
mod tend;
#[cfg(test)]
pub(super) mod testing;

pub use config::PacketConfig;
pub use error::AskError;
pub use exchange::ServiceRequest;
pub(super) use tend::tend;

use super::{Client, Inner};
use crate::clock::{Clock, random};
use crate::link::LinkPool;
use blame::Blames;
use coinfuse_delivery::mempool;
use coinfuse_directory::{Descriptor, Directory, PacketNeed};
use coinfuse_wire::{Msat, PacketSize, RelayId, ServiceCode};
use fit::Room;
use journey::{Errand, Prefix};
use post::Post;
use route::{Route, Wish};
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use stock::{Ready, Stock, View};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A client's packets. The locks are never held across an await.
pub(super) struct Packets {
    stock: Mutex<Stock>,
    blames: Mutex<Blames>,
    /// For what packets were sent, so that it is bought ahead.
    wanted: Mutex<BTreeSet<Errand>>,
    /// Held while journeys are bought.
    buying: tokio::sync::Mutex<()>,
    /// A purchase had no answer; what it brings is yet to be found.
    unfinished: AtomicBool,
    /// Something of the stock was used.
    used: Arc<Notify>,
    prefix: Prefix,
    /// For messages without an instruction.
    room: OnceLock<Room>,
    post: Post,
}

/// What a client has ready for packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PacketReport {
    /// Journeys that are paid for; some may be for relays that are not there now.
    pub journeys: usize,
    /// What the vouchers for them are worth, and those that are left over. They count towards the
    /// cap, and are spent when they are used.
    pub value: Msat,
    /// Answers that are waited for.
    pub waiting: usize,
}

impl Client {
    /// Asks a service of some relay, and waits for what it says.
    ///
    /// The question goes over [`PacketConfig::hops`] relays to one that offers the service, and the
    /// answer comes back over [`PacketConfig::hops_back`] others. Each is paid with a voucher that
    /// was bought earlier if there is one; the first time, and when the stock is used up, vouchers
    /// are bought at once.
    ///
    /// Another path is tried while it is known that no service was asked. Where this is not known,
    /// the caller decides whether to ask again; see [`AskError`]. The question goes on even if this
    /// future is dropped.
    ///
    /// # Errors
    ///
    /// [`AskError`]: why there is no answer, and who must act.
    pub async fn ask(&self, request: ServiceRequest) -> Result<Vec<u8>, AskError> {
        let inner = Arc::clone(&self.inner);
        let asking = tokio::spawn(async move { inner.ask(&request).await });
        asking.await.unwrap_or(Err(AskError::Stopped))
    }

    /// Has a transaction broadcast by some relay that offers this.
    ///
    /// Other paths and relays are tried also when no answer comes, since to submit a transaction
    /// twice does no harm; the answer may then be that it is known already.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`]. An answer that no relay gave otherwise is not an error.
    pub async fn broadcast(
        &self,
        submission: &mempool::Submission,
    ) -> Result<mempool::Answer, AskError> {
        let (inner, message) = (Arc::clone(&self.inner), submission.encode());
        let asking = tokio::spawn(async move { inner.broadcast(message).await });
        asking.await.unwrap_or(Err(AskError::Stopped))
    }

    /// Buys vouchers for packets to a service now, up to what the configuration says. To be called
    /// at a time that has nothing to do with when the first packet is sent.
    ///
    /// # Errors
    ///
    /// [`AskError`]: no path, or no money.
    pub async fn stock_up(&self, service: ServiceCode) -> Result<(), AskError> {
        for size in PacketSize::ALL {
            let errand = Errand { service, size };
            if self.inner.config.packets.level(size) > 0 {
                self.inner.packets.wanted().insert(errand);
                let inner = Arc::clone(&self.inner);
                let buying = tokio::spawn(async move { inner.restock(errand).await });
                buying.await.unwrap_or(Err(AskError::Stopped))?;
            }
        }
        Ok(())
    }

    /// What is ready for packets.
    pub fn packets(&self) -> PacketReport {
        let packets = &self.inner.packets;
        let stock = packets.stock();
        PacketReport {
            journeys: stock.len().0,
            value: stock.value(),
            waiting: packets.post.waiting(),
        }
    }
}

impl Packets {
    pub(super) fn new(
        config: &PacketConfig,
        prefix: Prefix,
        links: LinkPool,
        clock: Clock,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            stock: Mutex::default(),
            blames: Mutex::default(),
            wanted: Mutex::default(),
            buying: tokio::sync::Mutex::default(),
            unfinished: AtomicBool::new(false),
            used: Arc::default(),
            prefix,
            room: OnceLock::new(),
            post: Post::new(links, config.max_waiting, clock, shutdown),
        }
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blames(&self) -> MutexGuard<'_, Blames> {
        self.blames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wanted(&self) -> MutexGuard<'_, BTreeSet<Errand>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A journey that is paid for: from the stock, or bought now.
    async fn journey(&self, errand: Errand) -> Result<Ready, AskError> {
        self.packets.wanted().insert(errand);
        self.packets.used.notify_one();
        let avoided: BTreeSet<_> = self.payer.avoided(self.clock.now()).into_iter().collect();
        match self.journey_without(errand, &avoided).await {
            Err(AskError::NoPath(_)) if !avoided.is_empty() => {
                self.journey_without(errand, &BTreeSet::new()).await
            }
            journey => journey,
        }
    }

    async fn journey_without(
        &self,
        errand: Errand,
        excluded: &BTreeSet<RelayId>,
    ) -> Result<Ready, AskError> {
        if let Some(ready) = self.take(errand, excluded, 0) {
            return Ok(ready);
        }
        let _one_at_a_time = self.packets.buying.lock().await;
        self.catch_up().await;
        // Whoever held it may have bought enough. And what there is will do where nothing better
        // can be had.
        let route = match self.draw(errand, excluded) {
            Ok(route) => route,
            Err(error) => return self.take(errand, excluded, u32::MAX).ok_or(error),
        };
        match self.take(errand, excluded, self.weigh(&route)) {
            Some(ready) => Ok(ready),
            None => self.buy_now(errand, excluded, route).await,
        }
    }

    /// From the stock, if there is something with so much blame at most.
    fn take(&self, errand: Errand, excluded: &BTreeSet<RelayId>, most: u32) -> Option<Ready> {
        let (need, lot) = (self.need(errand), u64::from_be_bytes(random()));
        self.with_view(excluded, |view| {
            let mut stock = self.packets.stock();
            let lightest = stock.lightest(errand, &need, view)?;
            if lightest > most {
                return None;
            }
            stock.take(errand, &need, view, lot)
        })
    }

    fn weigh(&self, route: &Route) -> u32 {
        let blames = self.packets.blames().weights(self.clock.now());
        route.weight(&blames)
    }

    fn in_stock(&self, errand: Errand) -> usize {
        let need = self.need(errand);
        self.with_view(&BTreeSet::new(), |view| {
            self.packets.stock().count(errand, &need, view)
        })
    }

    fn with_view<T>(&self, excluded: &BTreeSet<RelayId>, look: impl FnOnce(&View<'_>) -> T) -> T {
        let blames = self.packets.blames().weights(self.clock.now());
        let directory = self.directory();
        let mut unwanted = self.unwanted(&directory);
        unwanted.extend(excluded);
        look(&View {
            directory: &directory,
            now: self.clock.unix(),
            excluded: &unwanted,
            blames: &blames,
        })
    }

    /// Relays that the user does not want, by key or by country.
    fn unwanted(&self, directory: &Directory) -> BTreeSet<RelayId> {
        let mut unwanted = self.config.excluded_relays.clone();
        let countries = &self.config.excluded_countries;
        if !countries.is_empty() {
            let there = |relay: &&Arc<Descriptor>| {
                let country = relay.country.as_ref();
                country.is_some_and(|country| countries.contains(country))
            };
            unwanted.extend(directory.iter().filter(there).map(|relay| relay.relay));
        }
        unwanted
    }

    /// A random journey over relays of the whole directory: of several, the first one with least
    /// blame. It ends at a relay that did not say lately that it cannot serve, if there is one. It
    /// begins at a guard, of those that will do at one with least blame: what was lost through one
    /// guard is tried again through another.
    fn draw(&self, errand: Errand, excluded: &BTreeSet<RelayId>) -> Result<Route, AskError> {
        let route = self.with_view(excluded, |view| {
            let wish = self.wish(errand, view);
            self.memory
                .tend_guards(view.directory, &wish.constraints(wish.hops));
            let history = self.memory.history();
            let draw = |guards: &[RelayId], lasts: Option<&BTreeSet<RelayId>>| {
                let excluded = view.excluded.iter().chain(guards).copied().collect();
                let wish = Wish {
                    excluded: &excluded,
                    lasts,
                    ..wish
                };
                let one = || route::draw(view.directory, &wish, &history, [random(), random()]);
                route::lightest(one, view.blames)
            };
            let offering = view.directory.offering(errand.service);
            let serving = offering.filter(|relay| !view.blames.has_refused(&relay.relay));
            let serving: BTreeSet<_> = serving.map(|relay| relay.relay).collect();
            let mut lasts = Some(&serving);
            let blamed = history.guards().iter().map(|guard| guard.relay);
            let blamed = view.blames.heaviest_first(blamed);
            let mut without = blamed.clone();
            loop {
                match draw(&without, lasts) {
                    Err(_) if !without.is_empty() => view.blames.drop_lightest(&mut without),
                    Err(_) if lasts.is_some() => (lasts, without) = (None, blamed.clone()),
                    route => return route,
                }
            }
        })?;
        purchase::check_keys(&route).map_err(|relay| {
            self.packets.blames().lost([relay], self.clock.now());
            AskError::Payment(super::ClientError::BadDescriptor(relay))
        })?;
        Ok(route)
    }

    fn wish<'a>(&'a self, errand: Errand, view: &View<'a>) -> Wish<'a> {
        Wish {
            errand,
            hops: self.config.packets.hops,
            hops_back: self.config.packets.hops_back,
            need: self.need(errand),
            lasts: None,
            mints: &self.mints,
            excluded: view.excluded,
            now: view.now,
        }
    }

    fn need(&self, errand: Errand) -> PacketNeed {
        let config = &self.config.packets;
        PacketNeed {
            size: errand.size,
            delay: config.delay,
            until: self.clock.unix().saturating_add(config.patience()),
            ceiling: config.ceiling,
        }
    }
}
