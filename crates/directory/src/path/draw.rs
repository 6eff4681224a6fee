//! Drawing relays by weight.

use crate::Descriptor;
use crate::draw::Draw;
use std::sync::Arc;

/// Bytes per second that a relay counts with: at least, at most, and if it says nothing. The upper
/// bound keeps a boaster from drawing everybody.
const LEAST: u64 = 64 << 10;
const MOST: u64 = 128 << 20;
const UNTOLD: u64 = 1 << 20;

/// One of the relays, with its weight as probability; `None` of none.
pub(super) fn draw<'a>(
    draw: &mut Draw,
    relays: impl Iterator<Item = &'a Arc<Descriptor>> + Clone,
) -> Option<&'a Arc<Descriptor>> {
    // At most 2^27 for each of the relays, which are fewer than 2^37.
    let total: u64 = relays.clone().map(|relay| weight(relay)).sum();
    let mut ticket = draw.below(total)?;
    for relay in relays {
        let weight = weight(relay);
        if ticket < weight {
            return Some(relay);
        }
        ticket -= weight;
    }
    None
}

fn weight(relay: &Descriptor) -> u64 {
    relay
        .capacity
        .map_or(UNTOLD, |told| told.get().clamp(LEAST, MOST))
}
