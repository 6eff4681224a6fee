//! A circuit at its client.
//!
//! ```text
//! ClientCircuit::start   the first hop's handshake, for the control lane's header
//!       .created         the first hop answered; the others follow inside the circuit
//!       Event::Ready     the data lane may be opened
//! ```

mod hop;
mod topup;

pub use hop::HopPlan;
pub use topup::{Direction, TopUpPolicy};

use crate::control::{Offer, PayResult, PaymentNumber, ToClient, ToRelay};
use crate::credit::{self, Credit, MeterMismatch};
use crate::handshake::Welcome;
use crate::lane::{CloseReason, ExtendRefusal};
use crate::quote::QuoteError;
use crate::record::{self, Kind, Opened, Record, RecordError, Sealing};
use crate::session::{Initiator, SessionError};
use crate::{Limits, Seed, Suite};
use bytes::{Bytes, BytesMut};
use coinfuse_wire::{
    ByteCount, Decode, DecodeError, Encode, HopIndex, Instant, Msat, Price, UnixTime,
};
use hop::Hop;
use std::collections::VecDeque;
use thiserror::Error;
use topup::Dice;

/// The first hop's handshake, to be sent behind a control lane's header.
#[derive(Debug)]
pub struct Create {
    /// For the header.
    pub suite: Suite,
    /// The handshake.
    pub handshake: Vec<u8>,
}

/// What a machine wants done, in this order.
#[derive(Debug)]
pub enum ClientOutput {
    /// Put these bytes on the control lane to the first hop.
    Transmit(Bytes),
    /// Tell the driver.
    Event(ClientEvent),
}

/// What happened.
#[derive(Debug)]
pub enum ClientEvent {
    /// A session stands.
    HopReady {
        /// With this hop.
        hop: HopIndex,
        /// What it said. A first payment's durable result follows as [`ClientEvent::Paid`].
        welcome: Box<Welcome>,
    },
    /// All sessions stand.
    Ready,
    /// A payment's result came; what it credited is in the pools.
    Paid {
        /// From this hop.
        hop: HopIndex,
        /// The result.
        result: PayResult,
    },
    /// A pool wants money; answer with [`ClientCircuit::pay`] or [`ClientCircuit::decline`].
    TopUp {
        /// At this hop.
        hop: HopIndex,
        /// For this direction.
        direction: Direction,
        /// How much, a power of two.
        amount: Msat,
    },
    /// A hop holds downstream data back until it is paid.
    Paused {
        /// This hop.
        hop: HopIndex,
    },
    /// A hop closed the circuit.
    Closed {
        /// This hop.
        hop: HopIndex,
        /// Because of this.
        reason: CloseReason,
    },
}

/// Why there is no circuit, or no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ClientCircuitError {
    /// A path has 1 to [`HopIndex::MAX_HOPS`] hops; the caller's mistake.
    #[error("a path has 1 to {max} hops, not {0}", max = HopIndex::MAX_HOPS)]
    PathLength(usize),
    /// A handshake failed. The hop, or its descriptor, is at fault.
    #[error("{hop}: {error}")]
    Session {
        /// With this hop.
        hop: HopIndex,
        /// How.
        error: SessionError,
    },
    /// A hop could not be added. The hop before it says why.
    #[error("{hop} could not be added: {reason}")]
    Extend {
        /// The hop that is missing.
        hop: HopIndex,
        /// Why.
        reason: ExtendRefusal,
    },
    /// A hop asks more than the ceiling; take another one, or raise the ceiling.
    #[error("{hop} asks {up} up and {down} down, above the ceiling", up = .price.up, down = .price.down)]
    TooExpensive {
        /// This hop.
        hop: HopIndex,
        /// Its price.
        price: Price,
    },
    /// A hop's quote is not good. The hop is at fault.
    #[error("{hop}: {error}")]
    Quote {
        /// This hop.
        hop: HopIndex,
        /// How.
        error: QuoteError,
    },
    /// A record could not be opened. One of the hops is at fault, or a link.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A hop sent something that does not parse, or that it may not say now.
    #[error("{hop} broke the protocol: {error}")]
    Message {
        /// This hop.
        hop: HopIndex,
        /// How.
        error: DecodeError,
    },
    /// A hop counts differently.
    #[error("{hop}: {error}")]
    Meter {
        /// This hop.
        hop: HopIndex,
        /// How.
        error: MeterMismatch,
    },
}

/// The upstream pool of a hop is empty: wait for a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the upstream credit at {hop} is used up")]
pub struct Blocked {
    /// The hop.
    pub hop: HopIndex,
}

