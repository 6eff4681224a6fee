//! An open circuit at its client: its tasks, and the streams on it.

use super::cell::Cell;
use super::channels::ChannelPayment;
use super::payer::{HopAccount, Payer, Purchase, refusals};
use super::stream::Stream;
use super::teller::Teller;
use super::{ClientError, HopReport};
use crate::h2 as streams;
use crate::lane::{DataCodec, LaneIo, LaneReader, write};
use crate::link::LinkLease;
use bytes::{Bytes, BytesMut};
use coinfuse_circuit::{AccountToken, ClientEvent, ClientOutput, CloseReason, PayResult, Record};
use coinfuse_delivery::{ExitFailure, FAILURE_HEADER, Target};
use coinfuse_directory::Path;
use coinfuse_wire::HopIndex;
use core::task::{Context, Poll};
use core::time::Duration;
use h2::client::{self, SendRequest};
use h2::{Reason, RecvStream};
use http::{Method, Request, StatusCode};
use quinn::SendStream;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::{Instant, timeout};

/// How long the hops may take to answer the last payments, and a last word to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// A circuit that streams can be opened on.
pub(crate) struct OpenCircuit {
    cell: Arc<Cell>,
    pub(super) path: Path,
    payer: Arc<Payer>,
    /// The accounts at the hops, in order.
    tokens: Vec<AccountToken>,
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
    pub(super) payer: Arc<Payer>,
    pub(super) tokens: Vec<AccountToken>,
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
            payer: parts.payer,
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
        self.cell.leaving.cancel();
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
            Some(HopReport::new(relay.relay, &credit, channels))
        })
        .collect()
    }
}

impl Drop for OpenCircuit {
    fn drop(&mut self) {
        self.cell.leaving.cancel();
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
        let orderly = self.serve().await;
        let words = self.leave_channels(orderly).await;
        if !words.is_empty() {
            let _some_are_deaf = timeout(FAREWELL, self.take_leave(words)).await;
        }
        self.cell.over.cancel();
        self.cell.desert();
        self.release_accounts();
        self.payer.remember().await;
        self.say_farewell().await;
    }

    /// True when the circuit is to end, false when it has.
    async fn serve(&mut self) -> bool {
        let (leaving, over) = (self.cell.leaving.clone(), self.cell.over.clone());
        loop {
            let step = tokio::select! {
                biased;
                () = over.cancelled() => return false,
                () = leaving.cancelled() => return true,
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
                over.cancel();
                return false;
            }
        }
    }

    /// The channels' last words, hop by hop.
    async fn leave_channels(&self, orderly: bool) -> Vec<(HopIndex, ChannelPayment)> {
        let mut words = Vec::new();
        let Some(channels) = self.payer.channels() else {
            return words;
        };
        for (index, account) in self.accounts.iter().enumerate() {
            let payments = channels.leave(account, orderly).await;
            if let Some(hop) = HopIndex::new(index) {
                words.extend(payments.into_iter().map(|payment| (hop, payment)));
            }
        }
        words
    }

    /// Sends the last words while the circuit stands, and hears what the hops say to them.
    async fn take_leave(&mut self, words: Vec<(HopIndex, ChannelPayment)>) {
        for (hop, payment) in words {
            let offer = payment.offer();
            self.cell.pay(hop, Purchase::Channel(payment), offer, None);
        }
        loop {
            while let Some(output) = self.cell.next_output() {
                let sent = match output {
                    ClientOutput::Transmit(bytes) => write(&mut self.send, bytes).await.is_ok(),
                    ClientOutput::Event(ClientEvent::Paid { hop, result }) => {
                        self.settle(hop, result).is_ok()
                    }
                    ClientOutput::Event(_) => true,
                };
                if !sent {
                    return;
                }
            }
            if !self.cell.awaits_answers() {
                return;
            }
            let Ok(Some(record)) = self.reader.next().await else {
                return;
            };
            if self.hear(record).is_err() {
                return;
            }
        }
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
            ClientEvent::Ready => self.tellers().for_each(Teller::attend_soon),
            ClientEvent::Paid { hop, result } => self.settle(hop, result)?,
            ClientEvent::TopUp {
                hop,
                direction,
                amount,
            } => {
                if let Some(teller) = self.teller(hop) {
                    teller.top_up(direction, amount);
                }
            }
            ClientEvent::Paused { hop } => tracing::debug!(%hop, "paused until it is paid"),
            ClientEvent::Closed { hop, reason } => return Err(ClientError::Closed(hop, reason)),
        }
        Ok(())
    }

    /// A welcome says what of a first payment was refused; what was not is not durable yet.
    fn check_first(&self, hop: HopIndex, result: PayResult) -> Result<(), ClientError> {
        let refused = self.check(hop, &result);
        if refused.is_err()
            && let Some(Purchase::Vouchers(vouchers)) = self.cell.lock().answered(hop, &result)
        {
            let payer = Arc::clone(&self.payer);
            tokio::spawn(async move { payer.note_refusals(&vouchers, &result).await });
        }
        refused
    }

    fn settle(&self, hop: HopIndex, result: PayResult) -> Result<(), ClientError> {
        let purchase = self.cell.lock().answered(hop, &result);
        match purchase {
            Some(Purchase::Channel(payment)) => {
                if let Some(teller) = self.teller(hop) {
                    teller.answered(payment, result);
                }
                Ok(())
            }
            Some(Purchase::Vouchers(vouchers)) => {
                let refused = self.check(hop, &result);
                let payer = Arc::clone(&self.payer);
                tokio::spawn(async move { payer.settle(vouchers, &result).await });
                refused
            }
            None => self.check(hop, &result),
        }
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

    fn teller(&self, hop: HopIndex) -> Option<Teller> {
        Some(Teller {
            cell: Arc::clone(&self.cell),
            payer: Arc::clone(&self.payer),
            account: self.accounts.get(hop.get())?.clone(),
            hop,
        })
    }

    fn tellers(&self) -> impl Iterator<Item = Teller> {
        let hops = (0..self.accounts.len()).filter_map(HopIndex::new);
        hops.filter_map(|hop| self.teller(hop))
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
