//! Relays that could not be reached: is it the relay, or this machine that is cut off?

use coinfuse_wire::{RelayId, UnixTime};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

/// For how long it counts that a relay was missed together with others.
const DOUBT: Duration = Duration::from_secs(3600);

/// Relays that could not be reached since something was reached last.
///
/// While nothing is reached this says nothing of them, however long it lasts: a client that is cut
/// off would otherwise leave one guard after the other. When something is reached, a relay that was
/// missed alone has failed. Of several that were missed in a row it is more likely that this machine
/// was cut off, so that they have failed only if the same happens again within the hour.
#[derive(Debug, Default)]
pub(super) struct Unreached {
    row: BTreeSet<RelayId>,
    /// Who was missed in a row with others, and when that row ended.
    doubted: BTreeMap<RelayId, UnixTime>,
}

impl Unreached {
    /// A relay could not be reached.
    pub(super) fn missed(&mut self, relay: RelayId) {
        self.row.insert(relay);
    }

    /// These relays were reached, or something else in the network if there are none; who has failed
    /// that could not be.
    pub(super) fn reached(&mut self, relays: &[RelayId], now: UnixTime) -> Vec<RelayId> {
        self.doubted
            .retain(|_, since| now.saturating_since(*since) < DOUBT);
        let row = core::mem::take(&mut self.row);
        let alone = row.len() == 1;
        let again = |relay: &RelayId| self.doubted.remove(relay).is_some();
        let (failed, doubted): (Vec<_>, Vec<_>) = match alone {
            true => (row.into_iter().collect(), Vec::new()),
            false => row.into_iter().partition(again),
        };
        self.doubted
            .extend(doubted.into_iter().map(|relay| (relay, now)));
        for relay in relays {
            self.doubted.remove(relay);
        }
        failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> RelayId {
        RelayId::new([number; 32])
    }

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(1_800_000_000 + secs)
    }

    fn missed(unreached: &mut Unreached, relays: &[u8]) {
        relays
            .iter()
            .for_each(|number| unreached.missed(id(*number)));
    }

    #[test]
    fn a_relay_that_is_missed_alone_has_failed_when_another_one_is_reached() {
        let mut unreached = Unreached::default();
        missed(&mut unreached, &[1, 1]);
        assert_eq!(unreached.reached(&[id(2)], at(0)), [id(1)]);
        // And not again at the next success.
        assert_eq!(unreached.reached(&[id(2)], at(1)), []);
    }

    #[test]
    fn a_client_that_was_cut_off_for_ten_minutes_blames_nobody() {
        let mut unreached = Unreached::default();
        for _ in 0..600 {
            missed(&mut unreached, &[1, 2, 3]);
        }
        assert_eq!(unreached.reached(&[id(1)], at(600)), []);
        // Nor when that happens every other hour.
        missed(&mut unreached, &[1, 2, 3]);
        assert_eq!(unreached.reached(&[id(1)], at(600 + 3600)), []);
    }

    #[test]
    fn several_that_are_missed_again_and_again_have_failed() {
        let mut unreached = Unreached::default();
        missed(&mut unreached, &[1, 2]);
        assert_eq!(unreached.reached(&[id(3)], at(0)), []);
        missed(&mut unreached, &[1, 2]);
        assert_eq!(unreached.reached(&[id(3)], at(60)), [id(1), id(2)]);
    }

    #[test]
    fn who_is_reached_is_not_doubted_any_more() {
        let mut unreached = Unreached::default();
        missed(&mut unreached, &[1, 2]);
        assert_eq!(unreached.reached(&[], at(0)), []);
        assert_eq!(unreached.reached(&[id(1)], at(1)), []);
        missed(&mut unreached, &[1, 2]);
        assert_eq!(unreached.reached(&[], at(2)), [id(2)]);
    }
}
