//! SHA-256 and the few steps on the curve that the derivations are made of.

use bitcoin::hashes::{Hash, HashEngine, sha256};
use cashu::{PublicKey, SECP256K1, SecretKey};

pub(crate) type Digest = [u8; 32];
pub(crate) type Engine = sha256::HashEngine;

pub(crate) fn engine() -> Engine {
    sha256::Hash::engine()
}

pub(crate) fn finish(engine: Engine) -> Digest {
    sha256::Hash::from_engine(engine).to_byte_array()
}

/// SHA-256 over the parts, one after the other.
pub(crate) fn hash(parts: &[&[u8]]) -> Digest {
    let mut engine = engine();
    parts.iter().for_each(|part| engine.input(part));
    finish(engine)
}

/// The first scalar among the hashes of `prefix` and a counter from 0 to 255. `None` happens once
/// in 2^32768.
pub(crate) fn scalar(domain: &[u8], secret: &Digest, prefix: &str) -> Option<SecretKey> {
    (0..=u8::MAX).find_map(|counter| {
        let text = format!("{prefix}|{counter}");
        SecretKey::from_slice(&hash(&[domain, secret, text.as_bytes()])).ok()
    })
}

/// `a + b`.
pub(crate) fn add(a: &PublicKey, b: &PublicKey) -> Option<PublicKey> {
    a.combine(b).ok().map(PublicKey::from)
}

/// `a - b`.
pub(crate) fn subtract(a: &PublicKey, b: &PublicKey) -> Option<PublicKey> {
    add(a, &b.negate(&SECP256K1).into())
}

/// `scalar * point`; not constant in time.
pub(crate) fn multiply(point: &PublicKey, scalar: &SecretKey) -> Option<PublicKey> {
    point
        .mul_tweak(&SECP256K1, &scalar.as_scalar())
        .ok()
        .map(PublicKey::from)
}

/// `tweak*G` plus the point with `key`'s x and an even y: BIP-340 signers of either parity can open
/// what is locked to it.
pub(crate) fn blind_point(key: &PublicKey, tweak: &SecretKey) -> Option<PublicKey> {
    let even = match is_odd(key) {
        true => key.negate(&SECP256K1).into(),
        false => *key,
    };
    add(&even, &tweak.public_key())
}

/// The secret key of [`blind_point`].
pub(crate) fn blind_key(key: &SecretKey, tweak: &SecretKey) -> Option<SecretKey> {
    let even = match is_odd(&key.public_key()) {
        true => key.negate().into(),
        false => key.clone(),
    };
    even.add_tweak(&tweak.as_scalar()).ok().map(SecretKey::from)
}

fn is_odd(key: &PublicKey) -> bool {
    key.to_bytes()[0] == 3
}
