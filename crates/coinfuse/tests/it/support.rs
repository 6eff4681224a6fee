//! Endpoints and neighbours for the tests.

use coinfuse::link::{Link, LinkEndpoint, LinkKey, LinkLimits, LinkSecret, ServeEnd};
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
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
