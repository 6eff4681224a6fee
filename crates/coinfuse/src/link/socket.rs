//! The UDP socket under an endpoint.

use coinfuse_wire::ByteCount;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::{Sleep, sleep};

/// How long receiving rests after the operating system failed it.
const REST: Duration = Duration::from_millis(20);

/// Binds `address` with large buffers; both families when the address is IPv6.
pub(super) fn bind(address: SocketAddr, buffer: ByteCount) -> io::Result<PersistentSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        // Not every system allows it; then only the other family is missing.
        let _ = socket.set_only_v6(false);
    }
    enlarge(&socket, usize::try_from(buffer.get()).unwrap_or(usize::MAX));
    socket.bind(&address.into())?;
    let inner = TokioRuntime.wrap_udp_socket(socket.into())?;
    Ok(PersistentSocket {
        inner,
        rest: Mutex::new(None),
    })
}

/// Asks for `bytes` in both directions and says so when the system grants less.
fn enlarge(socket: &Socket, bytes: usize) {
    let asked = socket
        .set_recv_buffer_size(bytes)
        .and_then(|()| socket.set_send_buffer_size(bytes));
    let granted = socket
        .recv_buffer_size()
        .and_then(|recv| socket.send_buffer_size().map(|send| recv.min(send)))
        .unwrap_or(0);
    if asked.is_err() || granted < bytes {
        tracing::warn!(
            asked = bytes,
            granted,
            "the system grants smaller socket buffers than asked for, which loses packets under \
             load; raise net.core.rmem_max and net.core.wmem_max"
        );
    }
}

/// A socket whose receive errors do not end the endpoint: it rests a moment and goes on.
pub(super) struct PersistentSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    rest: Mutex<Option<Pin<Box<Sleep>>>>,
}

impl AsyncUdpSocket for PersistentSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(resting) = rest.as_mut() {
                ready!(resting.as_mut().poll(cx));
                *rest = None;
            }
            match ready!(self.inner.poll_recv(cx, bufs, meta)) {
                Ok(count) => return Poll::Ready(Ok(count)),
                // Anybody on the path can cause it; quinn passes over it.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Poll::Ready(Err(error));
                }
                Err(error) => {
                    tracing::warn!(%error, "receiving on the link socket failed, trying again");
                    *rest = Some(Box::pin(sleep(REST)));
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

impl fmt::Debug for PersistentSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersistentSocket").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A socket that fails so many times, and then receives one datagram after another.
    #[derive(Debug)]
    struct Failing(AtomicUsize);

    impl AsyncUdpSocket for Failing {
        fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
            unreachable!("nothing is sent here")
        }

        fn try_send(&self, _: &Transmit<'_>) -> io::Result<()> {
            unreachable!("nothing is sent here")
        }

        fn poll_recv(
            &self,
            _: &mut Context<'_>,
            _: &mut [IoSliceMut<'_>],
            _: &mut [RecvMeta],
        ) -> Poll<io::Result<usize>> {
            let left = self
                .0
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            Poll::Ready(match left {
                Ok(_) => Err(io::ErrorKind::OutOfMemory.into()),
                Err(_) => Ok(1),
            })
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            unreachable!("nobody asks")
        }
    }

    /// Without the rest between two attempts this would not need the clock to move.
    #[tokio::test(start_paused = true)]
    async fn receiving_goes_on_after_errors_and_rests_between_them() {
        let begun = tokio::time::Instant::now();
        let socket = PersistentSocket {
            inner: Arc::new(Failing(3.into())),
            rest: Mutex::new(None),
        };
        let received = poll_fn(|cx| socket.poll_recv(cx, &mut [], &mut [])).await;
        assert_eq!(received.unwrap(), 1);
        assert!(begun.elapsed() >= REST * 3);
    }
}
