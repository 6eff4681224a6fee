//! Handing transactions to the Bitcoin network.
//!
//! A [`Submission`] is what a sender sends: one transaction, or a parent and the child that pays
//! for it, checked as far as can be without the chain. A [`Mempool`] hands it to the network, by
//! the P2P protocol ([`Broadcaster`]) or to a node of one's own ([`Rpc`]), and gives the
//! [`Answer`], which is all that the sender is told: accepted, or rejected and the class of
//! reasons.
//!
//! How long to wait before that is the caller's choice, and so is all randomness.

mod answer;
mod broadcast;
mod network;
pub mod p2p;
mod peer;
mod reason;
mod rpc;
mod service;
mod submission;

pub use answer::{Answer, Rejection, Remedy};
pub use broadcast::{Broadcaster, PeerConfig};
pub use network::{Network, UnknownNetwork};
pub use peer::Transport;
pub use rpc::{Rpc, RpcAuth, RpcConfig, RpcError};
pub use service::{Mempool, Trouble, Way};
pub use submission::{Part, Submission, SubmissionError};
