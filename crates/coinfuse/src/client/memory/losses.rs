//! When a guard is blamed for what was lost somewhere on the way.

use coinfuse_wire::RelayId;
use std::collections::{BTreeMap, BTreeSet};

/// So many losses through a guard without anything that comes through.
const IN_A_ROW: u32 = 3;

/// What was lost on the way, by the guard that it went through.
///
/// Nobody can tell at which relay a packet was lost, so all relays of its way are suspected. But a
/// guard is on all ways: if it were blamed like the others, whoever is further on could make a client
/// leave its guards by dropping packets, until the client has one of his. If it were never blamed, a
/// guard that drops everything would be kept for months. So a guard is blamed when
///
/// 1. three were lost through it and none came through in between,
/// 2. no other relay can have lost all three: none was on all of the ways, but for those that have
///    brought something over another guard since, and
/// 3. something came through over another guard since the first of them: it is not the network, or
///    the service, that fails.
///
/// A relay further on would have to be on the ways of three in a row, which one relay in ten is once
/// in some thirty times, and together with an accomplice, since either of them alone would be
/// suspected by the second rule. What it gains is that the client takes its next guard for half a
/// minute.
#[derive(Debug, Default)]
pub(super) struct Losses {
    runs: BTreeMap<RelayId, Run>,
}

#[derive(Debug, Default)]
struct Run {
    lost: u32,
    /// Who may have lost all of them, besides the guard.
    others: BTreeSet<RelayId>,
    /// Something came through over another guard.
    elsewhere: bool,
}

impl Run {
    fn is_the_guard_s(&self) -> bool {
        self.lost >= IN_A_ROW && self.others.is_empty() && self.elsewhere
    }
}

impl Losses {
    /// Something was lost through a guard, or at one of the others on its way; true if the guard is
    /// to blame.
    pub(super) fn lost(&mut self, guard: RelayId, others: &BTreeSet<RelayId>) -> bool {
        let run = self.runs.entry(guard).or_default();
        match run.lost {
            0 => run.others.clone_from(others),
            _ => run.others.retain(|relay| others.contains(relay)),
        }
        run.lost = run.lost.saturating_add(1);
        let blamed = run.is_the_guard_s();
        if blamed {
            self.runs.remove(&guard);
        }
        blamed
    }

    /// Something came through a guard and these others; which guards are to blame, as it shows now.
    pub(super) fn came_through(
        &mut self,
        guard: RelayId,
        others: &BTreeSet<RelayId>,
    ) -> Vec<RelayId> {
        self.runs.remove(&guard);
        for run in self.runs.values_mut() {
            run.elsewhere = true;
            run.others.retain(|relay| !others.contains(relay));
        }
        let blamed = self.runs.iter().filter(|(_, run)| run.is_the_guard_s());
        let blamed: Vec<_> = blamed.map(|(guard, _)| *guard).collect();
        blamed.iter().for_each(|guard| _ = self.runs.remove(guard));
        blamed
    }

    /// Only guards that there still are.
    pub(super) fn keep(&mut self, guards: &BTreeSet<RelayId>) {
        self.runs.retain(|guard, _| guards.contains(guard));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARD: u8 = 1;
    const SECOND: u8 = 2;

    fn id(number: u8) -> RelayId {
        RelayId::new([number; 32])
    }

    fn ids(numbers: &[u8]) -> BTreeSet<RelayId> {
        numbers.iter().map(|number| id(*number)).collect()
    }

    fn lost(losses: &mut Losses, others: &[u8]) -> bool {
        losses.lost(id(GUARD), &ids(others))
    }

    fn came_over_the_second(losses: &mut Losses, others: &[u8]) -> Vec<RelayId> {
        losses.came_through(id(SECOND), &ids(others))
    }

    #[test]
    fn a_guard_that_drops_everything_is_blamed_for_the_third_loss() {
        let mut losses = Losses::default();
        assert!(!lost(&mut losses, &[10, 11]));
        assert_eq!(came_over_the_second(&mut losses, &[12, 13]), []);
        assert!(!lost(&mut losses, &[11, 12]));
        assert!(lost(&mut losses, &[13, 14]));
        // And for three more.
        assert!(!lost(&mut losses, &[10, 11]));
    }

    #[test]
    fn or_as_soon_as_another_guard_has_shown_that_it_is_not_the_network() {
        let mut losses = Losses::default();
        for others in [[10, 11], [11, 12], [13, 14], [10, 14]] {
            assert!(!lost(&mut losses, &others));
        }
        assert_eq!(came_over_the_second(&mut losses, &[20]), [id(GUARD)]);
    }

    #[test]
    fn the_only_relay_with_a_service_is_cleared_when_it_answers_over_another_guard() {
        let mut losses = Losses::default();
        for _ in 0..3 {
            assert!(!lost(&mut losses, &[10]));
        }
        assert_eq!(came_over_the_second(&mut losses, &[11]), []);
        assert_eq!(came_over_the_second(&mut losses, &[10]), [id(GUARD)]);
    }

    #[test]
    fn a_relay_further_on_that_drops_everything_does_not_cost_a_guard() {
        let mut losses = Losses::default();
        for honest in 10..40 {
            assert!(!lost(&mut losses, &[9, honest]));
            assert_eq!(came_over_the_second(&mut losses, &[honest]), []);
        }
    }

    #[test]
    fn nor_does_one_that_is_not_on_all_ways() {
        let mut losses = Losses::default();
        for honest in 10..40 {
            assert!(!lost(&mut losses, &[9, honest]));
            assert!(!lost(&mut losses, &[8, honest]));
            let through = losses.came_through(id(GUARD), &ids(&[honest]));
            assert_eq!(through, []);
            assert_eq!(came_over_the_second(&mut losses, &[8, 9]), []);
        }
    }

    #[test]
    fn while_nothing_comes_through_anywhere_nobody_is_blamed() {
        let mut losses = Losses::default();
        for honest in 10..40 {
            assert!(!lost(&mut losses, &[honest]));
        }
    }
}
