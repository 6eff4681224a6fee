//! Which relays may have dropped packets, and which did not serve.

use coinfuse_wire::{Instant, RelayId};
use core::time::Duration;
use std::collections::{BTreeSet, HashMap};

/// How long a relay is remembered by.
const REMEMBERED: Duration = Duration::from_secs(600);

/// When no answer comes nobody knows where the packet was lost, so all relays of its journey are
/// blamed. A relay that answers that it did not serve is blamed for that alone. Journeys with less
/// blame are preferred, and an answer clears the relays that brought it.
#[derive(Debug, Default)]
pub(super) struct Blames {
    passing: Counts,
    serving: Counts,
}

type Counts = HashMap<RelayId, (u32, Instant)>;

impl Blames {
    /// A packet may have been lost at one of these.
    pub(super) fn lost(&mut self, relays: impl IntoIterator<Item = RelayId>, now: Instant) {
        let relays: BTreeSet<_> = relays.into_iter().collect();
        relays
            .into_iter()
            .for_each(|relay| count(&mut self.passing, relay, now));
    }

    /// This one did not serve.
    pub(super) fn not_served(&mut self, relay: RelayId, now: Instant) {
        count(&mut self.serving, relay, now);
    }

    /// These have brought an answer.
    pub(super) fn answered(&mut self, relays: impl IntoIterator<Item = RelayId>) {
        for relay in relays {
            self.passing.remove(&relay);
        }
    }

    /// This one has served.
    pub(super) fn served(&mut self, relay: &RelayId) {
        self.serving.remove(relay);
    }

    /// How often each relay is blamed.
    pub(super) fn weights(&self, now: Instant) -> Weights {
        let weights = |counts: &Counts| {
            let fresh = counts
                .iter()
                .filter(|(_, (_, since))| is_fresh(*since, now));
            fresh.map(|(relay, (times, _))| (*relay, *times)).collect()
        };
        Weights {
            passing: weights(&self.passing),
            serving: weights(&self.serving),
        }
    }
}

fn count(counts: &mut Counts, relay: RelayId, now: Instant) {
    counts.retain(|_, (_, since)| is_fresh(*since, now));
    let (times, since) = counts.entry(relay).or_insert((0, now));
    *times = times.saturating_add(1);
    *since = now;
}

fn is_fresh(since: Instant, now: Instant) -> bool {
    now.saturating_since(since) < REMEMBERED
}

/// The blame of relays at one moment.
#[derive(Debug, Default)]
pub(super) struct Weights {
    passing: HashMap<RelayId, u32>,
    serving: HashMap<RelayId, u32>,
}

impl Weights {
    /// Whether a relay that was asked did not serve.
    pub(super) fn has_refused(&self, relay: &RelayId) -> bool {
        self.serving.contains_key(relay)
    }

    /// Those of them at which a packet may have been lost, the most blamed first.
    pub(super) fn heaviest_first(&self, of: impl Iterator<Item = RelayId>) -> Vec<RelayId> {
        let mut blamed: Vec<_> = of
            .filter(|relay| self.passing.contains_key(relay))
            .collect();
        blamed.sort_by_key(|relay| core::cmp::Reverse(self.passing.get(relay)));
        blamed
    }

    /// Takes those with the least blame out of what [`Self::heaviest_first`] has told.
    pub(super) fn drop_lightest(&self, blamed: &mut Vec<RelayId>) {
        let least = blamed.last().and_then(|relay| self.passing.get(relay));
        blamed.retain(|relay| self.passing.get(relay) > least);
    }

    /// The blame of a journey over these relays to a service of `last`.
    pub(super) fn of(&self, relays: impl Iterator<Item = RelayId>, last: Option<RelayId>) -> u32 {
        let relays: BTreeSet<_> = relays.collect();
        let passing = relays.iter().filter_map(|relay| self.passing.get(relay));
        let serving = last.and_then(|last| self.serving.get(&last));
        passing.chain(serving).copied().fold(0, u32::saturating_add)
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

    fn weigh<const N: usize>(blames: &Blames, now: Instant, over: [u8; N], last: u8) -> u32 {
        let all = relays(over).into_iter().chain(relays(over));
        blames.weights(now).of(all, Some(RelayId::new([last; 32])))
    }

    #[test]
    fn those_who_were_on_more_failed_journeys_weigh_more() {
        let mut blames = Blames::default();
        // Relay 1 is there and back, and blamed once.
        blames.lost([1, 2, 1].map(|n| RelayId::new([n; 32])), at(0));
        blames.lost(relays([1, 3]), at(1));
        let weights = |blames: &Blames| [1, 2, 3, 4].map(|n| weigh(blames, at(1), [n], n));
        assert_eq!(weights(&blames), [2, 1, 1, 0]);
        assert_eq!(weigh(&blames, at(1), [1, 2, 4], 2), 3);
        blames.answered(relays([1]));
        assert_eq!(weights(&blames), [0, 1, 1, 0]);
    }

    #[test]
    fn who_does_not_serve_may_still_pass_packets_on() {
        let mut blames = Blames::default();
        blames.not_served(RelayId::new([1; 32]), at(0));
        assert_eq!(weigh(&blames, at(0), [1, 2], 2), 0);
        assert_eq!(weigh(&blames, at(0), [2, 1], 1), 1);
        blames.answered(relays([1]));
        assert_eq!(weigh(&blames, at(0), [1], 1), 1);
        blames.served(&RelayId::new([1; 32]));
        assert_eq!(weigh(&blames, at(0), [1], 1), 0);
    }

    #[test]
    fn the_least_blamed_are_the_first_that_will_do_again() {
        let mut blames = Blames::default();
        for lost in [&[1, 2, 3][..], &[1, 2], &[1]] {
            blames.lost(lost.iter().map(|n| RelayId::new([*n; 32])), at(0));
        }
        let weights = blames.weights(at(0));
        let of = relays([4, 3, 2, 1]);
        let mut blamed = weights.heaviest_first(of.into_iter());
        for left in [&[1, 2, 3][..], &[1, 2], &[1], &[]] {
            let numbers: Vec<_> = blamed.iter().map(|relay| relay.as_bytes()[0]).collect();
            assert_eq!(numbers, left);
            weights.drop_lightest(&mut blamed);
        }
    }

    #[test]
    fn blame_is_forgotten() {
        let mut blames = Blames::default();
        blames.lost(relays([1]), at(0));
        let weights = [599, 600].map(|secs| weigh(&blames, at(secs), [1], 1));
        assert_eq!(weights, [1, 0]);
    }
}
