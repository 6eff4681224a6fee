//! An open circuit at its client: its tasks, and the streams on it.

use super::cell::Cell;
use super::payer::{HopAccount, Payer, refusals};
use super::stream::Stream;
use super::{ClientError, HopReport};
use crate::h2 as streams;
use crate::lane::{DataCodec, LaneIo, LaneReader, write};
use crate::link::LinkLease;
use bytes::{Bytes, BytesMut};
use coinfuse_circuit::{ClientEvent, ClientOutput, CloseReason, Direction, PayResult, Record};
use coinfuse_delivery::{ExitFailure, FAILURE_HEADER, Target};
use coinfuse_directory::Path;
use coinfuse_wire::{HopIndex, Msat};
use core::task::{Context, Poll};
use core::time::Duration;
use h2::client::{self, SendRequest};
use h2::{Reason, RecvStream};
use http::{Method, Request, StatusCode};
use quinn::SendStream;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::{Instant, sleep, timeout};

/// How long a pool that could not be filled waits before it asks again.
const DECLINE_FOR: Duration = Duration::from_secs(1);
/// How long a last word may take to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// A circuit that streams can be opened on.
pub(crate) struct OpenCircuit {
    cell: Arc<Cell>,
    pub(super) path: Path,
    requests: SendRequest<Bytes>,
    last_used: Mutex<Instant>,
    /// Streams that are open or being opened.
    streams: AtomicUsize,
    pub(super) built_in: Duration,
    /// Keeps the link to the first hop.
    _link: LinkLease,
}

/// What is needed to make one.
pub(super) struct Parts {
    pub(super) cell: Arc<Cell>,
    pub(super) path: Path,
    pub(super) link: LinkLease,
    pub(super) data: (SendStream, LaneReader),
    pub(super) built_in: Duration,
}

impl OpenCircuit {
    /// Starts HTTP/2 with the last hop. It takes no round trip.
    pub(super) async fn start(parts: Parts) -> Result<Self, ClientError> {
        let (send, reader) = parts.data;
        let codec = ClientCodec(Arc::clone(&parts.cell));
        let io = LaneIo::new(codec, reader, send, BytesMut::new());
        let (requests, connection) = client::Builder::new()
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
        tokio::spawn(async move {
            tokio::select! {
                _ended = connection => {}
                () = cell.over.cancelled() => {}
            }
            cell.over.cancel();
        });
        Ok(Self {
            cell: parts.cell,
            path: parts.path,
            requests,
            last_used: Mutex::new(now()),
            streams: AtomicUsize::new(0),
            built_in: parts.built_in,
            _link: parts.link,
        })
    }

    /// True until the circuit is over.
    pub(super) fn is_open(&self) -> bool {
        !self.cell.over.is_cancelled()
    }

    pub(super) fn close(&self) {
        self.cell.over.cancel();
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
            Some(HopReport::new(relay.relay, &credit))
        })
        .collect()
    }
}

impl Drop for OpenCircuit {
    fn drop(&mut self) {
        self.cell.over.cancel();
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

fn now() -> Instant {
    #[allow(
        clippy::disallowed_methods,
        reason = "the runtime layer tells the time"
    )]
    Instant::now()
}

/// The control task: sends what the machine says, hears what the hops say, pays.
pub(super) struct Control {
    pub(super) cell: Arc<Cell>,
    pub(super) payer: Arc<Payer>,
    pub(super) accounts: Vec<HopAccount>,
    pub(super) send: SendStream,
    pub(super) reader: LaneReader,
}

impl Control {
    /// Runs until all sessions stand.
    pub(super) async fn until_ready(&mut self) -> Result<(), ClientError> {
        while !self.cell.lock().machine.is_ready() {
            self.drain().await?;
            let record = self
                .reader
                .next()
                .await
                .map_err(|_| ClientError::CircuitLost)?;
            self.hear(record.ok_or(ClientError::CircuitLost)?)?;
        }
        self.drain().await
    }

    /// Runs until the circuit is over.
    pub(super) async fn run(mut self) {
        let over = self.cell.over.clone();
        loop {
            let step = tokio::select! {
                biased;
                () = over.cancelled() => break,
                () = self.cell.outputs() => Ok(()),
                record = self.reader.next() => match record {
                    Ok(Some(record)) => self.hear(record),
                    _ => Err(ClientError::CircuitLost),
                },
            };
            let step = match step {
                Ok(()) => self.drain().await,
                Err(error) => Err(error),
            };
            if let Err(error) = step {
                tracing::info!(%error, "a circuit ended");
                break;
            }
        }
        over.cancel();
        self.release_accounts();
        self.payer.remember().await;
        self.say_farewell().await;
    }

