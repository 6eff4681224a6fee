//! How a client behaves.

use super::channels::ChannelConfig;
use super::packets::PacketConfig;
use crate::link::LinkLimits;
use coinfuse_circuit::{Limits, Price, TopUpPolicy};
use coinfuse_wire::{Msat, Rate};
use core::time::Duration;
use std::path::PathBuf;

/// The knobs of a client.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// Relays per circuit, 1 to 8. Default 3: none of them knows both ends.
    pub hops: usize,
    /// The most that relays are paid while this client runs; the hard cap. Default: no cap.
    pub spending_cap: Msat,
    /// Where it is remembered what is left on accounts at relays, so that a restart does not pay
    /// before that is used. Default: nowhere.
    pub credit_file: Option<PathBuf>,
    /// Payment channels, which pay for what comes after a circuit's first vouchers. Default: none,
    /// since they need a file of their own.
    pub channels: Option<ChannelConfig>,
    /// One-shot packets.
    pub packets: PacketConfig,
    /// The most that a hop may cost, per direction. Default 10,000 msat per MiB.
    pub max_price: Price,
    /// When and how much to pay.
    pub top_up: TopUpPolicy,
    /// Limits of each circuit.
    pub circuit: Limits,
    /// Limits of the links.
    pub links: LinkLimits,
    /// How long building a circuit may take, payments included. Default 30 s.
    pub build_timeout: Duration,
    /// How many paths are tried for one stream. Default 3.
    pub attempts: usize,
    /// A circuit on which no stream was opened for so long takes no new ones, and is closed when
    /// its streams are. Default 10 minutes.
    pub circuit_age: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        let ceiling = Rate::from_msat_per_mib(10_000);
        Self {
            hops: 3,
            spending_cap: Msat::MAX,
            credit_file: None,
            channels: None,
            packets: PacketConfig::default(),
            max_price: Price {
                up: ceiling,
                down: ceiling,
            },
            top_up: TopUpPolicy::default(),
            circuit: Limits::default(),
            links: LinkLimits::default(),
            build_timeout: Duration::from_secs(30),
            attempts: 3,
            circuit_age: Duration::from_secs(600),
        }
    }
}
