//! Which swaps a task is working on, so that no two tasks work on the same.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The swaps that are being worked on, by number.
#[derive(Default)]
pub(crate) struct Running {
    numbers: Mutex<HashSet<u64>>,
    released: Notify,
}

/// The right to work on one swap, until it is dropped.
pub(crate) struct Claim {
    running: Arc<Running>,
    number: u64,
}

impl Running {
    /// `None` while another has the claim.
    pub(crate) fn claim(self: &Arc<Self>, number: u64) -> Option<Claim> {
        self.numbers().insert(number).then(|| Claim {
            running: Arc::clone(self),
            number,
        })
    }

    /// For a swap whose number was never given before.
    pub(crate) fn claim_new(self: &Arc<Self>, number: u64) -> Claim {
        self.numbers().insert(number);
        Claim {
            running: Arc::clone(self),
            number,
        }
    }

    /// Waits until no other has the claim.
    pub(crate) async fn wait(self: &Arc<Self>, number: u64) -> Claim {
        loop {
            // Made before the look, so that a release in between is not missed.
            let released = self.released.notified();
            if let Some(claim) = self.claim(number) {
                return claim;
            }
            released.await;
        }
    }

    fn numbers(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.running.numbers().remove(&self.number);
        self.running.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_claim_is_exclusive_until_it_is_dropped() {
        let running = Arc::new(Running::default());
        let first = running.claim(1).unwrap();
        assert!(running.claim(1).is_none());
        assert!(running.claim(2).is_some());
        let mut second = std::pin::pin!(running.wait(1));
        let mut once = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(second.as_mut().poll(&mut once).is_pending());
        drop(first);
        let _second = second.await;
        assert!(running.claim(1).is_none());
    }
}
