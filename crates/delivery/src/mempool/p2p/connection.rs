//! A session and the envelopes around its messages: bytes in, bytes and events out.

use super::framing::Framing;
use super::message::Incoming;
use super::session::Session;
use super::{Event, PeerFailure, Role, SessionConfig};
use crate::mempool::Network;
use bip324::CipherSession;
use coinfuse_wire::Instant;

/// A connection to one peer, without its socket.
///
/// After each of [`receive`](Self::receive), [`handle_timeout`](Self::handle_timeout) and
/// [`probe`](Self::probe), and once at the start: send what
/// [`poll_transmit`](Self::poll_transmit) gives, take the events, and call `handle_timeout` at
/// [`poll_timeout`](Self::poll_timeout). After an event for which [`Event::is_last`] holds, close
/// the socket.
pub struct Connection {
    framing: Framing,
    session: Session,
    received: u64,
    max_bytes: u64,
}

impl Connection {
    /// A connection that speaks the first, unencrypted protocol. `seed` must not be used twice.
    pub fn plain(
        network: Network,
        role: Role,
        config: SessionConfig,
        seed: [u8; 32],
        now: Instant,
    ) -> Self {
        Self::new(Framing::plain(network), role, config, seed, now)
    }

    /// A connection whose BIP 324 handshake is done. `seed` must not be used twice.
    pub fn sealed(
        cipher: CipherSession,
        role: Role,
        config: SessionConfig,
        seed: [u8; 32],
        now: Instant,
    ) -> Self {
        Self::new(Framing::sealed(cipher), role, config, seed, now)
    }

    fn new(
        framing: Framing,
        role: Role,
        config: SessionConfig,
        seed: [u8; 32],
        now: Instant,
    ) -> Self {
        Self {
            framing,
            session: Session::new(role, config, seed, now),
            received: 0,
            max_bytes: config.max_bytes,
        }
    }

    /// Takes what came from the peer. Nothing that a peer says is an error here: it becomes
    /// [`Event::Failed`].
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) {
        if let Err(failure) = self.try_receive(now, bytes) {
            self.session.fail(failure);
        }
    }

    fn try_receive(&mut self, now: Instant, bytes: &[u8]) -> Result<(), PeerFailure> {
        if self.session.is_over() {
            return Ok(());
        }
        self.received = self.received.saturating_add(bytes.len() as u64);
        if self.received > self.max_bytes {
            return Err(PeerFailure::Flood);
        }
        self.framing.receive(bytes);
        while !self.session.is_over() {
            let Some(frame) = self.framing.next()? else {
                break;
            };
            self.session.handle(now, Incoming::try_from(frame)?)?;
        }
        Ok(())
    }

    /// Says that the socket is closed.
    pub fn disconnected(&mut self) {
        self.session.fail(PeerFailure::Disconnected);
    }

    /// Says that it is `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.session.handle_timeout(now);
    }

    /// Asks an observed peer for the transaction outright, rather than waiting for it to be
    /// announced. Before [`Event::Ready`], and in the other role, it does nothing.
    pub fn probe(&mut self) {
        self.session.probe();
    }

    /// What to send to the peer now.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        while let Some(message) = self.session.next_message() {
            self.framing.put(&message.into_frame(), &mut out);
        }
        (!out.is_empty()).then_some(out)
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.session.next_event()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.session.next_due()
    }
}
