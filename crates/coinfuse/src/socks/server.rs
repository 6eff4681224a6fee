//! Accepting applications and carrying their bytes.

use super::handshake::{HandshakeError, Waiting, read_request};
use crate::connect::{Connect, ConnectError, Isolation, Target};
use core::time::Duration;
use fast_socks5::server::SocksServerError;
use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// What a [`SocksServer`] allows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocksLimits {
    /// How long an application may take until its request is read. Default 10 s.
    pub handshake_timeout: Duration,
    /// How long opening a stream may take before *TTL expired* is replied. Default 60 s.
    ///
    /// It includes building a circuit, if one is needed.
    pub connect_timeout: Duration,
    /// Connections open at once; further ones are closed at once. Default 1,024.
    ///
    /// Worst case twice [`Self::copy_buffer`] each, 128 MiB with the defaults.
    pub max_connections: usize,
    /// Bytes per direction and connection that are copied in one go. Default 64 KiB.
    pub copy_buffer: usize,
}

impl Default for SocksLimits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(60),
            max_connections: 1_024,
            copy_buffer: 64 << 10,
        }
    }
}

/// The proxy's address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the SOCKS5 address {address} cannot be used: {reason}", reason = reason(.source))]
pub struct SocksBindError {
    /// What was to be bound.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has this port; stop it or choose another".into()
        }
        io::ErrorKind::PermissionDenied => {
            "the system does not permit it; ports below 1024 need a privilege".into()
        }
        _ => error.to_string(),
    }
}

/// A SOCKS5 proxy in front of a [`Connect`].
#[derive(Debug)]
pub struct SocksServer {
    listener: TcpListener,
    limits: SocksLimits,
}

impl SocksServer {
    /// Binds `address`. An address other than loopback lets others spend the user's money, and is
    /// warned about.
    ///
    /// # Errors
    ///
    /// [`SocksBindError`], for the user to act on.
    pub async fn bind(address: SocketAddr, limits: SocksLimits) -> Result<Self, SocksBindError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| SocksBindError { address, source })?;
        if !address.ip().is_loopback() {
            tracing::warn!(
                "the SOCKS5 proxy is open to other machines, which then spend your money"
            );
        }
        Ok(Self { listener, limits })
    }

    /// The address and port that the proxy has.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves applications until `shutdown`; then all their connections are closed.
    ///
    /// A failing `accept` (no file descriptors, say) delays newcomers and ends nothing.
    pub async fn serve<C: Connect>(self, connector: Arc<C>, shutdown: CancellationToken) {
        /// How long accepting rests after it failed.
        const REST: Duration = Duration::from_millis(100);

        let limits = Arc::new(self.limits);
        let mut connections = JoinSet::new();
        let mut full = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(_) = connections.join_next() => full = false,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) if connections.len() < limits.max_connections => {
                        connections.spawn(serve_one(stream, connector.clone(), limits.clone()));
                    }
                    Ok(_) => {
                        if !full {
                            tracing::warn!("as many applications are connected as allowed");
                        }
                        full = true;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "accepting an application failed, trying again");
                        sleep(REST).await;
                    }
                },
            }
        }
    }
}

/// How one application's connection ended badly. Says nothing of where it went.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("the application was too slow with its request")]
    Slow,
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the application broke off before the answer")]
    Gone(#[from] SocksServerError),
    #[error("the stream broke: {0}")]
    Broken(#[from] io::Error),
}

async fn serve_one<C: Connect>(mut stream: TcpStream, connector: Arc<C>, limits: Arc<SocksLimits>) {
    let outcome = carry(&mut stream, &*connector, &limits).await;
    if let Err(error) = outcome {
        tracing::debug!(%error, "a SOCKS5 connection ended early");
        match error {
            ServeError::Broken(_) => reset(&stream),
            _ => part(stream).await,
        }
    }
}

async fn carry<C: Connect>(
    stream: &mut TcpStream,
    connector: &C,
    limits: &SocksLimits,
) -> Result<(), ServeError> {
    stream.set_nodelay(true)?;
    let request = timeout(limits.handshake_timeout, read_request(&mut *stream)).await;
    let (target, isolation, waiting) = request.map_err(|_| ServeError::Slow)??.into_parts();
    let mut far = match open(connector, target, isolation, limits.connect_timeout).await {
        Ok(far) => far,
        Err(error) => return Err(refuse(waiting, error).await),
    };
    waiting.succeed().await?;
    let size = limits.copy_buffer;
    copy_bidirectional_with_sizes(stream, &mut far, size, size).await?;
    Ok(())
}

async fn open<C: Connect>(
    connector: &C,
    target: Target,
    isolation: Isolation,
    limit: Duration,
) -> Result<C::Stream, ConnectError> {
    let opened = timeout(limit, connector.connect(target, isolation)).await;
    opened.unwrap_or(Err(ConnectError::TimedOut))
}

async fn refuse(waiting: Waiting<&mut TcpStream>, error: ConnectError) -> ServeError {
    if error == ConnectError::OutOfMoney {
        tracing::warn!("a stream was refused: {error}");
    }
    match waiting.fail(error).await {
        Ok(()) => error.into(),
        Err(gone) => gone.into(),
    }
}

/// Ends a connection so that the application sees a failure, not an end (RST, not FIN).
fn reset(stream: &TcpStream) {
    // If it cannot be set, the application sees an end of file: nothing better is left to do.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Ends a connection after a reply. To close with unread bytes would reset it, and the reply would be
/// lost on the way, so those that are there already are read and dropped.
async fn part(mut stream: TcpStream) {
    const AT_MOST: u64 = 64 << 10;
    const PATIENCE: Duration = Duration::from_secs(1);

    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(AT_MOST);
        let _ = timeout(PATIENCE, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}
