//! The `[packets]` section of the relay's file.

use super::values::within;
use crate::relay::PacketLimits;
use coinfuse_directory::PacketPrice;
use coinfuse_onion::RingConfig;
use coinfuse_wire::{ByteCount, Msat};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The terms on which one-shot packets are taken, and what they may cost the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PacketsConfig {
    /// Whether packets are taken; a relay that accepts no mint takes them only if they are free.
    /// Default yes.
    pub enabled: bool,
    /// The price of a packet of 4 KiB, in msat. Default 1.
    #[serde(deserialize_with = "within::<0, 1_000_000_000, _, _>")]
    pub small_msat: u64,
    /// The price of a packet of 32 KiB, in msat. Default 8.
    #[serde(deserialize_with = "within::<0, 1_000_000_000, _, _>")]
    pub large_msat: u64,
    /// On top, when the packet asks a service of this relay. Default 7, which makes 8 with a small
    /// packet: fees are paid with one coin, a power of two.
    #[serde(deserialize_with = "within::<0, 1_000_000_000, _, _>")]
    pub service_msat: u64,
    /// On top, for each begun second for which the packet is to be held. Default 1.
    #[serde(deserialize_with = "within::<0, 1_000_000_000, _, _>")]
    pub delay_msat: u64,
    /// The longest time for which a packet may ask to be held, in seconds. Default 60.
    #[serde(deserialize_with = "within::<0, 86_400, _, _>")]
    pub max_delay_secs: u32,
    /// Packets a second on one link of a client. Default 100.
    #[serde(deserialize_with = "within::<1, 1_000_000, _, _>")]
    pub per_client: u32,
    /// Packets a second on one link of a relay in the directory. Default 4,000.
    #[serde(deserialize_with = "within::<1, 1_000_000, _, _>")]
    pub per_relay: u32,
    /// MiB of packets that wait for their delay to end. Default 64.
    #[serde(deserialize_with = "within::<1, 65_536, _, _>")]
    pub held_mib: u32,
    /// MiB of packets that wait for neighbours, all together. Default 64.
    #[serde(deserialize_with = "within::<1, 65_536, _, _>")]
    pub outbox_mib: u32,
    /// Hours for which a key for packets is given out. Default 24.
    #[serde(deserialize_with = "within::<1, 8_760, _, _>")]
    pub epoch_hours: u32,
    /// Hours for which it is good after that. Default 24, as long as a descriptor may be.
    #[serde(deserialize_with = "within::<1, 8_760, _, _>")]
    pub overlap_hours: u32,
    /// Packets told apart by each of two keys at a time, at 12 to 24 bytes. Default 2,796,202, which
    /// is twice 32 MiB.
    #[serde(deserialize_with = "within::<1_024, 1_000_000_000, _, _>")]
    pub replay_tags: usize,
}

impl PacketsConfig {
    /// The price as the descriptor has it.
    pub const fn price(&self) -> PacketPrice {
        PacketPrice {
            small: Msat::new(self.small_msat),
            large: Msat::new(self.large_msat),
            service: Msat::new(self.service_msat),
            delay: Msat::new(self.delay_msat),
        }
    }

    /// True when no packet costs anything.
    pub const fn is_free(&self) -> bool {
        self.small_msat == 0
            && self.large_msat == 0
            && self.service_msat == 0
            && self.delay_msat == 0
    }

    /// The longest time for which a packet is held.
    pub const fn max_delay(&self) -> Duration {
        Duration::from_secs(self.max_delay_secs as u64)
    }

    /// How the keys change.
    pub const fn ring(&self) -> RingConfig {
        const HOUR: u64 = 3600;
        RingConfig {
            epoch: Duration::from_secs(self.epoch_hours as u64 * HOUR),
            overlap: Duration::from_secs(self.overlap_hours as u64 * HOUR),
            tags: self.replay_tags,
        }
    }

    /// The limits.
    pub fn limits(&self) -> PacketLimits {
        PacketLimits {
            anonymous_rate: self.per_client,
            relay_rate: self.per_relay,
            held_bytes: ByteCount::from_mib(self.held_mib.into()),
            outbox_total: ByteCount::from_mib(self.outbox_mib.into()),
            ..PacketLimits::default()
        }
    }
}

impl Default for PacketsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            small_msat: 1,
            large_msat: 8,
            service_msat: 7,
            delay_msat: 1,
            max_delay_secs: 60,
            per_client: 100,
            per_relay: 4_000,
            held_mib: 64,
            outbox_mib: 64,
            epoch_hours: 24,
            overlap_hours: 24,
            replay_tags: RingConfig::default().tags,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coinfuse_directory::DescriptorBody;

    #[test]
    fn the_defaults_are_those_of_the_relay() {
        let (ours, theirs) = (PacketsConfig::default().limits(), PacketLimits::default());
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }

    #[test]
    fn a_key_is_good_for_as_long_as_a_descriptor_that_names_it() {
        let ring = PacketsConfig::default().ring();
        assert!(ring.overlap >= DescriptorBody::DEFAULT_LIFETIME);
    }
}
