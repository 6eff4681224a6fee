//! The section as it stands in the file, where everything is optional that depends on the rest.

use super::{
    DEFAULT_CONFIRM, DEFAULT_MEAN_DELAY, DEFAULT_MOST, MempoolConfig, MempoolNode, MempoolNodeAuth,
    MempoolPeers, MempoolWay, PeerTransport, RpcPassword,
};
use crate::config::values::{socket, text, within};
use coinfuse_delivery::mempool::Network;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Section {
    #[serde(with = "text")]
    network: Network,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peers: Option<Vec<PeerAddress>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transport: Option<PeerTransport>,
    #[serde(default, deserialize_with = "some_within::<1, 16, _, _>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    submit_to: Option<usize>,
    #[serde(default, deserialize_with = "some_within::<0, 16, _, _>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    observers: Option<usize>,
    #[serde(default, deserialize_with = "some_within::<1, 3_600, _, _>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm_within_secs: Option<u32>,
    #[serde(default, deserialize_with = "some_socket")]
    #[serde(skip_serializing_if = "Option::is_none")]
    rpc: Option<SocketAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cookie: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<RpcPassword>,
    #[serde(default = "default_mean_delay")]
    #[serde(deserialize_with = "within::<0, 3_600, _, _>")]
    mean_delay_secs: u32,
    #[serde(
        default = "default_most",
        deserialize_with = "within::<1, 4_096, _, _>"
    )]
    most_at_once: usize,
}

const fn default_mean_delay() -> u32 {
    DEFAULT_MEAN_DELAY
}

const fn default_most() -> usize {
    DEFAULT_MOST
}

fn some_within<'de, const MIN: u64, const MAX: u64, T, D>(input: D) -> Result<Option<T>, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    within::<MIN, MAX, T, D>(input).map(Some)
}

fn some_socket<'de, D: Deserializer<'de>>(input: D) -> Result<Option<SocketAddr>, D::Error> {
    socket::deserialize(input).map(Some)
}

/// An IP address, with a port or without.
#[derive(Clone, Copy)]
struct PeerAddress(IpAddr, Option<u16>);

impl PeerAddress {
    fn with_port_of(self, network: Network) -> SocketAddr {
        SocketAddr::new(self.0, self.1.unwrap_or(network.p2p_port()))
    }
}

impl<'de> Deserialize<'de> for PeerAddress {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let found = String::deserialize(input)?;
        let bare = || found.parse().ok().map(|ip| Self(ip, None));
        let whole = || {
            let whole: SocketAddr = found.parse().ok()?;
            (whole.port() != 0).then_some(Self(whole.ip(), Some(whole.port())))
        };
        let address = bare()
            .or_else(whole)
            .filter(|peer| !peer.0.is_unspecified());
        address.ok_or_else(|| {
            D::Error::custom(format_args!(
                "found {found:?}, expected the IP address of a node, with or without a port, like \
                 192.0.2.1 or [2001:db8::1]:8333"
            ))
        })
    }
}

impl Serialize for PeerAddress {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self.1 {
            Some(port) => out.collect_str(&SocketAddr::new(self.0, port)),
            None => out.collect_str(&self.0),
        }
    }
}

/// What does not go together. The operator must act.
#[derive(Debug, thiserror::Error)]
pub(super) enum Mismatch {
    #[error("name nodes under `peers`, or a node of your own under `rpc`")]
    Nobody,
    #[error("there are `peers` and `rpc`: leave one of them out")]
    Both,
    #[error("`{0}` is for `peers`, and this is a node of your own")]
    NotForNode(&'static str),
    #[error("`{0}` is for a node of your own, which is named under `rpc`")]
    NotForPeers(&'static str),
    #[error("`rpc` needs the node's `cookie` file, or a `user` and a `password`")]
    NoAuth,
    #[error("there are a `cookie` and a `user` or a `password`: leave one of them out")]
    TwoAuths,
    #[error("a `user` has no colon in it")]
    Colon,
    #[error(
        "with one peer there is none to look at for what was handed to it: name more, or set \
         `observers` to 0, which takes the peer at its word"
    )]
    NoObserver,
}

