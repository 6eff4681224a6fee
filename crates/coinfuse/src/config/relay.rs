//! The relay's file.

use super::error::{load, parse};
use super::values::{
    AcceptedMint, LogLevel, optional_text, policy, relays, socket, text, texts, unit, within,
};
use super::{ConfigError, LinkConfig, MempoolConfig, PacketsConfig, RelayDiscoveryConfig};
use crate::relay::ChannelPolicy;
use coinfuse_directory::{Country, ExitPolicy, MintUnit, MintUrl, Price};
use coinfuse_discovery::PeerAddress;
use coinfuse_wire::{ByteCount, Msat, Rate, RelayId, ServiceCode};
use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// What a relay's operator decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelayConfig {
    /// Where the seed, the ledger and the mint's database are. Default `relay-data`.
    pub data_dir: PathBuf,
    /// The UDP address of the links. Default `[::]:4433`, which is IPv4 and IPv6.
    #[serde(deserialize_with = "socket::deserialize")]
    pub listen: SocketAddr,
    /// The addresses in the descriptor. Default none, which means `listen`, if that is one address.
    pub advertise: Vec<SocketAddr>,
    /// The operator's tag in the descriptor: a path has one relay of a tag. Default empty: none.
    pub operator: String,
    /// The operator's other relays, by their ids, at most 16: a path has one relay of a family, if they
    /// all name each other. Default none.
    #[serde(deserialize_with = "relays", serialize_with = "texts::serialize")]
    pub family: Vec<RelayId>,
    /// The country in the descriptor, two letters: clients can avoid it. Default empty: none.
    #[serde(with = "optional_text")]
    pub country: Option<Country>,
    /// Mbit/s that the relay carries, as its descriptor says. Default 0: it says nothing, and clients take
    /// it for 8, until they have measured it.
    #[serde(deserialize_with = "within::<0, 1_000_000, _, _>")]
    pub capacity_mbit: u32,
    /// Peers that are asked who else there is. Default none, which is for the first relay of a
    /// network.
    #[serde(with = "texts")]
    pub bootstrap: Vec<PeerAddress>,
    /// A file with descriptors of other relays, beside those that are found: packets are passed on
    /// to these as well. It need not be there, and is read again when it changes. Default
    /// `directory.txt`.
    pub directory: PathBuf,
    /// Whether circuits may be extended to private, loopback and link-local addresses, and relays
    /// at such are taken for relays. Default no; for tests on one machine.
    pub allow_private_neighbours: bool,
    /// Default `info`.
    pub log: LogLevel,
    /// How it is found, and finds others.
    pub discovery: RelayDiscoveryConfig,
    /// What carrying bytes costs.
    pub price: PriceConfig,
    /// Mints whose ecash is accepted. Default none: a relay without any works for nothing, or for its own.
    pub accept: Vec<AcceptedMint>,
    /// The mint inside this relay, if it issues its own coins. Default none.
    pub mint: Option<MintConfig>,
    /// Payment channels.
    pub channels: ChannelsConfig,
    /// One-shot packets.
    pub packets: PacketsConfig,
    /// Which connections to the internet this relay opens.
    pub exit: ExitConfig,
    /// How transactions are handed to the Bitcoin network. Default not at all.
    pub mempool: Option<MempoolConfig>,
    /// Limits of the links.
    pub link: LinkConfig,
}

/// The `[price]` section, in msat per MiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PriceConfig {
    /// From the client towards the exit. Default 100.
    #[serde(deserialize_with = "within::<0, 4_294_967_295, _, _>")]
    pub up: u32,
    /// From the exit towards the client. Default 100.
    #[serde(deserialize_with = "within::<0, 4_294_967_295, _, _>")]
    pub down: u32,
}

/// The `[channels]` section: what clients pay with after the first voucher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelsConfig {
    /// The largest capacity of one channel, in msat. Default 4,194,304, some 4,000 sat:
    /// what is at stake until it is settled, see the threat model.
    #[serde(deserialize_with = "within::<1, 9_223_372_036_854_775_807, _, _>")]
    pub max_capacity_msat: u64,
    /// A closed channel is settled at a random moment within so many seconds. Default 600.
    #[serde(deserialize_with = "within::<0, 86_400, _, _>")]
    pub settle_within_secs: u64,
    /// Seconds before its expiry from which on a channel buys nothing more and is settled.
    /// Default 600.
    #[serde(deserialize_with = "within::<60, 86_400, _, _>")]
    pub margin_secs: u64,
    /// Seconds that a new channel must have before that. Default 600.
    #[serde(deserialize_with = "within::<0, 86_400, _, _>")]
    pub min_lifetime_secs: u64,
    /// Seconds after which a new channel must have expired. Default 2,592,000, which is 30 days.
    #[serde(deserialize_with = "within::<3_600, 31_536_000, _, _>")]
    pub max_lifetime_secs: u64,
    /// Channels of one account in use at once. Default 16.
    #[serde(deserialize_with = "within::<1, 1_024, _, _>")]
    pub max_per_account: usize,
    /// Channels that are not settled yet. Default 100,000.
    #[serde(deserialize_with = "within::<1, 10_000_000, _, _>")]
    pub max_unsettled: u64,
}

/// The `[mint]` section: coins of this relay's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MintConfig {
    /// The TCP address of its HTTP server. Required.
    #[serde(deserialize_with = "socket::deserialize")]
    pub listen: SocketAddr,
    /// The address under which clients know it. Required.
    #[serde(with = "text")]
    pub url: MintUrl,
    /// What its coins count in. Default `sat`.
    #[serde(with = "unit", default = "unit::default")]
    pub unit: MintUnit,
    /// How it is paid. Required.
    #[serde(with = "text")]
    pub lightning: Lightning,
}

