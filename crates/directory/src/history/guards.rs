//! The few relays that a client enters the network through.

use super::History;
use crate::Directory;
use crate::draw::Draw;
use coinfuse_wire::{RelayId, UnixTime};
use core::time::Duration;

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a guard is kept: at least, and at most so much longer. Drawn for each, so that nobody
/// can tell from a change when the guard was chosen.
const SHORTEST: Duration = DAY.saturating_mul(60);
const LONGER: Duration = DAY.saturating_mul(60);
/// For how long a guard may be missing from the directory.
const GONE: Duration = DAY.saturating_mul(14);
/// For how long a guard keeps its place whatever becomes of it: so it is known how many were drawn
/// of late.
const MONTH: Duration = DAY.saturating_mul(30);

/// A relay that a client enters the network through, for months.
///
/// Whoever runs the first and the last relay of a path can match them. Drawing a new first relay for
/// every path would make that happen to every client sooner or later; with guards it happens to a few
/// clients often, and to the others never.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Guard {
    /// The relay.
    pub relay: RelayId,
    /// Since when it is a guard.
    pub since: UnixTime,
    /// Until when it is one: then the next that is drawn takes its place.
    pub until: UnixTime,
    /// Since when it is missing from the directory, if it is.
    pub missing: Option<UnixTime>,
}

impl Guard {
    pub(super) fn draw(relay: RelayId, now: UnixTime, draw: &mut Draw) -> Self {
        let more = draw.below(LONGER.as_secs()).unwrap_or(0);
        let lifetime = SHORTEST + Duration::from_secs(more);
        Self {
            relay,
            since: now,
            until: now.saturating_add(lifetime),
            missing: None,
        }
    }

    /// What a clock that was ahead has left behind counts as of now.
    pub(super) fn correct(&mut self, now: UnixTime) {
        self.since = self.since.min(now);
        self.until = self.until.min(now.saturating_add(SHORTEST + LONGER));
        self.missing = self.missing.map(|since| since.min(now));
    }

    /// A client that was off for a year did not miss anybody: time counts from when it looked.
    pub(super) fn look_for(&mut self, directory: &Directory, now: UnixTime) {
        let known = directory.get(&self.relay);
        match known.is_some_and(|one| one.is_fresh(now)) {
            true => self.missing = None,
            false => _ = self.missing.get_or_insert(now),
        }
    }

    /// For how long it is missing, as far as the client looked.
    pub(super) fn missing_for(&self, now: UnixTime) -> Duration {
        let long = |since| now.saturating_since(since);
        self.missing.map_or(Duration::ZERO, long)
    }

    /// Whether it was drawn within a month.
    pub(super) fn is_new(&self, now: UnixTime) -> bool {
        now.saturating_since(self.since) < MONTH
    }

    /// Whether its place is the next one's.
    pub(super) fn is_over(&self, now: UnixTime) -> bool {
        !self.is_new(now) && (self.until <= now || self.missing_for(now) > GONE)
    }
}

impl History {
    /// The guards, the preferred one first.
    pub fn guards(&self) -> &[Guard] {
        &self.guards
    }
}
