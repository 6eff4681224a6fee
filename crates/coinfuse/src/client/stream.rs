//! One connection of an application, through a circuit.

use super::circuit::Place;
use crate::h2::{Receiver, Sender};
use bytes::Bytes;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use h2::{RecvStream, SendStream};
use std::io;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

/// The most that one write takes.
const WRITE: usize = 64 << 10;

/// A stream to a target: bytes there and back.
///
/// Shutting it down ends the sending direction only; dropping it ends both. It also implements
/// [`AsyncBufRead`], for copying out of it without a copy in between.
pub struct Stream {
    sender: Sender,
    receiver: Receiver,
    finished: bool,
    /// The circuit lives at least as long.
    _place: Place,
}

impl Stream {
    pub(super) fn new(send: SendStream<Bytes>, recv: RecvStream, place: Place) -> Self {
        Self {
            sender: Sender(send),
            receiver: Receiver::new(recv),
            finished: false,
            _place: place,
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream([scrubbed])")
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = ready!(self.receiver.poll_bytes(cx))?;
        let n = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes[..n]);
        self.receiver.consume(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Stream {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.get_mut().receiver.poll_bytes(cx)
    }

    fn consume(mut self: Pin<&mut Self>, n: usize) {
        self.receiver.consume(n);
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(self.sender.poll_room(cx, buf.len().min(WRITE)))?;
        self.sender
            .send(Bytes::copy_from_slice(&buf[..room]), false)?;
        Poll::Ready(Ok(room))
    }

    /// The circuit sends what it has as soon as it may.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.finished {
            self.finished = true;
            self.sender.send(Bytes::new(), true)?;
        }
        Poll::Ready(Ok(()))
    }
}
