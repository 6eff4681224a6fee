//! Relays that are not given a channel for a while.

use coinfuse_wire::{Instant, RelayId};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// After the first refusal; doubled by each further one.
const FIRST: Duration = Duration::from_secs(30);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(3600);

/// A relay that refuses a channel keeps its money locked until it expires. So the next one comes
/// later and is smaller, which bounds what can be locked that way.
#[derive(Default)]
pub(super) struct Pauses(Mutex<HashMap<RelayId, Pause>>);

#[derive(Debug, Default, Clone, Copy)]
struct Pause {
    until: Instant,
    failures: u32,
    refusals: u32,
}

impl Pauses {
    fn lock(&self) -> MutexGuard<'_, HashMap<RelayId, Pause>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By how many bits the next channel is smaller; `None` during a pause.
    pub(super) fn shift(&self, relay: &RelayId, now: Instant) -> Option<u32> {
        match self.lock().get(relay) {
            Some(pause) if now < pause.until => None,
            Some(pause) => Some(pause.refusals.saturating_mul(2)),
            None => Some(0),
        }
    }

    /// The relay does not take a channel.
    pub(super) fn refused(&self, relay: RelayId, now: Instant) {
        let mut pauses = self.lock();
        let pause = pauses.entry(relay).or_default();
        pause.refusals = pause.refusals.saturating_add(1);
        pause.extend(now);
    }

    /// A channel was not funded.
    pub(super) fn failed(&self, relay: RelayId, now: Instant) {
        self.lock().entry(relay).or_default().extend(now);
    }

    /// A channel of the relay pays.
    pub(super) fn works(&self, relay: &RelayId) {
        self.lock().remove(relay);
    }
}

impl Pause {
    fn extend(&mut self, now: Instant) {
        let pause = FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.until = Instant::from_epoch(
            now.saturating_since(Instant::from_epoch(Duration::ZERO))
                .saturating_add(pause.min(LONGEST)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_makes_the_pause_longer_and_the_channel_smaller() {
        let (pauses, relay) = (Pauses::default(), RelayId::new([1; 32]));
        let at = |secs| Instant::from_epoch(Duration::from_secs(secs));
        assert_eq!(pauses.shift(&relay, at(0)), Some(0));
        pauses.refused(relay, at(0));
        assert_eq!(pauses.shift(&relay, at(29)), None);
        assert_eq!(pauses.shift(&relay, at(30)), Some(2));
        pauses.refused(relay, at(30));
        assert_eq!(pauses.shift(&relay, at(89)), None);
        assert_eq!(pauses.shift(&relay, at(90)), Some(4));
        pauses.failed(relay, at(90));
        assert_eq!(pauses.shift(&relay, at(209)), None);
        assert_eq!(pauses.shift(&relay, at(210)), Some(4));
        pauses.works(&relay);
        assert_eq!(pauses.shift(&relay, at(91)), Some(0));
    }
}
