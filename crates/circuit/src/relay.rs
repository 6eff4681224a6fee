//! A circuit at a relay.
//!
//! ```text
//! IncomingCircuit::read        the handshake is read: who pays, and with what
//!       .welcome               what the account holds, the price; the session stands
//! RelayCircuit                 records go through; messages become events
//! ```

use crate::cipher::RekeyPolicy;
use crate::control::{NextHop, Offer, PayResult, PaymentNumber, Reading, ToClient, ToRelay};
use crate::credit::{self, Credit, MeterMismatch, OutOfCredit};
use crate::handshake::{Hello, Welcome};
use crate::lane::{CloseReason, CreateRefusal, ExtendRefusal};
use crate::record::{self, Kind, Opened, Record, RecordError, Sealing};
use crate::session::{Responder, Session, SessionError};
use crate::{Limits, MAX_BODY, OnionSecret, Seed, Suite};
use bytes::{Bytes, BytesMut};
use coinfuse_wire::{ByteCount, Decode, DecodeError, Encode, Instant, Msat, RelayId, TokenBucket};
use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;
use thiserror::Error;

/// A circuit whose handshake was read and not yet answered.
#[derive(Debug)]
pub struct IncomingCircuit {
    responder: Responder,
    hello: Hello,
}

impl IncomingCircuit {
    /// Reads a client's handshake. `suite` is the number in the lane's header.
    pub fn read(
        relay: &RelayId,
        key: &OnionSecret,
        suite: u8,
        handshake: &[u8],
        seed: &Seed,
    ) -> Result<Self, CreateRefusal> {
        let suite = Suite::from_code(suite).ok_or(CreateRefusal::UnknownSuite)?;
        let (responder, payload) = Responder::read(suite, relay, key, handshake, seed)
            .map_err(|_| CreateRefusal::NotAuthentic)?;
        let hello = Hello::from_bytes(&payload).map_err(|_| CreateRefusal::Malformed)?;
        Ok(Self { responder, hello })
    }

    /// Which account pays, and the first payment.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Answers. The credit of the circuit is what `welcome` says: balance and provisional.
    pub fn welcome(
        self,
        welcome: &Welcome,
        limits: Limits,
        now: Instant,
    ) -> Result<(RelayCircuit, Vec<u8>), SessionError> {
        let (session, answer) = self.responder.answer(&welcome.to_bytes(), now)?;
        let mut credit = Credit::new(welcome.quote.price);
        credit.add(
            welcome.balance.saturating_add(welcome.provisional),
            self.hello.upstream,
        );
        Ok((RelayCircuit::new(session, credit, limits, now), answer))
    }
}

/// What a machine wants done; `Transmit`s go out in the order they come.
#[derive(Debug)]
pub enum RelayOutput {
    /// Put these bytes on the control lane towards the client.
    ToClient(Bytes),
    /// Put these bytes on the control lane towards the next hop.
    ToNext(Bytes),
    /// Tell the driver.
    Event(RelayEvent),
}

/// What the driver has to see to.
#[derive(Debug)]
pub enum RelayEvent {
    /// Make a link to `next`, open a control lane with this handshake, and answer with
    /// [`RelayCircuit::extended`] or [`RelayCircuit::extend_failed`].
    Extend {
        /// Where to.
        next: NextHop,
        /// The suite for the lane's header.
        suite: Suite,
        /// The handshake.
        handshake: Vec<u8>,
    },
    /// Check this payment; then [`RelayCircuit::add_credit`] as soon as it may be served, and
    /// [`RelayCircuit::pay_result`] when it is on disk.
    Pay {
        /// Which payment.
        number: PaymentNumber,
        /// The share of the upstream pool, to be handed back to `add_credit`.
        upstream: Msat,
        /// The payment.
        offer: Offer,
    },
    /// The circuit is over: the client closed it, or what is beyond the next hop floods it with
    /// free records ([`CloseReason::Protocol`]).
    Closed(CloseReason),
}

/// What a record from the client turned out to be.
pub enum FromClient {
    /// Put it on the data lane towards the next hop.
    Forward(Record),
    /// Bytes for the stream's end at this hop.
    Stream(BytesMut),
    /// Nothing to carry.
    Nothing,
}

/// What a stream carries is nobody's to print.
impl fmt::Debug for FromClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward(_) => "Forward([scrubbed])",
            Self::Stream(_) => "Stream([scrubbed])",
            Self::Nothing => "Nothing",
        })
    }
}

