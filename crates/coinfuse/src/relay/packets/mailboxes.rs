//! Which lane asked for which name.

use std::collections::{HashMap, VecDeque};

/// Names a lane of this relay, among those that are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LaneId(pub(super) u64);

type Name = [u8; 32];

/// The mailboxes of all lanes.
#[derive(Debug)]
pub(super) struct Mailboxes {
    owners: HashMap<Name, LaneId>,
    /// Each lane's names, the oldest first.
    names: HashMap<LaneId, VecDeque<Name>>,
    per_lane: usize,
    max: usize,
}

impl Mailboxes {
    /// At most `per_lane` names of a lane and `max` of all.
    pub(super) fn new(per_lane: usize, max: usize) -> Self {
        Self {
            owners: HashMap::new(),
            names: HashMap::new(),
            per_lane: per_lane.max(1),
            max,
        }
    }

    /// Gives a name to a lane; false if there is no room. Whoever asks last has it: only the owner
    /// knows the name, and asks again when a link was lost before this relay has noticed.
    pub(super) fn open(&mut self, lane: LaneId, name: Name) -> bool {
        match self.owners.get(&name).copied() {
            Some(owner) if owner == lane => return true,
            Some(owner) => self.forget(owner, &name),
            None if self.owners.len() >= self.max => return false,
            None => {}
        }
        let names = self.names.entry(lane).or_default();
        if names.len() >= self.per_lane
            && let Some(oldest) = names.pop_front()
        {
            self.owners.remove(&oldest);
        }
        names.push_back(name);
        self.owners.insert(name, lane);
        true
    }

    fn forget(&mut self, lane: LaneId, name: &Name) {
        if let Some(names) = self.names.get_mut(&lane) {
            names.retain(|known| known != name);
        }
    }

    /// The lane that has asked for a name.
    pub(super) fn find(&self, name: &Name) -> Option<LaneId> {
        self.owners.get(name).copied()
    }

    /// Gives up all names of a lane.
    pub(super) fn close(&mut self, lane: LaneId) {
        for name in self.names.remove(&lane).into_iter().flatten() {
            self.owners.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: LaneId = LaneId(1);
    const TWO: LaneId = LaneId(2);

    #[test]
    fn a_name_leads_to_the_lane_that_asked_last() {
        let mut boxes = Mailboxes::new(4, 9);
        assert!(boxes.open(ONE, [1; 32]));
        assert!(boxes.open(ONE, [1; 32]), "asking twice changes nothing");
        assert_eq!(boxes.find(&[1; 32]), Some(ONE));
        assert!(boxes.open(TWO, [1; 32]));
        assert_eq!(boxes.find(&[1; 32]), Some(TWO));
        // The old lane's end takes nothing from the new one.
        boxes.close(ONE);
        assert_eq!(boxes.find(&[1; 32]), Some(TWO));
        boxes.close(TWO);
        assert_eq!(boxes.find(&[1; 32]), None);
    }

    #[test]
    fn a_lane_with_too_many_names_gives_up_its_oldest() {
        let mut boxes = Mailboxes::new(2, 9);
        for name in 1..=3 {
            assert!(boxes.open(ONE, [name; 32]));
        }
        let found = [1, 2, 3].map(|name| boxes.find(&[name; 32]));
        assert_eq!(found, [None, Some(ONE), Some(ONE)]);
    }

    #[test]
    fn there_are_no_more_names_than_allowed() {
        let mut boxes = Mailboxes::new(9, 2);
        assert!(boxes.open(ONE, [1; 32]) && boxes.open(ONE, [2; 32]));
        assert!(!boxes.open(TWO, [3; 32]));
        assert!(
            boxes.open(TWO, [2; 32]),
            "one that changes hands takes no room"
        );
        boxes.close(TWO);
        assert!(boxes.open(TWO, [3; 32]));
    }
}
