//! What was seen of one relay.

use crate::decay::decayed;
use coinfuse_wire::{ByteCount, UnixTime};
use core::time::Duration;

/// Tries are counted in 1/256, so that they can fade.
const ONE: u32 = 256;
/// After which time a try counts half.
const TRY_HALF_LIFE: Duration = Duration::from_secs(24 * 3600);
/// After which time a measurement counts half.
const SPEED_HALF_LIFE: Duration = Duration::from_secs(3 * 24 * 3600);
/// How long a relay rests after its first failure, and at most.
const SHORT_REST: u64 = 30;
const LONG_REST: u64 = 3600;
/// After how many failures without a success a relay counts as down, and for how long after the
/// last: nobody knows of a relay that was not tried for a day.
const DOWN: u8 = 4;
const DOWN_FOR: Duration = Duration::from_secs(24 * 3600);
/// How far a clock goes wrong by itself. What was seen later than that from now was seen by a clock
/// that was ahead, and nobody knows when.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// How long ago it was; `None` if that cannot be known.
fn age(then: UnixTime, now: UnixTime) -> Option<Duration> {
    (then <= now.saturating_add(SKEW)).then(|| now.saturating_since(then))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// When something was seen of it last; tries have faded up to then.
    pub(super) touched: UnixTime,
    /// In 1/256.
    pub(super) successes: u32,
    /// In 1/256.
    pub(super) failures: u32,
    /// How many failures since the last success.
    pub(super) streak: u8,
    pub(super) failed_at: UnixTime,
    /// Bytes per second; zero if never measured.
    pub(super) speed: u64,
    pub(super) measured_at: UnixTime,
}

impl Record {
    pub(super) fn new(now: UnixTime) -> Self {
        Self {
            touched: now,
            successes: 0,
            failures: 0,
            streak: 0,
            failed_at: UnixTime::default(),
            speed: 0,
            measured_at: UnixTime::default(),
        }
    }

    pub(super) fn succeeded(&mut self, now: UnixTime) {
        self.fade(now);
        self.successes = self.successes.saturating_add(ONE);
        self.streak = 0;
    }

    pub(super) fn failed(&mut self, now: UnixTime) {
        self.fade(now);
        self.failures = self.failures.saturating_add(ONE);
        self.streak = self.streak.saturating_add(1);
        self.failed_at = now;
    }

    /// Half of what is new if it is more, an eighth if it is less: something else may have been slow.
    pub(super) fn measured(&mut self, per_second: ByteCount, now: UnixTime) {
        self.fade(now);
        let (old, new) = (self.speed, per_second.get().max(1));
        self.speed = match old {
            0 => new,
            _ if new > old => old + (new - old) / 2,
            _ => old - (old - new) / 8,
        };
        self.measured_at = now;
    }

    pub(super) fn capacity(&self) -> Option<ByteCount> {
        (self.speed > 0).then(|| ByteCount::new(self.speed))
    }

    /// How much the measurement is worth, of 256: nothing if nobody knows how old it is.
    pub(super) fn trust(&self, now: UnixTime) -> u64 {
        let left = |age| decayed(256, age, SPEED_HALF_LIFE).into();
        age(self.measured_at, now).map_or(0, left)
    }

    /// When something was seen of it last; at the beginning of time if nobody knows.
    pub(super) fn last_seen(&self, now: UnixTime) -> UnixTime {
        let known = age(self.touched, now).map(|_| self.touched);
        known.unwrap_or_default()
    }

    /// How many of how many tries it passes, one success assumed.
    pub(super) fn odds(&self, now: UnixTime) -> (u64, u64) {
        let [passed, failed] = self.tries(now);
        let passed = u64::from(passed) + u64::from(ONE);
        (passed, passed + u64::from(failed))
    }

    pub(super) fn is_resting(&self, now: UnixTime) -> bool {
        let Some(doublings) = self.streak.checked_sub(1) else {
            return false;
        };
        let rest = SHORT_REST
            .saturating_mul(1 << doublings.min(30))
            .min(LONG_REST);
        let lately = |age| age < Duration::from_secs(rest);
        age(self.failed_at, now).is_some_and(lately)
    }

    /// Whether it failed time after time, as opposed to once or twice.
    pub(super) fn is_down(&self, now: UnixTime) -> bool {
        let lately = |age| age < DOWN_FOR;
        self.streak >= DOWN && age(self.failed_at, now).is_some_and(lately)
    }

    fn fade(&mut self, now: UnixTime) {
        [self.successes, self.failures] = self.tries(now);
        self.touched = now;
    }

    /// What is left of the tries that passed and failed.
    fn tries(&self, now: UnixTime) -> [u32; 2] {
        let age = now.saturating_since(self.touched);
        [self.successes, self.failures].map(|tries| decayed(tries, age, TRY_HALF_LIFE))
    }
}
