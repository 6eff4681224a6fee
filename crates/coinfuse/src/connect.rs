//! What a front (SOCKS5 now, others later) asks of the network: a stream to a target.

use coinfuse_delivery::ExitFailure;
use core::fmt;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};

pub use coinfuse_delivery::Target;

/// Opens streams to targets. A client does it through a circuit, a test through a loopback socket.
pub trait Connect: Send + Sync + 'static {
    /// Bytes to the target and back. Shutting its write half down ends that direction only;
    /// dropping it ends both.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens a stream to `target`, and comes back when the far end is really connected.
    ///
    /// Streams of different `isolation` never share a circuit. Dropping the future gives up.
    fn connect(
        &self,
        target: Target,
        isolation: Isolation,
    ) -> impl Future<Output = Result<Self::Stream, ConnectError>> + Send;
}

/// Whom a stream belongs to: streams of different isolation never share a circuit.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Isolation([u8; 32]);

impl Isolation {
    /// Everybody who gave no credentials.
    pub const NONE: Self = Self([0; 32]);

    /// Whoever gave these credentials. They are a label and no secret of ours: all are accepted.
    ///
    /// `SHA-256("coinfuse isolation v1" || len(user) as u32 LE || user || password)`
    pub fn from_credentials(user: &[u8], password: &[u8]) -> Self {
        let length = u32::try_from(user.len()).unwrap_or(u32::MAX);
        let mut hash = Sha256::new_with_prefix(b"coinfuse isolation v1");
        hash.update(length.to_le_bytes());
        hash.update(user);
        hash.update(password);
        Self(hash.finalize().into())
    }

    /// The label, for use as a key in a table.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::NONE {
            "Isolation(none)"
        } else {
            "Isolation([scrubbed])"
        })
    }
}

/// Why there is no stream. The texts are for the person who runs the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The exit's policy does not allow this target; another exit may.
    #[error("the exit relay does not allow this destination")]
    Policy,
    /// The name does not exist, or the host cannot be reached from the exit.
    #[error("the destination cannot be reached from the exit relay")]
    HostUnreachable,
    /// The host is there and refuses this port.
    #[error("the destination refused the connection")]
    Refused,
    /// Nothing answered in time.
    #[error("the destination did not answer in time")]
    TimedOut,
    /// There is no circuit: no relays are known, or none can be reached.
    #[error("no circuit through the relays could be built")]
    NetworkUnreachable,
    /// The wallet is empty or the spending cap is reached; only the user can change that.
    #[error("there is no money left to pay the relays: fund the wallet or raise the spending cap")]
    OutOfMoney,
    /// A limit of the client or of a relay is reached, or the circuit broke while opening.
    #[error("the stream could not be opened")]
    Failed,
}

impl From<ExitFailure> for ConnectError {
    fn from(failure: ExitFailure) -> Self {
        match failure {
            ExitFailure::PolicyRefused => Self::Policy,
            ExitFailure::NoSuchName
            | ExitFailure::ResolveTimeout
            | ExitFailure::HostUnreachable => Self::HostUnreachable,
            ExitFailure::ConnectionRefused => Self::Refused,
            ExitFailure::NetworkUnreachable => Self::NetworkUnreachable,
            ExitFailure::ConnectTimeout => Self::TimedOut,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_differ_where_their_border_does() {
        assert_ne!(
            Isolation::from_credentials(b"ab", b"c"),
            Isolation::from_credentials(b"a", b"bc")
        );
        assert_ne!(Isolation::from_credentials(b"", b""), Isolation::NONE);
    }

    #[test]
    fn debug_tells_nothing() {
        let isolation = Isolation::from_credentials(b"user", b"password");
        assert_eq!(format!("{isolation:?}"), "Isolation([scrubbed])");
    }
}
