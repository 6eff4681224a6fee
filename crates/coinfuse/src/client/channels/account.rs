//! The open channels of one account.

use super::owner::Owner;
use super::pay::ChannelPayment;
use coinfuse_channel::Sender;
use coinfuse_wire::{Instant, UnixTime};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{Mutex, Semaphore};

/// An account at a relay, which one circuit uses at a time.
pub(super) struct Account {
    /// Held by the payment that is on its way: one at a time, since a relay may look at two in any
    /// order, and takes no lower balance.
    pub(super) turn: Arc<Semaphore>,
    pub(super) slot: Mutex<Slot>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            turn: Arc::new(Semaphore::new(1)),
            slot: Mutex::default(),
        }
    }
}

/// What an account pays with.
#[derive(Default)]
pub(super) struct Slot {
    /// The channel in use, and the one that takes over.
    pub(super) open: VecDeque<Live>,
    /// Another one is being funded.
    pub(super) funding: bool,
    /// Words that the circuit is to bring to the relay.
    pub(super) words: Vec<ChannelPayment>,
}

/// A channel that can pay.
pub(super) struct Live {
    pub(super) sender: Sender,
    pub(super) owner: Owner,
    /// The relay knows it and its balance, as it has said on the circuit that is open.
    pub(super) confirmed: bool,
    /// It was shown to the relay at some time.
    pub(super) shown: bool,
    /// The relay asked for patience: it is not shown again before this.
    pub(super) not_before: Option<Instant>,
}

impl Live {
    pub(super) fn new(sender: Sender, owner: Owner, shown: bool) -> Self {
        Self {
            sender,
            owner,
            confirmed: false,
            shown,
            not_before: None,
        }
    }

    /// The relay would still take a payment.
    pub(super) fn has_life(&self, now: UnixTime, reserve: Duration) -> bool {
        now.saturating_add(reserve) < self.sender.params().expiry
    }

    pub(super) fn has_room(&self, units: u64) -> bool {
        self.sender.left().to_u64() >= units
    }
}

impl Slot {
    /// True if the only channel will not last, or there is none. `units` are those of a payment.
    pub(super) fn is_low(&self, now: UnixTime, reserve: Duration, units: u64) -> bool {
        let mut lasting = self.open.iter().filter(|live| live.has_life(now, reserve));
        let Some(live) = lasting.next() else {
            return true;
        };
        let capacity = live.sender.params().capacity.to_u64();
        let least = (capacity / 4).max(units.saturating_mul(2));
        lasting.next().is_none() && live.sender.left().to_u64() < least
    }
}