impl TryFrom<Section> for MempoolConfig {
    type Error = Mismatch;

    fn try_from(section: Section) -> Result<Self, Mismatch> {
        let way = match (&section.peers, section.rpc) {
            (Some(_), Some(_)) => return Err(Mismatch::Both),
            (Some(peers), None) if !peers.is_empty() => MempoolWay::Peers(section.peers(peers)?),
            (_, None) => return Err(Mismatch::Nobody),
            (None, Some(rpc)) => MempoolWay::Node(section.node(rpc)?),
        };
        Ok(Self {
            network: section.network,
            way,
            mean_delay_secs: section.mean_delay_secs,
            most_at_once: section.most_at_once,
        })
    }
}

impl Section {
    fn peers(&self, peers: &[PeerAddress]) -> Result<MempoolPeers, Mismatch> {
        let unfit = [
            ("cookie", self.cookie.is_some()),
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
        ];
        if let Some((name, _)) = unfit.into_iter().find(|(_, given)| *given) {
            return Err(Mismatch::NotForPeers(name));
        }
        let peers = peers.iter().map(|peer| peer.with_port_of(self.network));
        let defaults = MempoolPeers::new(peers.collect());
        let different: BTreeSet<_> = defaults.peers.iter().collect();
        let observers = self.observers.unwrap_or(defaults.observers);
        if observers > 0 && different.len() < 2 {
            return Err(Mismatch::NoObserver);
        }
        Ok(MempoolPeers {
            transport: self.transport.unwrap_or_default(),
            submit_to: self.submit_to.unwrap_or(defaults.submit_to),
            observers,
            confirm_within_secs: self.confirm_within_secs.unwrap_or(DEFAULT_CONFIRM),
            ..defaults
        })
    }

    fn node(&self, rpc: SocketAddr) -> Result<MempoolNode, Mismatch> {
        let unfit = [
            ("transport", self.transport.is_some()),
            ("submit_to", self.submit_to.is_some()),
            ("observers", self.observers.is_some()),
            ("confirm_within_secs", self.confirm_within_secs.is_some()),
        ];
        if let Some((name, _)) = unfit.into_iter().find(|(_, given)| *given) {
            return Err(Mismatch::NotForNode(name));
        }
        let auth = match (&self.cookie, &self.user, &self.password) {
            (Some(path), None, None) => MempoolNodeAuth::Cookie(path.clone()),
            (None, Some(user), _) if user.contains(':') => return Err(Mismatch::Colon),
            (None, Some(user), Some(password)) => {
                MempoolNodeAuth::Password(user.clone(), password.clone())
            }
            (None, ..) => return Err(Mismatch::NoAuth),
            (Some(_), ..) => return Err(Mismatch::TwoAuths),
        };
        Ok(MempoolNode { rpc, auth })
    }
}

impl From<MempoolConfig> for Section {
    fn from(config: MempoolConfig) -> Self {
        let mut section = Self {
            network: config.network,
            peers: None,
            transport: None,
            submit_to: None,
            observers: None,
            confirm_within_secs: None,
            rpc: None,
            cookie: None,
            user: None,
            password: None,
            mean_delay_secs: config.mean_delay_secs,
            most_at_once: config.most_at_once,
        };
        match config.way {
            MempoolWay::Peers(peers) => {
                let with_port = |peer: &SocketAddr| PeerAddress(peer.ip(), Some(peer.port()));
                section.peers = Some(peers.peers.iter().map(with_port).collect());
                section.transport = Some(peers.transport);
                section.submit_to = Some(peers.submit_to);
                section.observers = Some(peers.observers);
                section.confirm_within_secs = Some(peers.confirm_within_secs);
            }
            MempoolWay::Node(node) => {
                section.rpc = Some(node.rpc);
                match node.auth {
                    MempoolNodeAuth::Cookie(path) => section.cookie = Some(path),
                    MempoolNodeAuth::Password(user, password) => {
                        section.user = Some(user);
                        section.password = Some(password);
                    }
                }
            }
        }
        section
    }
}
