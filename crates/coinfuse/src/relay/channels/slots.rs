//! The channels in memory. Whoever works on one has it for itself.

use crate::store::AccountKey;
use coinfuse_channel::{ChannelId, Receiver, Refusal};
use coinfuse_voucher::Unit;
use coinfuse_wire::UnixTime;
use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// What of a channel never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tie {
    pub(super) account: AccountKey,
    pub(super) unit: Unit,
    pub(super) expiry: UnixTime,
}

/// What is in memory of one channel.
#[derive(Default)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all that stay in memory are open"
)]
pub(super) enum State {
    /// Nothing: the ledger knows.
    #[default]
    Unknown,
    /// A step was begun and its end not heard of. The ledger knows when all that waits for it has
    /// been written.
    Away,
    /// It takes updates.
    Open(Tie, Receiver),
    /// It is being settled, or was.
    Over(AccountKey),
}

struct Slot {
    state: Arc<Mutex<State>>,
    /// Whose it is, once it is open.
    owner: Option<AccountKey>,
    /// When it was last used, by the number of the use.
    used: u64,
}

#[derive(Default)]
struct Map {
    slots: HashMap<ChannelId, Slot>,
    uses: u64,
}

/// The channels in memory, at most as many as was said.
pub(super) struct Slots {
    map: StdMutex<Map>,
    max: usize,
}

impl Slots {
    pub(super) fn new(max: usize) -> Self {
        Self {
            map: StdMutex::default(),
            max: max.max(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Map> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The channel, if it is in memory and nobody works on it.
    pub(super) fn try_enter(self: &Arc<Self>, id: ChannelId) -> Option<Entry> {
        let state = {
            let mut map = self.lock();
            map.uses += 1;
            let uses = map.uses;
            let slot = map.slots.get_mut(&id)?;
            slot.used = uses;
            Arc::clone(&slot.state)
        };
        let state = state.try_lock_owned().ok()?;
        matches!(*state, State::Open(..)).then(|| self.entry(id, state))
    }

    /// The channel, in memory or not, when nobody else works on it.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooManyChannels`] when as many as may be are in work.
    pub(super) async fn enter(self: &Arc<Self>, id: ChannelId) -> Result<Entry, Refusal> {
        let state = self.slot(id)?;
        let state = state.lock_owned().await;
        Ok(self.entry(id, state))
    }

    fn entry(self: &Arc<Self>, id: ChannelId, state: OwnedMutexGuard<State>) -> Entry {
        Entry {
            id,
            state,
            slots: Arc::clone(self),
        }
    }

    fn slot(&self, id: ChannelId) -> Result<Arc<Mutex<State>>, Refusal> {
        let mut map = self.lock();
        map.uses += 1;
        let used = map.uses;
        if let Some(slot) = map.slots.get_mut(&id) {
            slot.used = used;
            return Ok(Arc::clone(&slot.state));
        }
        if map.slots.len() >= self.max {
            map.evict(self.max / 8 + 1);
        }
        if map.slots.len() >= self.max {
            return Err(Refusal::TooManyChannels);
        }
        let state = Arc::default();
        let slot = Slot {
            state: Arc::clone(&state),
            owner: None,
            used,
        };
        map.slots.insert(id, slot);
        Ok(state)
    }

    /// How many channels of an account are in memory and open.
    pub(super) fn count_of(&self, account: &AccountKey) -> usize {
        let map = self.lock();
        let theirs = |slot: &&Slot| slot.owner.as_ref() == Some(account);
        map.slots.values().filter(theirs).count()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().slots.len()
    }
}

impl Map {
    /// Takes the channels out of memory that were not used for the longest time. One that somebody
    /// has, or whose last step is unheard of, stays: two tasks must never have one channel twice.
    fn evict(&mut self, number: usize) {
        let idle = |slot: &Slot| {
            Arc::strong_count(&slot.state) == 1
                && slot
                    .state
                    .try_lock()
                    .is_ok_and(|state| !matches!(*state, State::Away))
        };
        let mut idle: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| idle(slot))
            .map(|(id, slot)| (slot.used, *id))
            .collect();
        idle.sort_unstable();
        for (_, id) in idle.into_iter().take(number) {
            self.slots.remove(&id);
        }
    }
}

/// A channel that one task has for itself until it drops this.
pub(super) struct Entry {
    id: ChannelId,
    state: OwnedMutexGuard<State>,
    slots: Arc<Slots>,
}

impl Entry {
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn set(&mut self, state: State) {
        let owner = match &state {
            State::Open(tie, _) => Some(tie.account),
            _ => None,
        };
        if let Some(slot) = self.slots.lock().slots.get_mut(&self.id) {
            slot.owner = owner;
        }
        *self.state = state;
    }

    /// Takes the state out for a step; until another is [set](Self::set), the channel is
    /// [away](State::Away).
    pub(super) fn take(&mut self) -> State {
        core::mem::replace(&mut *self.state, State::Away)
    }
}

impl Drop for Entry {
    /// What the ledger knows better is not kept, unless somebody waits for it.
    fn drop(&mut self) {
        if matches!(*self.state, State::Unknown | State::Over(_)) {
            let mut map = self.slots.lock();
            let mine = OwnedMutexGuard::mutex(&self.state);
            // The map has one and this the other; a third could only come by way of the map.
            if Arc::strong_count(mine) == 2 {
                map.slots.remove(&self.id);
            }
        }
    }
}
