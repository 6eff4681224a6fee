//! One link, whoever dialled it.

use super::LinkKey;
use super::parting::Parting;
use core::fmt;
use core::time::Duration;
use quinn::{AcceptBi, Connection, ConnectionError, OpenBi, VarInt};
use std::net::IpAddr;
use std::sync::Arc;

/// A QUIC connection with a neighbour. A cheap handle: clones are the same link.
///
/// It stays open until it is closed, its peer goes away, its endpoint closes, or nobody has a
/// handle of it any more. Its streams are no handles, and end with it.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    connection: Connection,
    key: Option<LinkKey>,
    parting: Parting,
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
    /// `parting` is the one in the connection's configuration.
    pub(super) fn new(connection: Connection, key: Option<LinkKey>, parting: Parting) -> Self {
        let shared = Shared {
            connection,
            key,
            parting,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The key that the peer proved to hold; `None` on a link that we did not dial, whose peer is anonymous.
    pub fn key(&self) -> Option<LinkKey> {
        self.shared.key
    }

    /// Opens a stream in both directions; waits while the peer allows no further one.
    ///
    /// The peer hears of it with the first byte that is written.
    pub fn open_bi(&self) -> OpenBi<'_> {
        self.shared.connection.open_bi()
    }

    /// The next stream that the peer opened. An error means that the link is gone.
    pub fn accept_bi(&self) -> AcceptBi<'_> {
        self.shared.connection.accept_bi()
    }

    /// The peer's IP address: for limits and for the checks before an `extend`, never for a log.
    pub fn peer_ip(&self) -> IpAddr {
        self.shared.connection.remote_address().ip().to_canonical()
    }

    /// A number that tells open links of this process apart; not sent to anybody.
    pub fn stable_id(&self) -> usize {
        self.shared.connection.stable_id()
    }

    /// The current estimate of the round trip.
    pub fn rtt(&self) -> Duration {
        self.shared.connection.rtt()
    }

    /// 32 secret bytes that both ends of this link, and nobody else, derive from it (RFC 5705).
    /// `None` once the link is gone.
    pub fn export_keying_material(&self, label: &[u8]) -> Option<[u8; 32]> {
        let mut exported = [0; 32];
        let done = self
            .shared
            .connection
            .export_keying_material(&mut exported, label, &[]);
        done.ok().map(|()| exported)
    }

    /// Packets, bytes and losses so far.
    pub fn stats(&self) -> quinn::ConnectionStats {
        self.shared.connection.stats()
    }

    /// True once the link is gone.
    pub fn is_closed(&self) -> bool {
        self.shared.connection.close_reason().is_some()
    }

    /// Waits until the link is gone, and says why.
    pub async fn closed(&self) -> ConnectionError {
        self.shared.connection.closed().await
    }

    /// Closes the link and every stream on it, at once.
    pub fn close(&self, reason: CloseReason) {
        self.shared.close(reason);
    }
}

impl Shared {
    fn close(&self, reason: CloseReason) {
        self.parting.begin();
        self.connection.close(VarInt::from_u32(reason.code()), b"");
    }
}

impl Drop for Shared {
    /// Not left to quinn, so that the peer is sure to hear of it.
    fn drop(&mut self) {
        if self.connection.close_reason().is_none() {
            self.close(CloseReason::Shutdown);
        }
    }
}

impl fmt::Debug for Link {
    /// Without the peer's address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("id", &self.stable_id())
            .field("key", &self.shared.key)
            .finish_non_exhaustive()
    }
}
