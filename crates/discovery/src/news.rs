//! What is new, and has to be passed on.

use coinfuse_wire::{Instant, RelayId};
use core::time::Duration;
use libp2p::PeerId;
use std::collections::{HashMap, VecDeque};

/// The most that is kept to be passed on. What comes on top gets around by comparison.
const MAX_WAITING: usize = 512;
/// How long the next news of one relay is not passed on at once.
const PAUSE: Duration = Duration::from_secs(5);
/// For how many relays that is kept in mind.
const MAX_TOLD: usize = 4096;

/// A bounded queue of relays with new descriptors, gathered for a moment before they are passed on,
/// each relay not too often: a relay that changes all the time does not keep everybody busy.
#[derive(Debug)]
pub(crate) struct News {
    gather: Duration,
    waiting: VecDeque<Item>,
    due: Option<Instant>,
    told: HashMap<RelayId, Instant>,
}

/// Something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    /// Whose descriptor is new.
    pub(crate) relay: RelayId,
    /// Who told it, and need not be told.
    pub(crate) from: Option<PeerId>,
}

impl News {
    pub(crate) fn new(gather: Duration) -> Self {
        Self {
            gather,
            waiting: VecDeque::new(),
            due: None,
            told: HashMap::new(),
        }
    }

    pub(crate) fn add(&mut self, item: Item, now: Instant) {
        if self.told.len() >= MAX_TOLD {
            self.told
                .retain(|_, told| now.saturating_since(*told) < PAUSE);
        }
        let lately = |told: &Instant| now.saturating_since(*told) < PAUSE;
        if self.waiting.len() >= MAX_WAITING
            || self.told.len() >= MAX_TOLD
            || self.told.get(&item.relay).is_some_and(lately)
        {
            return;
        }
        self.told.insert(item.relay, now);
        self.waiting.push_back(item);
        self.due.get_or_insert(now + self.gather);
    }

    /// When something is to be passed on.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// At most `most` of what has waited long enough.
    pub(crate) fn take(&mut self, most: usize, now: Instant) -> Vec<Item> {
        if self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        let items = self.waiting.drain(..most.min(self.waiting.len()));
        let items = items.collect();
        self.due = (!self.waiting.is_empty()).then_some(now + self.gather);
        items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn item(number: u16) -> Item {
        let mut relay = [0; 32];
        relay[..2].copy_from_slice(&number.to_be_bytes());
        Item {
            relay: RelayId::new(relay),
            from: None,
        }
    }

    #[test]
    fn news_is_gathered_and_then_passed_on_once() {
        let mut news = News::new(Duration::from_millis(100));
        news.add(item(1), at(0));
        news.add(item(2), at(50));
        assert!(news.take(9, at(99)).is_empty());
        assert_eq!(news.take(9, at(100)), [item(1), item(2)]);
        assert!(news.take(9, at(1000)).is_empty());
    }

    #[test]
    fn a_relay_that_changes_all_the_time_is_passed_on_now_and_then() {
        let mut news = News::new(Duration::ZERO);
        let passed = |millis| {
            news.add(item(1), at(millis));
            news.take(9, at(millis)).len()
        };
        let times: Vec<usize> = (0..100).map(|tenths| tenths * 200).map(passed).collect();
        assert_eq!(times.iter().sum::<usize>(), 4);
    }

    #[test]
    fn a_flood_is_cut_off() {
        let mut news = News::new(Duration::ZERO);
        for number in 0..10_000 {
            news.add(item(number), at(0));
        }
        let mut passed = 0;
        for millis in 0..100 {
            passed += news.take(64, at(millis)).len();
        }
        assert_eq!(passed, MAX_WAITING);
    }
}
