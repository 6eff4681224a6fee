//! How relays are found.

use super::values::within;
use coinfuse_discovery::Limits;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The `[discovery]` section of the relay's file: how it is found, and finds others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelayDiscoveryConfig {
    /// False to tell nobody, and to know only the relays in the directory file. Default true.
    pub enabled: bool,
    /// The TCP addresses to listen on. Default none, which means the address and the port number of
    /// the links.
    pub listen: Vec<SocketAddr>,
    /// Where others reach these. Default none, which means the addresses that the links are
    /// advertised with.
    pub advertise: Vec<SocketAddr>,
    /// Relays in the directory. Default 20,000; some 2 KB of memory each.
    #[serde(deserialize_with = "within::<16, 100_000, _, _>")]
    pub max_relays: usize,
    /// Relays of one public /24, for IPv6 /48, that have a place in it. Default 16.
    #[serde(deserialize_with = "within::<1, 100_000, _, _>")]
    pub relays_per_subnet: usize,
    /// Zero bits of the work in the relay's name. Default 16, which takes some 20 ms, once.
    #[serde(deserialize_with = "within::<0, 26, _, _>")]
    pub work_bits: u32,
    /// Connections that others opened. Default 512.
    #[serde(deserialize_with = "within::<1, 65_536, _, _>")]
    pub max_incoming: u32,
    /// Connections that this relay opened. Default 128.
    #[serde(deserialize_with = "within::<1, 65_536, _, _>")]
    pub max_outgoing: u32,
    /// Connections that others opened from one public /24, for IPv6 /48. Default 32.
    #[serde(deserialize_with = "within::<1, 65_536, _, _>")]
    pub max_incoming_per_subnet: u32,
    /// No more connections while the whole process holds more MiB of memory than this. Default 4096.
    #[serde(deserialize_with = "within::<64, 1_048_576, _, _>")]
    pub max_memory_mib: usize,
}

impl RelayDiscoveryConfig {
    /// The limits for a [`Discovery`](coinfuse_discovery::Discovery).
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        limits.relays = self.max_relays;
        limits.relays_per_subnet = self.relays_per_subnet;
        limits.incoming = self.max_incoming;
        limits.outgoing = self.max_outgoing;
        limits.incoming_per_subnet = self.max_incoming_per_subnet;
        limits.process_memory = Some(self.max_memory_mib << 20);
        limits
    }
}

impl Default for RelayDiscoveryConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            enabled: true,
            listen: Vec::new(),
            advertise: Vec::new(),
            max_relays: limits.relays,
            relays_per_subnet: limits.relays_per_subnet,
            work_bits: 16,
            max_incoming: limits.incoming,
            max_outgoing: limits.outgoing,
            max_incoming_per_subnet: limits.incoming_per_subnet,
            // What circuits and packets may need as well.
            max_memory_mib: 4096,
        }
    }
}
