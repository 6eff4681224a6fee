//! Bitcoin's P2P protocol, as far as it takes to hand a transaction over and to see that it
//! arrived.
//!
//! A [`Connection`] is a machine without a socket, a clock or randomness of its own. In one
//! [`Role`] it hands a transaction to a peer, in the other it watches whether a peer announces it.
//! What drives it over TCP is [`Broadcaster`](super::Broadcaster).
//!
//! There are no messages in today's protocol that say why a transaction is refused. A peer that
//! does not ask for it knows it already, or filters it; one that did ask and answers a ping after
//! it has processed it; and that it *likes* it shows in an independent peer's announcement.

mod connection;
mod failure;
mod framing;
mod handshake;
mod message;
mod session;
mod timer;

pub use connection::Connection;
pub use failure::PeerFailure;
pub(crate) use handshake::shake_hands;

use super::Submission;
use bitcoin::{Txid, Wtxid};
use core::time::Duration;
use std::sync::Arc;

/// What a peer is there for.
#[derive(Debug, Clone)]
pub enum Role {
    /// To be handed the submission. It is asked not to announce any transactions to us.
    Submit(Arc<Submission>),
    /// To be watched for the transaction.
    Observe {
        /// Its id, for peers that announce by that.
        txid: Txid,
        /// Its id with the witness.
        wtxid: Wtxid,
    },
}

impl Role {
    /// To watch for a submission's last transaction.
    pub fn observe(submission: &Submission) -> Self {
        Self::Observe {
            txid: submission.txid(),
            wtxid: submission.wtxid(),
        }
    }
}

/// What happened on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The greeting is done.
    Ready,
    /// The peer asked for the submission, got it and processed it. The last event.
    Delivered,
    /// The peer did not ask for it in time: it knows it, or does not want it. The last event.
    NotAsked,
    /// The observed peer has the transaction. The last event.
    Seen,
    /// The peer is of no use. The last event.
    Failed(PeerFailure),
}

impl Event {
    /// Whether nothing can follow, and the socket is to be closed.
    pub fn is_last(self) -> bool {
        self != Self::Ready
    }
}

/// The patience with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionConfig {
    /// For the greeting, from the start to `verack`. Default 10 s.
    pub handshake: Duration,
    /// For a `getdata` after `inv`. Bitcoin Core waits 2 s before it asks a peer that connected to
    /// it, and up to 64 s if others offered the same transaction. Default 30 s.
    pub request: Duration,
    /// For `pong` after the transaction. Default 20 s.
    pub processing: Duration,
    /// How many messages a peer may send in all. Default 20,000.
    pub max_messages: u32,
    /// How many bytes a peer may send in all. Default 32 MiB.
    pub max_bytes: u64,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            request: Duration::from_secs(30),
            processing: Duration::from_secs(20),
            max_messages: 20_000,
            max_bytes: 32 << 20,
        }
    }
}
