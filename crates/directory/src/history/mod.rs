//! What a client has seen of relays, as opposed to what they say.

mod codec;
mod guards;
mod record;
mod tend;
mod weight;

pub use guards::Guard;

use coinfuse_wire::{ByteCount, RelayId, UnixTime};
use record::Record;
use std::collections::BTreeMap;

/// What a client has seen of relays: how fast they were, whether they worked, and which of them are
/// its [guards](Guard).
///
/// [`select_path`](crate::select_path) reads it; the caller writes into it what it sees, and keeps it
/// on disk between runs ([`Encode`](coinfuse_wire::Encode), [`Decode`](coinfuse_wire::Decode)). It
/// says which relays the client used, so the file is as private as a browser's history. An empty one
/// will do: then paths are drawn by what relays say, without guards.
///
/// Bounded: of more than [`MAX_RELAYS`](Self::MAX_RELAYS) relays the one not used for longest is
/// forgotten.
///
/// The clock may go wrong: what it was told later than `now` by more than five minutes, it takes as
/// seen at a time that nobody knows.
///
/// ```
/// use coinfuse_directory::History;
/// use coinfuse_wire::{ByteCount, Decode, Encode, RelayId, UnixTime};
///
/// let (relay, now) = (RelayId::new([7; 32]), UnixTime::from_secs(1_800_000_000));
/// let mut history = History::new();
/// history.measured(&relay, ByteCount::from_mib(3), now);
/// history.succeeded(&relay, now);
/// history.failed(&relay, now);
///
/// let stored = history.to_bytes();
/// let history = History::from_bytes(&stored)?;
/// assert_eq!(history.capacity(&relay), Some(ByteCount::from_mib(3)));
/// assert_eq!(history.reliability(&relay, now), Some(666));
/// assert!(history.is_resting(&relay, now));
/// # Ok::<(), coinfuse_wire::DecodeError>(())
/// ```
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct History {
    relays: BTreeMap<RelayId, Record>,
    guards: Vec<Guard>,
}

impl History {
    /// The most relays that are remembered.
    pub const MAX_RELAYS: usize = 4096;
    /// The most guards, in use or not.
    pub const MAX_GUARDS: usize = 12;

    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A relay did what it was asked for: a handshake, a circuit's worth of bytes.
    pub fn succeeded(&mut self, relay: &RelayId, now: UnixTime) {
        self.record(relay, now).succeeded(now);
    }

    /// A relay did not do what it was asked for, and it was the relay's fault as far as can be
    /// known. It then rests for half a minute, twice as long after each further failure, an hour at
    /// most: it is chosen only if hardly anything else will do.
    pub fn failed(&mut self, relay: &RelayId, now: UnixTime) {
        self.record(relay, now).failed(now);
    }

    /// A relay carried this many bytes per second, while something waited for them. It is a lower
    /// bound, as any relay of the path may have been the slow one, so it moves up faster than down.
    /// Feed it the best second of a transfer, not the average.
    pub fn measured(&mut self, relay: &RelayId, per_second: ByteCount, now: UnixTime) {
        self.record(relay, now).measured(per_second, now);
    }

    /// Bytes per second that a relay was measured with, a moving average; `None` if it never was.
    pub fn capacity(&self, relay: &RelayId) -> Option<ByteCount> {
        self.relays.get(relay)?.capacity()
    }

    /// How many of a thousand tries a relay passes, by what was seen of it lately: a try counts half
    /// after a day. One success is assumed. `None` if nothing was seen of it.
    pub fn reliability(&self, relay: &RelayId, now: UnixTime) -> Option<u32> {
        let record = self.relays.get(relay)?;
        let (passed, tries) = record.odds(now);
        Some((passed * 1000 / tries) as u32)
    }

    /// Whether a relay failed so lately that it should be left alone.
    pub fn is_resting(&self, relay: &RelayId, now: UnixTime) -> bool {
        let record = self.relays.get(relay);
        record.is_some_and(|record| record.is_resting(now))
    }

    /// Whether a relay failed time after time lately, without a success between.
    fn is_down(&self, relay: &RelayId, now: UnixTime) -> bool {
        let record = self.relays.get(relay);
        record.is_some_and(|record| record.is_down(now))
    }

    fn record(&mut self, relay: &RelayId, now: UnixTime) -> &mut Record {
        if self.relays.len() >= Self::MAX_RELAYS && !self.relays.contains_key(relay) {
            self.forget_oldest(now);
        }
        let new = || Record::new(now);
        self.relays.entry(*relay).or_insert_with(new)
    }

    fn forget_oldest(&mut self, now: UnixTime) {
        let used = |(_, record): &(&RelayId, &Record)| record.last_seen(now);
        let oldest = self.relays.iter().min_by_key(used).map(|(id, _)| *id);
        oldest.map(|relay| self.relays.remove(&relay));
    }
}
