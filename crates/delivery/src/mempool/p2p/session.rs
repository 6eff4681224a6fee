//! One peer, from the greeting to the proof that it has the transaction.

use super::message::{Incoming, Outgoing, PROTOCOL_VERSION};
use super::timer::{Timer, Timers};
use super::{Event, PeerFailure, Role, SessionConfig};
use crate::mempool::submission::Checked;
use bitcoin::p2p::ServiceFlags;
use bitcoin::p2p::message_blockdata::Inventory;
use coinfuse_wire::Instant;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;

/// What a session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Version,
    Verack,
    Ready,
    /// Nothing: the caller has been told how it ended.
    Over,
}

/// The machine behind a [`Connection`](super::Connection): messages in, messages and events out.
pub(crate) struct Session {
    role: Role,
    config: SessionConfig,
    seed: [u8; 32],
    state: State,
    /// Whether the peer announces transactions by wtxid (BIP 339).
    by_wtxid: bool,
    /// How often each transaction was handed over, in the submission's order.
    served: Vec<u8>,
    /// The peer has what it needs to judge the submission as a whole.
    complete: bool,
    /// The ping that follows the transaction handed over last.
    ping: Option<u64>,
    pings: u64,
    heard: u32,
    timers: Timers,
    out: VecDeque<Outgoing>,
    events: VecDeque<Event>,
}

impl Session {
    pub(crate) fn new(role: Role, config: SessionConfig, seed: [u8; 32], now: Instant) -> Self {
        let transactions = match &role {
            Role::Submit(submission) => submission.transactions().len(),
            Role::Observe { .. } => 0,
        };
        let mut session = Self {
            config,
            seed,
            state: State::Version,
            by_wtxid: false,
            served: vec![0; transactions],
            complete: false,
            ping: None,
            pings: 0,
            heard: 0,
            timers: Timers::default(),
            out: VecDeque::new(),
            events: VecDeque::new(),
            role,
        };
        session.timers.set(Timer::Handshake, now + config.handshake);
        session.out.push_back(Outgoing::Version {
            nonce: session.nonce(0),
            relay: matches!(session.role, Role::Observe { .. }),
        });
        session
    }

