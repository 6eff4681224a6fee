//! Lightning's onion as BOLT-4 has it: bare payloads, and blinded routes.
//!
//! Packets of our own network are these, with associated data of their own and payloads as in
//! `docs/spec/onion.md`. The functions here are what the official vectors run on.
//!
//! ```
//! use coinfuse_onion::bolt4::{self, Fill};
//! use coinfuse_onion::{OnionSecret, Packet};
//!
//! let [alice, bob, session] = [1, 2, 3].map(|n| OnionSecret::from_seed(&[n; 32]));
//! let hops = [(alice.public_key(), &b"to Alice"[..]), (bob.public_key(), b"to Bob")];
//! let packet: Packet<1300> = bolt4::build(&session, &Fill::Pad, &hops, b"")?;
//!
//! let at_alice = bolt4::peel(&alice, packet, b"")?;
//! assert_eq!(at_alice.payload, b"to Alice");
//! let at_bob = bolt4::peel(&bob, at_alice.next.unwrap(), b"")?;
//! assert_eq!((&at_bob.payload[..], at_bob.next), (&b"to Bob"[..], None));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::key::{Ephemerals, OnionKey, OnionSecret, derive};
use crate::layer::{self, Authentic, Layer, LayerKeys, Rest};
use crate::packet::Packet;
use core::fmt;

pub use crate::blind::{BlindedDataError, BlindedHop, BlindedRoute, Unblinded, blind, unblind};
pub use crate::layer::{PeelError, Peeled, TooLong};

/// What the region holds behind the last hop's payload.
///
/// The last hop sees some of it, and zeros would tell it how long the path was: they are only for
/// packets that must come out the same as somebody else's.
#[derive(Clone)]
pub enum Fill {
    /// Zeros, as packets were made at first.
    Zeros,
    /// The stream of the `pad` key, which follows from the session key: BOLT-4 as it is now.
    Pad,
    /// The stream of a random key that has nothing to do with the session.
    Key([u8; 32]),
}

impl fmt::Debug for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zeros => "Zeros",
            Self::Pad => "Pad",
            Self::Key(_) => "Key([scrubbed])",
        })
    }
}

/// Makes a packet for `hops`: each one's key, and its payload without the length.
///
/// `session` must be fresh for every packet. `associated` is under every HMAC and does not travel.
pub fn build<const N: usize>(
    session: &OnionSecret,
    fill: &Fill,
    hops: &[(OnionKey, &[u8])],
    associated: &[u8],
) -> Result<Packet<N>, TooLong> {
    let mut path = Ephemerals::new(session);
    let first = path.key();
    let layers: Vec<_> = hops
        .iter()
        .map(|(key, payload)| Layer {
            keys: LayerKeys::of(&path.step(key)),
            payload: payload.to_vec(),
        })
        .collect();
    let pad = derive(b"pad", &session.to_bytes());
    let rest = match fill {
        Fill::Zeros => Rest::Zeros,
        Fill::Pad => Rest::Pad(&pad),
        Fill::Key(key) => Rest::Random(key),
    };
    layer::wrap(first, &layers, &rest, associated)
}

/// Takes a hop's layer off.
pub fn peel<const N: usize>(
    secret: &OnionSecret,
    packet: Packet<N>,
    associated: &[u8],
) -> Result<Peeled<N>, PeelError> {
    Authentic::check(secret, packet, associated)
        .map_err(|_| PeelError::Mac)?
        .peel()
        .map(|(peeled, _)| peeled)
}
