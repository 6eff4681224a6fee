//! The client's file.

use super::error::{load, parse};
use super::values::{AcceptedMint, LogLevel, socket, texts, within};
use super::{ClientPacketsConfig, ClientPathsConfig, ConfigError, LinkConfig};
use crate::client::ChannelConfig;
use crate::socks::SocksLimits;
use coinfuse_directory::Price;
use coinfuse_discovery::PeerAddress;
use coinfuse_wire::{ByteCount, Msat, Rate};
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// What a user decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientConfig {
    /// Where the seed, the wallet and the purse are. Default `client-data`.
    pub data_dir: PathBuf,
    /// Peers that are asked who the relays are. Default none: then only the directory file is read.
    #[serde(with = "texts")]
    pub bootstrap: Vec<PeerAddress>,
    /// A file with relays' descriptors, beside those that are found; it need not be there, if there
    /// is somebody to ask. Default `directory.txt`.
    pub directory: PathBuf,
    /// Relays in a circuit, 1 to 8. Default 3.
    #[serde(deserialize_with = "within::<1, 8, _, _>")]
    pub hops: u8,
    /// Default `info`.
    pub log: LogLevel,
    /// The proxy for applications.
    pub socks: SocksConfig,
    /// Mints whose ecash the wallet holds; no others are ever contacted. Default none: without one
    /// only free relays can be used.
    pub mint: Vec<AcceptedMint>,
    /// Which relays are used.
    pub paths: ClientPathsConfig,
    /// How money is spent.
    pub spending: SpendingConfig,
    /// Payment channels.
    pub channels: ClientChannelsConfig,
    /// One-shot packets.
    pub packets: ClientPacketsConfig,
    /// Limits of the links.
    pub link: LinkConfig,
}

/// The `[socks]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SocksConfig {
    /// The TCP address of the proxy. Default `127.0.0.1:1080`.
    #[serde(deserialize_with = "socket::deserialize")]
    pub listen: SocketAddr,
    /// Seconds for an application's request. Default 10.
    #[serde(deserialize_with = "within::<1, 600, _, _>")]
    pub handshake_timeout_secs: u32,
    /// Seconds for opening a stream, circuit included. Default 60.
    #[serde(deserialize_with = "within::<1, 600, _, _>")]
    pub connect_timeout_secs: u32,
    /// Connections open at once. Default 1024.
    #[serde(deserialize_with = "within::<1, 65_536, _, _>")]
    pub max_connections: u32,
    /// KiB copied in one go, per direction and connection. Default 64.
    #[serde(deserialize_with = "within::<4, 4_096, _, _>")]
    pub copy_buffer_kib: u32,
}

/// The `[spending]` section. A limit is never passed, whatever a relay asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpendingConfig {
    /// msat that may be spent in total, ever; the count survives restarts. Default 1,000,000 (1,000 sat).
    #[serde(deserialize_with = "within::<0, 9_223_372_036_854_775_807, _, _>")]
    pub cap_msat: u64,
    /// msat per MiB that one relay may ask for upstream. Default 1000.
    #[serde(deserialize_with = "within::<0, 4_294_967_295, _, _>")]
    pub max_price_up: u32,
    /// msat per MiB that one relay may ask for downstream. Default 1000.
    #[serde(deserialize_with = "within::<0, 4_294_967_295, _, _>")]
    pub max_price_down: u32,
    /// MiB of traffic that one payment to a relay covers. Default 16.
    #[serde(deserialize_with = "within::<1, 1_048_576, _, _>")]
    pub top_up_mib: u32,
    /// MiB of credit below which a relay is paid again; varied at random per relay. Default 8.
    #[serde(deserialize_with = "within::<1, 1_048_576, _, _>")]
    pub top_up_below_mib: u32,
}

/// The `[channels]` section: after its first voucher a relay is paid through a payment channel,
/// which is funded once and settled once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientChannelsConfig {
    /// False to pay with vouchers only. Default true.
    pub enabled: bool,
    /// MiB of traffic that one channel pays for; less where the money or the cap is less. Default
    /// 1024.
    #[serde(deserialize_with = "within::<1, 1_048_576, _, _>")]
    pub capacity_mib: u32,
    /// Hours after which the rest of a channel comes back even if its relay does nothing. Default
    /// 24.
    #[serde(deserialize_with = "within::<1, 700, _, _>")]
    pub lifetime_hours: u32,
}

