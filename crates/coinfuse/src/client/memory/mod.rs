//! What a client remembers of relays, over its runs: which worked, which were fast, and through which
//! it enters the network.

mod exits;
mod file;
mod losses;
mod reach;
mod tend;
mod transfers;

pub use file::read_history;
pub(super) use tend::tend;

use super::ClientError;
use crate::clock::{Clock, random};
use coinfuse_delivery::ExitFailure;
use coinfuse_directory::{Directory, History, PathConstraints};
use coinfuse_wire::{ByteCount, HopIndex, RelayId, UnixTime};
use exits::Exits;
use losses::Losses;
use reach::Unreached;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A client's history. The lock is never held across an await.
pub(super) struct Memory {
    state: Mutex<State>,
    /// Where it is kept; held while it is written.
    file: Mutex<Option<PathBuf>>,
    clock: Clock,
}

#[derive(Default)]
struct State {
    /// Paths are chosen from it as it was when the choice began.
    history: Arc<History>,
    unreached: Unreached,
    packets: Losses,
    circuits: Losses,
    exits: Exits,
    /// Something is not written down yet.
    changed: bool,
}

impl Memory {
    /// What was written down by an earlier run, if there is a file.
    pub(super) fn open(file: Option<PathBuf>, clock: Clock) -> Self {
        let (history, file) = match file {
            Some(path) => file::load(path),
            None => (History::new(), None),
        };
        let state = State {
            history: Arc::new(history),
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
    pub(super) fn history(&self) -> Arc<History> {
        Arc::clone(&self.lock().history)
    }

    /// Sees to it that there are guards for paths that obey these constraints. They are written down
    /// at once: a client that crashes is to come back to them.
    pub(super) fn tend_guards(self: &Arc<Self>, directory: &Directory, of_all: &PathConstraints) {
        let now = self.clock.unix();
        let mut state = self.lock();
        let history = Arc::make_mut(&mut state.history);
        if history.tend_guards(directory, of_all, now, random()) {
            state.changed = true;
            let guards = state.guards();
            state.packets.keep(&guards);
            state.circuits.keep(&guards);
            let memory = Arc::clone(self);
            tokio::spawn(async move { memory.save().await });
        }
    }

    /// A circuit over these relays was built.
    pub(super) fn worked(&self, relays: impl IntoIterator<Item = RelayId>) {
        let relays: Vec<_> = relays.into_iter().collect();
        let now = self.clock.unix();
        self.lock().worked(&relays, now);
    }

    /// Something else than a relay of this client's answered over the network, such as a source of
    /// descriptors: whoever cannot be reached now is not missed because this machine is cut off.
    pub(super) fn network_is_up(&self) {
        let now = self.clock.unix();
        self.lock().reached(&[], now);
    }

    /// What went wrong on a path with this relay at each hop counts against whoever is at fault, as
    /// far as that can be told; see [`ClientError::suspects`].
    pub(super) fn went_wrong(
        &self,
        error: &ClientError,
        too_soon: bool,
        at: impl Fn(HopIndex) -> Option<RelayId>,
    ) {
        let now = self.clock.unix();
        let suspects = error.suspects(too_soon, &at);
        let mut state = self.lock();
        if error.is_loss() {
            suspects
                .into_iter()
                .for_each(|relay| state.unreached.missed(relay));
            return;
        }
        suspects
            .into_iter()
            .for_each(|relay| state.failed(relay, now));
        if error.is_loss_on_the_way() {
            let path: Vec<_> = (0..).map_while(HopIndex::new).map_while(&at).collect();
            let all_others = matches!(error, ClientError::Stalled);
            state.lost(|state| &mut state.circuits, &path, all_others, now);
        }
    }

    /// A relay could not be reached, or a link to it was lost.
    pub(super) fn unreached(&self, relay: RelayId) {
        self.lock().unreached.missed(relay);
    }

    /// An answer came to a packet. The guard, if it went through one, comes first.
    pub(super) fn packet_answered(&self, relays: &[RelayId]) {
        let now = self.clock.unix();
        let mut state = self.lock();
        state.worked(relays, now);
        state.came_through(|state| &mut state.packets, relays, now);
    }

    /// A packet was lost at one of these; the first of them is the guard, if it went through one. It
    /// counts against the others. When it counts against a guard is said at [`Losses`].
    pub(super) fn packet_lost(&self, relays: &[RelayId]) {
        let now = self.clock.unix();
        let mut state = self.lock();
        state.lost(|state| &mut state.packets, relays, true, now);
    }

    /// The last of these relays, which are a circuit, has opened a stream.
    pub(super) fn stream_opened(&self, path: &[RelayId]) {
        let now = self.clock.unix();
        let mut state = self.lock();
        if let Some(exit) = path.last() {
            state.exits.opened(exit);
        }
        state.came_through(|state| &mut state.circuits, path, now);
    }

    /// An exit did not open a stream. It counts against it when it was three times in a row the
    /// exit's own fault, as far as can be told without another exit's word for it.
    pub(super) fn stream_refused(&self, exit: RelayId, failure: ExitFailure) {
        if exits::is_its_own(failure) {
            self.exit_failed(exit);
        }
    }

    /// As [`Self::stream_refused`], now that another exit has opened the same target.
    pub(super) fn another_exit_did(&self, exit: RelayId, failure: ExitFailure) {
        if exits::may_be_its_own(failure) {
            self.exit_failed(exit);
        }
    }

    fn exit_failed(&self, exit: RelayId) {
        let now = self.clock.unix();
        let mut state = self.lock();
        if state.exits.failed(exit) {
            state.failed(exit, now);
        }
    }

    /// The best second of a transfer over a relay.
    pub(super) fn measured(&self, relay: &RelayId, per_second: ByteCount) {
        let now = self.clock.unix();
        let mut state = self.lock();
        Arc::make_mut(&mut state.history).measured(relay, per_second, now);
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
            Arc::clone(&state.history)
        };
        let written = file::save(path, &history);
        if written.is_err() {
            self.lock().changed = true;
        }
        written
    }
}

impl State {
    fn history(&mut self) -> &mut History {
        self.changed = true;
        Arc::make_mut(&mut self.history)
    }

