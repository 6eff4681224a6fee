//! Streams that end at this relay: HTTP/2 `CONNECT` on one side, TCP on the other.

use super::Shared;
use super::cell::Cell;
use super::pump::ExitCodec;
use crate::h2 as streams;
use crate::lane::LaneIo;
use bytes::{BufMut, Bytes, BytesMut};
use coinfuse_circuit::CloseReason;
use coinfuse_delivery::{ExitCircuit, ExitFailure, FAILURE_HEADER, Target};
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use http::{Method, Request, Response, StatusCode};
use std::io;
use std::sync::Arc;
use streams::{Receiver, Sender};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::task::JoinSet;

/// How much is read from a target at once: a full frame.
const READ: usize = streams::MAX_FRAME as usize;

/// Serves the streams of a circuit until it is over.
pub(super) async fn serve(cell: &Arc<Cell>, io: LaneIo<ExitCodec>) -> Result<(), CloseReason> {
    let relay = &cell.relay;
    let Some(exit) = &relay.exit else {
        return Err(CloseReason::Protocol);
    };
    let circuit = exit.circuit();
    let mut connection = server::Builder::new()
        .initial_window_size(streams::STREAM_WINDOW)
        .initial_connection_window_size(streams::CONNECTION_WINDOW)
        .max_frame_size(streams::MAX_FRAME)
        .max_send_buffer_size(streams::SEND_BUFFER)
        .max_concurrent_streams(relay.limits.max_streams)
        .max_header_list_size(streams::MAX_HEADERS)
        .handshake::<_, Bytes>(io)
        .await
        .map_err(|_| CloseReason::Protocol)?;
    // They end with the circuit.
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            request = connection.accept() => match request {
                Some(Ok((request, respond))) => {
                    let stream = stream(Arc::clone(relay), circuit.clone(), request, respond);
                    tasks.spawn(stream);
                }
                Some(Err(_)) => return Err(CloseReason::Protocol),
                None => return Ok(()),
            },
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn stream(
    relay: Arc<Shared>,
    circuit: ExitCircuit,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let opened = tokio::select! {
        opened = open(&circuit, &request) => opened,
        // The client does not want it any more.
        _ = core::future::poll_fn(|cx| respond.poll_reset(cx)) => return,
    };
    relay.stats.stream(opened.is_ok());
    match opened {
        Ok(stream) => {
            let Ok(send) = respond.send_response(Response::new(()), false) else {
                return;
            };
            let (mut tcp, _slot) = stream.into_parts();
            let (read, write) = tcp.split();
            let mut sender = Sender(send);
            let carried = tokio::try_join!(
                down(read, &mut sender),
                up(Receiver::new(request.into_body()), write),
            );
            if carried.is_err() {
                sender.0.send_reset(Reason::CONNECT_ERROR);
            }
        }
        Err(failure) => refuse(&mut respond, failure),
    }
}

async fn open(
    circuit: &ExitCircuit,
    request: &Request<RecvStream>,
) -> Result<coinfuse_delivery::ExitStream, ExitFailure> {
    if request.method() != Method::CONNECT {
        return Err(ExitFailure::BadTarget);
    }
    let authority = request.uri().authority().ok_or(ExitFailure::BadTarget)?;
    let target: Target = authority
        .as_str()
        .parse()
        .map_err(|_| ExitFailure::BadTarget)?;
    circuit.connect(&target).await
}

fn refuse(respond: &mut SendResponse<Bytes>, failure: ExitFailure) {
    let status =
        StatusCode::from_u16(failure.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let response = Response::builder()
        .status(status)
        .header(FAILURE_HEADER, failure.token());
    if let Ok(response) = response.body(()) {
        let _gone = respond.send_response(response, true);
    }
}

/// From the target to the client: no more is read than the windows let through.
async fn down(mut from: ReadHalf<'_>, to: &mut Sender) -> io::Result<()> {
    loop {
        let room = to.room(READ).await?;
        // A stream that waits for its target holds no buffer.
        from.readable().await?;
        let mut buf = BytesMut::with_capacity(room);
        if from.read_buf(&mut (&mut buf).limit(room)).await? == 0 {
            return to.send(Bytes::new(), true);
        }
        to.send(buf.freeze(), false)?;
    }
}

/// From the client to the target.
async fn up(mut from: Receiver, mut to: WriteHalf<'_>) -> io::Result<()> {
    loop {
        let data = from.bytes().await?;
        if data.is_empty() {
            return to.shutdown().await;
        }
        let written = to.write(data).await?;
        from.consume(written);
    }
}
