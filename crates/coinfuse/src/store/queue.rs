//! The bounded queue between the relay's tasks and the storage thread.

use super::channel::ChannelWrite;
use super::hold::Reservation;
use super::types::{AccountKey, Balance, ChannelKey, Credit, LedgerError, VoucherKey};
use coinfuse_wire::{Msat, UnixTime};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Where an answer goes, once it is durable. Dropped instead, it tells the caller of a failure.
pub(super) struct Reply<T> {
    to: oneshot::Sender<T>,
    answer: Option<T>,
}

impl<T> Reply<T> {
    pub(super) fn new() -> (Self, oneshot::Receiver<T>) {
        let (to, receiver) = oneshot::channel();
        (Self { to, answer: None }, receiver)
    }

    /// Keeps the answer until the commit.
    pub(super) fn ready(&mut self, answer: T) {
        self.answer = Some(answer);
    }

    /// Tells it. A caller that has gone away is no fault.
    fn send(self) {
        if let Some(answer) = self.answer {
            let _ = self.to.send(answer);
        }
    }
}

/// One thing to do, and whom to tell when it is durable.
pub(super) enum Command {
    Credit {
        reservation: Reservation,
        reply: Reply<Credit>,
    },
    Collect {
        reservation: Reservation,
        reply: Reply<Vec<bool>>,
    },
    Channel {
        write: ChannelWrite,
        reply: Reply<Result<Balance, LedgerError>>,
    },
    ForgetChannels {
        before: UnixTime,
        limit: usize,
        reply: Reply<usize>,
    },
    Redeemed {
        keys: Vec<VoucherKey>,
        reply: Reply<()>,
    },
    Prune {
        before: UnixTime,
        limit: usize,
        reply: Reply<usize>,
    },
    Flush {
        reply: Reply<()>,
    },
}

impl Command {
    /// Tells the caller: it is on disk.
    fn done(self) {
        match self {
            Self::Credit { reservation, reply } => {
                // Free first: who hears the answer may reserve again at once.
                drop(reservation);
                reply.send();
            }
            Self::Collect { reservation, reply } => {
                drop(reservation);
                reply.send();
            }
            Self::Redeemed { reply, .. } | Self::Flush { reply } => reply.send(),
            Self::Channel { reply, .. } => reply.send(),
            Self::Prune { reply, .. } | Self::ForgetChannels { reply, .. } => reply.send(),
        }
    }

    /// The channel that it writes, if it does.
    pub(super) fn channel(&self) -> Option<&ChannelKey> {
        match self {
            Self::Channel { write, .. } => Some(&write.channel),
            _ => None,
        }
    }
}

/// A command and its place in the queue, which is free again when it has been answered.
pub(super) struct Entry {
    pub(super) command: Command,
    _place: OwnedSemaphorePermit,
}

impl Entry {
    pub(super) fn done(self) {
        self.command.done();
    }
}

/// What the storage thread takes at once: one transaction's worth.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) commands: Vec<Entry>,
    pub(super) uses: Arc<HashMap<AccountKey, Msat>>,
    pub(super) last: bool,
}

#[derive(Default)]
struct State {
    commands: Vec<Entry>,
    /// The latest use of each account that is not yet on its way to disk.
    uses: HashMap<AccountKey, Msat>,
    /// The uses of the batch before, which may not be committed yet.
    writing: Arc<HashMap<AccountKey, Msat>>,
    closing: bool,
    failure: Option<LedgerError>,
}

pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    places: Arc<Semaphore>,
    max_uses: usize,
    flush_after: Duration,
}

impl Queue {
    pub(super) fn new(places: usize, max_uses: usize, flush_after: Duration) -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            places: Arc::new(Semaphore::new(places)),
            max_uses,
            flush_after,
        }
    }

    /// A panic elsewhere leaves no half-done state behind: every change is one assignment.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place, then appends.
    pub(super) async fn push(&self, command: Command) -> Result<(), LedgerError> {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| self.failure())?;
        let mut state = self.lock();
        if state.closing {
            drop(state);
            return Err(self.failure());
        }
        state.commands.push(Entry {
            command,
            _place: place,
        });
        self.wake.notify_one();
        Ok(())
    }

    /// Notes the use of an account without waiting; only the largest figure is kept.
    pub(super) fn note_use(&self, account: AccountKey, used: Msat) {
        let mut state = self.lock();
        if state.closing {
            return;
        }
        let latest = state.uses.entry(account).or_default();
        *latest = used.max(*latest);
        // The first one starts the flush timer, one too many ends it.
        if state.uses.len() == 1 || state.uses.len() >= self.max_uses {
            self.wake.notify_one();
        }
    }

    /// The use of `account` that may not be on disk yet. Ask here first and in the file second:
    /// what has left this queue by then is in the file.
    pub(super) fn noted_use(&self, account: &AccountKey) -> Msat {
        let state = self.lock();
        let noted = |uses: &HashMap<_, _>| uses.get(account).copied().unwrap_or_default();
        noted(&state.uses).max(noted(&state.writing))
    }

    #[cfg(test)]
    pub(super) fn free_places(&self) -> usize {
        self.places.available_permits()
    }

    /// Refuses all that comes from now on. What waits is still done.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.places.close();
        self.wake.notify_one();
    }

    /// Like [`Self::close`], and every waiting command is dropped unanswered. The first cause
    /// that is given stays.
    pub(super) fn end(&self, cause: Option<LedgerError>) {
        let mut state = self.lock();
        state.closing = true;
        state.failure = state.failure.take().or(cause);
        let unanswered = core::mem::take(&mut state.commands);
        drop(state);
        self.places.close();
        drop(unanswered);
    }

    /// Why a command was refused or dropped.
    pub(super) fn failure(&self) -> LedgerError {
        self.lock().failure.clone().unwrap_or(LedgerError::Closed)
    }

    /// Blocks until there is something to write: at once for a command, after the flush interval
    /// for use alone. Asking for the next batch says that the one before is on disk.
    pub(super) fn next(&self) -> Batch {
        self.lock().writing = Arc::default();
        let idle = |state: &mut State| {
            state.commands.is_empty() && !state.closing && state.uses.len() < self.max_uses
        };
        let nothing = |state: &mut State| state.uses.is_empty() && idle(state);
        let state = self.wake.wait_while(self.lock(), nothing);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let waited = self.wake.wait_timeout_while(state, self.flush_after, idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.writing = Arc::new(core::mem::take(&mut state.uses));
        Batch {
            commands: core::mem::take(&mut state.commands),
            uses: Arc::clone(&state.writing),
            last: state.closing,
        }
    }
}