impl ClientConfig {
    /// Every key with its default, unit and meaning.
    pub const TEMPLATE: &str = include_str!("client.toml");

    /// The template with these peers to ask.
    pub fn template_with(bootstrap: &[PeerAddress]) -> String {
        super::template_with(Self::TEMPLATE, bootstrap)
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], for the user to act on.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        load(file)
    }

    /// Reads the text of `file`, whose name is only used in errors.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`].
    pub fn parse(file: &Path, content: &str) -> Result<Self, ConfigError> {
        parse(file, content)
    }
}

impl SocksConfig {
    /// The limits for a [`SocksServer`](crate::socks::SocksServer).
    pub fn limits(&self) -> SocksLimits {
        SocksLimits {
            handshake_timeout: Duration::from_secs(self.handshake_timeout_secs.into()),
            connect_timeout: Duration::from_secs(self.connect_timeout_secs.into()),
            max_connections: self.max_connections as usize,
            copy_buffer: (self.copy_buffer_kib as usize) << 10,
        }
    }
}

impl SpendingConfig {
    /// The most that may be spent in total.
    pub const fn cap(&self) -> Msat {
        Msat::new(self.cap_msat)
    }

    /// The most that one relay may ask for.
    pub const fn max_price(&self) -> Price {
        Price {
            up: Rate::from_msat_per_mib(self.max_price_up),
            down: Rate::from_msat_per_mib(self.max_price_down),
        }
    }

    /// Traffic that one payment covers.
    pub const fn top_up(&self) -> ByteCount {
        ByteCount::from_mib(self.top_up_mib as u64)
    }

    /// Credit, as traffic, below which the next payment is made.
    pub const fn top_up_below(&self) -> ByteCount {
        ByteCount::from_mib(self.top_up_below_mib as u64)
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            data_dir: "client-data".into(),
            bootstrap: Vec::new(),
            directory: "directory.txt".into(),
            hops: 3,
            log: LogLevel::default(),
            socks: SocksConfig::default(),
            mint: Vec::new(),
            paths: ClientPathsConfig::default(),
            spending: SpendingConfig::default(),
            channels: ClientChannelsConfig::default(),
            packets: ClientPacketsConfig::default(),
            link: LinkConfig::default(),
        }
    }
}

impl Default for SocksConfig {
    /// [`SocksLimits::default`], written down; a test holds them together.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 1080).into(),
            handshake_timeout_secs: 10,
            connect_timeout_secs: 60,
            max_connections: 1_024,
            copy_buffer_kib: 64,
        }
    }
}

impl ClientChannelsConfig {
    /// The settings of a client, with the channels' states in `file`; `None` if it has none.
    pub fn settings(&self, file: PathBuf) -> Option<ChannelConfig> {
        let mut config = ChannelConfig::new(file);
        config.capacity = ByteCount::from_mib(self.capacity_mib.into());
        config.lifetime = Duration::from_secs(u64::from(self.lifetime_hours) * 3600);
        self.enabled.then_some(config)
    }
}

impl Default for ClientChannelsConfig {
    /// [`ChannelConfig::new`], written down; a test holds them together.
    fn default() -> Self {
        Self {
            enabled: true,
            capacity_mib: 1024,
            lifetime_hours: 24,
        }
    }
}

impl Default for SpendingConfig {
    fn default() -> Self {
        Self {
            cap_msat: 1_000_000,
            max_price_up: 1_000,
            max_price_down: 1_000,
            top_up_mib: 16,
            top_up_below_mib: 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_channels() {
        let settings = ClientChannelsConfig::default().settings("channels".into());
        assert_eq!(settings, Some(ChannelConfig::new("channels")));
        let off = ClientChannelsConfig {
            enabled: false,
            ..ClientChannelsConfig::default()
        };
        assert_eq!(off.settings("channels".into()), None);
    }

    #[test]
    fn the_defaults_are_those_of_the_proxy() {
        assert_eq!(SocksConfig::default().limits(), SocksLimits::default());
    }
}
