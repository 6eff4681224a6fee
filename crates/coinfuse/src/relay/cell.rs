//! What the tasks of one circuit share.

use super::Shared;
use super::accounts::Lease;
use crate::link::LinkLease;
use bytes::Bytes;
use coinfuse_circuit::{AccountId, CircuitNumber, CloseReason, RelayCircuit, RelayOutput};
use coinfuse_wire::{ByteCount, Instant};
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A circuit at this relay.
///
/// Its tasks run on one thread; the lock is never held across an await and hardly ever contended.
pub(super) struct Cell {
    state: Mutex<State>,
    /// Its tasks end when this is cancelled.
    pub(super) over: CancellationToken,
    /// The control task has something to send.
    outputs: Notify,
    pub(super) relay: Arc<Shared>,
}

pub(super) struct State {
    pub(super) machine: RelayCircuit,
    /// The account's credit, until the circuit is over.
    lease: Option<Lease>,
    /// What the relay's count of bytes has of this circuit.
    counted: ByteCount,
    next: Option<NextLink>,
    /// Who waits for downstream credit.
    waiting: Option<Waker>,
    close: Option<CloseReason>,
    /// The client has shown that the account is its own.
    active: bool,
}

/// The link to the next hop.
#[derive(Clone)]
pub(super) struct NextLink {
    pub(super) link: LinkLease,
    pub(super) circuit: CircuitNumber,
}

impl Cell {
    pub(super) fn new(relay: Arc<Shared>, machine: RelayCircuit, lease: Lease) -> Self {
        Self {
            state: Mutex::new(State {
                machine,
                lease: Some(lease),
                counted: ByteCount::ZERO,
                next: None,
                waiting: None,
                close: None,
                active: false,
            }),
            over: relay.shutdown.child_token(),
            outputs: Notify::new(),
            relay,
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.relay.clock.now()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the circuit; the first reason counts and is told to the client.
    pub(super) fn close(&self, reason: CloseReason) {
        let mut state = self.lock();
        state.close.get_or_insert(reason);
        state.settle();
        let carried = state.count();
        drop(state);
        self.relay.stats.carried(carried);
        self.over.cancel();
    }

    /// After the first record that only the client can have sealed: the account is this circuit's.
    pub(super) fn activate(self: &Arc<Self>) -> Result<(), CloseReason> {
        let mut state = self.lock();
        if state.active {
            return Ok(());
        }
        let lease = state
            .lease
            .as_ref()
            .map(|lease| (lease.account(), lease.base()));
        let (account, base) = lease.ok_or(CloseReason::AccountMoved)?;
        state.active = true;
        drop(state);
        match self.relay.accounts.take_over(account, base, self) {
            true => Ok(()),
            false => Err(CloseReason::AccountMoved),
        }
    }

    pub(super) fn close_reason(&self) -> Option<CloseReason> {
        self.lock().close
    }

    /// Lets the control task send what the machine has to say.
    pub(super) fn wake_control(&self) {
        self.outputs.notify_one();
    }

    pub(super) async fn outputs(&self) {
        self.outputs.notified().await;
    }

    pub(super) fn next_output(&self) -> Option<RelayOutput> {
        self.lock().machine.poll_output()
    }

    pub(super) fn next(&self) -> Option<NextLink> {
        self.lock().next.clone()
    }

    /// Seals the next downstream record of `len` bytes as soon as it is paid for.
    pub(super) fn poll_down<T>(
        &self,
        cx: &mut Context<'_>,
        len: ByteCount,
        seal: impl FnOnce(&mut RelayCircuit, Instant) -> T,
    ) -> Poll<T> {
        let now = self.now();
        let mut state = self.lock();
        if state.machine.may_send_down(now, len) {
            return Poll::Ready(seal(&mut state.machine, now));
        }
        state.waiting = Some(cx.waker().clone());
        drop(state);
        // It may have to say that it is paused.
        self.wake_control();
        Poll::Pending
    }

    /// A reading of the meter, if one is due downstream.
    pub(super) fn poll_reading(&self) -> Option<Bytes> {
        let now = self.now();
        self.lock().machine.poll_reading(now)
    }

    /// Tells the ledger what the circuit has used so far, and the relay what it has carried.
    pub(super) fn record_use(&self) {
        let mut state = self.lock();
        state.record_use();
        let carried = state.count();
        drop(state);
        self.relay.stats.carried(carried);
    }
}

impl State {
    /// Money came: whoever waits for it goes on.
    pub(super) fn wake_waiting(&mut self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    fn record_use(&mut self) {
        let used = self.machine.credit().used();
        if let Some(lease) = &mut self.lease {
            lease.record(used);
        }
    }

    /// What was carried since this was last asked.
    fn count(&mut self) -> ByteCount {
        let reading = self.machine.credit().reading();
        let carried = reading.up.saturating_add(reading.down);
        let new = carried.saturating_sub(self.counted);
        self.counted = carried;
        new
    }

    /// Gives the account back, with what is left on it. Nothing is carried after this.
    pub(super) fn settle(&mut self) {
        self.record_use();
        self.lease = None;
    }

    pub(super) fn set_next(&mut self, next: NextLink) {
        self.next = Some(next);
    }

    /// The account that pays; none once it was given back.
    pub(super) fn account(&self) -> Option<AccountId> {
        self.lease.as_ref().map(Lease::account)
    }

    /// True once the account was given back.
    pub(super) fn is_settled(&self) -> bool {
        self.lease.is_none()
    }
}
