//! Drawing by lot.

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

    /// A number below `bound`, each equally likely; `None` for a bound of zero.
    pub(crate) fn below(&mut self, bound: u64) -> Option<u64> {
        // The largest multiple of the bound; numbers above it would favour the small results.
        let fair = u64::MAX - u64::MAX.checked_rem(bound)?;
        loop {
            let number = self.rng.next_u64();
            if number < fair {
                return Some(number % bound);
            }
        }
    }

    /// Any order of the items, each equally likely.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let with = self.below(last as u64 + 1).unwrap_or(0);
            items.swap(last, with as usize);
        }
    }
}
