//! One-time ways back, prepaid and blinded.
//!
//! The client lays the way back as it lays the way there: it chooses the ephemeral key, seals a
//! record with a voucher for each relay, and ends the way at itself. It then gives away what is
//! needed to wrap *one* message: the first ephemeral key, each layer's two keys, and the sealed
//! records. Whoever answers knows the first relay and the number of hops, and nothing else of them;
//! a relay on the way back does exactly what it does on a way there, and cannot tell which it is.

use crate::key::{Ephemerals, OnionKey, OnionSecret, Shared, derive};
use crate::layer::{self, Authentic, Layer, LayerKeys, PeelError, Rest, TooLong};
use crate::open::OpenError;
use crate::packet::Packet;
use crate::payload::{Payload, PayloadError};
use crate::question::{ASSOCIATED, Via, fill};
use crate::record::{HopRecord, Role, Terms};
use coinfuse_wire::{Decode, DecodeError, Encode, HopIndex, Reader, RelayId, Writer};
use core::fmt;
use zeroize::Zeroizing;

/// The most layers of a reply path: as many relays as a path may have, and the client.
const MAX_LAYERS: usize = HopIndex::MAX_HOPS + 1;

/// The longest sealed record of a reply path.
const MAX_SEALED: usize = 512;

/// A way back to a client, which the one who answers uses once.
///
/// It has no `Clone`: two messages on one path would be under the same keys.
#[derive(PartialEq, Eq)]
pub struct ReplyPath {
    first: RelayId,
    ephemeral: OnionKey,
    layers: Vec<ReplyLayer>,
}

#[derive(PartialEq, Eq)]
struct ReplyLayer {
    rho: Zeroizing<[u8; 32]>,
    mu: Zeroizing<[u8; 32]>,
    sealed: Vec<u8>,
}

/// What the client keeps of a [`ReplyPath`]: it opens the one answer that comes on it.
pub struct ReplyTicket {
    pub(crate) ephemeral: OnionKey,
    shared: Zeroizing<[u8; 32]>,
}

/// A reply path has 1 to [`HopIndex::MAX_HOPS`] relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reply path over {got} relays")]
pub struct HopCountError {
    /// How many there were.
    pub got: usize,
}

impl ReplyPath {
    /// Lays a path: over `via`, of which `first` is the first relay, another one than that which
    /// answers; the last one of them has the client's mailbox. `seed` is random and for this path
    /// alone.
    pub fn new(
        seed: &[u8; 32],
        first: RelayId,
        via: &[Via],
    ) -> Result<(Self, ReplyTicket), HopCountError> {
        if via.is_empty() || via.len() > HopIndex::MAX_HOPS {
            return Err(HopCountError { got: via.len() });
        }
        let session = OnionSecret::from_seed(&derive(b"Coinfuse_onion_way_back", seed));
        let mut path = Ephemerals::new(&session);
        let ephemeral = path.key();
        let mut layers: Vec<_> = via
            .iter()
            .map(|via| ReplyLayer::new(&via.record(), &path.step(&via.key)))
            .collect();
        // The end needs no key of its own: who laid the path knows the secret already.
        let end = derive(b"Coinfuse_onion_end", seed);
        let answer = HopRecord {
            role: Role::Answer,
            terms: Terms::default(),
        };
        layers.push(ReplyLayer::new(&answer, &Shared::new(end.clone())));
        let ticket = ReplyTicket {
            ephemeral: path.key(),
            shared: end,
        };
        let path = Self {
            first,
            ephemeral,
            layers,
        };
        Ok((path, ticket))
    }

    /// The relay to which the answer is handed.
    pub const fn first(&self) -> RelayId {
        self.first
    }

    /// The packet that carries `message` back, for the relay [`ReplyPath::first`]. `seed` is
    /// random and for this packet alone. Take the size in which the question came.
    pub fn answer<const N: usize>(
        self,
        seed: &[u8; 32],
        message: &[u8],
    ) -> Result<Packet<N>, TooLong> {
        let last = self.layers.len().saturating_sub(1);
        let layers: Vec<_> = self
            .layers
            .into_iter()
            .enumerate()
            .map(|(i, layer)| layer.with(if i == last { message } else { &[] }))
            .collect();
        layer::wrap(
            self.ephemeral,
            &layers,
            &Rest::Random(&fill(seed)),
            ASSOCIATED,
        )
    }
}

impl fmt::Debug for ReplyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyPath([scrubbed])")
    }
}

impl ReplyLayer {
    fn new(record: &HopRecord, shared: &Shared) -> Self {
        let LayerKeys { rho, mu } = LayerKeys::of(shared);
        Self {
            rho,
            mu,
            sealed: Payload::record(record, shared).sealed,
        }
    }

    fn with(self, message: &[u8]) -> Layer {
        let payload = Payload {
            sealed: self.sealed,
            message: message.to_vec(),
            reply: None,
        };
        Layer {
            keys: LayerKeys {
                rho: self.rho,
                mu: self.mu,
            },
            payload: payload.to_bytes(),
        }
    }
}

impl ReplyTicket {
    /// Opens the answer, if `packet` is it and came all of the way for which this ticket is.
    pub fn open<const N: usize>(&self, packet: Packet<N>) -> Result<Vec<u8>, OpenError> {
        if packet.ephemeral != self.ephemeral {
            return Err(PeelError::Mac.into());
        }
        let shared = Shared::new(self.shared.clone());
        let authentic =
            Authentic::check_shared(shared, packet, ASSOCIATED).map_err(|_| PeelError::Mac)?;
        let (payload, shared, next) = authentic.payload()?;
        match (payload.open(&shared)?.role, next, payload.reply) {
            (Role::Answer, None, None) => Ok(payload.message),
            _ => Err(PayloadError::Place.into()),
        }
    }
}

impl fmt::Debug for ReplyTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyTicket([scrubbed])")
    }
}

impl Encode for ReplyPath {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.first);
        out.value(&self.ephemeral);
        out.varint(self.layers.len() as u64);
        for layer in &self.layers {
            out.put(&*layer.rho);
            out.put(&*layer.mu);
            out.bytes(&layer.sealed);
        }
    }
}

impl Decode for ReplyPath {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let first = RelayId::decode(reader)?;
        let ephemeral = OnionKey::decode(reader)?;
        let layers = match reader.bounded(MAX_LAYERS, "layers of a reply path")? {
            0 | 1 => {
                return Err(DecodeError::Missing {
                    what: "layers of a reply path",
                });
            }
            count => (0..count)
                .map(|_| ReplyLayer::decode(reader))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self {
            first,
            ephemeral,
            layers,
        })
    }
}

impl Decode for ReplyLayer {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            rho: Zeroizing::new(reader.array("rho")?),
            mu: Zeroizing::new(reader.array("mu")?),
            sealed: reader.bytes(MAX_SEALED, "sealed record")?.to_vec(),
        })
    }
}
