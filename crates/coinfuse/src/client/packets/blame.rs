//! Which relays may have dropped packets.

use coinfuse_wire::{Instant, RelayId};
use core::time::Duration;
use std::collections::{BTreeSet, HashMap};

/// How long a relay is remembered by.
const REMEMBERED: Duration = Duration::from_secs(600);

/// When no answer comes nobody knows where the packet was lost, so all relays of its journey are
/// blamed, and journeys over relays with less blame are preferred. One that brings an answer is
/// cleared.
#[derive(Debug, Default)]
pub(super) struct Blames(HashMap<RelayId, (u32, Instant)>);

impl Blames {
    pub(super) fn blame(&mut self, relays: impl IntoIterator<Item = RelayId>, now: Instant) {
        self.0
            .retain(|_, (_, since)| now.saturating_since(*since) < REMEMBERED);
        let relays: BTreeSet<_> = relays.into_iter().collect();
        for relay in relays {
            let (times, since) = self.0.entry(relay).or_insert((0, now));
            *times = times.saturating_add(1);
            *since = now;
        }
    }

    pub(super) fn clear(&mut self, relays: impl IntoIterator<Item = RelayId>) {
        for relay in relays {
            self.0.remove(&relay);
        }
    }

    /// How often each relay is blamed.
    pub(super) fn weights(&self, now: Instant) -> Weights {
        let fresh = self.0.iter();
        let fresh = fresh.filter(|(_, (_, since))| now.saturating_since(*since) < REMEMBERED);
        Weights(fresh.map(|(relay, (times, _))| (*relay, *times)).collect())
    }
}

/// The blame of relays at one moment.
#[derive(Debug, Default)]
pub(super) struct Weights(HashMap<RelayId, u32>);

impl Weights {
    /// The blame of all relays of a journey together.
    pub(super) fn sum(&self, relays: impl Iterator<Item = RelayId>) -> u32 {
        let weight = |relay| self.0.get(&relay).copied().unwrap_or(0);
        relays.map(weight).fold(0, u32::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relays<const N: usize>(numbers: [u8; N]) -> BTreeSet<RelayId> {
        numbers.map(|n| RelayId::new([n; 32])).into()
    }

    fn at(secs: u64) -> Instant {
        Instant::from_epoch(Duration::from_secs(secs))
    }

    #[test]
    fn those_who_were_on_more_failed_journeys_weigh_more() {
        let mut blames = Blames::default();
        // Relay 1 is there and back, and blamed once.
        blames.blame([1, 2, 1].map(|n| RelayId::new([n; 32])), at(0));
        blames.blame(relays([1, 3]), at(1));
        let weigh = |blames: &Blames, n: u8| blames.weights(at(1)).sum(relays([n]).into_iter());
        assert_eq!([1, 2, 3, 4].map(|n| weigh(&blames, n)), [2, 1, 1, 0]);
        assert_eq!(blames.weights(at(1)).sum(relays([1, 2, 4]).into_iter()), 3);
        blames.clear(relays([1]));
        assert_eq!([1, 2, 3, 4].map(|n| weigh(&blames, n)), [0, 1, 1, 0]);
    }

    #[test]
    fn blame_is_forgotten() {
        let mut blames = Blames::default();
        blames.blame(relays([1]), at(0));
        let weigh = |now| blames.weights(now).sum(relays([1]).into_iter());
        assert_eq!((weigh(at(599)), weigh(at(600))), (1, 0));
    }
}
