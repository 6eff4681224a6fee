//! When what is due.

use super::Node;
use crate::config::Role;
use coinfuse_wire::Instant;
use core::time::Duration;

/// How often what has expired is looked for.
const SWEEP: Duration = Duration::from_secs(1);
/// How many sources a new node compares with at once, until so many have answered.
const AT_ONCE: usize = 3;

/// The next time of each thing that a node does by itself.
#[derive(Debug)]
pub(super) struct Timers {
    compare: Instant,
    sweep: Instant,
    save: Instant,
    meet: Instant,
    announce: Option<Instant>,
    show: Option<Instant>,
    news: Option<Instant>,
}

impl Timers {
    /// Everything at once, but for meeting anew: that is done with each connection, too.
    pub(super) fn new(meet: Duration) -> Self {
        Self {
            compare: Instant::ZERO,
            sweep: Instant::ZERO,
            save: Instant::ZERO,
            meet: Instant::ZERO + meet,
            announce: None,
            show: None,
            news: None,
        }
    }

    pub(super) fn next(&self) -> Instant {
        let always = [self.compare, self.sweep, self.save, self.meet];
        let sometimes = [self.announce, self.show, self.news];
        let all = always.into_iter().chain(sometimes.into_iter().flatten());
        all.fold(self.sweep, Instant::min)
    }

    pub(super) fn compare_by(&mut self, when: Instant) {
        self.compare = self.compare.min(when);
    }

    pub(super) fn show_by(&mut self, when: Instant) {
        self.show.get_or_insert(when);
    }

    pub(super) fn announce_by(&mut self, when: Instant) {
        self.announce = Some(self.announce.map_or(when, |before| before.min(when)));
    }

    pub(super) fn news_by(&mut self, when: Option<Instant>) {
        self.news = when;
    }
}

/// Whether a time has come; if so it is set to the next one.
fn due(timer: &mut Instant, now: Instant, next: Duration) -> bool {
    let due = *timer <= now;
    if due {
        *timer = now + next;
    }
    due
}

/// The same for what is done once.
fn due_once(timer: &mut Option<Instant>, now: Instant) -> bool {
    timer.take_if(|timer| *timer <= now).is_some()
}

impl Node {
    pub(super) fn on_timers(&mut self) {
        let now = self.now();
        if due(&mut self.timers.sweep, now, SWEEP) {
            self.sweep();
        }
        let pause = self.draw.jitter(self.timing.compare);
        if due(&mut self.timers.compare, now, pause) {
            self.keep_up();
            self.compare_at_start();
            self.probe();
        }
        let pause = self.draw.jitter(self.timing.save);
        if due(&mut self.timers.save, now, pause) {
            self.save();
        }
        let pause = self.draw.jitter(self.timing.meet);
        if due(&mut self.timers.meet, now, pause) {
            self.meet_again();
        }
        if due_once(&mut self.timers.announce, now) {
            self.announce();
            let pause = self.draw.jitter(self.timing.announce);
            self.timers.announce_by(now + pause);
        }
        if due_once(&mut self.timers.news, now) {
            self.spread();
        }
        if due_once(&mut self.timers.show, now) {
            self.show();
        }
    }

    /// Until a few sources were heard, they are asked at once, and not one after the other.
    pub(super) fn compare_at_start(&mut self) {
        while self.sources.heard_count() + self.sessions.len() < AT_ONCE {
            if !self.compare_with_next() {
                break;
            }
        }
    }

    fn sweep(&mut self) {
        let now = self.clock.now();
        if self.book().remove_expired(now) {
            self.changed();
        }
        if self.role == Role::Relay {
            let instant = tokio::time::Instant::now().into_std();
            let store = self.store();
            store.providers.rank(&store.book, instant);
        }
        // While too few are known, every second is a chance that there are more.
        self.compare_at_start();
    }
}
