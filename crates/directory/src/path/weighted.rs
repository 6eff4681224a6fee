//! Drawing relays by weight.

use crate::Descriptor;
use crate::draw::Draw;
use std::sync::Arc;

/// A relay, and how likely it is to be drawn.
#[derive(Clone, Copy)]
pub(crate) struct Weighted<'a> {
    pub(crate) relay: &'a Arc<Descriptor>,
    pub(super) weight: u64,
}

impl<'a> Weighted<'a> {
    pub(super) fn new(relay: &'a Arc<Descriptor>, weight: u64) -> Self {
        Self { relay, weight }
    }

    /// What all of them weigh together. A weight is below 2^28, and relays are fewer than 2^36.
    pub(super) fn total(relays: &[Self]) -> u64 {
        relays.iter().map(|one| one.weight).sum()
    }

    /// Takes one of them out, with its weight as probability; `None` of none.
    fn take(relays: &mut Vec<Self>, draw: &mut Draw) -> Option<Self> {
        let mut ticket = draw.below(Self::total(relays))?;
        let at = relays
            .iter()
            .position(|one| match ticket.checked_sub(one.weight) {
                Some(rest) => {
                    ticket = rest;
                    false
                }
                None => true,
            })?;
        Some(relays.swap_remove(at))
    }

    /// Takes one out that passes `fits`; those that were drawn and do not are gone as well.
    pub(crate) fn take_fit(
        relays: &mut Vec<Self>,
        draw: &mut Draw,
        fits: impl Fn(&Descriptor) -> bool,
    ) -> Option<Self> {
        // Mostly one of the first will do. If not, look at all of them once rather than draw one
        // after the other of a crowd that does not fit.
        for _ in 0..8 {
            let one = Self::take(relays, draw)?;
            if fits(one.relay) {
                return Some(one);
            }
        }
        relays.retain(|one| fits(one.relay));
        Self::take(relays, draw)
    }
}
