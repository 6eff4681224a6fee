//! Packets that wait for their delay to end.

use coinfuse_wire::Instant;
use core::cmp::Ordering;
use core::time::Duration;
use std::collections::BinaryHeap;

/// A bounded set of things with a moment each. It has no clock.
#[derive(Debug)]
pub(super) struct Hold<T> {
    waiting: BinaryHeap<Held<T>>,
    /// Tells things of one moment apart: they come out in the order in which they came.
    next: u64,
    bytes: usize,
    max: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Held<T> {
    at: Instant,
    number: u64,
    bytes: usize,
    thing: T,
}

impl<T> Hold<T> {
    /// Room for `max` things with `max_bytes` together.
    pub(super) const fn new(max: usize, max_bytes: usize) -> Self {
        Self {
            waiting: BinaryHeap::new(),
            next: 0,
            bytes: 0,
            max,
            max_bytes,
        }
    }

    /// Holds `thing` for `delay`, or gives it back if there is no room.
    pub(super) fn insert(
        &mut self,
        now: Instant,
        delay: Duration,
        bytes: usize,
        thing: T,
    ) -> Result<(), T> {
        if self.waiting.len() >= self.max || self.bytes + bytes > self.max_bytes {
            return Err(thing);
        }
        self.bytes += bytes;
        self.next += 1;
        self.waiting.push(Held {
            at: now + delay,
            number: self.next,
            bytes,
            thing,
        });
        Ok(())
    }

    /// The next thing whose moment has come.
    pub(super) fn pop(&mut self, now: Instant) -> Option<T> {
        if self.next_moment()? > now {
            return None;
        }
        let held = self.waiting.pop()?;
        self.bytes -= held.bytes;
        Some(held.thing)
    }

    /// When [`Self::pop`] next has something.
    pub(super) fn next_moment(&self) -> Option<Instant> {
        self.waiting.peek().map(|held| held.at)
    }
}

impl<T> Held<T> {
    const fn key(&self) -> (Instant, u64) {
        (self.at, self.number)
    }
}

/// The earliest is the greatest: a heap gives out its greatest.
impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Held<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn things_come_out_at_their_moment_and_in_order() {
        let mut hold = Hold::new(9, 99);
        for (name, delay) in [("late", 5), ("first", 2), ("second", 2)] {
            hold.insert(at(1), secs(delay), 1, name).unwrap();
        }
        assert_eq!(hold.next_moment(), Some(at(3)));
        assert_eq!(hold.pop(at(2)), None);
        assert_eq!(
            [hold.pop(at(4)), hold.pop(at(4))],
            [Some("first"), Some("second")]
        );
        assert_eq!(hold.pop(at(4)), None);
        assert_eq!(hold.pop(at(6)), Some("late"));
        assert_eq!(hold.next_moment(), None);
    }

    #[test]
    fn what_finds_no_room_is_given_back() {
        let mut hold = Hold::new(2, 10);
        hold.insert(at(0), secs(1), 6, 'a').unwrap();
        assert_eq!(
            hold.insert(at(0), secs(1), 5, 'b'),
            Err('b'),
            "too many bytes"
        );
        hold.insert(at(0), secs(1), 4, 'c').unwrap();
        assert_eq!(hold.insert(at(0), secs(1), 0, 'd'), Err('d'), "too many");
        assert_eq!(hold.pop(at(1)), Some('a'));
        hold.insert(at(1), secs(1), 6, 'e').unwrap();
    }
}
