//! When a guard is drawn, and whose place it takes.

use super::History;
use super::guards::{DAY, Guard};
use crate::draw::Draw;
use crate::path::{Weighted, carriers, may_share_path};
use crate::{Descriptor, Directory, PathConstraints};
use coinfuse_wire::{RelayId, UnixTime};
use core::time::Duration;

/// How many guards there should be.
const WANTED: usize = 3;
/// For how long a guard that is missing from the directory counts as one that will be back.
const SHORTLY: Duration = Duration::from_secs(12 * 3600);

/// How long after the last one another guard is drawn while there is none that can be used, by how many
/// were drawn within thirty days, the first three not counted: minutes, since relays do end, and days
/// when it goes on and on.
const WAITS: [Duration; 5] = [
    Duration::from_secs(600),
    Duration::from_secs(3600),
    Duration::from_secs(6 * 3600),
    DAY,
    Duration::from_secs(2 * 24 * 3600),
];

/// What guards are to be good for, and when.
struct Task<'a> {
    directory: &'a Directory,
    constraints: &'a PathConstraints,
    now: UnixTime,
}

/// What a guard is good for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It can be used, even if it rests for a moment.
    Up,
    /// It failed time after time.
    Down,
    /// Left out by name.
    Excluded,
    /// No descriptor of it is there that holds.
    Missing,
    /// It is not what paths need: the client asks for something else now, or the relay offers
    /// something else.
    Unfit,
}

/// Where a guard that is drawn goes.
enum Place {
    Last,
    InsteadOf(usize),
}

impl History {
    /// Sees to it that there are three guards, drawn by weight, within
    /// [`MAX_GUARDS`](Self::MAX_GUARDS). True if anything changed that should be stored.
    ///
    /// Call it before choosing paths. `constraints` are those of all paths, and not of one target. Do
    /// it with a directory that several sources were asked for: guards drawn from what a single
    /// source lists are that source's choice.
    ///
    /// At once it draws only guards for what paths need: at first, and when those that are listed do
    /// not [fit](PathConstraints) any more. Whatever the network does, that guards fail, or are
    /// missing from the directory, or are [left out by name](PathConstraints::exclude), costs one new
    /// guard after some minutes if no other can be used, then after hours, then in one to three days,
    /// and no more than there are places in thirty: nobody can lead a client on from guard to guard
    /// until it takes his. For that a guard keeps its place for
    /// thirty days at least, and when it can be used again, it is.
    pub fn tend_guards(
        &mut self,
        directory: &Directory,
        constraints: &PathConstraints,
        now: UnixTime,
        seed: [u8; 32],
    ) -> bool {
        let task = Task {
            directory,
            constraints,
            now,
        };
        let before = self.guards.clone();
        for guard in &mut self.guards {
            guard.correct(now);
            guard.look_for(directory, now);
        }
        self.draw_guards(&task, &mut Draw::new(seed));
        self.let_go(&task);
        self.guards != before
    }

    fn draw_guards(&mut self, task: &Task<'_>, draw: &mut Draw) {
        let mut others = None;
        while let Some(place) = self.place_to_fill(task) {
            let others = others.get_or_insert_with(|| carriers(task.directory, self, task.now));
            let Some(relay) = self.draw_guard(others, task, draw) else {
                return;
            };
            if let Place::InsteadOf(place) = place {
                self.guards.remove(place);
            }
            self.guards.push(Guard::draw(relay, task.now, draw));
        }
    }

    /// Whether a guard is to be drawn now, and where it goes.
    fn place_to_fill(&self, task: &Task<'_>) -> Option<Place> {
        let standings: Vec<_> = self.guards.iter().map(|g| self.standing(g, task)).collect();
        self.place_at_once(&standings, task.now)
            .or_else(|| self.place_with_time(&standings, task.now))
    }

    /// Where a guard goes for what paths need now.
    fn place_at_once(&self, standings: &[Standing], now: UnixTime) -> Option<Place> {
        let count = |standing| standings.iter().filter(|one| **one == standing).count();
        if self.guards.len() - count(Standing::Unfit) >= WANTED {
            return None;
        }
        let none_fits = count(Standing::Up) + count(Standing::Down) == 0;
        let unfit = || standings.iter().rposition(|one| *one == Standing::Unfit);
        let instead = || unfit().filter(|_| none_fits).map(Place::InsteadOf);
        self.open_place(now).or_else(instead)
    }

