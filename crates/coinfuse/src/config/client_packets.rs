//! The `[packets]` section of the client's file.

use super::values::within;
use crate::client::PacketConfig;
use coinfuse_directory::PacketPrice;
use coinfuse_wire::Msat;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// How one-shot packets are sent: a question to a service of some relay, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientPacketsConfig {
    /// Relays on the way there, 2 to 8; the last one has the service. Default 3.
    #[serde(deserialize_with = "within::<2, 8, _, _>")]
    pub hops: u8,
    /// Relays on the way back, 1 to 8; the last one is the first of the way there. Default 3.
    #[serde(deserialize_with = "within::<1, 8, _, _>")]
    pub hops_back: u8,
    /// For how many small packets vouchers are bought ahead. Default 4.
    #[serde(deserialize_with = "within::<0, 64, _, _>")]
    pub stock: u8,
    /// For how many large packets vouchers are bought ahead. Default 0.
    #[serde(deserialize_with = "within::<0, 64, _, _>")]
    pub stock_large: u8,
    /// Seconds within which the stock is filled up again, at a random time. Default 600.
    #[serde(deserialize_with = "within::<0, 86_400, _, _>")]
    pub refill_within_secs: u32,
    /// Milliseconds that each relay is asked to hold a packet at most, drawn at random. Default 0.
    #[serde(deserialize_with = "within::<0, 3_600_000, _, _>")]
    pub max_delay_ms: u32,
    /// msat that one relay may ask for a packet of 4 KiB. Default 100.
    #[serde(deserialize_with = "within::<0, 1_000_000_000, _, _>")]
    pub max_small_msat: u64,
    /// msat that one relay may ask for a packet of 32 KiB. Default 800.
    #[serde(deserialize_with = "within::<0, 1_000_000_000, _, _>")]
    pub max_large_msat: u64,
    /// msat that a relay may ask on top for its service. Default 1000.
    #[serde(deserialize_with = "within::<0, 1_000_000_000, _, _>")]
    pub max_service_msat: u64,
    /// msat that one relay may ask on top for each second that it holds a packet. Default 100.
    #[serde(deserialize_with = "within::<0, 1_000_000_000, _, _>")]
    pub max_delay_msat: u64,
    /// Seconds that an answer is waited for, besides the delays. Default 300.
    #[serde(deserialize_with = "within::<1, 86_400, _, _>")]
    pub answer_timeout_secs: u32,
    /// Paths that are tried for one question. Default 3.
    #[serde(deserialize_with = "within::<1, 16, _, _>")]
    pub attempts: u8,
}

impl ClientPacketsConfig {
    /// The settings of a client.
    pub fn settings(&self) -> PacketConfig {
        PacketConfig {
            hops: self.hops.into(),
            hops_back: self.hops_back.into(),
            stock: self.stock.into(),
            stock_large: self.stock_large.into(),
            refill_within: Duration::from_secs(self.refill_within_secs.into()),
            delay: Duration::from_millis(self.max_delay_ms.into()),
            ceiling: PacketPrice {
                small: Msat::new(self.max_small_msat),
                large: Msat::new(self.max_large_msat),
                service: Msat::new(self.max_service_msat),
                delay: Msat::new(self.max_delay_msat),
            },
            answer_timeout: Duration::from_secs(self.answer_timeout_secs.into()),
            attempts: self.attempts.into(),
            ..PacketConfig::default()
        }
    }
}

impl Default for ClientPacketsConfig {
    /// [`PacketConfig::default`], written down; a test holds them together.
    fn default() -> Self {
        Self {
            hops: 3,
            hops_back: 3,
            stock: 4,
            stock_large: 0,
            refill_within_secs: 600,
            max_delay_ms: 0,
            max_small_msat: 100,
            max_large_msat: 800,
            max_service_msat: 1_000,
            max_delay_msat: 100,
            answer_timeout_secs: 300,
            attempts: 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_client() {
        let settings = ClientPacketsConfig::default().settings();
        assert_eq!(settings, PacketConfig::default());
    }
}
