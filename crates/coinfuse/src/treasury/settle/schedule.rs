//! When which channel is settled.

use crate::clock::random;
use crate::store::{ChannelKey, ChannelRecord};
use coinfuse_wire::UnixTime;
use core::time::Duration;
use std::collections::HashMap;

/// The pause after a first try in vain; it doubles.
const FIRST_RETRY: u64 = 5;
/// The longest pause between two tries.
const LAST_RETRY: u64 = 300;

/// When the closed channels are due. Lost with a restart, after which the dice are thrown again.
pub(super) struct Schedule {
    within: Duration,
    margin: Duration,
    due: HashMap<ChannelKey, Due>,
}

#[derive(Clone, Copy)]
struct Due {
    at: UnixTime,
    tries: u32,
}

impl Schedule {
    pub(super) fn new(within: Duration, margin: Duration) -> Self {
        Self {
            within,
            margin,
            due: HashMap::new(),
        }
    }

    /// Those of all closed channels that are due; the others are given their time, if they have
    /// none.
    pub(super) fn due(&mut self, now: UnixTime, closing: &[ChannelRecord]) -> Vec<ChannelRecord> {
        let mut before = core::mem::take(&mut self.due);
        for record in closing {
            let due = before.remove(&record.channel);
            let due = due.unwrap_or_else(|| self.first(now, record));
            self.due.insert(record.channel, due);
        }
        let is_due = |record: &&ChannelRecord| {
            let due = self.due.get(&record.channel);
            due.is_none_or(|due| due.at <= now)
        };
        closing.iter().filter(is_due).copied().collect()
    }

    fn first(&self, now: UnixTime, record: &ChannelRecord) -> Due {
        let wait = Duration::from_secs(up_to(self.within.as_secs()));
        let latest = record.expiry.saturating_sub(self.margin / 2);
        Due {
            at: now.saturating_add(wait).min(latest),
            tries: 0,
        }
    }

    /// The mint did not settle this one: again later, and more often the less time is left.
    pub(super) fn again(&mut self, now: UnixTime, record: &ChannelRecord) {
        let tries = self.due.get(&record.channel).map_or(0, |due| due.tries);
        let pause = FIRST_RETRY
            .saturating_mul(1 << tries.min(16))
            .min(LAST_RETRY);
        let left = record.expiry.secs().saturating_sub(now.secs());
        let pause = match left {
            0 => pause,
            left => pause.min(left / 4).max(1),
        };
        let due = Due {
            at: now.saturating_add(Duration::from_secs(pause)),
            tries: tries.saturating_add(1),
        };
        self.due.insert(record.channel, due);
    }
}

/// A random number up to and with `most`.
fn up_to(most: u64) -> u64 {
    let number = u64::from_le_bytes(random());
    most.checked_add(1).map_or(number, |count| number % count)
}

/// A random order.
pub(super) fn shuffle<T>(list: &mut Vec<T>) {
    let mut drawn: Vec<(u64, T)> = list
        .drain(..)
        .map(|item| (u64::from_le_bytes(random()), item))
        .collect();
    drawn.sort_by_key(|(key, _)| *key);
    list.extend(drawn.into_iter().map(|(_, item)| item));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{AccountKey, ChannelStage};
    use coinfuse_wire::Msat;
    use std::collections::BTreeSet;

    const NOW: UnixTime = UnixTime::from_secs(1_900_000_000);
    const WITHIN: Duration = Duration::from_secs(600);
    const MARGIN: Duration = Duration::from_secs(600);

    fn closing(name: u8, expires_in: u64) -> ChannelRecord {
        ChannelRecord {
            channel: ChannelKey::new([name; 32]),
            account: AccountKey::new([0; 32]),
            credited: Msat::ZERO,
            expiry: NOW.saturating_add(Duration::from_secs(expires_in)),
            stage: ChannelStage::Closing,
        }
    }

    fn after(secs: u64) -> UnixTime {
        NOW.saturating_add(Duration::from_secs(secs))
    }

    #[test]
    fn channels_that_close_together_are_due_apart() {
        let all: Vec<_> = (0..50).map(|name| closing(name, 86_400)).collect();
        let mut schedule = Schedule::new(WITHIN, MARGIN);
        let mut moments = BTreeSet::new();
        for second in 0..=600 {
            let due = schedule.due(after(second), &all).len();
            moments.insert(due);
        }
        assert_eq!(moments.last(), Some(&50), "all are due in the end");
        assert!(moments.len() > 20, "{moments:?}");
    }

    #[test]
    fn none_waits_for_its_expiry() {
        let mut schedule = Schedule::new(WITHIN, MARGIN);
        let late: Vec<_> = (0..50).map(|name| closing(name, 400)).collect();
        assert!(schedule.due(NOW, &late).len() < 50);
        assert_eq!(schedule.due(after(100), &late).len(), 50);
    }

    #[test]
    fn tries_in_vain_become_seldom_and_then_more_frequent() {
        let mut schedule = Schedule::new(Duration::ZERO, MARGIN);
        let channel = closing(1, 3600);
        let mut pauses = Vec::new();
        let mut now = NOW;
        let mut last = now;
        while now < channel.expiry {
            if !schedule.due(now, &[channel]).is_empty() {
                pauses.push(now.secs() - last.secs());
                last = now;
                schedule.again(now, &channel);
            }
            now = now.saturating_add(Duration::from_secs(1));
        }
        assert_eq!(pauses[..4], [0, 5, 10, 20]);
        assert_eq!(pauses.iter().max(), Some(&300));
        assert_eq!(pauses.last(), Some(&1));
    }

    #[test]
    fn one_that_is_settled_is_forgotten() {
        let mut schedule = Schedule::new(WITHIN, MARGIN);
        schedule.due(NOW, &[closing(1, 86_400), closing(2, 86_400)]);
        schedule.due(NOW, &[closing(2, 86_400)]);
        assert_eq!(schedule.due.len(), 1);
    }

    #[test]
    fn the_order_is_random_and_complete() {
        let mut list: Vec<u8> = (0..100).collect();
        shuffle(&mut list);
        assert!(!list.is_sorted());
        list.sort_unstable();
        assert_eq!(list, (0..100).collect::<Vec<u8>>());
    }
}
