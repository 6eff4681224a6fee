//! How a node takes part in discovery, from its configuration.

use crate::clock::random;
use crate::config::{ClientConfig, RelayConfig};
use crate::keys::{MasterSeed, Purpose};
use coinfuse_directory::{AddressClass, SourceOffer};
use coinfuse_discovery::{Discovery, DiscoveryConfig, PeerAddress, StartError, peer_key};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use thiserror::Error;
use tokio::sync::oneshot;

/// Why a node cannot take part in discovery; for the operator or the user to act on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// It does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The system gives no thread.
    #[error("the system gives no thread for discovery: {0}")]
    Thread(#[from] io::Error),
}

/// Starts a node of the discovery network on a thread of its own: to compare directories of
/// thousands takes milliseconds, for which no data shall wait.
pub(super) async fn start(settings: DiscoveryConfig) -> Result<Discovery, DiscoveryError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (tell, told) = oneshot::channel();
    let run = async {
        let discovery = Discovery::start(settings).await;
        // It lives as long as its handles, and shows directories as long as it lives.
        let directory = discovery.as_ref().ok().map(Discovery::directory);
        if tell.send(discovery).is_err() {
            return;
        }
        if let Some(mut directory) = directory {
            while directory.changed().await.is_ok() {}
        }
    };
    std::thread::Builder::new()
        .name("coinfuse-discovery".into())
        .spawn(move || runtime.block_on(run))?;
    let ended = |_| io::Error::other("it ended while it started");
    Ok(told.await.map_err(ended)??)
}

/// The settings of a relay; `None` if it does without.
pub(super) fn of_relay(config: &RelayConfig, seed: &MasterSeed) -> Option<DiscoveryConfig> {
    let section = &config.discovery;
    section.enabled.then(|| {
        let mut settings = DiscoveryConfig::relay(*seed.derive(Purpose::Discovery), random());
        settings.listen = listen(config);
        settings.external = external(config);
        settings.bootstrap = config.bootstrap.clone();
        settings.cache_file = Some(config.data_dir.join("relays"));
        settings.private_addresses = config.allow_private_neighbours;
        settings.limits = section.limits();
        settings
    })
}

/// The settings of a client; `None` if it has nobody to ask.
pub(super) fn of_client(config: &ClientConfig) -> Option<DiscoveryConfig> {
    (!config.bootstrap.is_empty()).then(|| {
        let mut settings = DiscoveryConfig::client(random());
        settings.bootstrap = config.bootstrap.clone();
        settings.cache_file = Some(cache_file(config));
        settings.private_addresses = is_private(&config.bootstrap);
        settings
    })
}

/// Where a client keeps the relays that it knows.
pub(super) fn cache_file(config: &ClientConfig) -> PathBuf {
    config.data_dir.join("relays")
}

/// Whether this is a network of somebody's own: nobody in the list is on the public Internet.
fn is_private(bootstrap: &[PeerAddress]) -> bool {
    let is_global = |peer: &PeerAddress| AddressClass::of(peer.address.ip()).is_global();
    !bootstrap.iter().any(is_global)
}

/// Where a relay of this configuration and seed can be asked who the relays are, without its being
/// started: what others write under `bootstrap`. Empty if it cannot be asked, or if only the system
/// will say under which port.
pub fn bootstrap_addresses(config: &RelayConfig, seed: &MasterSeed) -> Vec<PeerAddress> {
    if !config.discovery.enabled {
        return Vec::new();
    }
    let key = peer_key(*seed.derive(Purpose::Discovery));
    let mut addresses = external(config);
    if addresses.is_empty() {
        addresses = listen(config);
    }
    let can_be_dialled = |address: &SocketAddr| can_be_dialled(address);
    addresses.retain(can_be_dialled);
    addresses
        .into_iter()
        .map(|address| PeerAddress { key, address })
        .collect()
}

/// The same for the descriptor.
pub(super) fn offer(config: &RelayConfig, seed: &MasterSeed) -> Option<SourceOffer> {
    let peers = bootstrap_addresses(config, seed);
    let addresses = peers.iter().map(|peer| peer.address);
    Some(SourceOffer {
        key: peers.first()?.key,
        addresses: addresses.take(SourceOffer::MAX_ADDRESSES).collect(),
    })
}

fn listen(config: &RelayConfig) -> Vec<SocketAddr> {
    if !config.discovery.listen.is_empty() {
        return config.discovery.listen.clone();
    }
    let mut listen = vec![config.listen];
    // The wildcard of IPv6 is not that of IPv4 here.
    if config.listen.ip() == Ipv6Addr::UNSPECIFIED {
        listen.push((Ipv4Addr::UNSPECIFIED, config.listen.port()).into());
    }
    listen
}

/// Where others reach these; none, if it is where it listens.
fn external(config: &RelayConfig) -> Vec<SocketAddr> {
    let named = match config.discovery.advertise.is_empty() {
        false => &config.discovery.advertise,
        true => &config.advertise,
    };
    named.iter().copied().filter(can_be_dialled).collect()
}

fn can_be_dialled(address: &SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn relay(text: &str) -> RelayConfig {
        RelayConfig::parse(Path::new("relay.toml"), text).unwrap()
    }

    fn bootstrap(text: &str) -> Vec<String> {
        let seed = MasterSeed::new([7; 32]);
        let peers = bootstrap_addresses(&relay(text), &seed);
        peers.iter().map(|peer| peer.address.to_string()).collect()
    }

    #[test]
    fn discovery_is_where_the_links_are_unless_said_otherwise() {
        let one = "listen = '198.51.100.7:4433'\n";
        assert_eq!(bootstrap(one), ["198.51.100.7:4433"]);
        assert!(bootstrap("").is_empty(), "a wildcard is nowhere");
        let behind = "advertise = ['198.51.100.7:443', '[2001:db8::7]:443']\n";
        assert_eq!(bootstrap(behind), ["198.51.100.7:443", "[2001:db8::7]:443"]);
        let apart =
            "advertise = ['198.51.100.7:443']\n[discovery]\nadvertise = ['198.51.100.7:80']\n";
        assert_eq!(bootstrap(apart), ["198.51.100.7:80"]);
        let not = "listen = '198.51.100.7:4433'\n[discovery]\nenabled = false\n";
        assert!(bootstrap(not).is_empty());
    }

    #[test]
    fn the_wildcard_of_both_families_is_listened_on_in_both() {
        let both = [
            "[::]:4433".parse().unwrap(),
            "0.0.0.0:4433".parse().unwrap(),
        ];
        assert_eq!(listen(&relay("")), both);
        let one = relay("[discovery]\nlisten = ['127.0.0.1:1']\n");
        assert_eq!(listen(&one), ["127.0.0.1:1".parse().unwrap()]);
    }

    #[test]
    fn a_network_is_private_if_nobody_in_the_list_is_public() {
        let peers = |addresses: &[&str]| -> Vec<PeerAddress> {
            let key = peer_key([1; 32]);
            let address = |text: &&str| PeerAddress {
                key,
                address: text.parse().unwrap(),
            };
            addresses.iter().map(address).collect()
        };
        assert!(is_private(&peers(&["127.0.0.1:1", "10.0.0.1:1"])));
        assert!(!is_private(&peers(&["127.0.0.1:1", "1.1.1.1:1"])));
    }
}
