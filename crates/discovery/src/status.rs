//! What a node tells about itself.

use crate::address::PeerAddress;
use coinfuse_directory::{PeerKey, Standing};
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
    /// The sources that the directory is compared with.
    pub sources: Vec<SourceStatus>,
}

/// One source of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceStatus {
    /// Its key.
    pub peer: PeerKey,
    /// Whether it lists what the others list.
    pub standing: Standing,
    /// How long ago it said what it knows; `None` if it never did.
    pub heard: Option<Duration>,
}
