//! The relay's voucher key and the blinded locks made from it (NUT-28, slot 0).

use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::secp256k1::ecdh::shared_secret_point;
use cashu::{PublicKey, SECP256K1, SecretKey};
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use core::fmt;
use zeroize::Zeroizing;

/// The key of a relay to which vouchers are locked; public, stands in its descriptor.
/// 33 bytes, a compressed secp256k1 point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoucherPublicKey(PublicKey);

impl VoucherPublicKey {
    /// From a compressed point; `None` if the bytes are not one.
    pub fn from_bytes(bytes: &[u8; 33]) -> Option<Self> {
        PublicKey::from_slice(bytes).ok().map(Self)
    }

    /// The compressed point.
    pub fn to_bytes(&self) -> [u8; 33] {
        self.0.to_bytes()
    }

    /// The lock that whoever holds `ephemeral` makes for this relay.
    pub(crate) fn lock(&self, ephemeral: &SecretKey) -> Option<Lock> {
        Lock::new(&self.0, &self.0, ephemeral)
    }
}

impl fmt::Debug for VoucherPublicKey {
    /// The first four bytes: enough to tell keys apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VoucherPublicKey(")?;
        self.to_bytes()[..4]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("..)")
    }
}

impl Encode for VoucherPublicKey {
    fn encode(&self, out: &mut Writer) {
        out.put(&self.to_bytes());
    }
}

impl Decode for VoucherPublicKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_point(reader, "voucher key").map(Self)
    }
}

/// The relay's secret voucher key. Erased when dropped, never printed.
///
/// Losing it loses every voucher that has not been redeemed; showing it lets others redeem them.
pub struct VoucherKey {
    secret: Zeroizing<[u8; 32]>,
    public: VoucherPublicKey,
}

/// The bytes are zero or not below the order of the curve; try other ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these 32 bytes are not a secp256k1 secret key")]
pub struct NotAKey;

impl VoucherKey {
    /// From 32 secret bytes that the caller drew at random and keeps.
    pub fn from_secret_bytes(secret: [u8; 32]) -> Result<Self, NotAKey> {
        let secret = Zeroizing::new(secret);
        let key = SecretKey::from_slice(&*secret).map_err(|_| NotAKey)?;
        let public = VoucherPublicKey(key.public_key());
        Ok(Self { secret, public })
    }

    /// The public half.
    pub const fn public_key(&self) -> VoucherPublicKey {
        self.public
    }

    /// The lock of a voucher whose ephemeral point is `ephemeral`.
    pub(crate) fn lock(&self, ephemeral: &PublicKey) -> Option<Lock> {
        Lock::new(&self.public.0, ephemeral, &self.secret_key()?)
    }

    /// The lock that `tweak` makes of this key. Whoever presents a coin may choose it: that `p + r`
    /// opens the lock is all that is asked, and nobody who lacks `p` knows it for any `r`.
    pub(crate) fn lock_by(&self, tweak: &SecretKey) -> Option<Lock> {
        Lock::by(&self.public.0, tweak.clone())
    }

    /// The key that opens `lock` at the mint.
    pub(crate) fn signing_key(&self, lock: &Lock) -> Option<SecretKey> {
        self.secret_key()?
            .add_tweak(&lock.tweak.as_scalar())
            .ok()
            .map(SecretKey::from)
    }

    fn secret_key(&self) -> Option<SecretKey> {
        SecretKey::from_slice(&*self.secret).ok()
    }
}

impl fmt::Debug for VoucherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VoucherKey({:?}, secret [scrubbed])", self.public)
    }
}

/// `P' = P + r*G`, and `r`: the relay's key in a form that only its holder and the buyer recognise.
pub(crate) struct Lock {
    pub(crate) blinded: PublicKey,
    pub(crate) tweak: SecretKey,
}

impl Lock {
    /// `point` and `scalar` are the two halves of the key agreement as one of the sides holds them.
    ///
    /// `None` happens with probability 2^-128: a tweak of zero or a sum at infinity.
    fn new(relay: &PublicKey, point: &PublicKey, scalar: &SecretKey) -> Option<Self> {
        // Constant in time, unlike a tweak of the point: a relay multiplies points that anybody
        // may send by a secret that must last.
        let shared = Zeroizing::new(shared_secret_point(point, scalar));
        Self::by(relay, blinding_factor(&shared[..32])?)
    }

    fn by(relay: &PublicKey, tweak: SecretKey) -> Option<Self> {
        let blinded = relay.combine(&tweak.public_key()).ok()?.into();
        Some(Self { blinded, tweak })
    }
}

/// NUT-28's key derivation for slot 0, with its one retry.
fn blinding_factor(shared_x: &[u8]) -> Option<SecretKey> {
    let mut engine = sha256::Hash::engine();
    engine.input(b"Cashu_P2BK_v1");
    engine.input(shared_x);
    engine.input(&[0]);
    let first = sha256::Hash::from_engine(engine.clone());
    SecretKey::from_slice(first.as_byte_array())
        .ok()
        .or_else(|| {
            engine.input(&[0xff]);
            SecretKey::from_slice(sha256::Hash::from_engine(engine).as_byte_array()).ok()
        })
}