/// A circuit at its client.
#[derive(Debug)]
pub struct ClientCircuit {
    plans: Vec<HopPlan>,
    hops: Vec<Hop>,
    /// The handshake under way, with hop `hops.len()`.
    building: Option<Initiator>,
    seeds: VecDeque<Seed>,
    dice: Dice,
    policy: TopUpPolicy,
    limits: Limits,
    outputs: VecDeque<ClientOutput>,
}

impl ClientCircuit {
    /// Starts a circuit along `path`. `seed` yields fresh random seeds, one for each hop and one
    /// more; it is called before this returns.
    pub fn start(
        path: Vec<HopPlan>,
        policy: TopUpPolicy,
        limits: Limits,
        mut seed: impl FnMut() -> Seed,
    ) -> Result<(Self, Create), ClientCircuitError> {
        if path.is_empty() || path.len() > HopIndex::MAX_HOPS {
            return Err(ClientCircuitError::PathLength(path.len()));
        }
        let first = HopIndex::default();
        let (building, handshake) = path[0]
            .start(&seed())
            .map_err(|error| ClientCircuitError::Session { hop: first, error })?;
        let create = Create {
            suite: path[0].suite,
            handshake,
        };
        let circuit = Self {
            seeds: (1..path.len()).map(|_| seed()).collect(),
            dice: Dice::new(&seed()),
            hops: Vec::with_capacity(path.len()),
            plans: path,
            building: Some(building),
            policy,
            limits,
            outputs: VecDeque::new(),
        };
        Ok((circuit, create))
    }

    /// The first hop's answer came on the control lane.
    pub fn created(
        &mut self,
        now: Instant,
        unix: UnixTime,
        answer: &[u8],
    ) -> Result<(), ClientCircuitError> {
        self.finish_hop(now, unix, answer)
    }

    /// A record came on the control lane.
    pub fn control(
        &mut self,
        now: Instant,
        unix: UnixTime,
        mut record: Record,
    ) -> Result<(), ClientCircuitError> {
        for index in 0..self.hops.len() {
            let hop = hop_index(index);
            match record.open(&mut self.hops[index].session.control.open, now)? {
                Opened::Forward(inner) => record = inner,
                Opened::Padding => return Ok(()),
                Opened::Stream(_) => return Err(unexpected(hop, "stream bytes in control lane")),
                Opened::Control(body) => {
                    let message = ToClient::from_bytes(&body)
                        .map_err(|error| ClientCircuitError::Message { hop, error })?;
                    return self.handle_message(now, unix, hop, message);
                }
            }
        }
        Err(unexpected(
            self.last_hop(),
            "a record from beyond the last hop",
        ))
    }

    /// What to do next. Call until `None` after every input.
    pub fn poll_output(&mut self) -> Option<ClientOutput> {
        self.outputs.pop_front()
    }

    /// True when [`poll_output`](Self::poll_output) has something.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// True when all sessions stand.
    pub fn is_ready(&self) -> bool {
        self.hops.len() == self.plans.len()
    }

    /// The plans that the circuit was made from.
    pub fn plans(&self) -> &[HopPlan] {
        &self.plans
    }

    /// What is paid and carried at a hop whose session stands.
    pub fn credit(&self, hop: HopIndex) -> Option<&Credit> {
        self.hops.get(hop.get()).map(|hop| &hop.credit)
    }

    /// Seals bytes of the stream, in parts, at most [`crate::MAX_BODY`] together, for the data lane.
    /// Nothing is changed if a hop's upstream credit does not suffice.
    ///
    /// # Panics
    ///
    /// If there are more, or before the circuit [is ready](Self::is_ready).
    pub fn seal(&mut self, now: Instant, body: &[&[u8]]) -> Result<Bytes, Blocked> {
        assert!(self.is_ready(), "the circuit is not ready");
        let last = self.hops.len() - 1;
        self.carry_up(last, record::body_len(body), true)?;
        let wire = self.build(now, Kind::Stream, body, last, |hop| &mut hop.session.data);
        self.ask_for_top_ups();
        Ok(wire)
    }

    /// A record came on the data lane: bytes of the stream, if it carried any.
    pub fn open(
        &mut self,
        now: Instant,
        mut record: Record,
    ) -> Result<Option<BytesMut>, ClientCircuitError> {
        for index in 0..self.hops.len() {
            let hop = &mut self.hops[index];
            let len = ByteCount::new(record.ciphertext_len() as u64);
            match record.open(&mut hop.session.data.open, now)? {
                Opened::Forward(inner) => {
                    hop.credit.down.count(len);
                    record = inner;
                }
                Opened::Stream(body) => {
                    hop.credit.down.count(len);
                    self.ask_for_top_ups();
                    return Ok(Some(body));
                }
                Opened::Control(body) => return self.handle_reading(index, &body).map(|()| None),
                Opened::Padding => return Ok(None),
            }
        }
        Err(unexpected(
            self.last_hop(),
            "a record from beyond the last hop",
        ))
    }

