//! Endpoints and neighbours for the tests.

use coinfuse::connect::{Connect, ConnectError, Isolation, Target};
use coinfuse::link::{Link, LinkEndpoint, LinkKey, LinkLimits, LinkSecret, ServeEnd};
use coinfuse::socks::{SocksLimits, SocksServer};
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Long enough for a busy machine: it bounds a failing test, never a passing one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// A neighbour that can be dialled, with the links that it accepted.
pub(crate) struct Neighbour {
    pub(crate) endpoint: LinkEndpoint,
    pub(crate) key: LinkKey,
    pub(crate) address: SocketAddr,
    pub(crate) links: mpsc::UnboundedReceiver<Link>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) serving: JoinHandle<ServeEnd>,
}

impl Neighbour {
    pub(crate) fn new(seed: u8) -> Self {
        Self::with_limits(seed, LinkLimits::default())
    }

    pub(crate) fn with_limits(seed: u8, limits: LinkLimits) -> Self {
        let secret = LinkSecret::from_seed([seed; 32]);
        let endpoint = LinkEndpoint::bind(loopback(), Some(&secret), limits).unwrap();
        let (accepted, links) = mpsc::unbounded_channel();
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn({
            let (endpoint, shutdown) = (endpoint.clone(), shutdown.clone());
            async move {
                let on_link = |link| drop(accepted.send(link));
                endpoint.serve(shutdown, on_link).await
            }
        });
        let address = endpoint.local_address().unwrap();
        Self {
            endpoint,
            key: secret.key(),
            address,
            links,
            shutdown,
            serving,
        }
    }
}

pub(crate) fn dialler() -> LinkEndpoint {
    LinkEndpoint::bind(loopback(), None, LinkLimits::default()).unwrap()
}

/// An address where packets vanish: bound, and never read.
pub(crate) fn black_hole() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(loopback()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Polls `future` once; `None` if it is still at work.
pub(crate) async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// A SOCKS5 proxy whose network is a [`Stub`].
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) stub: Arc<Stub>,
}

impl Proxy {
    pub(crate) async fn new(stub: Stub) -> Self {
        Self::with_limits(stub, SocksLimits::default()).await
    }

    pub(crate) async fn with_limits(stub: Stub, limits: SocksLimits) -> Self {
        let server = SocksServer::bind(loopback(), limits).await.unwrap();
        let (address, stub) = (server.local_address().unwrap(), Arc::new(stub));
        tokio::spawn(server.serve(Arc::clone(&stub), CancellationToken::new()));
        Self { address, stub }
    }
}

/// A network that reaches one place, whatever it is asked for, and remembers the questions.
pub(crate) struct Stub {
    outcome: Result<SocketAddr, ConnectError>,
    pub(crate) asked: Mutex<Vec<(Target, Isolation)>>,
}

impl Stub {
    pub(crate) fn reaching(place: SocketAddr) -> Self {
        Self {
            outcome: Ok(place),
            asked: Mutex::default(),
        }
    }

    pub(crate) fn failing(error: ConnectError) -> Self {
        Self {
            outcome: Err(error),
            asked: Mutex::default(),
        }
    }

    pub(crate) fn asked(&self) -> Vec<(Target, Isolation)> {
        self.asked.lock().unwrap().clone()
    }
}

impl Connect for Stub {
    type Stream = TcpStream;

    async fn connect(
        &self,
        target: Target,
        isolation: Isolation,
    ) -> Result<TcpStream, ConnectError> {
        self.asked.lock().unwrap().push((target, isolation));
        let place = self.outcome?;
        TcpStream::connect(place)
            .await
            .map_err(|_| ConnectError::Refused)
    }
}

/// A server that handles each connection with `handle`.
pub(crate) async fn tcp_server<F>(handle: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
    address
}

/// Sends back everything once the sender has finished, and only then: half-closing is needed.
pub(crate) async fn echo_at_the_end(mut stream: TcpStream) {
    let mut body = Vec::new();
    stream.read_to_end(&mut body).await.unwrap();
    stream.write_all(&body).await.unwrap();
}
