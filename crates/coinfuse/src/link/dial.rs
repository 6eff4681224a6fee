//! Dialling a neighbour that may have several addresses, some of them dead.

use super::parting::Parting;
use super::{Link, LinkKey};
use core::time::Duration;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, TransportErrorCode};
use std::net::SocketAddr;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long an address has before the next one is tried beside it (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// Addresses of one neighbour that are tried.
const MAX_ADDRESSES: usize = 8;

/// TLS alert `access_denied`, which our verifier raises for a foreign key (RFC 8446, section 6.2).
const ACCESS_DENIED: u8 = 49;
/// TLS alert `no_application_protocol` (RFC 7301, section 3.2).
const NO_APPLICATION_PROTOCOL: u8 = 120;

/// Why there is no link. The variants stand in the order of what they tell: of several addresses'
/// failures the last one in this list is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// Ours: no address of the family that our socket has, or none at all.
    #[error("none of the relay's addresses can be reached from this socket")]
    NoUsableAddress,
    /// Ours, passing: as many dials as we allow are under way.
    #[error("too many dials are under way")]
    Busy,
    /// Ours: the endpoint is closing.
    #[error("this endpoint is shutting down")]
    Closing,
    /// Nobody answers.
    #[error("the relay does not answer")]
    Timeout,
    /// Something answers, but not in this protocol.
    #[error("what answers there is not a relay of this protocol")]
    Incompatible,
    /// Theirs, passing: the relay turns newcomers away.
    #[error("the relay refuses new links at the moment")]
    Refused,
    /// Theirs, lasting: a relay with another key answers. The descriptor is stale, or somebody is in the
    /// middle.
    #[error("the relay does not hold the link key of its descriptor")]
    WrongKey,
}

/// Dials all `addresses` with a head start for the earlier ones; the first to succeed wins.
/// `parting` is the one in `config`.
pub(super) async fn dial(
    endpoint: &Endpoint,
    config: &ClientConfig,
    addresses: &[SocketAddr],
    key: LinkKey,
    parting: Parting,
    limit: Duration,
) -> Result<Link, DialError> {
    let connection = timeout(limit, race(endpoint, config, addresses)).await;
    let connection = connection.unwrap_or(Err(DialError::Timeout))?;
    Ok(Link::new(connection, Some(key), parting))
}

async fn race(
    endpoint: &Endpoint,
    config: &ClientConfig,
    addresses: &[SocketAddr],
) -> Result<Connection, DialError> {
    let mut rest = addresses.iter().take(MAX_ADDRESSES);
    let mut attempts = JoinSet::new();
    let mut failure = DialError::NoUsableAddress;
    loop {
        // Start the next address that our socket can reach at all.
        let connecting = rest.by_ref().find_map(|address| {
            endpoint
                .connect_with(config.clone(), *address, super::tls::SERVER_NAME)
                .ok()
        });
        let exhausted = connecting.is_none();
        if let Some(connecting) = connecting {
            attempts.spawn(connecting);
        } else if attempts.is_empty() {
            return Err(failure);
        }
        tokio::select! {
            Some(Ok(outcome)) = attempts.join_next() => match outcome {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = failure.max(classify(&error)),
            },
            () = sleep(STAGGER), if !exhausted => {}
        }
    }
}

fn classify(error: &ConnectionError) -> DialError {
    let refused = TransportErrorCode::CONNECTION_REFUSED;
    match error {
        ConnectionError::TimedOut => DialError::Timeout,
        ConnectionError::LocallyClosed => DialError::Closing,
        ConnectionError::TransportError(error)
            if error.code == TransportErrorCode::crypto(ACCESS_DENIED) =>
        {
            DialError::WrongKey
        }
        ConnectionError::ConnectionClosed(close) if close.error_code == refused => {
            DialError::Refused
        }
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL) =>
        {
            DialError::Incompatible
        }
        ConnectionError::ApplicationClosed(_) | ConnectionError::Reset => DialError::Refused,
        _ => DialError::Incompatible,
    }
}
