//! Where a node listens.

use super::Node;
use crate::address::{to_multiaddr, to_socket};
use crate::config::{DiscoveryConfig, Role};
use crate::error::StartError;
use coinfuse_directory::AddressClass;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use futures::StreamExt;
use libp2p::Multiaddr;
use libp2p::core::transport::ListenerId;
use libp2p::swarm::SwarmEvent;
use std::io;

/// How long to wait for the addresses at which a socket listens.
const ANNOUNCED: Duration = Duration::from_secs(1);

impl Node {
    /// Listens, and waits until it does.
    ///
    /// Where both families are wanted, by their wildcards, one is enough: not every machine has both.
    pub(super) async fn listen(&mut self, config: &DiscoveryConfig) -> Result<(), StartError> {
        match (config.role, config.listen.is_empty()) {
            (Role::Relay, true) => return Err(StartError::NoAddress),
            (Role::Client, false) => return Err(StartError::ClientListens),
            _ => {}
        }
        let mut without = Vec::new();
        for address in &config.listen {
            let Err(error) = self.listen_at(*address, config).await else {
                continue;
            };
            match wildcard_beside(address).filter(|other| config.listen.contains(other)) {
                Some(other) if !without.contains(&other) => without.push(*address),
                _ => return Err(error),
            }
            tracing::warn!(%error, "discovery does without one of the two families of addresses");
        }
        let external: Vec<Multiaddr> = match config.external.is_empty() {
            true => self.listening_where_it_counts(config.private_addresses),
            false => config
                .external
                .iter()
                .map(|address| to_multiaddr(*address))
                .collect(),
        };
        if external.is_empty() && config.role == Role::Relay {
            tracing::warn!("discovery listens at no address where others could reach it");
        }
        for address in external {
            self.swarm.add_external_address(address);
        }
        Ok(())
    }

    async fn listen_at(
        &mut self,
        address: SocketAddr,
        config: &DiscoveryConfig,
    ) -> Result<(), StartError> {
        let failed = |source| StartError::Listen { address, source };
        let listener = self
            .swarm
            .listen_on(to_multiaddr(address))
            .map_err(|error| failed(io::Error::other(error)))?;
        // The socket is bound by now. A wildcard tells one address after the other, and none if the
        // machine has none of this family; they are wanted only if the operator named no others.
        let is_wildcard = address.ip().is_unspecified();
        if is_wildcard && !config.external.is_empty() {
            return Ok(());
        }
        match tokio::time::timeout(ANNOUNCED, self.announced(listener)).await {
            Ok(announced) => announced.map_err(failed),
            Err(_) if is_wildcard => Ok(()),
            Err(elapsed) => Err(failed(elapsed.into())),
        }
    }

    /// Waits until a listener tells an address.
    async fn announced(&mut self, listener: ListenerId) -> io::Result<()> {
        loop {
            match self.swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { listener_id, .. } if listener_id == listener => {
                    return Ok(());
                }
                SwarmEvent::ListenerError { listener_id, error } if listener_id == listener => {
                    return Err(error);
                }
                SwarmEvent::ListenerClosed {
                    listener_id,
                    reason: Err(error),
                    ..
                } if listener_id == listener => return Err(error),
                other => self.on_event(other),
            }
        }
    }

    /// Where this node listens, as far as others can be expected to reach that.
    fn listening_where_it_counts(&self, private_addresses: bool) -> Vec<Multiaddr> {
        let counts = |multiaddr: &&Multiaddr| {
            let is_global = |ip| AddressClass::of(ip).is_global();
            to_socket(multiaddr).is_some_and(|socket| private_addresses || is_global(socket.ip()))
        };
        self.swarm.listeners().filter(counts).cloned().collect()
    }
}

/// The wildcard of the other family, with the same port, if this is one.
fn wildcard_beside(address: &SocketAddr) -> Option<SocketAddr> {
    let other: IpAddr = match address {
        SocketAddr::V4(_) => Ipv6Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv4Addr::UNSPECIFIED.into(),
    };
    let is_wildcard = address.ip().is_unspecified();
    is_wildcard.then(|| SocketAddr::new(other, address.port()))
}
