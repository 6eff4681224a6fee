//! The few relays that a client enters the network through.

use super::History;
use crate::draw::Draw;
use crate::path::{Weighted, carriers, may_share_path};
use crate::{Descriptor, Directory, PathConstraints};
use coinfuse_wire::{RelayId, UnixTime};
use core::time::Duration;

/// How long a guard is kept: at least, and at most so much longer. Drawn for each, so that nobody
/// can tell from a change when the guard was chosen.
const SHORTEST: Duration = Duration::from_secs(60 * 24 * 3600);
const LONGER: Duration = Duration::from_secs(60 * 24 * 3600);
/// For how long a guard may be missing from the directory.
const GONE: Duration = Duration::from_secs(14 * 24 * 3600);
/// How many guards there should be that can be used at the moment.
const USABLE: usize = 3;

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
    /// Until when it is one.
    pub until: UnixTime,
    /// Since when it is missing from the directory, if it is.
    pub missing: Option<UnixTime>,
}

impl Guard {
    fn draw(relay: RelayId, now: UnixTime, draw: &mut Draw) -> Self {
        let more = draw.below(LONGER.as_secs()).unwrap_or(0);
        let lifetime = SHORTEST + Duration::from_secs(more);
        Self {
            relay,
            since: now,
            until: now.saturating_add(lifetime),
            missing: None,
        }
    }

    /// A client that was off for a year did not miss anybody: time counts from when it looked.
    fn look_for(&mut self, directory: &Directory, now: UnixTime) {
        let known = directory.get(&self.relay);
        match known.is_some_and(|one| one.is_fresh(now)) {
            true => self.missing = None,
            false => _ = self.missing.get_or_insert(now),
        }
    }

    fn has_left(&self, now: UnixTime) -> bool {
        let long = |since| now.saturating_since(since) > GONE;
        self.until <= now || self.missing.is_some_and(long)
    }
}

impl History {
    /// The guards, the preferred one first.
    pub fn guards(&self) -> &[Guard] {
        &self.guards
    }

    /// Sees to it that there are guards: lets go of those whose time is over, or that are missing
    /// from the directory for two weeks, and draws new ones by weight until three can be used, within
    /// [`MAX_GUARDS`](Self::MAX_GUARDS). True if anything changed that should be stored.
    ///
    /// Call it before choosing paths, and again when there is
    /// [no guard](crate::SelectError::NoGuard). `constraints` are those of all paths, and not of one
    /// target. Do it with a directory that several sources were asked for: guards drawn from what a
    /// single source lists are that source's choice. A guard that comes back takes its old place, so somebody who keeps a client from
    /// reaching its guards gains little: the new ones are as few, and last as long.
    pub fn tend_guards(
        &mut self,
        directory: &Directory,
        constraints: &PathConstraints,
        now: UnixTime,
        seed: [u8; 32],
    ) -> bool {
        let before = self.guards.clone();
        let look = |guard: &mut Guard| guard.look_for(directory, now);
        self.guards.iter_mut().for_each(look);
        self.guards.retain(|guard| !guard.has_left(now));
        let mut draw = Draw::new(seed);
        let mut others = carriers(directory, self, now);
        while self.usable_guards(directory, constraints, now) < USABLE
            && self.guards.len() < Self::MAX_GUARDS
        {
            let Some(relay) = self.draw_guard(&mut others, directory, constraints, &mut draw)
            else {
                break;
            };
            self.guards.push(Guard::draw(relay, now, &mut draw));
        }
        self.guards != before
    }

    /// A relay that is no guard yet, one that can share a path with all guards if there is such: then
    /// no relay at the other end of a path rules out more than one of them.
    fn draw_guard(
        &self,
        others: &mut Vec<Weighted<'_>>,
        directory: &Directory,
        constraints: &PathConstraints,
        draw: &mut Draw,
    ) -> Option<RelayId> {
        let known = |guard: &Guard| directory.get(&guard.relay);
        let known: Vec<_> = self.guards.iter().filter_map(known).collect();
        let is_new = |relay: &Descriptor| self.guards.iter().all(|g| g.relay != relay.relay);
        let fits = |relay: &Descriptor| is_new(relay) && constraints.may_carry(relay);
        let stranger = |relay: &Descriptor| known.iter().all(|g| may_share_path(relay, g));
        let mut strangers = others.clone();
        Weighted::take_fit(&mut strangers, draw, |one| stranger(one) && fits(one))
            .or_else(|| Weighted::take_fit(others, draw, fits))
            .map(|one| one.relay.relay)
    }

    fn usable_guards(
        &self,
        directory: &Directory,
        constraints: &PathConstraints,
        now: UnixTime,
    ) -> usize {
        let usable = |guard: &&Guard| {
            let descriptor = directory.get(&guard.relay);
            descriptor.is_some_and(|one| constraints.may_carry(one))
                && !self.is_resting(&guard.relay, now)
        };
        self.guards.iter().filter(usable).count()
    }
}