    /// Where a guard goes because others cannot be used, if it is time for another.
    fn place_with_time(&self, standings: &[Standing], now: UnixTime) -> Option<Place> {
        let guards = self.guards.iter().zip(standings);
        let kept = guards.filter(|(guard, standing)| guard.is_kept(**standing, now));
        let has_one = standings.contains(&Standing::Up);
        if kept.count() >= WANTED && has_one || !self.may_draw(has_one, now) {
            return None;
        }
        self.open_place(now)
            .or_else(|| self.useless_place(standings, now))
    }

    /// The place of a guard whose time is over, or a new one.
    fn open_place(&self, now: UnixTime) -> Option<Place> {
        let over = self.guards.iter().position(|guard| guard.is_over(now));
        let room = self.guards.len() < Self::MAX_GUARDS;
        over.map(Place::InsteadOf).or(room.then_some(Place::Last))
    }

    /// The place of the last guard that will not do, of those that are not new or were drawn for
    /// something else.
    fn useless_place(&self, standings: &[Standing], now: UnixTime) -> Option<Place> {
        let mut guards = self.guards.iter().zip(standings);
        let useless = guards.rposition(|(guard, standing)| match standing {
            Standing::Up => false,
            Standing::Unfit => true,
            Standing::Down | Standing::Excluded | Standing::Missing => !guard.is_new(now),
        });
        useless.map(Place::InsteadOf)
    }

    /// Whether the last guard was drawn long enough ago: one to three days if there is one that can be
    /// used, else sooner at first; the longer the more were drawn of late.
    fn may_draw(&self, has_one: bool, now: UnixTime) -> bool {
        let lately = self.guards.iter().filter(|guard| guard.is_new(now)).count();
        let wait = match WAITS.get(lately.saturating_sub(WANTED)) {
            Some(wait) if !has_one => *wait,
            _ => DAY * lately.saturating_sub(2).clamp(1, 3) as u32,
        };
        let mut ages = self.guards.iter().map(|g| now.saturating_since(g.since));
        ages.all(|age| age >= wait)
    }

    /// Lets go of guards whose time is over, if there are enough others.
    fn let_go(&mut self, task: &Task<'_>) {
        let is_up = |guard: &&Guard| self.standing(guard, task) == Standing::Up;
        let staying = |guard: &&Guard| !guard.is_over(task.now);
        let others = self.guards.iter().filter(staying).filter(is_up).count();
        if others >= WANTED {
            self.guards.retain(|guard| !guard.is_over(task.now));
        }
    }

    fn standing(&self, guard: &Guard, task: &Task<'_>) -> Standing {
        let relay = task.directory.get(&guard.relay);
        match relay.filter(|_| guard.missing.is_none()) {
            None => Standing::Missing,
            Some(relay) if task.constraints.excludes(&relay.relay) => Standing::Excluded,
            Some(relay) if !task.constraints.may_carry(relay) => Standing::Unfit,
            Some(relay) if self.is_down(&relay.relay, task.now) => Standing::Down,
            Some(_) => Standing::Up,
        }
    }

    /// A relay that is no guard yet, one that can share a path with all guards if there is such: then
    /// no relay at the other end of a path rules out more than one of them.
    fn draw_guard(
        &self,
        others: &mut Vec<Weighted<'_>>,
        task: &Task<'_>,
        draw: &mut Draw,
    ) -> Option<RelayId> {
        let known = |guard: &Guard| task.directory.get(&guard.relay);
        let known: Vec<_> = self.guards.iter().filter_map(known).collect();
        let is_new = |relay: &Descriptor| self.guards.iter().all(|g| g.relay != relay.relay);
        let fits = |relay: &Descriptor| {
            is_new(relay) && relay.is_fresh(task.now) && task.constraints.may_carry(relay)
        };
        let stranger = |relay: &Descriptor| known.iter().all(|g| may_share_path(relay, g));
        let mut strangers = others.clone();
        Weighted::take_fit(&mut strangers, draw, |one| stranger(one) && fits(one))
            .or_else(|| Weighted::take_fit(others, draw, fits))
            .map(|one| one.relay.relay)
    }
}

impl Guard {
    /// Whether it counts as one of those that there should be.
    fn is_kept(&self, standing: Standing, now: UnixTime) -> bool {
        let will_do = match standing {
            Standing::Up | Standing::Down | Standing::Excluded => true,
            Standing::Missing => self.missing_for(now) < SHORTLY,
            Standing::Unfit => false,
        };
        will_do && !self.is_over(now)
    }
}
