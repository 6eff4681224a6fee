//! A QUIC stream as a sequence of records.

use bytes::Bytes;
use coinfuse_circuit::{Assembler, Record, RecordError};
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use quinn::{ReadExactError, RecvStream, SendStream, WriteError};
use thiserror::Error;
use tokio_util::io::poll_read_buf;

/// Why a lane has no further record, other than its end.
#[derive(Debug, Error)]
pub(crate) enum LaneError {
    /// The neighbour went away or reset the stream.
    #[error("the lane was lost")]
    Lost,
    /// It ended inside a record.
    #[error("the lane ended inside a record")]
    Truncated,
    /// The bytes are not records.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The bytes are not frames of a packet lane.
    #[error("not a frame of a packet lane")]
    Frame,
}

/// Reads records from a lane.
pub(crate) struct LaneReader {
    recv: RecvStream,
    assembler: Assembler,
}

impl LaneReader {
    pub(crate) fn new(recv: RecvStream) -> Self {
        Self {
            recv,
            assembler: Assembler::new(),
        }
    }

    /// The stream, before the first record was read.
    pub(crate) fn into_stream(self) -> RecvStream {
        self.recv
    }

    /// Reads bytes that come before the records.
    pub(crate) async fn read_exact(&mut self, buf: &mut [u8]) -> Result<(), LaneError> {
        self.recv
            .read_exact(buf)
            .await
            .map_err(|error| match error {
                ReadExactError::FinishedEarly(_) => LaneError::Truncated,
                ReadExactError::ReadError(_) => LaneError::Lost,
            })
    }

    /// The next record; `None` at the lane's end. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Record>, LaneError> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Record>, LaneError>> {
        loop {
            if let Some(record) = self.assembler.take()? {
                return Poll::Ready(Ok(Some(record)));
            }
            let recv = Pin::new(&mut self.recv);
            match ready!(poll_read_buf(recv, cx, &mut self.assembler.buffer())) {
                Ok(0) if self.assembler.is_between_records() => return Poll::Ready(Ok(None)),
                Ok(0) => return Poll::Ready(Err(LaneError::Truncated)),
                Ok(_) => {}
                Err(_) => return Poll::Ready(Err(LaneError::Lost)),
            }
        }
    }
}

/// Writes sealed bytes to a lane, without copying them.
pub(crate) async fn write(send: &mut SendStream, bytes: Bytes) -> Result<(), LaneError> {
    send.write_chunk(bytes)
        .await
        .map_err(|_: WriteError| LaneError::Lost)
}
