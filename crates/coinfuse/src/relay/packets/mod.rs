//! One-shot packets at a relay.
//!
//! ```text
//! lane ── intake ── mill ─────── post ─┬─ hold          waits for its delay
//!         reads no   a thread:         ├─ outbox ── neighbours, or the lane with the mailbox
//!         faster     judge, collect    └─ serve ─── mempool; the answer goes to an outbox
//!         than is    fees, remember
//!         allowed
//! ```
//!
//! Every queue is bounded. Lanes are read no faster than the mill works, so what comes too fast
//! stays with who sent it; behind the mill nobody waits for anybody, and what cannot be passed on
//! is dropped. Whatever fails, nothing is said to anybody; [`PacketStats`] counts it.

mod hold;
mod intake;
mod judge;
mod keys;
mod limits;
mod mailboxes;
mod mill;
mod neighbours;
mod outbox;
mod post;
mod serve;
mod stats;

pub use keys::PacketKeysError;
pub use limits::PacketLimits;
pub use serve::MempoolService;
pub use stats::PacketStats;

pub(super) use intake::{Gate, serve_lane};

use super::ExtendPolicy;
use crate::clock::{Clock, random};
use crate::link::{LinkKey, LinkPool};
use crate::store::Ledger;
use coinfuse_circuit::NextHop as LinkTo;
use coinfuse_directory::{Directory, Identity, PacketOffer, PacketPrice};
use coinfuse_onion::RingConfig;
use coinfuse_voucher::Verifier;
use coinfuse_wire::{RelayId, UnixTime};
use core::time::Duration;
use judge::House;
use keys::{Keys, OfferTerms};
use mailboxes::{LaneId, Mailboxes};
use mill::{Hopper, Mill, MillThread};
use neighbours::Route;
use outbox::{Addressee, OutboxLimits, Outboxes};
use serve::Services;
use stats::Counters;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// What a relay needs to take packets. Those that it has when it stops are lost: nothing but the
/// keys and the spent vouchers is on disk.
#[derive(Clone)]
pub struct PacketSetup {
    /// The file with the keys, which is made if there is none.
    pub keys: PathBuf,
    /// How the keys change.
    pub ring: RingConfig,
    /// What packets cost.
    pub price: PacketPrice,
    /// The longest delay that a packet may ask for.
    pub max_delay: Duration,
    /// Limits.
    pub limits: PacketLimits,
    /// Delivery to the Bitcoin network, if this relay offers it.
    pub mempool: Option<MempoolService>,
}

impl PacketSetup {
    /// The terms and the key as a relay that is not running would publish them; makes the key, if
    /// there is none yet or its time is over.
    ///
    /// # Errors
    ///
    /// [`PacketKeysError`], for the operator to act on.
    pub fn offer(&self, now: UnixTime) -> Result<PacketOffer, PacketKeysError> {
        let (_, offer) = self.open_keys(now)?;
        let offer = *offer.borrow();
        Ok(offer)
    }

    fn open_keys(
        &self,
        now: UnixTime,
    ) -> Result<(Keys, watch::Receiver<PacketOffer>), PacketKeysError> {
        let terms = OfferTerms {
            price: self.price,
            max_delay: self.max_delay,
        };
        Keys::open(&self.keys, self.ring, terms, now, &random())
    }
}

/// What the relay has beside packets.
pub(super) struct Surroundings {
    pub(super) identity: Identity,
    pub(super) verifier: Arc<RwLock<Verifier>>,
    pub(super) ledger: Ledger,
    pub(super) links: LinkPool,
    pub(super) policy: ExtendPolicy,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
}

