//! What a node tells about itself.

use crate::address::PeerAddress;
use crate::trouble::SourceTrouble;
use coinfuse_directory::{PeerKey, Standing};
use core::net::SocketAddr;
use core::time::Duration;

/// How a node does, for its operator.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Where it is reached; none for a client.
    pub addresses: Vec<PeerAddress>,
    /// Relays in the directory.
    pub relays: usize,
    /// Relays that there is no place for; see
    /// [`Limits::relays_per_subnet`](crate::Limits::relays_per_subnet).
    pub waiting: usize,
    /// Peers that are connected.
    pub peers: usize,
    /// Peers in the routing table of the DHT.
    pub routed: usize,
    /// Descriptors that were not taken since the start because they have expired. Many more than there
    /// are relays mean that the clock here is fast.
    pub expired: u64,
    /// Those that were not taken because they are from the future: the clock here may be slow.
    pub from_the_future: u64,
    /// The sources that the directory is compared with, and the bootstrap peers whether or not they
    /// can be.
    pub sources: Vec<SourceStatus>,
}

/// One source of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceStatus {
    /// Its key.
    pub peer: PeerKey,
    /// The first of its addresses that are known.
    pub address: Option<SocketAddr>,
    /// Whether it is one of [`bootstrap`](crate::DiscoveryConfig::bootstrap).
    pub bootstrap: bool,
    /// Whether it lists what the others list.
    pub standing: Standing,
    /// How long ago it said what it knows; `None` if it never did.
    pub heard: Option<Duration>,
    /// What was wrong with it, since it was last heard as it should be.
    pub trouble: Option<SourceTrouble>,
}
