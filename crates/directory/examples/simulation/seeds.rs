//! Seeds and random numbers, all from [`SEED`](crate::SEED).

use crate::SEED;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// The seed for the `n`th thing of the one who is called `who`, for a purpose.
pub(crate) fn seed(purpose: u64, who: u64, n: u64) -> [u8; 32] {
    let mut seed = [0; 32];
    for (bytes, number) in seed.chunks_exact_mut(8).zip([SEED, purpose, who, n]) {
        bytes.copy_from_slice(&number.to_be_bytes());
    }
    seed
}

/// Random numbers.
pub(crate) struct Numbers(ChaCha12Rng);

impl Numbers {
    pub(crate) fn new(purpose: u64) -> Self {
        Self(ChaCha12Rng::from_seed(seed(purpose, 0, 0)))
    }

    /// Below `bound`, near enough evenly.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    /// Above 0 and up to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.below(1 << 53) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Any order.
    pub(crate) fn shuffled<T>(&mut self, mut items: Vec<T>) -> Vec<T> {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
        items
    }
}
