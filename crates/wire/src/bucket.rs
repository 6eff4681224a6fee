//! A limit on how often something may happen.

use crate::Instant;
use core::time::Duration;

/// A token bucket: `burst` at once, then one more each `interval`.
#[derive(Debug, Clone, Copy)]
pub struct TokenBucket {
    burst: u32,
    interval: Duration,
    /// The time at which the bucket would be full again.
    full_at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub const fn new(burst: u32, interval: Duration) -> Self {
        Self {
            burst,
            interval,
            full_at: Instant::ZERO,
        }
    }

    /// Takes one token; false if there is none.
    pub fn take(&mut self, now: Instant) -> bool {
        let full_at = self.full_at.max(now) + self.interval;
        if full_at.saturating_since(now) > self.interval.saturating_mul(self.burst) {
            return false;
        }
        self.full_at = full_at;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_refills_with_time() {
        let mut bucket = TokenBucket::new(2, Duration::from_secs(1));
        let at = |secs| Instant::ZERO + Duration::from_secs(secs);
        assert_eq!([(); 3].map(|()| bucket.take(at(0))), [true, true, false]);
        assert_eq!([(); 2].map(|()| bucket.take(at(1))), [true, false]);
    }
}