    fn worked(&mut self, relays: &[RelayId], now: UnixTime) {
        self.reached(relays, now);
        for relay in relays {
            self.history().succeeded(relay, now);
        }
    }

    fn reached(&mut self, relays: &[RelayId], now: UnixTime) {
        for relay in self.unreached.reached(relays, now) {
            self.failed(relay, now);
        }
    }

    fn failed(&mut self, relay: RelayId, now: UnixTime) {
        self.history().failed(&relay, now);
    }

    fn guards(&self) -> BTreeSet<RelayId> {
        let guards = self.history.guards().iter();
        guards.map(|guard| guard.relay).collect()
    }

    /// Something was lost on the way over these relays. `all_others` says that it counts against
    /// all of them but for guards, and not only against a guard when it is time.
    fn lost(
        &mut self,
        of: impl Fn(&mut Self) -> &mut Losses,
        relays: &[RelayId],
        all_others: bool,
        now: UnixTime,
    ) {
        let guards = self.guards();
        let others: BTreeSet<_> = relays.iter().skip(1).copied().collect();
        if let Some(first) = relays.first().filter(|first| guards.contains(first))
            && of(self).lost(*first, &others)
        {
            self.failed(*first, now);
        }
        let relays: BTreeSet<_> = relays.iter().copied().collect();
        for relay in relays.difference(&guards).filter(|_| all_others) {
            self.failed(*relay, now);
        }
    }

    fn came_through(
        &mut self,
        of: impl Fn(&mut Self) -> &mut Losses,
        relays: &[RelayId],
        now: UnixTime,
    ) {
        let Some((first, others)) = relays.split_first() else {
            return;
        };
        let others = others.iter().copied().collect();
        for guard in of(self).came_through(*first, &others) {
            self.failed(guard, now);
        }
    }
}

#[cfg(test)]
mod tests;
