//! What a relay allows.

use coinfuse_circuit::Limits;
use coinfuse_wire::{ByteCount, Msat};
use core::time::Duration;

/// The limits of a relay, beside those of its [links](crate::link::LinkLimits) and of its exit.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RelayLimits {
    /// Limits of each circuit.
    pub circuit: Limits,
    /// Circuits at once. Default 16,384. An idle one costs some tens of KiB.
    pub max_circuits: usize,
    /// New circuits a second on one link, after a burst of as many; each costs about 0.3 ms of
    /// CPU. Default 100.
    pub creates_per_second: u32,
    /// How long the parts of a handshake may take to arrive. Default 10 s.
    pub create_timeout: Duration,
    /// How long making the link to a next hop, and its answer, may take. Default 10 s.
    pub extend_timeout: Duration,
    /// How long a circuit may live. Default 24 hours.
    pub max_lifetime: Duration,
    /// How long a circuit may hold data back, unpaid or unread. Default 10 minutes.
    pub max_stall: Duration,
    /// Bytes that all stalled circuits together may hold in this relay's buffers, each counted as
    /// one stream window. Above it the circuit that stalls longest is closed. Default 1 GiB.
    pub max_stalled_bytes: ByteCount,
    /// Streams at once on one circuit. Default 256.
    pub max_streams: u32,
    /// The most of one payment that is served before it is on disk, which is what a crash can cost
    /// the relay for each payment under way. Default 1,000 sat.
    pub serve_ahead: Msat,
    /// For how long a quote may be used to open circuits. Default 10 minutes.
    pub quote_lifetime: Duration,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            circuit: Limits::default(),
            max_circuits: 16_384,
            creates_per_second: 100,
            create_timeout: Duration::from_secs(10),
            extend_timeout: Duration::from_secs(10),
            max_lifetime: Duration::from_secs(24 * 3600),
            max_stall: Duration::from_secs(600),
            max_stalled_bytes: ByteCount::from_mib(1024),
            max_streams: 256,
            serve_ahead: Msat::from_sat(1000),
            quote_lifetime: Duration::from_secs(600),
        }
    }
}
