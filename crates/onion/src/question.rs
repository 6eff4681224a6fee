//! Making a packet.

use crate::key::{Ephemerals, OnionKey, OnionSecret, derive};
use crate::layer::{self, Layer, LayerKeys, Rest, TooLong};
use crate::packet::Packet;
use crate::payload::Payload;
use crate::record::{HopRecord, NextHop, Role, Terms};
use crate::reply::ReplyPath;
use coinfuse_wire::{Encode, ServiceCode};
use core::fmt;

/// Under every HMAC of our network, so that its packets are nobody else's.
pub(crate) const ASSOCIATED: &[u8] = b"Coinfuse_onion_v1";

/// A relay that passes the packet on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// Its onion key.
    pub key: OnionKey,
    /// Whom it passes the packet to.
    pub next: NextHop,
    /// What it gets.
    pub terms: Terms,
}

/// The last hop of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Its onion key.
    pub key: OnionKey,
    /// The service that is asked.
    pub service: ServiceCode,
    /// What the service is to do with the message.
    pub instruction: Vec<u8>,
    /// What the relay gets.
    pub terms: Terms,
}

/// A message to a service, and the way there.
#[derive(PartialEq, Eq)]
pub struct Question<'a> {
    /// The relays on the way, the first one first.
    pub via: &'a [Via],
    /// The relay with the service.
    pub to: &'a Destination,
    /// What the service gets.
    pub message: &'a [u8],
    /// Where its answer goes, if there is to be one.
    pub reply: Option<ReplyPath>,
}

impl Via {
    pub(crate) fn record(&self) -> HopRecord {
        HopRecord {
            role: Role::Forward { next: self.next },
            terms: self.terms.clone(),
        }
    }
}

impl Destination {
    fn record(&self) -> HopRecord {
        HopRecord {
            role: Role::Deliver {
                service: self.service,
                instruction: self.instruction.clone(),
            },
            terms: self.terms.clone(),
        }
    }
}

impl Question<'_> {
    /// The packet to hand to the first relay.
    ///
    /// `seed` is random and for this packet alone: two packets of one seed are linked by whoever
    /// sees them, and can be read by whoever compares them.
    pub fn build<const N: usize>(self, seed: &[u8; 32]) -> Result<Packet<N>, TooLong> {
        let session = OnionSecret::from_seed(&derive(b"Coinfuse_onion_question", seed));
        let mut path = Ephemerals::new(&session);
        let first = path.key();
        let mut layers: Vec<_> = self
            .via
            .iter()
            .map(|via| layer(&mut path, &via.key, &via.record(), |_| {}))
            .collect();
        layers.push(layer(
            &mut path,
            &self.to.key,
            &self.to.record(),
            |payload| {
                payload.message = self.message.to_vec();
                payload.reply = self.reply;
            },
        ));
        layer::wrap(first, &layers, &Rest::Random(&fill(seed)), ASSOCIATED)
    }
}

impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Question({} bytes)", self.message.len())
    }
}

/// The key of the stream that a packet of ours is filled up with.
pub(crate) fn fill(seed: &[u8; 32]) -> zeroize::Zeroizing<[u8; 32]> {
    derive(b"Coinfuse_onion_fill", seed)
}

fn layer(
    path: &mut Ephemerals,
    key: &OnionKey,
    record: &HopRecord,
    complete: impl FnOnce(&mut Payload),
) -> Layer {
    let shared = path.step(key);
    let mut payload = Payload::record(record, &shared);
    complete(&mut payload);
    Layer {
        keys: LayerKeys::of(&shared),
        payload: payload.to_bytes(),
    }
}