/// A secret key derived from `seed` for the purpose that `tag` names.
pub(crate) fn derive_key(tag: &[u8], seed: &[u8; 32]) -> SecretKey {
    let mut counter = 0u32;
    loop {
        let mut engine = sha256::Hash::engine();
        engine.input(tag);
        engine.input(seed);
        engine.input(&counter.to_be_bytes());
        let bytes = Zeroizing::new(sha256::Hash::from_engine(engine).to_byte_array());
        // Fails once in 2^128.
        if let Ok(key) = SecretKey::from_slice(&*bytes) {
            return key;
        }
        counter = counter.wrapping_add(1);
    }
}

/// Reads a compressed point that lies on the curve.
pub(crate) fn read_point(
    reader: &mut Reader<'_>,
    what: &'static str,
) -> Result<PublicKey, DecodeError> {
    let bytes: [u8; 33] = reader.array(what)?;
    PublicKey::from_slice(&bytes).map_err(|_| DecodeError::Invalid { what })
}

/// Reads a scalar that is neither zero nor above the order of the curve.
pub(crate) fn read_scalar(
    reader: &mut Reader<'_>,
    what: &'static str,
) -> Result<SecretKey, DecodeError> {
    let bytes = Zeroizing::new(reader.array::<32>(what)?);
    SecretKey::from_slice(&*bytes).map_err(|_| DecodeError::Invalid { what })
}

/// `scalar * point`, not constant in time: for values that are no lasting secret.
pub(crate) fn multiply(point: &PublicKey, scalar: &SecretKey) -> Option<PublicKey> {
    point
        .mul_tweak(&SECP256K1, &scalar.as_scalar())
        .ok()
        .map(PublicKey::from)
}

/// `a + b`.
pub(crate) fn add(a: &PublicKey, b: &PublicKey) -> Option<PublicKey> {
    a.combine(b).ok().map(PublicKey::from)
}

/// `a - b`.
pub(crate) fn subtract(a: &PublicKey, b: &PublicKey) -> Option<PublicKey> {
    add(a, &b.negate(&SECP256K1).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cashu::nuts::nut28;
    use proptest::prelude::*;

    fn secret(hex: &str) -> SecretKey {
        SecretKey::from_hex(hex).unwrap()
    }

    /// tests/vectors/nut28.md, slot 0.
    #[test]
    fn the_lock_is_the_one_of_the_published_vectors() {
        let e = secret("1cedb9df0c6872188b560ace9e35fd55c2532d53e19ae65b46159073886482ca");
        let p = secret("ad37e8abd800be3e8272b14045873f4353327eedeb702b72ddcc5c5adff5129c");
        let relay = VoucherKey::from_secret_bytes(p.to_secret_bytes()).unwrap();
        let tweak = "f43cfecf4d44e109872ed601156a01211c0d9eba0460d5be254a510782a2d4aa";
        assert_eq!(
            relay.lock(&e.public_key()).unwrap().tweak.to_secret_hex(),
            tweak
        );

        // The vectors write the receiver's key with even y, whatever p*G has.
        let even = "02771fed6cb88aaac38b8b32104a942bf4b8f4696bc361171b3c7d06fa2ebddf06";
        let lock = VoucherPublicKey(PublicKey::from_hex(even).unwrap())
            .lock(&e)
            .unwrap();
        assert_eq!(lock.tweak.to_secret_hex(), tweak);
        assert_eq!(
            lock.blinded.to_hex(),
            "03b7c03eb05a0a539cfc438e81bcf38b65b7bb8685e8790f9b853bfe3d77ad5315"
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let key = VoucherKey::from_secret_bytes([0xab; 32]).unwrap();
        assert!(!format!("{key:?}").contains("abab"));
        assert_eq!(VoucherKey::from_secret_bytes([0; 32]).unwrap_err(), NotAKey);
        assert_eq!(
            VoucherKey::from_secret_bytes([0xff; 32]).unwrap_err(),
            NotAKey
        );
    }

    proptest! {
        /// Ours is constant in time; the result must still be cashu's, for both sides.
        #[test]
        fn locks_and_signing_keys_agree_with_cashu(p: [u8; 32], seed: [u8; 32]) {
            prop_assume!(VoucherKey::from_secret_bytes(p).is_ok());
            let relay = VoucherKey::from_secret_bytes(p).unwrap();
            let p = SecretKey::from_slice(&p).unwrap();
            let e = derive_key(b"test", &seed);

            let r = nut28::ecdh_kdf(&e, &p.public_key(), 0).unwrap();
            let blinded = nut28::blind_public_key(&p.public_key(), &r).unwrap();
            let lock = relay.lock(&e.public_key()).unwrap();
            prop_assert_eq!(lock.blinded, blinded);
            prop_assert_eq!(relay.public_key().lock(&e).unwrap().blinded, blinded);

            let signer = relay.signing_key(&lock).unwrap();
            prop_assert_eq!(&signer, &nut28::derive_signing_key_bip340(&p, &r, &blinded).unwrap());
            prop_assert_eq!(signer.public_key(), blinded);
        }
    }
}
