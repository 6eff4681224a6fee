//! A disk in a variable: it remembers every write, and can stall, fail and lose its power.

use redb::StorageBackend;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// What happened to the disk, in order.
#[derive(Debug, Clone)]
enum Event {
    Write(u64, Vec<u8>),
    Resize(u64),
    Sync,
}

#[derive(Debug, Default)]
struct State {
    contents: Vec<u8>,
    events: Vec<Event>,
    syncs: usize,
    stall: bool,
    stalled: bool,
    fail: bool,
}

/// Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Arc<(Mutex<State>, Condvar)>);

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.1.notify_all();
    }

    fn wait(&self, until: impl Fn(&State) -> bool) {
        drop(
            self.0
                .1
                .wait_while(self.state(), |state| !until(state))
                .unwrap(),
        );
    }

    /// From now on, or no longer, a sync takes for ever.
    pub(super) fn stall(&self, stall: bool) {
        self.change(|state| state.stall = stall);
    }

    pub(super) fn wait_until_stalled(&self) {
        self.wait(|state| state.stalled);
    }

    /// From now on, or no longer, a sync is an error.
    pub(super) fn fail(&self, fail: bool) {
        self.change(|state| state.fail = fail);
    }

    pub(super) fn syncs(&self) -> usize {
        self.state().syncs
    }

    pub(super) fn wait_for_syncs(&self, count: usize) {
        self.wait(|state| state.syncs >= count);
    }

    /// How much has happened so far; a place to cut the power at.
    pub(super) fn now(&self) -> usize {
        self.state().events.len()
    }

    /// The disk as it is found when nothing that was not synced arrived.
    pub(super) fn after_power_cut(&self) -> Self {
        self.cut_at(self.now(), |_| false)
    }

    /// The disk as it is found after a power cut at `cut`: all that was synced before it, and of
    /// the rest what `arrived` says.
    pub(super) fn cut_at(&self, cut: usize, mut arrived: impl FnMut(usize) -> bool) -> Self {
        let state = self.state();
        let events = &state.events[..cut];
        let synced = events
            .iter()
            .rposition(|event| matches!(event, Event::Sync))
            .unwrap_or(0);
        let mut contents = Vec::new();
        for (place, event) in events.iter().enumerate() {
            if place < synced || arrived(place) {
                replay(&mut contents, event);
            }
        }
        Self(Arc::new((
            Mutex::new(State {
                contents,
                ..State::default()
            }),
            Condvar::new(),
        )))
    }
}

fn replay(contents: &mut Vec<u8>, event: &Event) {
    match event {
        Event::Write(offset, data) => {
            let start = *offset as usize;
            let end = start + data.len();
            if contents.len() < end {
                contents.resize(end, 0);
            }
            contents[start..end].copy_from_slice(data);
        }
        Event::Resize(len) => contents.resize(*len as usize, 0),
        Event::Sync => {}
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().contents.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = offset as usize;
        let state = self.state();
        let from = state.contents.get(start..start + out.len());
        out.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.record(Event::Resize(len))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.record(Event::Write(offset, data.to_vec()))
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.state().fail {
            return Err(io::Error::other("the disk is gone"));
        }
        self.change(|state| state.stalled = state.stall);
        self.wait(|state| !state.stall);
        self.change(|state| {
            state.stalled = false;
            state.syncs += 1;
            state.events.push(Event::Sync);
        });
        Ok(())
    }
}

impl Disk {
    fn record(&self, event: Event) -> io::Result<()> {
        self.change(|state| {
            replay(&mut state.contents, &event);
            state.events.push(event);
        });
        Ok(())
    }
}
