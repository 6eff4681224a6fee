//! The data lane of a circuit: records to the next hop and back, or the streams that end here.

use super::cell::Cell;
use super::circuit::open_data_lane;
use super::exit;
use super::stalls::Stall;
use crate::lane::{DataCodec, LaneIo, LaneReader, write};
use bytes::{Bytes, BytesMut};
use coinfuse_circuit::{CloseReason, FromClient, MAX_CIPHERTEXT, Record, RelayCircuit};
use coinfuse_wire::ByteCount;
use core::future::{Future, poll_fn};
use core::task::{Context, Poll, ready};
use core::time::Duration;
use quinn::SendStream;
use std::io;
use std::sync::Arc;
use tokio::time::timeout;

/// How long a step may take before the circuit counts as stalled.
const HICCUP: Duration = Duration::from_secs(2);

/// Carries a circuit's data until the circuit is over.
pub(super) async fn run_data_lane(cell: Arc<Cell>, reader: LaneReader, send: SendStream) {
    let over = cell.over.clone();
    let carried = carry(&cell, reader, send);
    let end = tokio::select! {
        end = carried => end,
        () = over.cancelled() => return,
    };
    cell.close(end.err().unwrap_or(CloseReason::Done));
}

/// The first record with anything in it says what the data lane is for.
async fn carry(
    cell: &Arc<Cell>,
    mut reader: LaneReader,
    send: SendStream,
) -> Result<(), CloseReason> {
    loop {
        let Some(record) = reader.next().await.map_err(|_| CloseReason::Protocol)? else {
            return Ok(());
        };
        match open(cell, record)? {
            FromClient::Nothing => {}
            FromClient::Forward(record) => return forward(cell, record, reader, send).await,
            FromClient::Stream(body) => {
                let io = LaneIo::new(ExitCodec(Arc::clone(cell)), reader, send, body);
                return exit::serve(cell, io).await;
            }
        }
    }
}

fn open(cell: &Arc<Cell>, record: Record) -> Result<FromClient, CloseReason> {
    let opened = {
        let mut state = cell.lock();
        if state.is_settled() {
            return Err(CloseReason::AccountMoved);
        }
        state.machine.data_from_client(cell.now(), record)
    };
    let opened = opened.map_err(|error| {
        tracing::debug!(%error, "a circuit is closed");
        error.close_reason()
    })?;
    cell.activate()?;
    Ok(opened)
}

/// Both directions between the client and the next hop; neither waits for the other.
async fn forward(
    cell: &Arc<Cell>,
    first: Record,
    from_client: LaneReader,
    to_client: SendStream,
) -> Result<(), CloseReason> {
    let next = cell.next().ok_or(CloseReason::NextHopLost)?;
    let (mut to_next, from_next) = open_data_lane(&next)
        .await
        .map_err(|_| CloseReason::NextHopLost)?;
    write_or_stall(
        cell,
        &mut to_next,
        first.into_wire(),
        CloseReason::NextHopLost,
    )
    .await?;
    tokio::try_join!(
        pump_up(cell, from_client, to_next),
        pump_down(cell, LaneReader::new(from_next), to_client),
    )?;
    Ok(())
}

async fn pump_up(
    cell: &Arc<Cell>,
    mut from_client: LaneReader,
    mut to_next: SendStream,
) -> Result<(), CloseReason> {
    while let Some(record) = from_client
        .next()
        .await
        .map_err(|_| CloseReason::Protocol)?
    {
        match open(cell, record)? {
            FromClient::Forward(record) => {
                let wire = record.into_wire();
                write_or_stall(cell, &mut to_next, wire, CloseReason::NextHopLost).await?;
            }
            FromClient::Nothing => {}
            FromClient::Stream(_) => return Err(CloseReason::Protocol),
        }
    }
    let _already_closed = to_next.finish();
    Ok(())
}

async fn pump_down(
    cell: &Arc<Cell>,
    mut from_next: LaneReader,
    mut to_client: SendStream,
) -> Result<(), CloseReason> {
    while let Some(record) = from_next
        .next()
        .await
        .map_err(|_| CloseReason::NextHopLost)?
    {
        let wire = wrap(cell, record).await?;
        write_or_stall(cell, &mut to_client, wire, CloseReason::Done).await?;
        if let Some(reading) = cell.poll_reading() {
            write_or_stall(cell, &mut to_client, reading, CloseReason::Done).await?;
        }
    }
    let _already_closed = to_client.finish();
    Ok(())
}

/// Whether a record of the next hop's is still one with one more layer around it.
pub(super) fn fits_a_lane(wrapped: ByteCount) -> bool {
    wrapped.get() <= MAX_CIPHERTEXT as u64
}

/// Wraps a record for the client as soon as it is paid for.
async fn wrap(cell: &Arc<Cell>, record: Record) -> Result<Bytes, CloseReason> {
    let len = RelayCircuit::wrapped_len(&record);
    if !fits_a_lane(len) {
        return Err(CloseReason::NextHopLost);
    }
    let mut record = Some(record);
    let paid = poll_fn(|cx| {
        cell.poll_down(cx, len, |machine, now| {
            record
                .take()
                .map(|record| machine.data_from_next(now, record))
        })
    });
    match or_stall(cell, paid).await? {
        Some(Ok(wire)) => Ok(wire),
        _ => Err(CloseReason::Unpaid),
    }
}

async fn write_or_stall(
    cell: &Arc<Cell>,
    send: &mut SendStream,
    bytes: Bytes,
    lost: CloseReason,
) -> Result<(), CloseReason> {
    or_stall(cell, write(send, bytes)).await?.map_err(|_| lost)
}

/// Waits for `step`; while it does not get on, the circuit counts as stalled.
async fn or_stall<T>(cell: &Arc<Cell>, step: impl Future<Output = T>) -> Result<T, CloseReason> {
    tokio::pin!(step);
    // Nearly always it is done at once, and then costs nothing more.
    let first = poll_fn(|cx| Poll::Ready(step.as_mut().poll(cx))).await;
    if let Poll::Ready(done) = first {
        return Ok(done);
    }
    // A link that is busy for a moment is not a stall.
    if let Ok(done) = timeout(HICCUP, step.as_mut()).await {
        return Ok(done);
    }
    let _stall = Stall::begin(cell);
    timeout(cell.relay.limits.max_stall, step)
        .await
        .map_err(|_| CloseReason::Unpaid)
}

/// The data lane's codec at the last hop.
pub(super) struct ExitCodec(Arc<Cell>);

impl DataCodec for ExitCodec {
    fn poll_seal(&mut self, cx: &mut Context<'_>, body: &[&[u8]]) -> Poll<io::Result<Bytes>> {
        let len = RelayCircuit::stream_len(body.iter().map(|part| part.len()).sum());
        let sealed = ready!(
            self.0
                .poll_down(cx, len, |machine, now| machine.stream_to_client(now, body))
        );
        Poll::Ready(sealed.map_err(io::Error::other))
    }

    fn open(&mut self, record: Record) -> io::Result<Option<BytesMut>> {
        match open(&self.0, record) {
            Ok(FromClient::Stream(body)) => Ok(Some(body)),
            Ok(FromClient::Nothing) => Ok(None),
            Ok(FromClient::Forward(_)) => Err(io::Error::other("a record for beyond the exit")),
            Err(reason) => {
                self.0.close(reason);
                Err(io::Error::other(reason.to_string()))
            }
        }
    }

    fn poll_after_seal(&mut self) -> Option<Bytes> {
        self.0.poll_reading()
    }
}
