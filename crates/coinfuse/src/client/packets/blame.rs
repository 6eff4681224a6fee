//! Which relays may have dropped packets.

use coinfuse_wire::{Instant, RelayId};
use core::time::Duration;
use std::collections::{BTreeSet, HashMap};

/// How long a relay is remembered by.
const REMEMBERED: Duration = Duration::from_secs(600);

/// When no answer comes nobody knows where the packet was lost, so all relays of its journey are
/// blamed, and avoided where there are others. One that brings an answer is cleared.
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

    /// Whom to leave out: first all who are blamed, then those who are blamed more often than
    /// others, at last nobody.
    pub(super) fn tiers(&self, now: Instant) -> Vec<BTreeSet<RelayId>> {
        let fresh = || {
            let blamed = self.0.iter();
            blamed.filter(move |(_, (_, since))| now.saturating_since(*since) < REMEMBERED)
        };
        let levels: BTreeSet<u32> = fresh().map(|(_, (times, _))| *times).collect();
        let at_least = |level: &u32| {
            let bad = fresh().filter(|(_, (times, _))| times >= level);
            bad.map(|(relay, _)| *relay).collect()
        };
        let mut tiers: Vec<_> = levels.iter().map(at_least).collect();
        tiers.push(BTreeSet::new());
        tiers
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
    fn those_who_were_on_more_failed_journeys_are_avoided_longest() {
        let mut blames = Blames::default();
        assert_eq!(blames.tiers(at(0)), [relays([])]);
        // Relay 1 is there and back, and blamed once.
        blames.blame([1, 2, 1].map(|n| RelayId::new([n; 32])), at(0));
        blames.blame(relays([1, 3]), at(1));
        let tiers = [relays([1, 2, 3]), relays([1]), relays([])];
        assert_eq!(blames.tiers(at(1)), tiers);
        blames.clear(relays([1]));
        assert_eq!(blames.tiers(at(1)), [relays([2, 3]), relays([])]);
    }

    #[test]
    fn blame_is_forgotten() {
        let mut blames = Blames::default();
        blames.blame(relays([1]), at(0));
        assert_eq!(blames.tiers(at(599)).len(), 2);
        assert_eq!(blames.tiers(at(600)), [relays([])]);
    }
}