/// A Lightning backend of the mint inside a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lightning {
    /// A network in memory, for tests and demonstrations. There is no real money in it. Written
    /// `loopback`.
    Loopback,
    /// The same, with the process at this address keeping its books, so that several processes
    /// share it. Written `loopback:ADDRESS:PORT`.
    LoopbackAt(SocketAddr),
}

/// A text names no Lightning backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected \"loopback\" or \"loopback:ADDRESS:PORT\", with a loopback address")]
pub struct NotLightning;

impl FromStr for Lightning {
    type Err = NotLightning;

    fn from_str(text: &str) -> Result<Self, NotLightning> {
        let rest = text.strip_prefix("loopback").ok_or(NotLightning)?;
        match rest.strip_prefix(':').map(str::parse::<SocketAddr>) {
            None if rest.is_empty() => Ok(Self::Loopback),
            Some(Ok(address)) if address.ip().is_loopback() => Ok(Self::LoopbackAt(address)),
            _ => Err(NotLightning),
        }
    }
}

impl fmt::Display for Lightning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback => f.write_str("loopback"),
            Self::LoopbackAt(address) => write!(f, "loopback:{address}"),
        }
    }
}

/// The `[exit]` section.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExitConfig {
    /// Rules in Tor's syntax, the first that matches decides. Default none: this relay is no exit.
    #[serde(with = "policy")]
    pub policy: ExitPolicy,
}

impl RelayConfig {
    /// Every key with its default, unit and meaning.
    pub const TEMPLATE: &str = include_str!("relay.toml");

    /// The template with these peers to ask.
    pub fn template_with(bootstrap: &[PeerAddress]) -> String {
        super::template_with(Self::TEMPLATE, bootstrap)
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], for the operator to act on.
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

    /// The price as descriptors and quotes have it.
    pub const fn price(&self) -> Price {
        Price {
            up: Rate::from_msat_per_mib(self.price.up),
            down: Rate::from_msat_per_mib(self.price.down),
        }
    }

    /// What this relay offers: always to extend circuits, an exit if its policy has a rule, and
    /// delivery to the mempool if it is configured and packets are taken.
    pub fn services(&self) -> Vec<ServiceCode> {
        let exit = (!self.exit.policy.is_empty()).then_some(ServiceCode::EXIT);
        let mempool = self.mempool.as_ref().filter(|_| self.takes_packets());
        core::iter::once(ServiceCode::RELAY)
            .chain(exit)
            .chain(mempool.map(|_| ServiceCode::MEMPOOL))
            .collect()
    }

    /// Whether packets are taken: if they are enabled, and can be paid or cost nothing.
    pub fn takes_packets(&self) -> bool {
        let can_be_paid = self.mint.is_some() || !self.accept.is_empty();
        self.packets.enabled && (can_be_paid || self.packets.is_free())
    }

    /// What the relay says that it carries in a second, if it does.
    pub fn capacity(&self) -> Option<ByteCount> {
        let bytes = u64::from(self.capacity_mbit) * 125_000;
        (bytes > 0).then_some(ByteCount::new(bytes))
    }

    /// The addresses for the descriptor: those to advertise, or the one to listen on. Empty if that
    /// is a wildcard, which nobody can dial.
    pub fn public_addresses(&self) -> Vec<SocketAddr> {
        match self.advertise.is_empty() {
            false => self.advertise.clone(),
            true if self.listen.ip().is_unspecified() => Vec::new(),
            true => vec![self.listen],
        }
    }
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            data_dir: "relay-data".into(),
            listen: (Ipv6Addr::UNSPECIFIED, 4433).into(),
            advertise: Vec::new(),
            operator: String::new(),
            family: Vec::new(),
            country: None,
            capacity_mbit: 0,
            bootstrap: Vec::new(),
            directory: "directory.txt".into(),
            allow_private_neighbours: false,
            log: LogLevel::default(),
            discovery: RelayDiscoveryConfig::default(),
            price: PriceConfig::default(),
            accept: Vec::new(),
            mint: None,
            channels: ChannelsConfig::default(),
            packets: PacketsConfig::default(),
            exit: ExitConfig::default(),
            mempool: None,
            link: LinkConfig::default(),
        }
    }
}

impl ChannelsConfig {
    /// The same as the relay takes it.
    pub fn policy(&self) -> ChannelPolicy {
        ChannelPolicy {
            max_capacity: Msat::new(self.max_capacity_msat),
            settle_within: Duration::from_secs(self.settle_within_secs),
            margin: Duration::from_secs(self.margin_secs),
            min_lifetime: Duration::from_secs(self.min_lifetime_secs),
            max_lifetime: Duration::from_secs(self.max_lifetime_secs),
            max_per_account: self.max_per_account,
            max_unsettled: self.max_unsettled,
            ..ChannelPolicy::default()
        }
    }
}

impl Default for ChannelsConfig {
    fn default() -> Self {
        let policy = ChannelPolicy::default();
        Self {
            max_capacity_msat: policy.max_capacity.get(),
            settle_within_secs: policy.settle_within.as_secs(),
            margin_secs: policy.margin.as_secs(),
            min_lifetime_secs: policy.min_lifetime.as_secs(),
            max_lifetime_secs: policy.max_lifetime.as_secs(),
            max_per_account: policy.max_per_account,
            max_unsettled: policy.max_unsettled,
        }
    }
}

impl Default for PriceConfig {
    fn default() -> Self {
        Self { up: 100, down: 100 }
    }
}
