//! An open circuit at its client: its tasks, and the streams on it.

use super::cell::Cell;
use super::memory::Memory;
use super::payer::Payer;
use super::stream::Stream;
use super::{ClientError, HopReport};
use crate::h2 as streams;
use crate::lane::{DataCodec, LaneIo, LaneReader};
use crate::link::LinkLease;
use bytes::{Bytes, BytesMut};
use coinfuse_circuit::{AccountToken, Record};
use coinfuse_delivery::{ExitFailure, FAILURE_HEADER, Target};
use coinfuse_directory::Path;
use coinfuse_wire::{ByteCount, HopIndex, RelayId};
use core::task::{Context, Poll};
use core::time::Duration;
use h2::client::{self, SendRequest};
use h2::{Ping, PingPong, Reason, RecvStream};
use http::{Method, Request, StatusCode};
use quinn::SendStream;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::{Instant, sleep};

/// A circuit that streams can be opened on.
pub(crate) struct OpenCircuit {
    cell: Arc<Cell>,
    pub(super) path: Path,
    payer: Arc<Payer>,
    memory: Arc<Memory>,
    /// The accounts at the hops, in order.
    tokens: Vec<AccountToken>,
    requests: SendRequest<Bytes>,
    last_used: Mutex<Instant>,
    /// Streams that are open or being opened.
    streams: AtomicUsize,
    pub(super) built_in: Duration,
    /// What each hop had carried when it was asked last.
    counted: Mutex<Vec<ByteCount>>,
    /// Keeps the link to the first hop.
    _link: LinkLease,
}

/// What is needed to make one.
pub(super) struct Parts {
    pub(super) cell: Arc<Cell>,
    pub(super) path: Path,
    pub(super) payer: Arc<Payer>,
    pub(super) memory: Arc<Memory>,
    pub(super) tokens: Vec<AccountToken>,
    pub(super) link: LinkLease,
    pub(super) data: (SendStream, LaneReader),
    pub(super) built_in: Duration,
    /// How long the last hop may be silent.
    pub(super) patience: Duration,
}

impl OpenCircuit {
    /// Starts HTTP/2 with the last hop. It takes no round trip.
    pub(super) async fn start(parts: Parts) -> Result<Self, ClientError> {
        let (send, reader) = parts.data;
        let codec = ClientCodec(Arc::clone(&parts.cell));
        let io = LaneIo::new(codec, reader, send, BytesMut::new());
        let (requests, mut connection) = client::Builder::new()
            .initial_window_size(streams::STREAM_WINDOW)
            .initial_connection_window_size(streams::CONNECTION_WINDOW)
            .max_frame_size(streams::MAX_FRAME)
            .max_send_buffer_size(streams::SEND_BUFFER)
            .max_header_list_size(streams::MAX_HEADERS)
            .enable_push(false)
            .handshake::<_, Bytes>(io)
            .await
            .map_err(|_| ClientError::CircuitLost)?;
        let cell = Arc::clone(&parts.cell);
        let (ping, patience) = (connection.ping_pong(), parts.patience);
        tokio::spawn(async move {
            tokio::select! {
                _ended = connection => {}
                () = cell.over.cancelled() => {}
                () = until_stalled(&cell, ping, patience) => cell.give_up(),
            }
            cell.over.cancel();
        });
        Ok(Self {
            cell: parts.cell,
            path: parts.path,
            payer: parts.payer,
            memory: parts.memory,
            counted: Mutex::new(vec![ByteCount::ZERO; parts.tokens.len()]),
            tokens: parts.tokens,
            requests,
            last_used: Mutex::new(now()),
            streams: AtomicUsize::new(0),
            built_in: parts.built_in,
            _link: parts.link,
        })
    }

    /// True until the circuit ends, or is to.
    pub(super) fn is_open(&self) -> bool {
        self.cell.is_open()
    }

    pub(super) fn close(&self) {
        self.cell.leave();
    }

    /// It carries no streams any more; the hops are to say why.
    pub(super) fn lost(&self) {
        self.cell.over.cancel();
    }

    /// The relays, in order.
    pub(super) fn relays(&self) -> Vec<RelayId> {
        self.path.hops().iter().map(|hop| hop.relay).collect()
    }

    /// How long nothing was opened on it.
    pub(super) fn unused_for(&self) -> Duration {
        self.last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }

    /// Opens a stream to a target.
    async fn open(
        &self,
        target: &Target,
    ) -> Result<(h2::SendStream<Bytes>, RecvStream), OpenError> {
        *self
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = now();
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(target.authority())
            .body(())
            .map_err(|_| OpenError::Exit(ExitFailure::BadTarget))?;
        let mut requests = self
            .requests
            .clone()
            .ready()
            .await
            .map_err(|_| OpenError::Lost)?;
        let (response, send) = requests
            .send_request(request, false)
            .map_err(|_| OpenError::Lost)?;
        let response = response.await.map_err(|error| OpenError::of(&error))?;
        if response.status() != StatusCode::OK {
            let token = response
                .headers()
                .get(FAILURE_HEADER)
                .and_then(|t| t.to_str().ok());
            let failure = ExitFailure::from_response(response.status().as_u16(), token);
            return Err(OpenError::Exit(failure));
        }
        Ok((send, response.into_body()))
    }

