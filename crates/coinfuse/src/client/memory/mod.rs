//! What a client remembers of relays, over its runs: which worked, which were fast, and through which
//! it enters the network.

mod file;
mod tend;
mod transfers;

pub use file::read_history;
pub(super) use tend::tend;

use super::ClientError;
use crate::clock::{Clock, random};
use coinfuse_directory::{Directory, History, PathConstraints};
use coinfuse_wire::{ByteCount, HopIndex, RelayId, UnixTime};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// For how long it may be this machine that is cut off, where no relay can be reached.
const DOUBT: Duration = Duration::from_secs(60);

/// A client's history. The lock is never held across an await.
pub(super) struct Memory {
    state: Mutex<State>,
    /// Where it is kept; held while it is written.
    file: Mutex<Option<PathBuf>>,
    clock: Clock,
}

#[derive(Default)]
struct State {
    history: History,
    /// Relays that could not be reached, since when, and nobody else was reached since.
    unreached: BTreeMap<RelayId, UnixTime>,
    /// Something is not written down yet.
    changed: bool,
}

impl Memory {
    /// What was written down by an earlier run, if there is a file.
    pub(super) fn open(file: Option<PathBuf>, clock: Clock) -> Self {
        let state = State {
            history: file.as_deref().map(file::load).unwrap_or_default(),
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            file: Mutex::new(file),
            clock,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it, as it is now.
    pub(super) fn history(&self) -> History {
        self.lock().history.clone()
    }

    /// Looks something up.
    pub(super) fn with<T>(&self, look: impl FnOnce(&History) -> T) -> T {
        look(&self.lock().history)
    }

    /// Sees to it that there are guards for paths that obey these constraints. They are written down
    /// at once: a client that crashes is to come back to them.
    pub(super) fn tend_guards(self: &Arc<Self>, directory: &Directory, of_all: &PathConstraints) {
        let now = self.clock.unix();
        let mut state = self.lock();
        if state.history.tend_guards(directory, of_all, now, random()) {
            state.changed = true;
            let memory = Arc::clone(self);
            tokio::spawn(async move { memory.save().await });
        }
    }

    /// These relays have done what they were asked for.
    pub(super) fn worked(&self, relays: impl IntoIterator<Item = RelayId>) {
        let now = self.clock.unix();
        self.lock().worked(relays, now);
    }

    /// What went wrong on a path with this relay at each hop counts against whoever is at fault, as
    /// far as that can be told.
    pub(super) fn went_wrong(
        &self,
        error: &ClientError,
        relay: impl Fn(HopIndex) -> Option<RelayId>,
    ) {
        let now = self.clock.unix();
        let suspects = error.suspects().into_iter().filter_map(&relay);
        let mut state = self.lock();
        match error.is_loss() {
            true => suspects.for_each(|relay| state.unreached(relay, now)),
            false => suspects.for_each(|relay| state.failed(relay, now)),
        }
    }

    /// A relay could not be reached, or a link to it was lost.
    pub(super) fn unreached(&self, relay: RelayId) {
        let now = self.clock.unix();
        self.lock().unreached(relay, now);
    }

    /// A packet was lost at one of these. Not the guards are blamed for it: whoever could make a
    /// client leave its guards, by dropping packets further on, would do it until it took one of his.
    pub(super) fn packet_lost(&self, relays: impl IntoIterator<Item = RelayId>) {
        let now = self.clock.unix();
        let mut state = self.lock();
        let guards = state.history.guards().iter().map(|guard| guard.relay);
        let guards: BTreeSet<_> = guards.collect();
        let relays: BTreeSet<_> = relays.into_iter().collect();
        for relay in relays.difference(&guards) {
            state.failed(*relay, now);
        }
    }

    /// The best second of a transfer over a relay.
    pub(super) fn measured(&self, relay: &RelayId, per_second: ByteCount) {
        let now = self.clock.unix();
        let mut state = self.lock();
        state.history.measured(relay, per_second, now);
        state.changed = true;
    }

    /// How many of a thousand tries a relay passes, and how fast it was.
    pub(super) fn of(&self, relay: &RelayId) -> (Option<u32>, Option<ByteCount>) {
        let now = self.clock.unix();
        let state = self.lock();
        let history = &state.history;
        (history.reliability(relay, now), history.capacity(relay))
    }

    /// Writes down what is new, off the threads that move data.
    pub(super) async fn save(self: &Arc<Self>) {
        let memory = Arc::clone(self);
        let written = tokio::task::spawn_blocking(move || memory.save_now());
        if let Ok(Err(error)) = written.await {
            tracing::warn!(%error, "what was seen of relays could not be written down");
        }
    }

    fn save_now(&self) -> std::io::Result<()> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = file.as_deref() else {
            return Ok(());
        };
        let history = {
            let mut state = self.lock();
            if !core::mem::take(&mut state.changed) {
                return Ok(());
            }
            state.history.clone()
        };
        let written = file::save(path, &history);
        if written.is_err() {
            self.lock().changed = true;
        }
        written
    }
}

impl State {
    /// Who could not be reached before has failed, since others can be.
    fn worked(&mut self, relays: impl IntoIterator<Item = RelayId>, now: UnixTime) {
        for relay in core::mem::take(&mut self.unreached).into_keys() {
            self.failed(relay, now);
        }
        for relay in relays {
            self.history.succeeded(&relay, now);
        }
        self.changed = true;
    }

    fn failed(&mut self, relay: RelayId, now: UnixTime) {
        self.history.failed(&relay, now);
        self.changed = true;
    }

    /// While nobody can be reached it says nothing of the relay. A client that is cut off would
    /// otherwise leave one guard after the other.
    fn unreached(&mut self, relay: RelayId, now: UnixTime) {
        let since = *self.unreached.entry(relay).or_insert(now);
        if now.saturating_since(since) >= DOUBT {
            self.unreached.remove(&relay);
            self.failed(relay, now);
        }
    }
}

#[cfg(test)]
mod tests;