    /// Readings for the data lane, when they are due: they go behind what was sent so far.
    pub fn poll_reading(&mut self, now: Instant) -> Option<Bytes> {
        let index = self
            .hops
            .iter()
            .position(|hop| hop.credit.up.carried() >= hop.next_reading)?;
        let reading = self.hops[index].credit.reading();
        let message = ToRelay::Meter(reading).to_bytes();
        // For the hops before, it is one more record to forward; unpaid, it stays due.
        self.carry_up(index, message.len(), false).ok()?;
        self.hops[index].next_reading = reading.up.saturating_add(self.limits.reading_step());
        Some(self.build(now, Kind::Control, &[&message], index, |hop| {
            &mut hop.session.data
        }))
    }

    /// Sends a payment to a hop. `upstream` of what it credits goes to the upstream pool, the rest
    /// downstream; `asked` is the direction of the [`ClientEvent::TopUp`] that it answers.
    pub fn pay(
        &mut self,
        now: Instant,
        hop: HopIndex,
        offer: Offer,
        upstream: Msat,
        asked: Option<Direction>,
    ) -> Option<PaymentNumber> {
        let number = self.hops.get_mut(hop.get())?.note_payment(upstream, asked);
        self.tell(
            now,
            hop,
            &ToRelay::Pay {
                number,
                upstream,
                offer,
            },
        );
        Some(number)
    }

    /// There is no money for a top-up now. The pool asks again at its next record, when sending is
    /// [`Blocked`], or when the hop says that it paused.
    pub fn decline(&mut self, hop: HopIndex, direction: Direction) {
        if let Some(hop) = self.hops.get_mut(hop.get()) {
            hop.settle(Some(direction), false, &mut self.dice);
        }
    }

    /// Lets every pool that is low ask again. A driver calls it some time after it declined: a
    /// circuit that is paused carries no record at which the pool would ask by itself.
    pub fn recheck_pools(&mut self) {
        self.ask_for_top_ups();
    }

    /// Closes the circuit at all hops: one message to the first, which ends the rest.
    pub fn close(&mut self, now: Instant, reason: CloseReason) {
        if !self.hops.is_empty() {
            self.tell(now, HopIndex::default(), &ToRelay::Close(reason));
        }
    }

    fn handle_message(
        &mut self,
        now: Instant,
        unix: UnixTime,
        hop: HopIndex,
        message: ToClient,
    ) -> Result<(), ClientCircuitError> {
        match message {
            ToClient::Extended(answer) if self.awaits_extension(hop) => {
                return self.finish_hop(now, unix, &answer);
            }
            ToClient::ExtendFailed(reason) if self.awaits_extension(hop) => {
                return Err(ClientCircuitError::Extend {
                    hop: hop_index(hop.get() + 1),
                    reason,
                });
            }
            ToClient::Extended(_) | ToClient::ExtendFailed(_) => {
                return Err(unexpected(hop, "an answer to no question"));
            }
            ToClient::PayResult(result) => {
                if !self.hops[hop.get()].apply(&result, &mut self.dice) {
                    return Err(unexpected(hop, "the result of no payment"));
                }
                self.event(ClientEvent::Paid { hop, result });
                self.ask_for_top_ups();
            }
            ToClient::Paused => {
                self.event(ClientEvent::Paused { hop });
                // A declined top-up is asked for again: no record will come to do it.
                self.ask_for_top_ups();
            }
            ToClient::Closing(reason) => self.event(ClientEvent::Closed { hop, reason }),
            ToClient::Meter(_) => return Err(unexpected(hop, "a reading in the control lane")),
        }
        Ok(())
    }

    /// Only the last hop so far, and only while a handshake is under way.
    fn awaits_extension(&self, hop: HopIndex) -> bool {
        self.building.is_some() && hop.get() + 1 == self.hops.len()
    }

