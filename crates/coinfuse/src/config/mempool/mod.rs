//! The `[mempool]` section of the relay's file.

mod section;

use coinfuse_delivery::mempool::{
    Broadcaster, Mempool, Network, PeerConfig, Rpc, RpcAuth, RpcConfig, Transport, Way,
};
use core::fmt;
use core::time::Duration;
use section::Section;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::net::SocketAddr;
use std::path::PathBuf;
use zeroize::Zeroizing;

const DEFAULT_MEAN_DELAY: u32 = 5;
const DEFAULT_MOST: usize = 64;
const DEFAULT_CONFIRM: u32 = 90;

/// How a relay hands transactions to the Bitcoin network.
///
/// ```
/// use coinfuse::config::{MempoolWay, RelayConfig};
/// use std::path::Path;
///
/// let text = "[mempool]\nnetwork = 'signet'\nrpc = '127.0.0.1:38332'\ncookie = '.cookie'\n";
/// let config = RelayConfig::parse(Path::new("relay.toml"), text).unwrap();
/// let mempool = config.mempool.unwrap();
/// assert!(matches!(mempool.way, MempoolWay::Node(_)));
/// assert_eq!(mempool.mean_delay().as_secs(), 5);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Section", into = "Section")]
pub struct MempoolConfig {
    /// Which network. Required.
    pub network: Network,
    /// To whom. Required.
    pub way: MempoolWay,
    /// Seconds that a transaction waits on average before it is handed over; each waits for a time
    /// of its own, drawn at random. Default 5; 0 is not to wait.
    pub mean_delay_secs: u32,
    /// Transactions at work at once, those included that wait. Default 64.
    pub most_at_once: usize,
}

/// To whom transactions are handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MempoolWay {
    /// To nodes of others, by the P2P protocol.
    Peers(MempoolPeers),
    /// To a node of the operator's, by JSON-RPC.
    Node(MempoolNode),
}

/// Nodes of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MempoolPeers {
    /// Which: as many as are known to be independent of each other. Required.
    pub peers: Vec<SocketAddr>,
    /// How to speak with them. Default encrypted where they can.
    pub transport: PeerTransport,
    /// To how many of them a transaction is handed. Default 2.
    pub submit_to: usize,
    /// At how many others it is looked for. Default 2; with none a peer is taken at its word.
    pub observers: usize,
    /// Seconds within which one of them must have it. Default 90.
    pub confirm_within_secs: u32,
}

/// A node of the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MempoolNode {
    /// Where it listens for JSON-RPC, in plain HTTP: on this machine, or through a tunnel. Required.
    pub rpc: SocketAddr,
    /// What to show it. Required.
    pub auth: MempoolNodeAuth,
}

/// What a node wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MempoolNodeAuth {
    /// The file `.cookie` in its data folder.
    Cookie(PathBuf),
    /// A user and a password.
    Password(String, RpcPassword),
}

/// A password. Prints as `[scrubbed]`.
#[derive(Clone, PartialEq, Eq)]
pub struct RpcPassword(Zeroizing<String>);

/// How to speak with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerTransport {
    /// Encrypted (BIP 324), or plain if the peer cannot.
    #[default]
    PreferEncrypted,
    /// Encrypted or not at all.
    OnlyEncrypted,
    /// Plain.
    Plain,
}

impl MempoolConfig {
    /// The defaults, for peers.
    pub fn peers(network: Network, peers: Vec<SocketAddr>) -> Self {
        Self::new(network, MempoolWay::Peers(MempoolPeers::new(peers)))
    }

    /// The defaults, for a node of the operator's.
    pub fn node(network: Network, rpc: SocketAddr, auth: MempoolNodeAuth) -> Self {
        Self::new(network, MempoolWay::Node(MempoolNode { rpc, auth }))
    }

    fn new(network: Network, way: MempoolWay) -> Self {
        Self {
            network,
            way,
            mean_delay_secs: DEFAULT_MEAN_DELAY,
            most_at_once: DEFAULT_MOST,
        }
    }

    /// What takes the transactions. Nothing is connected to before one comes.
    pub fn mempool(&self) -> Mempool {
        let way = match &self.way {
            MempoolWay::Peers(peers) => Way::Peers(peers.broadcaster(self.network)),
            MempoolWay::Node(node) => Way::Node(node.client()),
        };
        Mempool::new(way, self.most_at_once)
    }

    /// How long a transaction waits on average.
    pub fn mean_delay(&self) -> Duration {
        Duration::from_secs(self.mean_delay_secs.into())
    }
}

impl MempoolPeers {
    /// The defaults, for these peers.
    pub fn new(peers: Vec<SocketAddr>) -> Self {
        let defaults = PeerConfig::new(Vec::new());
        Self {
            peers,
            transport: PeerTransport::default(),
            submit_to: defaults.submit_to,
            observers: defaults.observers,
            confirm_within_secs: DEFAULT_CONFIRM,
        }
    }

    fn broadcaster(&self, network: Network) -> Broadcaster {
        let mut config = PeerConfig::new(self.peers.clone());
        config.transport = self.transport.into();
        config.submit_to = self.submit_to;
        config.observers = self.observers;
        config.confirm_within = Duration::from_secs(self.confirm_within_secs.into());
        Broadcaster::new(network, config)
    }
}

impl MempoolNode {
    fn client(&self) -> Rpc {
        let auth = match &self.auth {
            MempoolNodeAuth::Cookie(path) => RpcAuth::cookie(path),
            MempoolNodeAuth::Password(user, password) => RpcAuth::password(user, &password.0),
        };
        Rpc::new(RpcConfig::new(self.rpc, auth))
    }
}

impl RpcPassword {
    /// Takes a password.
    pub fn new(password: String) -> Self {
        Self(Zeroizing::new(password))
    }
}

impl fmt::Debug for RpcPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[scrubbed]")
    }
}

impl<'de> Deserialize<'de> for RpcPassword {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input).map(Self::new)
    }
}

/// For the file; the only way out.
impl Serialize for RpcPassword {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.0)
    }
}

impl From<PeerTransport> for Transport {
    fn from(transport: PeerTransport) -> Self {
        match transport {
            PeerTransport::PreferEncrypted => Self::PreferEncrypted,
            PeerTransport::OnlyEncrypted => Self::OnlyEncrypted,
            PeerTransport::Plain => Self::Plain,
        }
    }
}
