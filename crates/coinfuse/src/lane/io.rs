//! A data lane as a byte stream, for HTTP/2 to run on.

use super::LaneReader;
use bytes::{Buf, Bytes, BytesMut};
use coinfuse_circuit::{MAX_BODY, Record};
use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use quinn::SendStream;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The end of a circuit that a data lane's records belong to.
pub(crate) trait DataCodec {
    /// Seals a body in parts, at most [`MAX_BODY`] together. Pending while there is no credit for it.
    fn poll_seal(&mut self, cx: &mut Context<'_>, body: &[&[u8]]) -> Poll<io::Result<Bytes>>;

    /// Opens a record; the bytes of the stream in it, if any.
    fn open(&mut self, record: Record) -> io::Result<Option<BytesMut>>;

    /// Something to put behind the record that was just sealed.
    fn poll_after_seal(&mut self) -> Option<Bytes>;
}

/// A data lane as a byte stream.
///
/// Writes gather until a record is full or a flush asks for what there is; a record's bytes are
/// copied once on each side, into it and out of it.
pub(crate) struct LaneIo<C> {
    codec: C,
    reader: LaneReader,
    send: SendStream,
    /// Bytes of the last record that were not read yet.
    unread: BytesMut,
    /// Bytes written that do not fill a record yet.
    unsealed: Vec<u8>,
    /// Sealed records that the link has not taken yet; empty chunks are done.
    sealed: [Bytes; 2],
    finishing: bool,
}

impl<C: DataCodec> LaneIo<C> {
    /// `unread` is what came out of the lane's first record, if it was opened already.
    pub(crate) fn new(codec: C, reader: LaneReader, send: SendStream, unread: BytesMut) -> Self {
        Self {
            codec,
            reader,
            send,
            unread,
            unsealed: Vec::new(),
            sealed: Default::default(),
            finishing: false,
        }
    }

    /// Hands sealed records to the link.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sealed.iter().any(|chunk| !chunk.is_empty()) {
            // `write_chunks` keeps nothing between polls: what was taken is advanced over.
            let written = pin!(self.send.write_chunks(&mut self.sealed)).poll(cx);
            ready!(written).map_err(|_| lost())?;
        }
        Poll::Ready(Ok(()))
    }

    /// Seals what was gathered, with `more` behind it, after everything before was sent.
    fn poll_seal(&mut self, cx: &mut Context<'_>, more: &[u8]) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        let record = ready!(self.codec.poll_seal(cx, &[&self.unsealed, more]))?;
        self.unsealed.clear();
        self.sealed = [record, self.codec.poll_after_seal().unwrap_or_default()];
        Poll::Ready(Ok(()))
    }
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the circuit was lost")
}

impl<C: DataCodec + Unpin> AsyncRead for LaneIo<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.unread.is_empty() {
            match ready!(this.reader.poll_next(cx)) {
                Ok(Some(record)) => {
                    if let Some(body) = this.codec.open(record)? {
                        this.unread = body;
                    }
                }
                Ok(None) => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        let n = this.unread.len().min(buf.remaining());
        buf.put_slice(&this.unread[..n]);
        this.unread.advance(n);
        if this.unread.is_empty() {
            // Lets go of the record's memory.
            this.unread = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<C: DataCodec + Unpin> AsyncWrite for LaneIo<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let room = MAX_BODY - this.unsealed.len();
        if buf.len() < room {
            this.unsealed.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(this.poll_seal(cx, &buf[..room]))?;
        Poll::Ready(Ok(room))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.unsealed.is_empty() {
            ready!(this.poll_seal(cx, &[]))?;
            this.unsealed = Vec::new();
        }
        this.poll_send(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        let this = self.get_mut();
        if !this.finishing {
            this.finishing = true;
            let _already_closed = this.send.finish();
        }
        Poll::Ready(Ok(()))
    }
}
