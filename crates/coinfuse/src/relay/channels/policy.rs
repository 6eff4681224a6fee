//! On which terms a relay takes channels.

use coinfuse_wire::Msat;
use core::time::Duration;

/// What a relay's operator decides about payment channels.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelPolicy {
    /// The smallest capacity of a channel. Default: 1 msat; mints that count satoshis round up.
    pub min_capacity: Msat,
    /// The largest capacity of a channel: what is at stake until it is settled. Default: 2^22
    /// msat, some 4,000 sat.
    pub max_capacity: Msat,
    /// The most funding proofs of a channel. Each costs some 0.2 ms to check. Default: 64.
    pub max_proofs: u64,
    /// What must be left of a channel's life when it is opened, beyond `margin`. Default: 10 min.
    pub min_lifetime: Duration,
    /// How far away a channel's expiry may be. Default: 30 days.
    pub max_lifetime: Duration,
    /// How long before its expiry a channel takes nothing more and is settled at the latest.
    /// Default: 10 min. Too short, and a mint that is away for that long costs the channel.
    pub margin: Duration,
    /// A closed channel is settled at a random moment within this. Default: 10 min. Long is good
    /// for the clients' privacy, short gives them sooner what they have left.
    pub settle_within: Duration,
    /// Channels of one account that are in use at once. Default: 16.
    pub max_per_account: usize,
    /// Channels that are not settled yet. Default: 100,000, some 10 KiB of ledger each.
    pub max_unsettled: u64,
    /// Channels in memory; others are read from the ledger when they are used. Default: 4,096, some
    /// 20 KiB each.
    pub max_loaded: usize,
}

impl Default for ChannelPolicy {
    fn default() -> Self {
        Self {
            min_capacity: Msat::new(1),
            max_capacity: Msat::new(1 << 22),
            max_proofs: 64,
            min_lifetime: Duration::from_secs(600),
            max_lifetime: Duration::from_secs(30 * 24 * 3600),
            margin: Duration::from_secs(600),
            settle_within: Duration::from_secs(600),
            max_per_account: 16,
            max_unsettled: 100_000,
            max_loaded: 4096,
        }
    }
}
