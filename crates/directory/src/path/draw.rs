//! Drawing relays by weight.

use crate::Descriptor;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::sync::Arc;

/// Bytes per second that a relay counts with: at least, at most, and if it says nothing. The upper
/// bound keeps a boaster from drawing everybody.
const LEAST: u64 = 64 << 10;
const MOST: u64 = 128 << 20;
const UNTOLD: u64 = 1 << 20;

/// Draws from a seed.
pub(super) struct Lottery {
    rng: ChaCha12Rng,
}

impl Lottery {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self {
            rng: ChaCha12Rng::from_seed(seed),
        }
    }

    /// One of the relays, with its weight as probability; `None` of none.
    pub(super) fn draw<'a>(
        &mut self,
        relays: impl Iterator<Item = &'a Arc<Descriptor>> + Clone,
    ) -> Option<&'a Arc<Descriptor>> {
        // At most 2^27 for each of the relays, which are fewer than 2^37.
        let total: u64 = relays.clone().map(|relay| weight(relay)).sum();
        let mut ticket = self.below(total)?;
        for relay in relays {
            let weight = weight(relay);
            if ticket < weight {
                return Some(relay);
            }
            ticket -= weight;
        }
        None
    }

    /// A number below `bound`, each equally likely; `None` for a bound of zero.
    fn below(&mut self, bound: u64) -> Option<u64> {
        // The largest multiple of the bound; numbers above it would favour the small results.
        let fair = u64::MAX - u64::MAX.checked_rem(bound)?;
        loop {
            let number = self.rng.next_u64();
            if number < fair {
                return Some(number % bound);
            }
        }
    }
}

fn weight(relay: &Descriptor) -> u64 {
    relay
        .capacity
        .map_or(UNTOLD, |told| told.get().clamp(LEAST, MOST))
}
