//! Route blinding, as in BOLT-4: a route that can be used by somebody who does not learn its hops.

use crate::key::{Ephemerals, NotAKey, OnionKey, OnionSecret, scalar};
use crate::seal;
use core::fmt;
use thiserror::Error;
use zeroize::Zeroizing;

/// A route whose hops go by other keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlindedRoute {
    /// The path key that the first hop needs.
    pub first_path_key: OnionKey,
    /// The hops, the first of which is known to the sender also by its own key.
    pub hops: Vec<BlindedHop>,
}

/// A hop of a blinded route.
#[derive(Clone, PartialEq, Eq)]
pub struct BlindedHop {
    /// The key for which the hop's layer is made, `blinded_node_id`.
    pub key: OnionKey,
    /// What the maker of the route tells the hop, sealed: `encrypted_recipient_data`.
    pub data: Vec<u8>,
}

impl fmt::Debug for BlindedHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlindedHop({:?}, {} bytes)", self.key, self.data.len())
    }
}

/// What a hop of a blinded route has from the path key that came with a packet.
pub struct Unblinded {
    /// The key with which to peel.
    pub secret: OnionSecret,
    /// The path key for the next hop, unless the hop's data name another one.
    pub next_path_key: OnionKey,
    rho: Zeroizing<[u8; 32]>,
}

/// The data were not sealed for this hop and path key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the data of the blinded hop are not authentic")]
pub struct BlindedDataError;

impl Unblinded {
    /// What the maker of the route tells this hop.
    pub fn open(&self, data: &[u8]) -> Result<Vec<u8>, BlindedDataError> {
        seal::open(&self.rho, data).ok_or(BlindedDataError)
    }
}

/// Blinds a route: each hop's key, and what to tell it. `session` must be fresh for every route.
pub fn blind(session: &OnionSecret, hops: &[(OnionKey, &[u8])]) -> Result<BlindedRoute, NotAKey> {
    let mut path = Ephemerals::new(session);
    let first_path_key = path.key();
    let blind = |(key, data): &(OnionKey, &[u8])| {
        let shared = path.step(key);
        Ok(BlindedHop {
            key: key.times(&scalar(*shared.key(b"blinded_node_id"))?)?,
            data: seal::seal(&shared.key(b"rho"), data),
        })
    };
    Ok(BlindedRoute {
        first_path_key,
        hops: hops.iter().map(blind).collect::<Result<_, _>>()?,
    })
}

/// What the hop with the key `secret` has from a path key. Fails with probability 2^-128.
pub fn unblind(secret: &OnionSecret, path_key: &OnionKey) -> Result<Unblinded, NotAKey> {
    let shared = secret.agree(path_key);
    Ok(Unblinded {
        secret: secret.times(&scalar(*shared.key(b"blinded_node_id"))?)?,
        next_path_key: path_key.times(&shared.factor(path_key)?)?,
        rho: shared.key(b"rho"),
    })
}
