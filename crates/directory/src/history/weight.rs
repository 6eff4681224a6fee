//! How likely a relay is to be drawn.

use super::History;
use super::record::Record;
use crate::DescriptorBody;
use coinfuse_wire::{ByteCount, RelayId, UnixTime};
use core::iter::Peekable;
use std::collections::btree_map;

/// Bytes per second that a relay counts with at least, and if it says nothing.
const LEAST: u64 = 64 << 10;
const UNTOLD: u64 = 1 << 20;
/// What a claim counts for at most, so that it pays little to boast, and what a measurement does.
const CLAIM_MOST: u64 = 8 << 20;
const MEASURED_MOST: u64 = 128 << 20;
/// How much less a relay counts that failed just now.
const RESTING: u64 = 16;

impl History {
    /// How likely a relay is to be drawn, compared with others, at `now`.
    ///
    /// It is the relay's capacity in bytes per second: what was measured, within 64 KiB/s and
    /// 128 MiB/s, or what it claims, within 64 KiB/s and 8 MiB/s (1 MiB/s if it claims nothing); of
    /// a measurement three days old, half of each. Each level of [load](crate::Load) halves it, the
    /// [reliability](Self::reliability) is a factor, and while the relay
    /// [rests](Self::is_resting) a sixteenth is left.
    pub fn weight(&self, relay: &DescriptorBody, now: UnixTime) -> u64 {
        weigh(relay, self.relays.get(&relay.relay), now)
    }

    /// Whether a relay was measured with less than a sixteenth of what it claims. It may be the
    /// client that is slow, so this only decides between relays that are all as good otherwise.
    pub(crate) fn is_slow(&self, relay: &DescriptorBody) -> bool {
        let claimed = relay
            .capacity
            .map_or(UNTOLD, ByteCount::get)
            .min(CLAIM_MOST);
        let measured = self.capacity(&relay.relay);
        measured.is_some_and(|measured| measured.get() < claimed / 16)
    }

    /// The weights of many relays, which have to come in the order of their names.
    pub(crate) fn weights(&self, now: UnixTime) -> Weights<'_> {
        Weights {
            records: self.relays.iter().peekable(),
            now,
        }
    }
}

/// Goes through relays and records side by side, which is faster than a search for each.
pub(crate) struct Weights<'a> {
    records: Peekable<btree_map::Iter<'a, RelayId, Record>>,
    now: UnixTime,
}

impl Weights<'_> {
    pub(crate) fn of(&mut self, relay: &DescriptorBody) -> u64 {
        while self.records.next_if(|(id, _)| **id < relay.relay).is_some() {}
        let record = self.records.next_if(|(id, _)| **id == relay.relay);
        weigh(relay, record.map(|(_, record)| record), self.now)
    }
}

fn weigh(relay: &DescriptorBody, record: Option<&Record>, now: UnixTime) -> u64 {
    let claimed = relay.capacity.map_or(UNTOLD, ByteCount::get);
    let claimed = claimed.clamp(LEAST, CLAIM_MOST);
    let capacity = match record.filter(|record| record.capacity().is_some()) {
        Some(record) => blend(record, claimed, now),
        None => claimed,
    };
    let free = capacity >> relay.load.unwrap_or_default().level();
    let weight = record.map_or(free, |record| reliable_part(record, free, now));
    weight.max(1)
}

fn blend(record: &Record, claimed: u64, now: UnixTime) -> u64 {
    let measured = record.speed.clamp(LEAST, MEASURED_MOST);
    let trust = record.trust(now);
    (measured * trust + claimed * (256 - trust)) / 256
}

fn reliable_part(record: &Record, free: u64, now: UnixTime) -> u64 {
    // At most 2^27 by 2^33.
    let (passed, tries) = record.odds(now);
    let part = free * passed / tries;
    match record.is_resting(now) {
        true => part / RESTING,
        false => part,
    }
}