/// Why a circuit must be closed. The client is at fault, unless it is said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RelayCircuitError {
    /// A record could not be opened.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A message could not be read.
    #[error("a control message does not parse: {0}")]
    Message(#[from] DecodeError),
    /// The client sent more than it paid for.
    #[error("overrun: {0}")]
    Overrun(#[from] OutOfCredit),
    /// Client and relay count differently.
    #[error(transparent)]
    Meter(#[from] MeterMismatch),
    /// Free records came faster than the limit allows.
    #[error("too many control records")]
    Flood,
    /// A record for a next hop, and there is none.
    #[error("a record for the next hop, and there is none")]
    NoNextHop,
    /// A record kind that this lane does not carry.
    #[error("a record of a kind that this lane does not carry")]
    WrongLane,
}

impl RelayCircuitError {
    /// What to tell the client.
    pub fn close_reason(&self) -> CloseReason {
        match self {
            Self::Overrun(_) => CloseReason::Overrun,
            Self::Meter(_) => CloseReason::MeterMismatch,
            _ => CloseReason::Protocol,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    None,
    Extending,
    Open,
}

/// A circuit at a relay: one session with a client, and perhaps a next hop.
#[derive(Debug)]
pub struct RelayCircuit {
    session: Session,
    credit: Credit,
    next: Next,
    limits: Limits,
    policy: RekeyPolicy,
    free_records: TokenBucket,
    free_records_down: TokenBucket,
    paused: bool,
    /// Downstream bytes at which the next reading is said.
    next_reading: ByteCount,
    last_activity: Instant,
    outputs: VecDeque<RelayOutput>,
}

impl RelayCircuit {
    fn new(session: Session, credit: Credit, limits: Limits, now: Instant) -> Self {
        Self {
            session,
            credit,
            next: Next::None,
            policy: limits.rekey,
            free_records: TokenBucket::new(limits.control_burst, limits.control_interval),
            free_records_down: TokenBucket::new(limits.control_burst, limits.control_interval),
            next_reading: limits.reading_every,
            limits,
            paused: false,
            last_activity: now,
            outputs: VecDeque::new(),
        }
    }

    /// What is paid and carried.
    pub fn credit(&self) -> &Credit {
        &self.credit
    }

    /// What to do next. Call until `None` after every input.
    pub fn poll_output(&mut self) -> Option<RelayOutput> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Instant {
        self.last_activity + self.limits.idle
    }

    /// Whether the circuit is idle for too long, and must be closed.
    pub fn handle_timeout(&self, now: Instant) -> Option<CloseReason> {
        (now >= self.poll_timeout()).then_some(CloseReason::Idle)
    }

    /// A record came on the control lane from the client.
    pub fn control_from_client(
        &mut self,
        now: Instant,
        record: Record,
    ) -> Result<(), RelayCircuitError> {
        self.last_activity = now;
        self.take_free(now)?;
        match record.open(&mut self.session.control.open, now)? {
            Opened::Forward(record) => {
                self.check_next()?;
                self.outputs
                    .push_back(RelayOutput::ToNext(record.into_wire()));
            }
            Opened::Control(body) => {
                let message = ToRelay::from_bytes(&body)?;
                self.handle_message(now, message)?;
            }
            Opened::Padding => {}
            Opened::Stream(_) => return Err(RelayCircuitError::WrongLane),
        }
        Ok(())
    }

    /// A record came on the control lane from the next hop. It is free, so there is the same limit
    /// as for the client's: beyond it the record is dropped and the circuit is over, as an event.
    pub fn control_from_next(&mut self, now: Instant, record: Record) {
        if !self.free_records_down.take(now) {
            return self.event(RelayEvent::Closed(CloseReason::Protocol));
        }
        let wire = record.wrap(&mut self.session.control.sealing(&self.policy, now));
        self.outputs.push_back(RelayOutput::ToClient(wire));
    }

    /// A record came on the data lane from the client.
    pub fn data_from_client(
        &mut self,
        now: Instant,
        record: Record,
    ) -> Result<FromClient, RelayCircuitError> {
        self.last_activity = now;
        let len = ByteCount::new(record.ciphertext_len() as u64);
        match record.open(&mut self.session.data.open, now)? {
            Opened::Forward(record) => {
                self.check_next()?;
                self.credit.up.carry(len)?;
                Ok(FromClient::Forward(record))
            }
            Opened::Stream(body) => {
                self.credit.up.carry(len)?;
                Ok(FromClient::Stream(body))
            }
            Opened::Control(body) => {
                self.take_free(now)?;
                match ToRelay::from_bytes(&body)? {
                    ToRelay::Meter(theirs) => {
                        credit::check_at_relay(self.credit.reading(), theirs)?;
                        Ok(FromClient::Nothing)
                    }
                    _ => Err(RelayCircuitError::WrongLane),
                }
            }
            Opened::Padding => {
                self.take_free(now)?;
                Ok(FromClient::Nothing)
            }
        }
    }

    /// Whether the next downstream record of at most `bytes` is paid for. If not, hold data back
    /// until [`add_credit`](Self::add_credit); the client is told once.
    pub fn may_send_down(&mut self, now: Instant, bytes: ByteCount) -> bool {
        if self.credit.down.check(bytes).is_ok() {
            self.paused = false;
            return true;
        }
        if !self.paused {
            self.paused = true;
            self.tell(now, &ToClient::Paused);
        }
        false
    }

    /// True while downstream data is held back.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// How long a record from the next hop will be on the lane to the client.
    pub fn wrapped_len(record: &Record) -> ByteCount {
        ByteCount::new((record.ciphertext_len() + 1 + crate::cipher::TAG_LEN) as u64)
    }

    /// A record came on the data lane from the next hop: the bytes for the data lane to the client.
    /// Ask [`may_send_down`](Self::may_send_down) first.
    pub fn data_from_next(&mut self, now: Instant, record: Record) -> Result<Bytes, OutOfCredit> {
        self.last_activity = now;
        self.credit.down.carry(Self::wrapped_len(&record))?;
        Ok(record.wrap(&mut self.session.data.sealing(&self.policy, now)))
    }

    /// How long the record for `body` bytes of the stream will be on the lane to the client.
    pub fn stream_len(body: usize) -> ByteCount {
        ByteCount::new(record::ciphertext_len(body.min(MAX_BODY), 1) as u64)
    }

    /// Bytes from the stream's end at this hop, in parts, at most [`MAX_BODY`] together: the bytes
    /// for the data lane to the client. Ask [`may_send_down`](Self::may_send_down) first.
    ///
    /// # Panics
    ///
    /// If there are more.
    pub fn stream_to_client(&mut self, now: Instant, body: &[&[u8]]) -> Result<Bytes, OutOfCredit> {
        self.last_activity = now;
        self.credit
            .down
            .carry(Self::stream_len(record::body_len(body)))?;
        Ok(self.seal_data(Kind::Stream, body, now))
    }

    /// A reading for the data lane, when one is due: it goes behind what was sent so far.
    pub fn poll_reading(&mut self, now: Instant) -> Option<Bytes> {
        let reading = self.credit.reading();
        if reading.down < self.next_reading {
            return None;
        }
        self.next_reading = reading.down.saturating_add(self.limits.reading_step());
        Some(self.seal_reading(reading, now))
    }

    /// The next hop answered the handshake.
    pub fn extended(&mut self, now: Instant, answer: Vec<u8>) {
        self.next = Next::Open;
        self.tell(now, &ToClient::Extended(answer));
    }

    /// There is no next hop.
    pub fn extend_failed(&mut self, now: Instant, reason: ExtendRefusal) {
        self.next = Next::None;
        self.tell(now, &ToClient::ExtendFailed(reason));
    }

    /// A payment was accepted: its money may be used at once.
    pub fn add_credit(&mut self, amount: Msat, upstream: Msat) {
        self.credit.add(amount, upstream);
    }

    /// A payment is on disk, or refused.
    pub fn pay_result(&mut self, now: Instant, result: PayResult) {
        self.tell(now, &ToClient::PayResult(result));
    }

    /// The circuit is about to be closed from this end.
    pub fn close(&mut self, now: Instant, reason: CloseReason) {
        self.tell(now, &ToClient::Closing(reason));
    }

    fn handle_message(&mut self, now: Instant, message: ToRelay) -> Result<(), RelayCircuitError> {
        match message {
            ToRelay::Extend { .. } if self.next != Next::None => {
                self.tell(now, &ToClient::ExtendFailed(ExtendRefusal::AlreadyExtended));
            }
            ToRelay::Extend {
                next,
                suite,
                handshake,
            } => {
                self.next = Next::Extending;
                self.event(RelayEvent::Extend {
                    next,
                    suite,
                    handshake,
                });
            }
            ToRelay::Pay {
                number,
                upstream,
                offer,
            } => {
                self.event(RelayEvent::Pay {
                    number,
                    upstream,
                    offer,
                });
            }
            ToRelay::Close(reason) => self.event(RelayEvent::Closed(reason)),
            ToRelay::Meter(_) => return Err(RelayCircuitError::WrongLane),
        }
        Ok(())
    }

    fn check_next(&self) -> Result<(), RelayCircuitError> {
        if self.next == Next::Open {
            Ok(())
        } else {
            Err(RelayCircuitError::NoNextHop)
        }
    }

    fn take_free(&mut self, now: Instant) -> Result<(), RelayCircuitError> {
        if self.free_records.take(now) {
            Ok(())
        } else {
            Err(RelayCircuitError::Flood)
        }
    }

    fn event(&mut self, event: RelayEvent) {
        self.outputs.push_back(RelayOutput::Event(event));
    }

    fn tell(&mut self, now: Instant, message: &ToClient) {
        let sealing = self.session.control.sealing(&self.policy, now);
        let wire = record::build(
            Kind::Control,
            &[&message.to_bytes()],
            core::iter::once(sealing),
        );
        self.outputs.push_back(RelayOutput::ToClient(wire));
    }

    fn seal_reading(&mut self, reading: Reading, now: Instant) -> Bytes {
        self.seal_data(Kind::Control, &[&ToClient::Meter(reading).to_bytes()], now)
    }

    fn seal_data(&mut self, kind: Kind, body: &[&[u8]], now: Instant) -> Bytes {
        let sealing = self.session.data.sealing(&self.policy, now);
        record::build(kind, body, core::iter::once(sealing))
    }
}

impl crate::session::Duplex {
    fn sealing<'a>(&'a mut self, policy: &'a RekeyPolicy, now: Instant) -> Sealing<'a> {
        Sealing {
            cipher: &mut self.seal,
            policy,
            now,
        }
    }
}

/// How long a relay keeps an idle circuit by default.
pub(crate) const DEFAULT_IDLE: Duration = Duration::from_secs(600);
