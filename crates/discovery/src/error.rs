//! What can go wrong for the caller.

use core::net::SocketAddr;
use std::io;
use thiserror::Error;

/// Why a node of the discovery network does not start: its configuration, or the system, is at
/// fault.
#[derive(Debug, Error)]
pub enum StartError {
    /// It cannot listen where it should.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A relay without an address to listen on is of no use to anybody.
    #[error("a relay needs an address to listen on")]
    NoAddress,
    /// A client does not listen: it would be found.
    #[error("a client does not listen")]
    ClientListens,
    /// The keys for encrypting connections could not be made.
    #[error("cannot make the keys for connections")]
    Keys,
}

/// Why a descriptor is not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PublishError {
    /// A client has none to publish.
    #[error("a client publishes nothing")]
    Client,
    /// It names another peer as the one that hands out the directory: fill in `source` with
    /// [`Discovery::offer`](crate::Discovery::offer).
    #[error("the descriptor names another peer as the source of the directory")]
    OtherPeer,
    /// It has no address.
    #[error("the descriptor has no address")]
    Nowhere,
    /// It has an address that is not on the public Internet. Nobody else takes such a descriptor, so
    /// it is to be left out, unless this is a network of one's own
    /// ([`private_addresses`](crate::DiscoveryConfig::private_addresses)).
    #[error("the descriptor has {address}, which is not on the public Internet")]
    Private {
        /// The first such address.
        address: SocketAddr,
    },
    /// It is older than the one that was published before.
    #[error("a newer descriptor was published before")]
    Older,
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a question was not put to the DHT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LookupError {
    /// So many lookups are under way already that the caller should wait for some of them.
    #[error("too many lookups at once; wait for those under way")]
    Busy,
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The node has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("discovery has stopped")]
pub struct Stopped;
