//! The relay's file.

use super::error::{load, parse};
use super::values::{AcceptedMint, LogLevel, policy, socket, text, unit, within};
use super::{ConfigError, LinkConfig};
use coinfuse_directory::{ExitPolicy, MintUnit, MintUrl, Price};
use coinfuse_wire::{Rate, ServiceCode};
use core::fmt;
use core::str::FromStr;
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
    /// The file with the descriptors of other relays. Default `directory.txt`.
    pub directory: PathBuf,
    /// Whether circuits may be extended to private, loopback and link-local addresses. Default no;
    /// for tests on one machine.
    pub allow_private_neighbours: bool,
    /// Default `info`.
    pub log: LogLevel,
    /// What carrying bytes costs.
    pub price: PriceConfig,
    /// Mints whose ecash is accepted. Default none: a relay without any works for nothing, or for its own.
    pub accept: Vec<AcceptedMint>,
    /// The mint inside this relay, if it issues its own coins. Default none.
    pub mint: Option<MintConfig>,
    /// Which connections to the internet this relay opens.
    pub exit: ExitConfig,
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

    /// What this relay offers: always to extend circuits, and an exit if its policy has a rule.
    pub fn services(&self) -> Vec<ServiceCode> {
        let exit = (!self.exit.policy.is_empty()).then_some(ServiceCode::EXIT);
        core::iter::once(ServiceCode::RELAY).chain(exit).collect()
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
            directory: "directory.txt".into(),
            allow_private_neighbours: false,
            log: LogLevel::default(),
            price: PriceConfig::default(),
            accept: Vec::new(),
            mint: None,
            exit: ExitConfig::default(),
            link: LinkConfig::default(),
        }
    }
}

impl Default for PriceConfig {
    fn default() -> Self {
        Self { up: 100, down: 100 }
    }
}
