//! Names of coins and of the accounts they were credited to: 32 bytes each, keys of the spent set.

use bitcoin::hashes::{Hash, HashEngine, sha256};
use cashu::PublicKey;
use cashu::secret::Secret;
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use core::fmt;

macro_rules! bytes32 {
    ($name:ident, $what:literal) => {
        impl $name {
            /// From the 32 bytes, as a store gives them back.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([scrubbed])"))
            }
        }

        impl Encode for $name {
            fn encode(&self, out: &mut Writer) {
                out.put(&self.0);
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.array($what).map(Self)
            }
        }
    };
}

/// The name of a coin, and the key of the spent set: the x coordinate of `Y = hash_to_curve(secret)`
/// (NUT-00; y is always even, so nothing is lost).
///
/// It is what the mint itself tells coins apart by, which is what a spent set must do. A hash of
/// the encoding would not serve: the same coin has encodings with and without DLEQ proof, and with
/// different ones. Nor would the ephemeral point: one point with two locktimes makes two coins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoucherId([u8; 32]);

bytes32!(VoucherId, "VoucherId");

impl VoucherId {
    pub(crate) fn of_point(y: &PublicKey) -> Self {
        Self(y.x_only_public_key().serialize())
    }
}

/// `Y = hash_to_curve(secret)` of NUT-00; `None` happens once in 2^65536.
///
/// Each point that is tried costs a square root. cashu's own function takes one more, to turn the
/// x coordinate that it has found into a point.
pub(crate) fn coin_point(secret: &Secret) -> Option<PublicKey> {
    let mut engine = sha256::Hash::engine();
    engine.input(b"Secp256k1_HashToCurve_Cashu_");
    engine.input(secret.as_bytes());
    let message = sha256::Hash::from_engine(engine);
    let attempt = |counter: u32| {
        let mut engine = sha256::Hash::engine();
        engine.input(message.as_byte_array());
        engine.input(&counter.to_le_bytes());
        // 2: the y coordinate is even.
        let mut point = [2; 33];
        point[1..].copy_from_slice(sha256::Hash::from_engine(engine).as_byte_array());
        PublicKey::from_slice(&point).ok()
    };
    (0..1 << 16).find_map(attempt)
}

/// The name under which a relay remembers an account: SHA-256 of a tag and the account's token.
///
/// The token itself is enough to use the credit, so it is not stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountHash([u8; 32]);

bytes32!(AccountHash, "AccountHash");

impl AccountHash {
    /// The name of the account whose 32-byte token the client chose.
    pub fn of(token: &[u8; 32]) -> Self {
        Self(tagged_hash(b"Coinfuse_account_v1", token))
    }
}

/// The name of a [`Payment`](crate::Payment): SHA-256 of a tag and its encoding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentId([u8; 32]);

bytes32!(PaymentId, "PaymentId");

impl PaymentId {
    pub(crate) fn of_encoding(bytes: &[u8]) -> Self {
        Self(tagged_hash(b"Coinfuse_payment_v1", bytes))
    }
}

fn tagged_hash(tag: &[u8], bytes: &[u8]) -> [u8; 32] {
    let mut engine = sha256::Hash::engine();
    engine.input(tag);
    engine.input(bytes);
    sha256::Hash::from_engine(engine).to_byte_array()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_point_of_a_coin_is_the_one_that_cashu_computes(secret in ".{0,400}") {
            let theirs = cashu::dhke::hash_to_curve(secret.as_bytes()).unwrap();
            prop_assert_eq!(coin_point(&Secret::new(secret)), Some(theirs));
        }
    }
}
