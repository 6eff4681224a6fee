//! A mint in a variable, and somebody who buys from it.

use cashu::dhke::{blind_message, unblind_message};
use cashu::{BlindSignature, Id, KeySet, Keys, ProofDleq, PublicKey, SecretKey};
use coinfuse_voucher::{
    Denomination, Keyring, MintId, Policy, Unit, Verifier, Voucher, VoucherBlank, VoucherKey,
    VoucherPublicKey,
};
use coinfuse_wire::UnixTime;
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// 2^10 msat.
pub(crate) fn coin() -> Denomination {
    Denomination::from_exponent(10).unwrap()
}

pub(crate) fn month() -> UnixTime {
    NOW.saturating_add(30 * DAY)
}

/// A mint with coins of 2^0 to 2^16 units, which signs what it is asked to.
pub(crate) struct Shop {
    pub(crate) mint: MintId,
    pub(crate) keyset: KeySet,
    pub(crate) secret_keys: BTreeMap<u64, SecretKey>,
}

impl Shop {
    pub(crate) fn new(seed: u8, unit: Unit) -> Self {
        Self::expiring(seed, unit, None)
    }

    pub(crate) fn expiring(seed: u8, unit: Unit, final_expiry: Option<u64>) -> Self {
        let secret_keys: BTreeMap<u64, SecretKey> = (0..=16u8)
            .map(|exponent| {
                let mut bytes = [seed; 32];
                bytes[31] = exponent;
                (1 << exponent, SecretKey::from_slice(&bytes).unwrap())
            })
            .collect();
        let public = secret_keys
            .iter()
            .map(|(amount, k)| ((*amount).into(), k.public_key()));
        let keys = Keys::new(public.collect());
        let id = Id::v2_from_data(&keys, &unit.to_cashu(), 0, final_expiry);
        let keyset = KeySet {
            id,
            unit: unit.to_cashu(),
            active: Some(true),
            keys,
            input_fee_ppk: 0,
            final_expiry,
        };
        let mint = MintId::new(&format!("https://mint{seed}.example"), unit).unwrap();
        Self {
            mint,
            keyset,
            secret_keys,
        }
    }

    pub(crate) fn blank(&self, relay: &VoucherPublicKey, seed: u8) -> VoucherBlank {
        VoucherBlank::new(relay, &[seed; 32], coin(), self.keyset.id, month()).unwrap()
    }

    /// The voucher with its DLEQ proof.
    pub(crate) fn sell(&self, blank: &VoucherBlank) -> Voucher {
        let (signature, dleq) = self.sign(blank);
        blank.complete(signature, Some(dleq))
    }

    /// The voucher with the tweak of its lock.
    pub(crate) fn sell_with_tweak(&self, blank: &VoucherBlank) -> Voucher {
        blank.complete_with_tweak(self.sign(blank).0)
    }

    /// Blinds, signs and unblinds.
    fn sign(&self, blank: &VoucherBlank) -> (PublicKey, ProofDleq) {
        let units = blank.denomination().units();
        let key = &self.secret_keys[&units];
        let (blinded, r) = blind_message(blank.secret().as_bytes(), None).unwrap();
        let c = cashu::dhke::sign_message(key, &blinded).unwrap();
        let signed = BlindSignature::new(units.into(), c, self.keyset.id, &blinded, key).unwrap();
        let dleq = signed.dleq.unwrap();
        let signature = unblind_message(&signed.c, &r, &key.public_key()).unwrap();
        (signature, ProofDleq::new(dleq.e, dleq.s, r))
    }

    /// The keyring of a relay that trusts this mint.
    pub(crate) fn public_keyring(&self) -> Keyring {
        let mut keyring = Keyring::new();
        keyring.add(&self.mint, &self.keyset).unwrap();
        keyring
    }

    /// The keyring of the relay that is this mint.
    pub(crate) fn issuer_keyring(&self) -> Keyring {
        let mut keyring = Keyring::new();
        keyring
            .add_issuer(&self.mint, &self.keyset, &self.secret_keys)
            .unwrap();
        keyring
    }
}

pub(crate) fn key(seed: u8) -> VoucherKey {
    VoucherKey::from_secret_bytes([seed; 32]).unwrap()
}

pub(crate) fn relay(keyring: Keyring) -> Verifier {
    Verifier::new(key(9), keyring, Policy::default())
}
