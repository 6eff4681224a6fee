//! What a front (SOCKS5 now, others later) asks of the network: a stream to a target.

use core::fmt;
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncRead, AsyncWrite};

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

/// Where a stream goes: an address, or a name that only the last hop resolves.
///
/// Neither `Debug` nor any log shows it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A host name of 1 to 255 bytes and a port.
    Name(String, u16),
}

impl Target {
    /// A host as people write it, an address or a name, and a port. `None` when it can be neither.
    pub fn new(host: &str, port: u16) -> Option<Self> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Some(Self::Ip((ip, port).into()));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_name = (1..=255).contains(&host.len()) && host.bytes().all(plain);
        is_name.then(|| Self::Name(host.to_owned(), port))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Target([scrubbed])")
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_or_names() {
        let ip = |text: &str| Some(Target::Ip(text.parse().unwrap()));
        assert_eq!(Target::new("192.0.2.1", 80), ip("192.0.2.1:80"));
        assert_eq!(Target::new("2001:db8::1", 80), ip("[2001:db8::1]:80"));
        assert_eq!(
            Target::new("example.com", 80),
            Some(Target::Name("example.com".into(), 80))
        );
        for bad in [
            "",
            "two words",
            "a\0b",
            "a/b",
            "a:80",
            "müller.example",
            &"a".repeat(256),
        ] {
            assert_eq!(Target::new(bad, 80), None, "{bad:?}");
        }
    }

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
        let target = Target::new("secret.example", 443).unwrap();
        let isolation = Isolation::from_credentials(b"user", b"password");
        assert_eq!(
            format!("{target:?} {isolation:?}"),
            "Target([scrubbed]) Isolation([scrubbed])"
        );
    }
}
