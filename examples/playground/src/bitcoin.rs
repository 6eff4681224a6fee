//! The Bitcoin network: embedded peers, or real nodes if there is a program for them.

use crate::download::now;
use anyhow::Result;
use bitcoin::{Transaction, Txid};
use coinfuse::config::{MempoolConfig, MempoolNodeAuth, MempoolPeers, MempoolWay, PeerTransport};
use coinfuse_delivery::mempool::Network;
use coinfuse_testkit::bitcoin_node::program;
use coinfuse_testkit::{BitcoinPeer, Regtest, bitcoin_peer};
use std::net::SocketAddr;
use std::time::Duration;

/// Enough for some to be handed a transaction and others to be watched.
const PEERS: usize = 4;
/// In sat.
const FEE: u64 = 1_000;
/// Nodes take some seconds to tell each other.
const SPREAD_WITHIN: Duration = Duration::from_secs(60);

/// Where transactions go.
pub(crate) enum Bitcoin {
    /// Peers in this process that speak the real protocol and have a mempool, but no chain.
    Embedded { peers: Vec<BitcoinPeer>, made: u8 },
    /// Two nodes with a chain.
    Real(Box<Regtest>),
}

impl Bitcoin {
    /// Starts real nodes if `BITCOIND_EXE` says which program they are.
    pub(crate) async fn start() -> Result<Self> {
        if let Some(program) = program() {
            return Ok(Self::Real(Box::new(Regtest::start(&program).await?)));
        }
        let peers = (0..PEERS).map(|_| BitcoinPeer::start());
        let peers = peers.collect::<Result<Vec<_>, _>>()?;
        for pair in peers.windows(2) {
            if let [one, other] = pair {
                one.link(other);
            }
        }
        Ok(Self::Embedded { peers, made: 0 })
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Embedded { .. } => "embedded regtest peers",
            Self::Real(_) => "bitcoind on regtest",
        }
    }

    /// Each way in which a relay can hand over a transaction here.
    pub(crate) fn ways(&self) -> Vec<(&'static str, MempoolConfig)> {
        let mut ways = vec![
            ("P2P, BIP 324", self.peers(PeerTransport::OnlyEncrypted)),
            ("P2P, plain", self.peers(PeerTransport::Plain)),
        ];
        if let Self::Real(regtest) = self {
            let auth = MempoolNodeAuth::Cookie(regtest.one.cookie());
            let node = MempoolConfig::node(Network::Regtest, regtest.one.rpc(), auth);
            ways.push(("JSON-RPC", node));
        }
        for (_, way) in &mut ways {
            // Where all traffic is that of one client a delay hides nothing.
            way.mean_delay_secs = 0;
        }
        ways
    }

    fn peers(&self, transport: PeerTransport) -> MempoolConfig {
        let mut peers = MempoolPeers::new(self.addresses());
        peers.transport = transport;
        if let Self::Real(_) = self {
            (peers.submit_to, peers.observers) = (1, 1);
        }
        let mut config = MempoolConfig::peers(Network::Regtest, Vec::new());
        config.way = MempoolWay::Peers(peers);
        config
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Embedded { peers, .. } => peers.iter().map(BitcoinPeer::addr).collect(),
            Self::Real(regtest) => vec![regtest.one.p2p(), regtest.other.p2p()],
        }
    }

    /// A transaction that nobody has seen yet.
    pub(crate) fn transaction(&mut self) -> Transaction {
        match self {
            Self::Embedded { made, .. } => {
                *made += 1;
                bitcoin_peer::transaction(*made, 2)
            }
            Self::Real(regtest) => regtest.spend(FEE),
        }
    }

    /// Waits until all have a transaction; how many do, and how many there are.
    pub(crate) async fn spread(&self, txid: Txid) -> (usize, usize) {
        let begun = now();
        loop {
            let have = self.have(txid).await;
            let count = have.iter().filter(|has| **has).count();
            if count == have.len() || begun.elapsed() > SPREAD_WITHIN {
                return (count, have.len());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn have(&self, txid: Txid) -> Vec<bool> {
        match self {
            Self::Embedded { peers, .. } => peers.iter().map(|peer| peer.has(txid)).collect(),
            Self::Real(regtest) => {
                vec![regtest.one.has(txid).await, regtest.other.has(txid).await]
            }
        }
    }
}
