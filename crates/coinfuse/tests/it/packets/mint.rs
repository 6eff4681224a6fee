//! A mint in a variable: real coins, no server.

use cashu::dhke::{blind_message, sign_message, unblind_message};
use cashu::{BlindSignature, Id, KeySet, Keys, ProofDleq, SecretKey};
use coinfuse_voucher::{
    Denomination, Keyring, MintId, Unit, Voucher, VoucherBlank, VoucherPublicKey,
};
use coinfuse_wire::UnixTime;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::network::unix;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// Issues coins of 1 to 1,024 units.
pub(crate) struct PocketMint {
    pub(crate) id: MintId,
    keyset: KeySet,
    secrets: BTreeMap<u64, SecretKey>,
}

impl PocketMint {
    pub(crate) fn new(seed: u8) -> Self {
        Self::with(seed, Unit::Msat, None)
    }

    pub(crate) fn with(seed: u8, unit: Unit, final_expiry: Option<UnixTime>) -> Self {
        let secret = |exponent: u8| {
            let mut bytes = [seed; 32];
            bytes[31] = exponent;
            SecretKey::from_slice(&bytes).unwrap()
        };
        let secrets: BTreeMap<u64, SecretKey> = (0..=10)
            .map(|exponent| (1 << exponent, secret(exponent)))
            .collect();
        let public = secrets
            .iter()
            .map(|(units, key)| ((*units).into(), key.public_key()));
        let keys = Keys::new(public.collect());
        let final_expiry = final_expiry.map(UnixTime::secs);
        let keyset = KeySet {
            id: Id::v2_from_data(&keys, &unit.to_cashu(), 0, final_expiry),
            unit: unit.to_cashu(),
            active: Some(true),
            keys,
            input_fee_ppk: 0,
            final_expiry,
        };
        Self {
            id: MintId::new(&format!("https://mint{seed}.example"), unit).unwrap(),
            keyset,
            secrets,
        }
    }

    /// A coin for the relay with this key, with the proof that others than the mint ask for.
    pub(crate) fn sell(&self, relay: &VoucherPublicKey, units: u64) -> Voucher {
        self.sell_until(relay, units, unix().saturating_add(30 * DAY))
    }

    pub(crate) fn sell_until(
        &self,
        relay: &VoucherPublicKey,
        units: u64,
        locktime: UnixTime,
    ) -> Voucher {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut seed = [0x5e; 32];
        seed[..8].copy_from_slice(&NEXT.fetch_add(1, Relaxed).to_be_bytes());
        let coin = Denomination::from_units(units).unwrap();
        let blank = VoucherBlank::new(relay, &seed, coin, self.keyset.id, locktime).unwrap();
        let key = &self.secrets[&units];
        let (blinded, r) = blind_message(blank.secret().as_bytes(), None).unwrap();
        let signed = sign_message(key, &blinded).unwrap();
        let signed = BlindSignature::new(units.into(), signed, self.keyset.id, &blinded, key);
        let signed = signed.unwrap();
        let dleq = signed.dleq.unwrap();
        let signature = unblind_message(&signed.c, &r, &key.public_key()).unwrap();
        blank.complete(signature, Some(ProofDleq::new(dleq.e, dleq.s, r)))
    }

    /// For a relay that trusts this mint.
    pub(crate) fn keyring(&self) -> Keyring {
        let mut keyring = Keyring::new();
        keyring.add(&self.id, &self.keyset).unwrap();
        keyring
    }
}