    /// What is left on the accounts is there for the next circuit.
    fn release_accounts(&self) {
        for (index, account) in self.accounts.iter().enumerate() {
            let credit = HopIndex::new(index).and_then(|hop| self.cell.credit(hop));
            self.payer
                .release(account, credit.map(|credit| credit.left()));
        }
    }

    fn hear(&self, record: Record) -> Result<(), ClientError> {
        let (now, unix) = (self.cell.clock().now(), self.cell.clock().unix());
        Ok(self
            .cell
            .with(|state| state.machine.control(now, unix, record))?)
    }

    async fn drain(&mut self) -> Result<(), ClientError> {
        while let Some(output) = self.cell.next_output() {
            match output {
                ClientOutput::Transmit(bytes) => {
                    write(&mut self.send, bytes)
                        .await
                        .map_err(|_| ClientError::CircuitLost)?;
                }
                ClientOutput::Event(event) => self.handle(event)?,
            }
        }
        Ok(())
    }

    fn handle(&self, event: ClientEvent) -> Result<(), ClientError> {
        match event {
            ClientEvent::HopReady { hop, welcome } => {
                if let Some(result) = welcome.result {
                    self.check_first(hop, result)?;
                }
            }
            ClientEvent::Ready => {}
            ClientEvent::Paid { hop, result } => self.settle(hop, result)?,
            ClientEvent::TopUp {
                hop,
                direction,
                amount,
            } => self.top_up(hop, direction, amount),
            ClientEvent::Paused { hop } => tracing::debug!(%hop, "paused until it is paid"),
            ClientEvent::Closed { hop, reason } => return Err(ClientError::Closed(hop, reason)),
        }
        Ok(())
    }

    /// A welcome says what of a first payment was refused; what was not is not durable yet.
    fn check_first(&self, hop: HopIndex, result: PayResult) -> Result<(), ClientError> {
        let refused = self.check(hop, &result);
        if refused.is_err()
            && let Some(purchase) = self.cell.lock().answered(hop, &result)
        {
            let payer = Arc::clone(&self.payer);
            tokio::spawn(async move { payer.note_refusals(&purchase, &result).await });
        }
        refused
    }

    fn settle(&self, hop: HopIndex, result: PayResult) -> Result<(), ClientError> {
        let refused = self.check(hop, &result);
        if let Some(purchase) = self.cell.lock().answered(hop, &result) {
            let payer = Arc::clone(&self.payer);
            tokio::spawn(async move { payer.settle(purchase, &result).await });
        }
        refused
    }

    /// A hop that refuses a voucher is given no other one: it could go on until the purse is empty.
    fn check(&self, hop: HopIndex, result: &PayResult) -> Result<(), ClientError> {
        let Some(reason) = refusals(result).next() else {
            return Ok(());
        };
        if let Some(account) = self.accounts.get(hop.get()) {
            self.payer.avoid(account, reason, self.cell.clock().now());
        }
        Err(ClientError::PaymentRefused { hop, reason })
    }

    /// Buys and pays beside the circuit.
    fn top_up(&self, hop: HopIndex, direction: Direction, amount: Msat) {
        let Some(account) = self.accounts.get(hop.get()).cloned() else {
            return;
        };
        let (cell, payer) = (Arc::clone(&self.cell), Arc::clone(&self.payer));
        tokio::spawn(async move {
            let unix = cell.clock().unix();
            let bought = payer.top_up(unix, &account, amount).await;
            match bought.map(|purchase| purchase.offer().map(|offer| (purchase, offer))) {
                Ok(Some((purchase, offer))) => cell.pay(hop, purchase, direction, offer),
                Ok(None) => cell.decline(hop, direction),
                Err(error) => {
                    tracing::warn!(%error, %hop, "a hop could not be paid; trying again");
                    sleep(DECLINE_FOR).await;
                    payer.recover(&error).await;
                    cell.decline(hop, direction);
                }
            }
        });
    }

    async fn say_farewell(&mut self) {
        let now = self.cell.clock().now();
        self.cell.lock().machine.close(now, CloseReason::Done);
        let words = async {
            while let Some(output) = self.cell.next_output() {
                if let ClientOutput::Transmit(bytes) = output {
                    write(&mut self.send, bytes).await?;
                }
            }
            let _already_closed = self.send.finish();
            Ok::<_, crate::lane::LaneError>(())
        };
        let _deaf = timeout(FAREWELL, words).await;
    }
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