/// Why packets are not taken; for the operator to act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PacketsError {
    /// There are no keys.
    #[error(transparent)]
    Keys(#[from] PacketKeysError),
    /// The system gives no thread.
    #[error("the thread for packets does not start: {0}")]
    Thread(#[source] io::Error),
}

/// The part of a relay that takes packets. Dropping it waits for its thread.
pub(super) struct Packets {
    pub(super) hub: Arc<Hub>,
    _thread: MillThread,
}

/// What the tasks around packets share.
pub(super) struct Hub {
    id: RelayId,
    identity: Identity,
    clock: Clock,
    links: LinkPool,
    policy: ExtendPolicy,
    limits: PacketLimits,
    directory: RwLock<Arc<Directory>>,
    offer: watch::Receiver<PacketOffer>,
    hopper: Hopper,
    outboxes: Mutex<Outboxes>,
    mailboxes: Mutex<Mailboxes>,
    services: Services,
    counters: Arc<Counters>,
    lanes: AtomicU64,
    stop: CancellationToken,
}

impl Packets {
    /// Starts the thread, and a task on the current tokio runtime.
    pub(super) fn start(setup: PacketSetup, around: Surroundings) -> Result<Self, PacketsError> {
        let id = around.identity.relay_id();
        let (keys, offer) = setup.open_keys(around.clock.unix())?;
        let counters = Arc::new(Counters::default());
        let house = House {
            id,
            price: setup.price,
            max_delay: setup.max_delay,
        };
        let mill = Mill {
            house,
            keys,
            verifier: around.verifier,
            ledger: around.ledger,
            counters: Arc::clone(&counters),
            clock: around.clock,
            stop: around.stop.clone(),
            ledger_failed: false,
        };
        let (thread, hopper, ready) = mill.start().map_err(PacketsError::Thread)?;
        let limits = setup.limits;
        let hub = Arc::new(Hub {
            id,
            identity: around.identity,
            clock: around.clock,
            links: around.links,
            policy: around.policy,
            directory: RwLock::default(),
            offer,
            hopper,
            outboxes: Mutex::new(Outboxes::new(outbox_limits(&limits))),
            mailboxes: Mutex::new(Mailboxes::new(limits.mailboxes_per_lane, limits.mailboxes)),
            services: Services::new(setup.mempool, limits.questions),
            counters,
            lanes: AtomicU64::new(0),
            stop: around.stop,
            limits,
        });
        tokio::spawn(post::run(Arc::clone(&hub), ready));
        Ok(Self {
            hub,
            _thread: thread,
        })
    }
}

fn outbox_limits(limits: &PacketLimits) -> OutboxLimits {
    let bytes =
        |count: coinfuse_wire::ByteCount| usize::try_from(count.get()).unwrap_or(usize::MAX);
    OutboxLimits {
        bytes: bytes(limits.outbox),
        total: bytes(limits.outbox_total),
        queues: limits.neighbours,
    }
}

impl Hub {
    /// The terms on which packets are taken now, with the key that is in force.
    pub(super) fn offer(&self) -> PacketOffer {
        *self.offer.borrow()
    }

    pub(super) fn stats(&self) -> PacketStats {
        self.counters.read()
    }

    /// Passes packets on to these relays from now on.
    pub(super) fn set_directory(&self, directory: Arc<Directory>) {
        *self
            .directory
            .write()
            .unwrap_or_else(PoisonError::into_inner) = directory;
    }

    /// What a new link is allowed.
    pub(super) fn gate(&self) -> Gate {
        let limits = &self.limits;
        Gate::new(
            limits.anonymous_rate,
            limits.relay_rate,
            limits.lanes_per_link,
        )
    }

    fn directory(&self) -> Arc<Directory> {
        let directory = self
            .directory
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&directory)
    }

    /// Whether a relay is in the directory.
    fn knows(&self, relay: &RelayId) -> bool {
        let directory = self.directory();
        let descriptor = directory.get(relay);
        descriptor.is_some_and(|descriptor| descriptor.is_fresh(self.clock.unix()))
    }

    /// How to reach a relay that takes packets.
    fn route(&self, relay: &RelayId) -> Option<Route> {
        let directory = self.directory();
        let descriptor = directory.get(relay)?;
        if descriptor.packets.is_none() || !descriptor.is_fresh(self.clock.unix()) {
            return None;
        }
        let link_key = *descriptor.keys.link.as_bytes();
        let next = LinkTo {
            link_key,
            addresses: descriptor.addresses.clone(),
        };
        let addresses = self.policy.judge(&next).ok()?;
        Some(Route {
            key: LinkKey::new(link_key),
            addresses,
        })
    }

    fn next_lane(&self) -> LaneId {
        LaneId(self.lanes.fetch_add(1, Ordering::Relaxed))
    }

    fn outboxes(&self) -> MutexGuard<'_, Outboxes> {
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mailboxes(&self) -> MutexGuard<'_, Mailboxes> {
        self.mailboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn open_outbox(&self, to: Addressee) -> Option<Arc<Notify>> {
        self.outboxes().open(to)
    }

    /// Gives up a lane's mailboxes and what waits for them.
    fn close_lane(&self, lane: LaneId) {
        self.mailboxes().close(lane);
        let lost = self.outboxes().close(Addressee::Lane(lane));
        self.counters.add(stats::Event::NoMailbox, lost);
    }
}
