//! Where the runtime layer gets the time and the randomness that the crates below ask for.

use coinfuse_wire::{Instant, UnixTime};
use std::time::{SystemTime, UNIX_EPOCH};

/// The clock of one node: a monotonic time since it was made, and civil time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    epoch: std::time::Instant,
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is where the time comes from"
)]
impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            epoch: std::time::Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_epoch(self.epoch.elapsed())
    }

    pub(crate) fn unix(&self) -> UnixTime {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        UnixTime::from_secs(since.as_secs())
    }
}

/// Fresh random bytes from the operating system.
///
/// # Panics
///
/// If the system has none, in which case nothing in here is safe.
#[allow(
    clippy::disallowed_methods,
    reason = "this is where the randomness comes from"
)]
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    bytes
}
