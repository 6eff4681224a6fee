//! From an accepted connection to a request, and from an outcome to a reply.

use super::credentials::METHODS;
use crate::connect::{ConnectError, Isolation, Target};
use coinfuse_delivery::{Host, TargetError};
use fast_socks5::server::states::CommandRead;
use fast_socks5::server::{AuthMethodSuccessState, Socks5ServerProtocol, SocksServerError};
use fast_socks5::util::target_addr::TargetAddr;
use fast_socks5::{ReplyError, Socks5Command};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncRead, AsyncWrite};

/// What an application asks for, and the connection that waits for the answer.
pub(super) struct Request<T> {
    target: Target,
    isolation: Isolation,
    waiting: Waiting<T>,
}

/// Why there was no request. Says nothing of what was in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("the application does not speak SOCKS5, or broke off")]
    Protocol(#[from] SocksServerError),
    #[error("the credentials broke off")]
    Credentials(#[from] io::Error),
    #[error("the application asked for a command other than CONNECT")]
    Command,
    #[error("the application asked for a host that is neither a name nor an address")]
    Host,
}

/// Reads up to the request. What can be answered with a code has been when this fails.
pub(super) async fn read_request<T>(stream: T) -> Result<Request<T>, HandshakeError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut chosen = Socks5ServerProtocol::start(stream)
        .negotiate_auth(&METHODS)
        .await?;
    let isolation = chosen.isolation().await?;
    let (waiting, command, address) = chosen.finish_auth().read_command().await?;
    if !matches!(command, Socks5Command::TCPConnect) {
        waiting
            .reply_error(&ReplyError::CommandNotSupported)
            .await?;
        return Err(HandshakeError::Command);
    }
    match to_target(&address) {
        Ok(target) => Ok(Request {
            target,
            isolation,
            waiting: Waiting(waiting),
        }),
        Err(_) => {
            waiting.reply_error(&ReplyError::HostUnreachable).await?;
            Err(HandshakeError::Host)
        }
    }
}

/// A literal in a name's place is an address. Names stay names.
fn to_target(address: &TargetAddr) -> Result<Target, TargetError> {
    match address {
        TargetAddr::Ip(address) => Target::new(Host::Ip(address.ip()), address.port()),
        TargetAddr::Domain(name, port) => Target::new(name.parse()?, *port),
    }
}

/// The side of a request that waits for its answer.
pub(super) struct Waiting<T>(Socks5ServerProtocol<T, CommandRead>);

impl<T: AsyncRead + AsyncWrite + Unpin> Request<T> {
    pub(super) fn into_parts(self) -> (Target, Isolation, Waiting<T>) {
        (self.target, self.isolation, self.waiting)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Waiting<T> {
    /// Says that the stream is open. The bound address is nobody's business.
    pub(super) async fn succeed(self) -> Result<(), SocksServerError> {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        self.0.reply_success(nowhere).await.map(drop)
    }

    /// Says why there is no stream.
    pub(super) async fn fail(self, error: ConnectError) -> Result<(), SocksServerError> {
        self.0.reply_error(&reply(error)).await
    }
}

/// The reply code of RFC 1928, section 6, that fits.
fn reply(error: ConnectError) -> ReplyError {
    match error {
        ConnectError::Policy => ReplyError::ConnectionNotAllowed,
        ConnectError::NetworkUnreachable => ReplyError::NetworkUnreachable,
        ConnectError::HostUnreachable => ReplyError::HostUnreachable,
        ConnectError::Refused => ReplyError::ConnectionRefused,
        ConnectError::TimedOut => ReplyError::TtlExpired,
        ConnectError::OutOfMoney | ConnectError::Failed => ReplyError::GeneralFailure,
    }
}