    pub(crate) fn handle(&mut self, now: Instant, message: Incoming) -> Result<(), PeerFailure> {
        self.heard = self.heard.saturating_add(1);
        if self.heard > self.config.max_messages {
            return Err(PeerFailure::Flood);
        }
        match self.state {
            State::Version => self.on_version(message),
            State::Verack => self.on_greeting(now, message),
            State::Ready => self.on_message(now, message),
            State::Over => Ok(()),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Handshake => self.fail(PeerFailure::HandshakeTimeout),
                Timer::Processing => self.fail(PeerFailure::Stalled),
                Timer::Request if self.has_served_last() => self.end(Event::Delivered),
                Timer::Request => self.end(Event::NotAsked),
            }
        }
    }

    pub(crate) fn fail(&mut self, failure: PeerFailure) {
        self.end(Event::Failed(failure));
    }

    /// Asks an observed peer for the transaction outright.
    pub(crate) fn probe(&mut self) {
        if let (State::Ready, Role::Observe { txid, wtxid }) = (self.state, &self.role) {
            let item = match self.by_wtxid {
                true => Inventory::WTx(*wtxid),
                false => Inventory::WitnessTransaction(*txid),
            };
            self.out.push_back(Outgoing::GetData(vec![item]));
        }
    }

    pub(crate) fn next_message(&mut self) -> Option<Outgoing> {
        self.out.pop_front()
    }

    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.timers.next_due()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// The first message, and no other, is `version`.
    fn on_version(&mut self, message: Incoming) -> Result<(), PeerFailure> {
        let Incoming::Version {
            version,
            services,
            relay,
        } = message
        else {
            return Err(PeerFailure::OutOfOrder);
        };
        if version < PROTOCOL_VERSION {
            return Err(PeerFailure::TooOld);
        }
        if !relay || !services.has(ServiceFlags::WITNESS) {
            return Err(PeerFailure::NoRelay);
        }
        if !self.is_private_broadcast() {
            self.out.push_back(Outgoing::WtxidRelay);
            self.out.push_back(Outgoing::SendAddrV2);
        }
        self.out.push_back(Outgoing::Verack);
        self.state = State::Verack;
        Ok(())
    }

    /// Between `version` and `verack` come the features.
    fn on_greeting(&mut self, now: Instant, message: Incoming) -> Result<(), PeerFailure> {
        match message {
            // It counts if both sides say so (BIP 339).
            Incoming::WtxidRelay => self.by_wtxid = !self.is_private_broadcast(),
            Incoming::Verack => self.on_ready(now),
            Incoming::Ping(nonce) => self.out.push_back(Outgoing::Pong(nonce)),
            Incoming::Other => {}
            _ => return Err(PeerFailure::OutOfOrder),
        }
        Ok(())
    }

    fn on_ready(&mut self, now: Instant) {
        self.timers.stop(Timer::Handshake);
        self.state = State::Ready;
        self.events.push_back(Event::Ready);
        if let Role::Submit(submission) = &self.role {
            let announce = |transaction: &Checked| match self.by_wtxid {
                true => Inventory::WTx(transaction.wtxid()),
                false => Inventory::Transaction(transaction.txid()),
            };
            let items = submission.transactions().iter().map(announce).collect();
            self.out.push_back(Outgoing::Inv(items));
            self.timers.set(Timer::Request, now + self.config.request);
        }
    }

    fn on_message(&mut self, now: Instant, message: Incoming) -> Result<(), PeerFailure> {
        match message {
            Incoming::Version { .. } | Incoming::Verack | Incoming::WtxidRelay => {
                return Err(PeerFailure::OutOfOrder);
            }
            Incoming::Ping(nonce) => self.out.push_back(Outgoing::Pong(nonce)),
            Incoming::GetData(items) => self.on_getdata(now, &items),
            Incoming::Pong(nonce) => self.on_pong(now, nonce),
            Incoming::Inv(items) => self.on_inv(&items),
            Incoming::Tx(got) => self.on_tx(got),
            Incoming::Other => {}
        }
        Ok(())
    }

    /// Hands over what is asked for, and a ping after it.
    fn on_getdata(&mut self, now: Instant, items: &[Inventory]) {
        let Role::Submit(submission) = &self.role else {
            return;
        };
        let before = self.out.len();
        let parts = submission.transactions().iter().zip(&mut self.served);
        // A child first: Bitcoin Core drops a parent that pays too little unless it holds a child
        // that pays for it, and holds a child for a while in the hope of its parent.
        for (index, (transaction, served)) in parts.enumerate().rev() {
            let most = if submission.is_package() { 2 } else { 1 };
            if *served < most && items.iter().any(|item| names(item, transaction)) {
                *served += 1;
                let bytes = transaction.bytes().to_vec();
                self.out.push_back(Outgoing::Tx(bytes));
                self.complete |= index == 0;
            }
        }
        // A parent counts if the child was there before it.
        self.complete &= self.served.last().is_some_and(|child| *child > 0);
        if self.out.len() > before {
            self.ping_after(now);
        }
    }

    fn ping_after(&mut self, now: Instant) {
        self.pings += 1;
        let nonce = self.nonce(self.pings);
        self.ping = Some(nonce);
        self.out.push_back(Outgoing::Ping(nonce));
        self.timers.stop(Timer::Request);
        let due = now + self.config.processing;
        self.timers.set(Timer::Processing, due);
    }

    /// A peer works through messages in their order: the pong proves that the transactions before
    /// the ping were processed. Not that they were liked.
    fn on_pong(&mut self, now: Instant, nonce: u64) {
        if self.ping != Some(nonce) {
            return;
        }
        self.ping = None;
        self.timers.stop(Timer::Processing);
        if self.complete {
            self.end(Event::Delivered);
        } else {
            // The other part of the package may yet be asked for, or the parent once more.
            self.timers.set(Timer::Request, now + self.config.request);
        }
    }

    fn on_inv(&mut self, items: &[Inventory]) {
        if let Role::Observe { txid, wtxid } = self.role {
            let is_it = |item: &Inventory| match item {
                Inventory::WTx(got) => *got == wtxid,
                Inventory::Transaction(got) => *got == txid,
                _ => false,
            };
            if items.iter().any(is_it) {
                self.end(Event::Seen);
            }
        }
    }

    fn on_tx(&mut self, got: bitcoin::Wtxid) {
        if matches!(self.role, Role::Observe { wtxid, .. } if wtxid == got) {
            self.end(Event::Seen);
        }
    }

    fn end(&mut self, event: Event) {
        if self.state != State::Over {
            self.state = State::Over;
            self.timers.stop_all();
            self.events.push_back(event);
        }
    }

    fn has_served_last(&self) -> bool {
        self.served.last().is_some_and(|served| *served > 0)
    }

    /// One transaction is handed over exactly as Bitcoin Core's private broadcast does it, so that
    /// nothing tells us from a node. A package cannot be.
    fn is_private_broadcast(&self) -> bool {
        matches!(&self.role, Role::Submit(submission) if !submission.is_package())
    }

    /// The `index`th number that looks random.
    fn nonce(&self, index: u64) -> u64 {
        let hash = Sha256::new()
            .chain_update(b"coinfuse p2p nonce")
            .chain_update(self.seed)
            .chain_update(index.to_be_bytes())
            .finalize();
        let mut nonce = [0; 8];
        nonce.copy_from_slice(&hash[..8]);
        u64::from_be_bytes(nonce)
    }
}

/// Whether a request is for this transaction, by whichever of its names.
fn names(item: &Inventory, transaction: &Checked) -> bool {
    match item {
        Inventory::WTx(wtxid) => *wtxid == transaction.wtxid(),
        Inventory::WitnessTransaction(txid) | Inventory::Transaction(txid) => {
            *txid == transaction.txid()
        }
        _ => false,
    }
}
