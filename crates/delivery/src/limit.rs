//! Counted places.

use crate::ExitFailure;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of places. Clones share them.
#[derive(Clone)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    total: usize,
}

impl Slots {
    pub(crate) fn new(total: usize) -> Self {
        let total = total.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(total)),
            total,
        }
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.total - self.free.available_permits()
    }

    fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// A place, as soon as there is one; in the order of asking.
    pub(crate) async fn wait(&self) -> OwnedSemaphorePermit {
        let free = Arc::clone(&self.free);
        free.acquire_owned()
            .await
            .expect("these semaphores are never closed")
    }
}

/// The place of an open stream, in its circuit and in the relay; given back when dropped.
#[derive(Debug)]
pub struct StreamSlot {
    _circuit: OwnedSemaphorePermit,
    _relay: OwnedSemaphorePermit,
}

impl StreamSlot {
    pub(crate) fn take(circuit: &Slots, relay: &Slots) -> Result<Self, ExitFailure> {
        Ok(Self {
            _circuit: circuit.take().ok_or(ExitFailure::CircuitLimit)?,
            _relay: relay.take().ok_or(ExitFailure::RelayLimit)?,
        })
    }
}