    /// What each hop carried and was paid.
    pub(super) fn report(&self) -> Vec<HopReport> {
        let hops = self.path.hops().iter().enumerate();
        hops.filter_map(|(index, relay)| {
            let credit = self.cell.credit(HopIndex::new(index)?)?;
            let account = self.tokens.get(index)?;
            let channels = self.payer.channels().map(|channels| channels.hop(account));
            let channels = channels.unwrap_or_default();
            let seen = self.memory.of(&relay.relay);
            Some(HopReport::new(relay.relay, &credit, channels, seen))
        })
        .collect()
    }

    /// What each hop carried since this was asked last, in both directions.
    pub(super) fn carried(&self) -> Vec<(RelayId, ByteCount)> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let hops = self.path.hops().iter().zip(counted.iter_mut()).enumerate();
        hops.filter_map(|(index, (relay, before))| {
            let reading = self.cell.credit(HopIndex::new(index)?)?.reading();
            let all = reading.up.saturating_add(reading.down);
            let more = all.saturating_sub(core::mem::replace(before, all));
            Some((relay.relay, more))
        })
        .collect()
    }
}

impl Drop for OpenCircuit {
    fn drop(&mut self) {
        self.cell.leave();
    }
}

/// One stream's place among those that the exit lets a circuit have. It keeps the circuit.
pub(super) struct Place(Arc<OpenCircuit>);

impl Place {
    /// `None` if all are taken: one stream more would wait until another one ends.
    pub(super) fn take(circuit: &Arc<OpenCircuit>) -> Option<Self> {
        let most = circuit.requests.current_max_send_streams();
        let more = |taken| (taken < most).then_some(taken + 1);
        circuit.streams.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Self(Arc::clone(circuit)))
    }

    pub(super) fn circuit(&self) -> &Arc<OpenCircuit> {
        &self.0
    }

    /// Opens a stream to a target, which keeps the place.
    pub(super) async fn open(self, target: &Target) -> Result<Stream, OpenError> {
        let (send, recv) = self.0.open(target).await?;
        Ok(Stream::new(send, recv, self))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Relaxed);
    }
}

/// Why a stream did not open on this circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenError {
    /// The exit says so.
    Exit(ExitFailure),
    /// The circuit is over.
    Lost,
}

impl OpenError {
    /// An exit that resets a stream says nothing about the others on the circuit.
    fn of(error: &h2::Error) -> Self {
        match error.reason() {
            Some(Reason::REFUSED_STREAM) => Self::Exit(ExitFailure::CircuitLimit),
            Some(_) if error.is_reset() => Self::Exit(ExitFailure::Internal),
            _ => Self::Lost,
        }
    }
}

/// Comes back when a circuit that is paid carries nothing: when the last hop has not said anything
/// for `patience`, not even when it was asked halfway whether it is there.
async fn until_stalled(cell: &Cell, ping: Option<PingPong>, patience: Duration) {
    let Some(mut ping) = ping else {
        return core::future::pending().await;
    };
    let step = patience / 8;
    loop {
        sleep(step).await;
        if cell.unanswered_for() < patience / 2 {
            continue;
        }
        let pong = ping.ping(Ping::opaque());
        tokio::pin!(pong);
        loop {
            tokio::select! {
                pong = &mut pong => match pong {
                    Ok(_) => break,
                    // The connection ends by itself.
                    Err(_) => return core::future::pending().await,
                },
                () = sleep(step) => if cell.unanswered_for() >= patience {
                    return;
                }
            }
        }
    }
}

fn now() -> Instant {
    #[allow(
        clippy::disallowed_methods,
        reason = "the runtime layer tells the time"
    )]
    Instant::now()
}

/// The data lane's codec at the client.
struct ClientCodec(Arc<Cell>);

impl DataCodec for ClientCodec {
    fn poll_seal(&mut self, cx: &mut Context<'_>, body: &[&[u8]]) -> Poll<io::Result<Bytes>> {
        self.0.poll_seal(cx, body).map(Ok)
    }

    fn open(&mut self, record: Record) -> io::Result<Option<BytesMut>> {
        self.0.open(record).map_err(|error| {
            tracing::warn!(%error, "a circuit is given up");
            io::Error::other(error)
        })
    }

    fn poll_after_seal(&mut self) -> Option<Bytes> {
        self.0.poll_reading()
    }
}
