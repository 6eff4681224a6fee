//! How a client behaves.

use super::channels::ChannelConfig;
use super::packets::PacketConfig;
use crate::link::LinkLimits;
use coinfuse_circuit::{Limits, Price, TopUpPolicy};
use coinfuse_directory::Country;
use coinfuse_wire::{Msat, Rate, RelayId};
use core::time::Duration;
use std::collections::BTreeSet;
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
    /// Where it is remembered which relays worked, which were fast, and which are the client's guards:
    /// the few that it enters the network through, for months. Default: nowhere, so that each start
    /// draws new guards, which sooner or later are bad ones.
    pub history_file: Option<PathBuf>,
    /// Payment channels, which pay for what comes after a circuit's first vouchers. Default: none,
    /// since they need a file of their own.
    pub channels: Option<ChannelConfig>,
    /// One-shot packets.
    pub packets: PacketConfig,
    /// The most that a hop may cost, per direction. Default 10,000 msat per MiB.
    pub max_price: Price,
    /// The most that all hops of a circuit together may cost, per direction. Default: what as many
    /// hops cost at the price above.
    pub max_total_price: Option<Price>,
    /// Relays that are never used. Default none.
    pub excluded_relays: BTreeSet<RelayId>,
    /// No relay is used that says that it is in one of these countries. Default none.
    pub excluded_countries: BTreeSet<Country>,
    /// When and how much to pay.
    pub top_up: TopUpPolicy,
    /// Limits of each circuit.
    pub circuit: Limits,
    /// Limits of the links.
    pub links: LinkLimits,
    /// How long buying the vouchers for a circuit and connecting to its first relay may take.
    /// Default 30 s.
    pub build_timeout: Duration,
    /// How long each hop of a new circuit may take to answer. A relay that extends a circuit gives
    /// up after 10 s and says so, which is to arrive in time. Default 15 s.
    pub hop_timeout: Duration,
    /// How many paths are tried for one stream, within [`Self::retry_for`]. Default 8.
    pub attempts: usize,
    /// No further path is tried when so much time has passed. Default 45 s.
    pub retry_for: Duration,
    /// A circuit that is paid and brings nothing for so long after something was sent, not even the
    /// last hop's sign of life, is given up. Default 30 s.
    pub stall_timeout: Duration,
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
            history_file: None,
            channels: None,
            packets: PacketConfig::default(),
            max_price: Price {
                up: ceiling,
                down: ceiling,
            },
            max_total_price: None,
            excluded_relays: BTreeSet::new(),
            excluded_countries: BTreeSet::new(),
            top_up: TopUpPolicy::default(),
            circuit: Limits::default(),
            links: LinkLimits::default(),
            build_timeout: Duration::from_secs(30),
            hop_timeout: Duration::from_secs(15),
            attempts: 8,
            retry_for: Duration::from_secs(45),
            stall_timeout: Duration::from_secs(30),
            circuit_age: Duration::from_secs(600),
        }
    }
}