    fn finish_hop(
        &mut self,
        now: Instant,
        unix: UnixTime,
        answer: &[u8],
    ) -> Result<(), ClientCircuitError> {
        let hop = hop_index(self.hops.len());
        let Some(initiator) = self.building.take() else {
            return Err(unexpected(self.last_hop(), "a second answer"));
        };
        let plan = &self.plans[hop.get()];
        let (session, payload) = initiator
            .finish(answer, now)
            .map_err(|error| ClientCircuitError::Session { hop, error })?;
        let welcome = Welcome::from_bytes(&payload)
            .map_err(|error| ClientCircuitError::Message { hop, error })?;
        let price = welcome.quote.price;
        if !price.within(&plan.ceiling) {
            return Err(ClientCircuitError::TooExpensive { hop, price });
        }
        welcome
            .quote
            .verify(&plan.relay, unix)
            .map_err(|error| ClientCircuitError::Quote { hop, error })?;
        let every = self.limits.reading_every;
        self.hops.push(Hop::new(
            session,
            &welcome,
            plan,
            &self.policy,
            every,
            &mut self.dice,
        ));
        self.event(ClientEvent::HopReady {
            hop,
            welcome: Box::new(welcome),
        });
        if self.is_ready() {
            self.event(ClientEvent::Ready);
            self.ask_for_top_ups();
            return Ok(());
        }
        self.extend(now)
    }

    fn extend(&mut self, now: Instant) -> Result<(), ClientCircuitError> {
        let hop = hop_index(self.hops.len());
        let plan = &self.plans[hop.get()];
        let seed = self
            .seeds
            .pop_front()
            .expect("start drew a seed for each hop");
        let (initiator, handshake) = plan
            .start(&seed)
            .map_err(|error| ClientCircuitError::Session { hop, error })?;
        let message = ToRelay::Extend {
            next: plan.link.clone(),
            suite: plan.suite,
            handshake,
        };
        self.building = Some(initiator);
        self.tell(now, hop_index(hop.get() - 1), &message);
        Ok(())
    }

    fn handle_reading(&mut self, index: usize, body: &[u8]) -> Result<(), ClientCircuitError> {
        let hop = hop_index(index);
        match ToClient::from_bytes(body) {
            Ok(ToClient::Meter(theirs)) => {
                credit::check_at_client(self.hops[index].credit.reading(), theirs)
                    .map_err(|error| ClientCircuitError::Meter { hop, error })
            }
            Ok(_) => Err(unexpected(hop, "a control message in the data lane")),
            Err(error) => Err(ClientCircuitError::Message { hop, error }),
        }
    }

    /// Counts a record for hop `last` at all hops on the way, if all of them are paid for it. At
    /// `last` itself it counts only if it is `metered`.
    fn carry_up(&mut self, last: usize, body: usize, metered: bool) -> Result<(), Blocked> {
        let len =
            |index: usize| ByteCount::new(record::ciphertext_len(body, last - index + 1) as u64);
        let counted = if metered { last + 1 } else { last };
        for index in 0..counted {
            if self.hops[index].credit.up.check(len(index)).is_err() {
                self.ask_for_top_ups();
                return Err(Blocked {
                    hop: hop_index(index),
                });
            }
        }
        for index in 0..counted {
            self.hops[index].credit.up.count(len(index));
        }
        Ok(())
    }

    fn ask_for_top_ups(&mut self) {
        if !self.is_ready() {
            return;
        }
        for index in 0..self.hops.len() {
            while let Some((direction, amount)) = self.hops[index].wants() {
                self.event(ClientEvent::TopUp {
                    hop: hop_index(index),
                    direction,
                    amount,
                });
            }
        }
    }

    fn tell(&mut self, now: Instant, hop: HopIndex, message: &ToRelay) {
        let body = message.to_bytes();
        let wire = self.build(now, Kind::Control, &[&body], hop.get(), |hop| {
            &mut hop.session.control
        });
        self.outputs.push_back(ClientOutput::Transmit(wire));
    }

    /// Builds a record for hop `last`, with a layer for each hop up to it.
    fn build(
        &mut self,
        now: Instant,
        kind: Kind,
        body: &[&[u8]],
        last: usize,
        lane: impl Fn(&mut Hop) -> &mut crate::session::Duplex,
    ) -> Bytes {
        let policy = self.limits.rekey;
        let layers = self.hops[..=last].iter_mut().rev();
        record::build(
            kind,
            body,
            layers.map(|hop| Sealing {
                cipher: &mut lane(hop).seal,
                policy: &policy,
                now,
            }),
        )
    }

    fn last_hop(&self) -> HopIndex {
        hop_index(self.hops.len().saturating_sub(1))
    }

    fn event(&mut self, event: ClientEvent) {
        self.outputs.push_back(ClientOutput::Event(event));
    }
}

fn hop_index(index: usize) -> HopIndex {
    HopIndex::new(index).expect("a path has at most MAX_HOPS hops")
}

fn unexpected(hop: HopIndex, what: &'static str) -> ClientCircuitError {
    ClientCircuitError::Message {
        hop,
        error: DecodeError::Invalid { what },
    }
}
