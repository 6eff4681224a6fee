//! Choices at random, from a seed.

use core::time::Duration;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Draws from a seed.
pub(crate) struct Draw {
    rng: ChaCha12Rng,
}

impl Draw {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self {
            rng: ChaCha12Rng::from_seed(seed),
        }
    }

    /// A seed for somebody else's draws.
    pub(crate) fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        seed
    }

    /// Any number.
    pub(crate) fn number(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A number below `bound`, or 0. The bias is below 2^-32, which nothing here depends on.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        ((u64::from(self.rng.next_u32()) * bound.min(1 << 32)) >> 32) as usize
    }

    /// A time around `around`: three quarters of it to five quarters, so that nodes which started
    /// together do not act together.
    pub(crate) fn jitter(&mut self, around: Duration) -> Duration {
        let step = around / 1024;
        step * (768 + self.below(512) as u32)
    }

    /// At most `count` of the items, each as likely as any other, in no order.
    pub(crate) fn sample<T>(&mut self, items: impl Iterator<Item = T>, count: usize) -> Vec<T> {
        let mut chosen = Vec::with_capacity(count);
        for (seen, item) in items.enumerate() {
            if chosen.len() < count {
                chosen.push(item);
                continue;
            }
            let place = self.below(seen + 1);
            if place < count {
                chosen[place] = item;
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_no_favourites() {
        let mut draw = Draw::new([1; 32]);
        let mut hits = [0; 10];
        for _ in 0..2000 {
            let sample = draw.sample(0..10, 3);
            assert_eq!(sample.len(), 3);
            sample.into_iter().for_each(|item: usize| hits[item] += 1);
        }
        // 600 each are expected, with a standard deviation of 20.
        assert!(
            hits.iter().all(|hits| (500..700).contains(hits)),
            "{hits:?}"
        );
        assert_eq!(draw.sample(0..2, 3), [0, 1]);
    }

    #[test]
    fn jitter_stays_within_a_quarter() {
        let mut draw = Draw::new([2; 32]);
        let around = Duration::from_secs(16);
        for _ in 0..1000 {
            let time = draw.jitter(around);
            assert!((12_000..=20_000).contains(&time.as_millis()), "{time:?}");
        }
    }
}
