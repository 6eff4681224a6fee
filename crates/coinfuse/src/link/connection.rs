//! One link, whoever dialled it.

use super::LinkKey;
use core::fmt;
use core::time::Duration;
use quinn::{AcceptBi, Connection, ConnectionError, OpenBi, VarInt};
use std::net::IpAddr;

/// A QUIC connection with a neighbour. A cheap handle: clones are the same link.
///
/// It stays open until it is closed, its peer goes away or its endpoint closes.
#[derive(Clone)]
pub struct Link {
    connection: Connection,
    key: Option<LinkKey>,
}

/// Why we close a link, as the peer sees it: an application error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// We shut down. Code 0.
    Shutdown,
    /// No circuit used it for a while. Code 1.
    Unused,
    /// The peer broke the protocol in a way that a circuit's end does not settle. Code 2.
    Protocol,
    /// We have too much to do. Code 3.
    Overload,
}

impl CloseReason {
    /// The code on the wire.
    pub const fn code(self) -> u32 {
        match self {
            Self::Shutdown => 0,
            Self::Unused => 1,
            Self::Protocol => 2,
            Self::Overload => 3,
        }
    }
}

impl Link {
    pub(super) const fn new(connection: Connection, key: Option<LinkKey>) -> Self {
        Self { connection, key }
    }

    /// The key that the peer proved to hold; `None` on a link that we did not dial, whose peer is anonymous.
    pub const fn key(&self) -> Option<LinkKey> {
        self.key
    }

    /// Opens a stream in both directions; waits while the peer allows no further one.
    ///
    /// The peer hears of it with the first byte that is written.
    pub fn open_bi(&self) -> OpenBi<'_> {
        self.connection.open_bi()
    }

    /// The next stream that the peer opened. An error means that the link is gone.
    pub fn accept_bi(&self) -> AcceptBi<'_> {
        self.connection.accept_bi()
    }

    /// The peer's IP address: for limits and for the checks before an `extend`, never for a log.
    pub fn peer_ip(&self) -> IpAddr {
        self.connection.remote_address().ip().to_canonical()
    }

    /// A number that tells open links of this process apart; not sent to anybody.
    pub fn stable_id(&self) -> usize {
        self.connection.stable_id()
    }

    /// The current estimate of the round trip.
    pub fn rtt(&self) -> Duration {
        self.connection.rtt()
    }

    /// 32 secret bytes that both ends of this link, and nobody else, derive from it (RFC 5705).
    /// `None` once the link is gone.
    pub fn export_keying_material(&self, label: &[u8]) -> Option<[u8; 32]> {
        let mut exported = [0; 32];
        let done = self
            .connection
            .export_keying_material(&mut exported, label, &[]);
        done.ok().map(|()| exported)
    }

    /// Packets, bytes and losses so far.
    pub fn stats(&self) -> quinn::ConnectionStats {
        self.connection.stats()
    }

    /// True once the link is gone.
    pub fn is_closed(&self) -> bool {
        self.connection.close_reason().is_some()
    }

    /// Waits until the link is gone, and says why.
    pub async fn closed(&self) -> ConnectionError {
        self.connection.closed().await
    }

    /// Closes the link and every stream on it, at once.
    pub fn close(&self, reason: CloseReason) {
        self.connection.close(VarInt::from_u32(reason.code()), b"");
    }
}

impl fmt::Debug for Link {
    /// Without the peer's address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("id", &self.stable_id())
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
