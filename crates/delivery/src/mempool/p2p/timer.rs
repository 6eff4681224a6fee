//! The timers of a session, as rows of a table.

use coinfuse_wire::Instant;

/// What a session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Timer {
    /// The greeting.
    Handshake,
    /// A `getdata`.
    Request,
    /// The `pong` after a transaction.
    Processing,
}

const ALL: [Timer; 3] = [Timer::Handshake, Timer::Request, Timer::Processing];

/// When each is due, if it runs.
#[derive(Debug, Default)]
pub(crate) struct Timers([Option<Instant>; 3]);

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, due: Instant) {
        self.0[timer as usize] = Some(due);
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub(crate) fn stop_all(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes a timer that is due at `now` out of the table.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Timer> {
        let is_due = |timer: &Timer| self.0[*timer as usize].is_some_and(|due| due <= now);
        let timer = ALL.into_iter().find(is_due)?;
        self.stop(timer);
        Some(timer)
    }
}
