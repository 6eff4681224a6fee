//! Configuration files: TOML, every key optional unless it says otherwise, unknown keys refused.
//!
//! [`RelayConfig::TEMPLATE`] and [`ClientConfig::TEMPLATE`] hold every key with its default, unit and meaning; they are
//! what `init` writes, and the reference.
//!
//! ```
//! use coinfuse::config::RelayConfig;
//! use std::path::Path;
//!
//! let config = RelayConfig::parse(Path::new("relay.toml"), "[price]\nup = 200\n").unwrap();
//! assert_eq!((config.price.up, config.price.down), (200, 100));
//!
//! let error = RelayConfig::parse(Path::new("relay.toml"), "listen = 'here'\n").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "relay.toml, line 1, `listen`: found \"here\", expected an IP address and a port, like \
//!      0.0.0.0:4433 or [::]:4433"
//! );
//! ```

mod client;
mod client_packets;
mod client_paths;
mod discovery;
mod error;
mod links;
mod mempool;
mod packets;
mod relay;
mod values;

pub use client::{ClientChannelsConfig, ClientConfig, SocksConfig, SpendingConfig};
pub use client_packets::ClientPacketsConfig;
pub use client_paths::ClientPathsConfig;
pub use discovery::RelayDiscoveryConfig;
pub use error::ConfigError;
pub use links::LinkConfig;
pub use mempool::{
    MempoolConfig, MempoolNode, MempoolNodeAuth, MempoolPeers, MempoolWay, PeerTransport,
    RpcPassword,
};
pub use packets::PacketsConfig;
pub use relay::{
    ChannelsConfig, ExitConfig, Lightning, MintConfig, NotLightning, PriceConfig, RelayConfig,
};
pub use values::{AcceptedMint, LogLevel};

use coinfuse_discovery::PeerAddress;

/// The line of a file of either kind that names these peers to ask.
pub fn bootstrap_line(peers: &[PeerAddress]) -> String {
    let peers = peers.iter().map(|peer| format!("\"{peer}\""));
    format!("bootstrap = [{}]", peers.collect::<Vec<_>>().join(", "))
}

/// A template with these peers to ask.
fn template_with(template: &str, peers: &[PeerAddress]) -> String {
    template.replacen(
        "\nbootstrap = []\n",
        &format!("\n{}\n", bootstrap_line(peers)),
        1,
    )
}
