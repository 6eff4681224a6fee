//! HTTP/2 between a client and the last hop: the settings of both ends, and moving bytes.

use bytes::{Buf, Bytes};
use core::future::poll_fn;
use core::task::{Context, Poll, ready};
use h2::{RecvStream, SendStream};
use std::io;

/// Bytes of one stream that may be under way: 335 Mbit/s at a round trip of 100 ms.
pub(crate) const STREAM_WINDOW: u32 = 4 << 20;
/// Bytes of all streams of a circuit that may be under way. Far above one stream's, so that a
/// reader that stalls does not slow the others; 16 stalled ones do, and only on their own circuit.
pub(crate) const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;
/// The longest DATA frame: with its header of 9 bytes it fills four records to the byte.
pub(crate) const MAX_FRAME: u32 = 4 * coinfuse_circuit::MAX_BODY as u32 - 9;
/// Bytes that a stream may have queued at its sender.
pub(crate) const SEND_BUFFER: usize = 1 << 20;
/// Bytes of headers of one request or response.
pub(crate) const MAX_HEADERS: u32 = 4 << 10;

pub(crate) fn io_error(error: h2::Error) -> io::Error {
    match error.is_io() {
        true => error
            .into_io()
            .unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()),
        false if error.is_reset() => io::Error::new(io::ErrorKind::ConnectionReset, error),
        false => io::Error::other(error),
    }
}

/// The sending half of a stream.
pub(crate) struct Sender(pub(crate) SendStream<Bytes>);

impl Sender {
    /// Waits until the flow-control windows have room, and says how much of `wanted`.
    pub(crate) fn poll_room(
        &mut self,
        cx: &mut Context<'_>,
        wanted: usize,
    ) -> Poll<io::Result<usize>> {
        self.0.reserve_capacity(wanted);
        loop {
            match self.0.capacity() {
                0 => match ready!(self.0.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
                    None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                },
                room => return Poll::Ready(Ok(room.min(wanted))),
            }
        }
    }

    pub(crate) async fn room(&mut self, wanted: usize) -> io::Result<usize> {
        poll_fn(|cx| self.poll_room(cx, wanted)).await
    }

    pub(crate) fn send(&mut self, data: Bytes, end: bool) -> io::Result<()> {
        self.0.send_data(data, end).map_err(io_error)
    }
}

/// The receiving half of a stream, with what was received and not read yet.
pub(crate) struct Receiver {
    stream: RecvStream,
    unread: Bytes,
    ended: bool,
}

impl Receiver {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            unread: Bytes::new(),
            ended: false,
        }
    }

    /// The bytes that are there, after waiting for some; empty at the end.
    pub(crate) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        while self.unread.is_empty() && !self.ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => self.unread = data,
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
                None => self.ended = true,
            }
        }
        Poll::Ready(Ok(&self.unread))
    }

    pub(crate) async fn bytes(&mut self) -> io::Result<&[u8]> {
        poll_fn(|cx| self.poll_bytes(cx).map_ok(drop)).await?;
        Ok(&self.unread)
    }

    /// So many bytes were read: the other end may send as many more.
    pub(crate) fn consume(&mut self, n: usize) {
        self.unread.advance(n);
        // It fails only for a stream that is over.
        let _over = self.stream.flow_control().release_capacity(n);
    }
}
