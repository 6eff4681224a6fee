//! What the tasks of one circuit share at its client.

use super::payer::Purchase;
use crate::clock::Clock;
use bytes::Bytes;
use coinfuse_circuit::{
    ClientCircuit, ClientCircuitError, ClientOutput, Credit, Direction, Offer, PayResult,
    PaymentNumber, Pool,
};
use coinfuse_wire::{ByteCount, HopIndex, Instant, Msat};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What a hop needs credit for to go on: a few records.
const ENOUGH: ByteCount = ByteCount::new(64 << 10);

/// A circuit at its client. The lock is never held across an await.
pub(super) struct Cell {
    state: Mutex<State>,
    /// The circuit is to end in an orderly way when this is cancelled.
    pub(super) leaving: CancellationToken,
    /// The circuit's tasks end when this is cancelled.
    pub(super) over: CancellationToken,
    /// The control task has something to do.
    outputs: Notify,
    clock: Clock,
}

pub(super) struct State {
    pub(super) machine: ClientCircuit,
    /// Who waits for upstream credit.
    waiting: Option<Waker>,
    /// Payments that were sent and not answered.
    payments: HashMap<(HopIndex, PaymentNumber), Purchase>,
    /// Nobody will answer any more.
    deserted: bool,
    /// When something was sent first since something came from the last hop.
    unanswered: Option<Instant>,
    /// The circuit ends because it carries nothing.
    stalled: bool,
}

impl Cell {
    pub(super) fn new(machine: ClientCircuit, clock: Clock, leaving: CancellationToken) -> Self {
        let state = State {
            machine,
            waiting: None,
            payments: HashMap::new(),
            deserted: false,
            unanswered: None,
            stalled: false,
        };
        Self {
            state: Mutex::new(state),
            leaving,
            over: CancellationToken::new(),
            outputs: Notify::new(),
            clock,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True until the circuit ends, or is to.
    pub(super) fn is_open(&self) -> bool {
        !self.over.is_cancelled() && !self.leaving.is_cancelled()
    }

    /// Ends the circuit in an orderly way, unless it has ended: why is then still of interest.
    pub(super) fn leave(&self) {
        if !self.over.is_cancelled() {
            self.leaving.cancel();
        }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) async fn outputs(&self) {
        self.outputs.notified().await;
    }

    pub(super) fn next_output(&self) -> Option<ClientOutput> {
        self.lock().machine.poll_output()
    }

    pub(super) fn credit(&self, hop: HopIndex) -> Option<Credit> {
        self.lock().machine.credit(hop).copied()
    }

    /// Works on the machine, and lets the control task do what comes of it.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = work(&mut state);
        if state.machine.has_output() {
            self.outputs.notify_one();
        }
        result
    }

    /// Seals stream bytes as soon as every hop is paid for them.
    pub(super) fn poll_seal(&self, cx: &mut Context<'_>, body: &[&[u8]]) -> Poll<Bytes> {
        let now = self.clock.now();
        self.with(|state| match state.machine.seal(now, body) {
            Ok(wire) => {
                state.unanswered.get_or_insert(now);
                Poll::Ready(wire)
            }
            Err(_) => {
                state.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
        })
    }

    /// Opens a record of the data lane.
    pub(super) fn open(
        &self,
        record: coinfuse_circuit::Record,
    ) -> Result<Option<bytes::BytesMut>, ClientCircuitError> {
        let now = self.clock.now();
        self.with(|state| {
            let opened = state.machine.open(now, record);
            if matches!(opened, Ok(Some(_))) {
                state.unanswered = None;
            }
            opened
        })
    }

    /// How long the last hop has said nothing to what it was sent, and to the payments for it.
    pub(super) fn unanswered_for(&self) -> Duration {
        let now = self.clock.now();
        let mut state = self.lock();
        let Some(since) = state.unanswered else {
            return Duration::ZERO;
        };
        if state.is_in_debt() {
            // It has every reason to wait.
            state.unanswered = Some(now);
        }
        now.saturating_since(since)
    }

    /// Gives the circuit up: it carries nothing.
    pub(super) fn give_up(&self) {
        self.lock().stalled = true;
        self.over.cancel();
    }

    pub(super) fn has_stalled(&self) -> bool {
        self.lock().stalled
    }

    /// Whether a hop has enough for the next records in both directions.
    pub(super) fn is_paid(&self, hop: HopIndex) -> bool {
        self.lock().is_paid(hop)
    }

    /// A reading of the meter for one of the hops, if one is due.
    pub(super) fn poll_reading(&self) -> Option<Bytes> {
        let now = self.clock.now();
        self.lock().machine.poll_reading(now)
    }

    /// Sends a purchase to its hop; `asked` is the pool that asked for it, if one did.
    pub(super) fn pay(
        &self,
        hop: HopIndex,
        purchase: Purchase,
        offer: Offer,
        asked: Option<Direction>,
    ) {
        let upstream = match asked {
            Some(Direction::Up) => Msat::MAX,
            Some(Direction::Down) | None => Msat::ZERO,
        };
        let now = self.clock.now();
        self.with(|state| {
            if state.deserted {
                return;
            }
            let number = state.machine.pay(now, hop, offer, upstream, asked);
            if let Some(number) = number {
                state.payments.insert((hop, number), purchase);
            }
        });
    }

    /// Whether payments wait for their answers.
    pub(super) fn awaits_answers(&self) -> bool {
        !self.lock().payments.is_empty()
    }

    /// Lets go of the payments that were not answered: nobody will.
    pub(super) fn desert(&self) {
        let mut state = self.lock();
        state.deserted = true;
        state.payments.clear();
    }

    /// There is no money for a top-up now.
    pub(super) fn decline(&self, hop: HopIndex, direction: Direction) {
        self.with(|state| {
            state.machine.decline(hop, direction);
            state.machine.recheck_pools();
            state.wake_waiting();
        });
    }
}

impl State {
    fn is_paid(&self, hop: HopIndex) -> bool {
        let enough = |pool: &Pool| pool.affordable() >= ENOUGH;
        let credit = self.machine.credit(hop);
        credit.is_some_and(|credit| enough(&credit.up) && enough(&credit.down))
    }

    fn is_in_debt(&self) -> bool {
        let mut hops = (0..self.machine.plans().len()).filter_map(HopIndex::new);
        self.waiting.is_some() || hops.any(|hop| !self.is_paid(hop))
    }

    /// Notes the purchase that went with a hop's handshake.
    pub(super) fn note_first(&mut self, hop: HopIndex, purchase: Purchase) {
        self.payments.insert((hop, PaymentNumber::FIRST), purchase);
    }

    /// The purchase that a result is about.
    pub(super) fn answered(&mut self, hop: HopIndex, result: &PayResult) -> Option<Purchase> {
        self.wake_waiting();
        self.payments.remove(&(hop, result.number))
    }

    pub(super) fn wake_waiting(&mut self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}
