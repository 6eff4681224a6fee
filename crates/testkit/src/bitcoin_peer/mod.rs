//! A peer of a Bitcoin regtest network that has a mempool and no chain.
//!
//! It speaks the real P2P protocol, plain and encrypted (BIP 324), takes every transaction, and
//! tells its neighbours and whoever asked to be told. It can be told to misbehave.

mod serve;
mod transaction;
mod wire;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bitcoin::p2p::Magic;
use bitcoin::p2p::message_network::VersionMessage;
use bitcoin::{Transaction, Txid};
use tokio::sync::broadcast;

use crate::background::{ANY_PORT, TcpServer};

pub use transaction::{spending, transaction};

/// What a peer does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// Accepts the connection and says nothing.
    Silent,
    /// Greets, and never asks for what is announced to it.
    NeverAsks,
    /// Asks for the transaction and does not say anything any more.
    StallsAfterTransaction,
    /// Closes the connection when a transaction is announced to it.
    HangsUpAtAnnouncement,
    /// Closes the connection when it has the transaction.
    HangsUpAfterTransaction,
    /// Does all that a good peer does and throws the transaction away.
    Swallows,
    /// Answers a ping with another number.
    WrongPong,
    /// Says `inv` before its `version`.
    OutOfOrder,
    /// Sends bytes that are no message.
    Garbage,
    /// Sends a message that says it has a gigabyte.
    TooLong,
    /// Sends pings without end.
    Flood,
    /// Says that it takes no transactions.
    NoRelay,
    /// Asks for the same transaction a hundred times.
    AsksAgain,
    /// Announces transactions that nobody knows, to observers.
    AnnouncesOthers,
}

/// The peer, on a thread of its own. It ends when this is dropped.
pub struct BitcoinPeer {
    shared: Arc<Shared>,
    server: TcpServer,
}

struct Shared {
    /// Whether it speaks BIP 324 as well.
    sealed: bool,
    magic: Magic,
    announce: broadcast::Sender<Arc<Transaction>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    misbehaviour: Option<Misbehaviour>,
    mempool: HashMap<Txid, Arc<Transaction>>,
    neighbours: Vec<Weak<Shared>>,
    greetings: Vec<VersionMessage>,
    sealed_connections: u64,
    transactions_received: u64,
}

impl BitcoinPeer {
    /// A peer on loopback that speaks both protocols.
    pub fn start() -> io::Result<Self> {
        Self::start_with(true)
    }

    /// A peer on loopback that hangs up when it is spoken to in BIP 324.
    pub fn start_plain() -> io::Result<Self> {
        Self::start_with(false)
    }

    fn start_with(sealed: bool) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            sealed,
            magic: Magic::REGTEST,
            announce: broadcast::Sender::new(64),
            state: Mutex::default(),
        });
        let inner = Arc::clone(&shared);
        let server = TcpServer::start("bitcoin-peer", ANY_PORT, move |stream| {
            let shared = Arc::clone(&inner);
            async move {
                // An error ends the connection, which is all that it means.
                let _ = serve::serve(shared, stream).await;
            }
        })?;
        Ok(Self { shared, server })
    }

    /// Makes it misbehave towards all connections from now on.
    pub fn misbehave(&self, misbehaviour: Misbehaviour) {
        self.shared.state().misbehaviour = Some(misbehaviour);
    }

    /// Makes two peers tell each other of transactions.
    pub fn link(&self, other: &Self) {
        let (ours, theirs) = (&self.shared, &other.shared);
        ours.state().neighbours.push(Arc::downgrade(theirs));
        theirs.state().neighbours.push(Arc::downgrade(ours));
    }

    /// Puts a transaction into its mempool, as if another peer had sent it.
    pub fn insert(&self, transaction: Transaction) {
        self.shared.take(Arc::new(transaction));
    }

    /// Whether a transaction is in its mempool.
    pub fn has(&self, txid: Txid) -> bool {
        self.shared.state().mempool.contains_key(&txid)
    }

    /// What clients said of themselves, in order.
    pub fn greetings(&self) -> Vec<VersionMessage> {
        self.shared.state().greetings.clone()
    }

    /// How many connections were encrypted.
    pub fn sealed_connections(&self) -> u64 {
        self.shared.state().sealed_connections
    }

    /// How many connections there were.
    pub fn connections(&self) -> u64 {
        self.server.connections()
    }

    /// How often it was sent a transaction.
    pub fn transactions_received(&self) -> u64 {
        self.shared.state().transactions_received
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a transaction that is new, and passes it on.
    fn take(&self, transaction: Arc<Transaction>) {
        let txid = transaction.compute_txid();
        let mut state = self.state();
        if state.mempool.contains_key(&txid) {
            return;
        }
        state.mempool.insert(txid, Arc::clone(&transaction));
        let neighbours: Vec<_> = state.neighbours.iter().filter_map(Weak::upgrade).collect();
        // A neighbour that answers takes this lock.
        drop(state);
        let _ = self.announce.send(Arc::clone(&transaction));
        for neighbour in neighbours {
            neighbour.take(Arc::clone(&transaction));
        }
    }
}
