//! How a client sends one-shot packets.

use coinfuse_directory::PacketPrice;
use coinfuse_wire::{Msat, PacketSize};
use core::time::Duration;

/// The knobs of a client's one-shot packets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PacketConfig {
    /// Relays on the way there, 2 to 8; the last one has the service. Default 3.
    pub hops: usize,
    /// Relays on the way back, 1 to 8; the last one is the first of the way there. Default 3.
    pub hops_back: usize,
    /// For how many small packets to a service vouchers are bought ahead, once a packet was sent to
    /// it. Default 4. With 0 vouchers are bought when they are needed, which the mint can see.
    pub stock: usize,
    /// The same for large packets. Default 0: few need them.
    pub stock_large: usize,
    /// What was used of the stock is bought again at a random time within so long. Default 10
    /// minutes.
    pub refill_within: Duration,
    /// Each hop is asked to hold the packet for a random time up to so long, or as long as it
    /// offers; it is paid for the longest. Default none.
    pub delay: Duration,
    /// No hop may cost more than it would at these prices. Default 100 msat for a small packet, 800
    /// for a large one, 1,000 more for a service, 100 for each second of delay.
    pub ceiling: PacketPrice,
    /// How long an answer is waited for, besides the delays. Default 5 minutes: some services wait
    /// for a random time of their own.
    pub answer_timeout: Duration,
    /// How many paths are tried for one request. Default 3.
    pub attempts: usize,
    /// Answers that are waited for at once. Default 256.
    pub max_waiting: usize,
    /// How long the lane to a first relay is kept for further packets. Default 60 s.
    pub lane_idle: Duration,
}

impl Default for PacketConfig {
    fn default() -> Self {
        Self {
            hops: 3,
            hops_back: 3,
            stock: 4,
            stock_large: 0,
            refill_within: Duration::from_secs(600),
            delay: Duration::ZERO,
            ceiling: PacketPrice {
                small: Msat::new(100),
                large: Msat::new(800),
                service: Msat::new(1_000),
                delay: Msat::new(100),
            },
            answer_timeout: Duration::from_secs(300),
            attempts: 3,
            max_waiting: 256,
            lane_idle: Duration::from_secs(60),
        }
    }
}

impl PacketConfig {
    /// How much is bought ahead of packets of a size.
    pub(super) const fn level(&self, size: PacketSize) -> usize {
        match size {
            PacketSize::Small => self.stock,
            PacketSize::Large => self.stock_large,
        }
    }

    /// How long a packet and its answer may be on their way.
    pub(super) fn patience(&self) -> Duration {
        let hops = u32::try_from(self.hops.saturating_add(self.hops_back)).unwrap_or(u32::MAX);
        self.answer_timeout
            .saturating_add(self.delay.saturating_mul(hops))
    }
}
