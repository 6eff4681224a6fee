//! What a relay counts.

use super::packets::PacketStats;
use coinfuse_wire::ByteCount;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a relay has done since it started. No number of it is about a single client.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayStats {
    /// Links open now.
    pub open_links: usize,
    /// Circuits open now.
    pub open_circuits: u64,
    /// Circuits made.
    pub circuits: u64,
    /// Bytes of records from clients and to them, a second or so behind.
    pub carried: ByteCount,
    /// Streams that ended here and reached their target.
    pub streams: u64,
    /// Streams that ended here and did not.
    pub failed_streams: u64,
    /// One-shot packets.
    pub packets: PacketStats,
}

#[derive(Debug, Default)]
pub(super) struct Stats {
    circuits: AtomicU64,
    closed_circuits: AtomicU64,
    carried: AtomicU64,
    streams: AtomicU64,
    failed_streams: AtomicU64,
}

impl Stats {
    pub(super) fn circuit_opened(&self) {
        self.circuits.fetch_add(1, Relaxed);
    }

    pub(super) fn circuit_closed(&self) {
        self.closed_circuits.fetch_add(1, Relaxed);
    }

    pub(super) fn carried(&self, bytes: ByteCount) {
        self.carried.fetch_add(bytes.get(), Relaxed);
    }

    pub(super) fn stream(&self, reached: bool) {
        let counter = if reached {
            &self.streams
        } else {
            &self.failed_streams
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self, open_links: usize) -> RelayStats {
        let circuits = self.circuits.load(Relaxed);
        RelayStats {
            open_links,
            open_circuits: circuits.saturating_sub(self.closed_circuits.load(Relaxed)),
            circuits,
            carried: ByteCount::new(self.carried.load(Relaxed)),
            streams: self.streams.load(Relaxed),
            failed_streams: self.failed_streams.load(Relaxed),
            packets: PacketStats::default(),
        }
    }
}
