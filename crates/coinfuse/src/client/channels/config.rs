//! How a client uses payment channels.

use coinfuse_wire::ByteCount;
use core::time::Duration;
use std::path::PathBuf;

/// The knobs of a client's channels.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelConfig {
    /// The file of the channels' states. It holds their keys: it is money.
    pub file: PathBuf,
    /// A channel is for so much traffic at the relay's downstream price, rounded up to a power of
    /// two; for less if the money or the cap is less. Default 1 GiB.
    pub capacity: ByteCount,
    /// After so long, at the latest, an unsettled channel's money comes back. Default 24 hours.
    pub lifetime: Duration,
    /// A channel is funded up to so long after its circuit stands, at random, so that a circuit's
    /// hops are not paid at the same time. Default 2 s.
    pub jitter: Duration,
    /// How long after a channel was closed its mint is asked for what is left; the pause doubles
    /// with every question. Default 4 s.
    pub first_poll: Duration,
    /// The longest pause between two questions. Default 10 minutes.
    pub last_poll: Duration,
}

impl ChannelConfig {
    /// The defaults, with the states in `file`, which is made if there is none.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            capacity: ByteCount::from_mib(1024),
            lifetime: Duration::from_secs(24 * 3600),
            jitter: Duration::from_secs(2),
            first_poll: Duration::from_secs(4),
            last_poll: Duration::from_secs(600),
        }
    }

    /// How long before its expiry a channel pays no more: a relay takes nothing when it could not
    /// settle in time.
    pub(super) fn reserve(&self) -> Duration {
        Duration::from_secs(15 * 60).min(self.lifetime / 4)
    }
}
