//! Circuits that hold data back, unpaid or unread, and which of them has to go.

use super::cell::Cell;
use coinfuse_circuit::CloseReason;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The stalled circuits, the longest stalled first.
pub(super) struct Stalls {
    /// How many may stall at once: each can hold a stream window in this relay's buffers.
    max: usize,
    stalled: Mutex<Stalled>,
}

#[derive(Default)]
struct Stalled {
    next: u64,
    circuits: BTreeMap<u64, Weak<Cell>>,
}

impl Stalls {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            stalled: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stalled> {
        self.stalled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a stall; the circuit that has to go for it, if there are too many.
    fn insert(&self, cell: &Arc<Cell>) -> (u64, Option<Arc<Cell>>) {
        let mut stalled = self.lock();
        let number = stalled.next;
        stalled.next += 1;
        stalled.circuits.insert(number, Arc::downgrade(cell));
        let worst = (stalled.circuits.len() > self.max).then(|| stalled.circuits.pop_first());
        (number, worst.flatten().and_then(|(_, cell)| cell.upgrade()))
    }
}

/// A stall, from its beginning until this is dropped.
pub(super) struct Stall {
    cell: Arc<Cell>,
    number: u64,
}

impl Stall {
    pub(super) fn begin(cell: &Arc<Cell>) -> Self {
        let (number, worst) = cell.relay.stalls.insert(cell);
        if let Some(worst) = worst {
            worst.close(CloseReason::Overload);
        }
        Self {
            cell: Arc::clone(cell),
            number,
        }
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.cell.relay.stalls.lock().circuits.remove(&self.number);
    }
}
