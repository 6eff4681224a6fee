//! Keys on secp256k1, and what two of them share.

use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use core::fmt;
use ring::{digest, hmac};
use secp256k1::ecdh::SharedSecret;
use secp256k1::{PublicKey, SECP256K1, Scalar, SecretKey};
use thiserror::Error;
use zeroize::Zeroizing;

/// The bytes are not a compressed point (33 bytes), or not a scalar from 1 to the order (32 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a secp256k1 key")]
pub struct NotAKey;

/// A public key for which a layer is made: a relay's onion key of one epoch, or a packet's
/// ephemeral key. 33 bytes, a compressed secp256k1 point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OnionKey(PublicKey);

impl OnionKey {
    /// Bytes of an encoded key.
    pub const LEN: usize = 33;

    /// From a compressed point.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, NotAKey> {
        PublicKey::from_slice(bytes).map(Self).map_err(|_| NotAKey)
    }

    /// The compressed point.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        self.0.serialize()
    }

    /// The point times `factor`; fails with probability 2^-128.
    ///
    /// Not constant in time: used with factors that are as public as the point.
    pub(crate) fn times(&self, factor: &Scalar) -> Result<Self, NotAKey> {
        self.0
            .mul_tweak(SECP256K1, factor)
            .map(Self)
            .map_err(|_| NotAKey)
    }
}

impl fmt::Debug for OnionKey {
    /// The first four bytes: enough to tell keys apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnionKey(")?;
        self.to_bytes()[..4]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("..)")
    }
}

impl Encode for OnionKey {
    fn encode(&self, out: &mut Writer) {
        out.put(&self.to_bytes());
    }
}

impl Decode for OnionKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "onion key";
        Self::from_bytes(&reader.array(WHAT)?)
            .map_err(|NotAKey| DecodeError::Invalid { what: WHAT })
    }
}

/// The secret half of an [`OnionKey`]. Erased when dropped, never printed.
pub struct OnionSecret(SecretKey);

impl OnionSecret {
    /// From 32 secret bytes, a big-endian scalar.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, NotAKey> {
        SecretKey::from_slice(bytes).map(Self).map_err(|_| NotAKey)
    }

    /// From 32 bytes that the caller drew at random, whatever they are.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let mut bytes = derive(b"Coinfuse_onion_secret", seed);
        loop {
            // All but 2^-128 of the digests are scalars.
            match Self::from_bytes(&bytes) {
                Ok(secret) => return secret,
                Err(NotAKey) => bytes = derive(b"Coinfuse_onion_secret", &bytes),
            }
        }
    }

    /// The 32 bytes, to be stored as secretly.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.secret_bytes())
    }

    /// The public half.
    pub fn public_key(&self) -> OnionKey {
        OnionKey(self.0.public_key(SECP256K1))
    }

    /// What the holder of the other key also gets; constant in time.
    pub(crate) fn agree(&self, other: &OnionKey) -> Shared {
        let mut shared = SharedSecret::new(&other.0, &self.0);
        let bytes = Zeroizing::new(shared.secret_bytes());
        shared.non_secure_erase();
        Shared(bytes)
    }

    /// The secret times `factor`; fails with probability 2^-128.
    pub(crate) fn times(&self, factor: &Scalar) -> Result<Self, NotAKey> {
        self.0.mul_tweak(factor).map(Self).map_err(|_| NotAKey)
    }
}

impl Drop for OnionSecret {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

impl fmt::Debug for OnionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnionSecret([scrubbed])")
    }
}

/// `ss` of BOLT-4: the SHA-256 of the compressed point that two keys agree on.
pub(crate) struct Shared(Zeroizing<[u8; 32]>);

impl Shared {
    /// A secret that was not agreed on by keys.
    pub(crate) fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The key for one purpose: HMAC-SHA256 of the secret, under the name of the purpose.
    pub(crate) fn key(&self, purpose: &[u8]) -> Zeroizing<[u8; 32]> {
        derive(purpose, &self.0)
    }

    /// By what the key `point` is multiplied for the next hop: SHA-256 of the point and the secret.
    pub(crate) fn factor(&self, point: &OnionKey) -> Result<Scalar, NotAKey> {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&point.to_bytes());
        hash.update(&*self.0);
        scalar(array(hash.finish().as_ref()))
    }
}

/// The keys that one hop after the other sees, and what the maker of a path shares with each.
///
/// The same sequence makes the ephemeral keys of packets and the path keys of blinded routes.
pub(crate) struct Ephemerals {
    secret: OnionSecret,
    key: Option<OnionKey>,
    /// What is shared with the hop before, as long as nobody has asked for what follows from it.
    passed: Option<Shared>,
}

impl Ephemerals {
    pub(crate) fn new(session: &OnionSecret) -> Self {
        Self {
            secret: OnionSecret(session.0),
            key: None,
            passed: None,
        }
    }

    /// The key that the next hop will see.
    pub(crate) fn key(&mut self) -> OnionKey {
        self.go_on();
        self.here()
    }

    /// What is shared with `hop`. Goes on to the hop behind it.
    pub(crate) fn step(&mut self, hop: &OnionKey) -> Shared {
        self.go_on();
        let shared = self.secret.agree(hop);
        self.passed = Some(Shared(shared.0.clone()));
        shared
    }

    fn here(&mut self) -> OnionKey {
        *self.key.get_or_insert_with(|| self.secret.public_key())
    }

    /// Not before it is needed: behind the last hop nobody sees a key, and keys cost the most here.
    fn go_on(&mut self) {
        let Some(shared) = self.passed.take() else {
            return;
        };
        let next = shared
            .factor(&self.here())
            .and_then(|factor| self.secret.times(&factor));
        // A digest that is no scalar has never been seen; a path over it would not be delivered.
        if let Ok(next) = next {
            self.secret = next;
            self.key = None;
        }
    }
}

/// HMAC-SHA256 of `input`, keyed with the name of its purpose.
pub(crate) fn derive(purpose: &[u8], input: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, purpose);
    Zeroizing::new(array(hmac::sign(&key, input).as_ref()))
}

/// `bytes` as a scalar that can be multiplied by.
pub(crate) fn scalar(bytes: [u8; 32]) -> Result<Scalar, NotAKey> {
    Scalar::from_be_bytes(bytes).map_err(|_| NotAKey)
}

fn array(digest: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest);
    out
}
