//! The `[link]` section of both files.

use super::values::within;
use crate::link::{HandshakeRates, LinkLimits};
use coinfuse_wire::ByteCount;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// [`LinkLimits`] as they stand in a file. The template says what each is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(
    missing_docs,
    reason = "each is the field of that name in `LinkLimits`"
)]
pub struct LinkConfig {
    #[serde(deserialize_with = "within::<1, 65_536, _, _>")]
    pub max_circuits: u32,
    #[serde(deserialize_with = "within::<64, 1_048_576, _, _>")]
    pub stream_receive_window_kib: u32,
    #[serde(deserialize_with = "within::<64, 1_048_576, _, _>")]
    pub send_window_kib: u32,
    #[serde(deserialize_with = "within::<1_200, 65_527, _, _>")]
    pub max_udp_payload: u16,
    #[serde(deserialize_with = "within::<64, 1_048_576, _, _>")]
    pub socket_buffer_kib: u32,
    #[serde(deserialize_with = "within::<1, 3_600, _, _>")]
    pub idle_timeout_secs: u32,
    #[serde(deserialize_with = "within::<1, 3_600, _, _>")]
    pub keep_alive_secs: u32,
    #[serde(deserialize_with = "within::<1, 600, _, _>")]
    pub handshake_timeout_secs: u32,
    #[serde(deserialize_with = "within::<1, 65_536, _, _>")]
    pub max_handshakes: u32,
    #[serde(deserialize_with = "within::<1, 1_048_576, _, _>")]
    pub max_links: u32,
    #[serde(deserialize_with = "within::<1, 65_536, _, _>")]
    pub max_dials: u32,
    #[serde(deserialize_with = "within::<1, 86_400, _, _>")]
    pub unused_timeout_secs: u32,
    #[serde(deserialize_with = "within::<1, 1_000_000, _, _>")]
    pub handshakes_per_address: u32,
    #[serde(deserialize_with = "within::<1, 1_000_000, _, _>")]
    pub handshakes_per_address_burst: u32,
    #[serde(deserialize_with = "within::<1, 1_000_000, _, _>")]
    pub handshakes_total: u32,
    #[serde(deserialize_with = "within::<2, 1_000_000, _, _>")]
    pub handshakes_total_burst: u32,
}

impl LinkConfig {
    /// The limits for a [`LinkEndpoint`](crate::link::LinkEndpoint).
    pub fn limits(&self) -> LinkLimits {
        let kib = |kib: u32| ByteCount::new(u64::from(kib) << 10);
        let secs = |secs: u32| Duration::from_secs(secs.into());
        LinkLimits {
            max_circuits: self.max_circuits,
            stream_receive_window: kib(self.stream_receive_window_kib),
            send_window: kib(self.send_window_kib),
            max_udp_payload: self.max_udp_payload,
            socket_buffer: kib(self.socket_buffer_kib),
            idle_timeout: secs(self.idle_timeout_secs),
            keep_alive: secs(self.keep_alive_secs),
            handshake_timeout: secs(self.handshake_timeout_secs),
            max_handshakes: self.max_handshakes as usize,
            max_links: self.max_links as usize,
            max_dials: self.max_dials as usize,
            unused_timeout: secs(self.unused_timeout_secs),
            handshake_rates: HandshakeRates {
                per_address: self.handshakes_per_address,
                per_address_burst: self.handshakes_per_address_burst,
                total: self.handshakes_total,
                total_burst: self.handshakes_total_burst,
            },
        }
    }
}

impl Default for LinkConfig {
    /// [`LinkLimits::default`], written down; a test holds them together.
    fn default() -> Self {
        Self {
            max_circuits: 256,
            stream_receive_window_kib: 4_096,
            send_window_kib: 16_384,
            max_udp_payload: 6_500,
            socket_buffer_kib: 4_096,
            idle_timeout_secs: 30,
            keep_alive_secs: 10,
            handshake_timeout_secs: 10,
            max_handshakes: 512,
            max_links: 8_192,
            max_dials: 256,
            unused_timeout_secs: 60,
            handshakes_per_address: 16,
            handshakes_per_address_burst: 64,
            handshakes_total: 256,
            handshakes_total_burst: 1_024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_link_layer() {
        assert_eq!(LinkConfig::default().limits(), LinkLimits::default());
    }
}
