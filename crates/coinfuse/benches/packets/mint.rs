//! The relay's own mint, in a variable.

use cashu::dhke::{blind_message, sign_message, unblind_message};
use cashu::{CurrencyUnit, Id, KeySet, Keys, SecretKey};
use coinfuse_onion::PaymentBytes;
use coinfuse_voucher::{Denomination, Keyring, MintId, Unit, VoucherBlank, VoucherPublicKey};
use coinfuse_wire::{Encode, UnixTime};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// The coins that it has, in its units.
pub(crate) const COIN: u64 = 1;

pub(crate) struct Mint {
    id: MintId,
    keyset: KeySet,
    secret: SecretKey,
}

impl Mint {
    pub(crate) fn new() -> Self {
        let secret = SecretKey::from_slice(&[7; 32]).expect("a key");
        let keys = Keys::new(BTreeMap::from([(COIN.into(), secret.public_key())]));
        Self {
            id: MintId::new("https://mint.example", Unit::Msat).expect("a mint"),
            keyset: KeySet {
                id: Id::v2_from_data(&keys, &CurrencyUnit::Msat, 0, None),
                unit: CurrencyUnit::Msat,
                active: Some(true),
                keys,
                input_fee_ppk: 0,
                final_expiry: None,
            },
            secret,
        }
    }

    /// For the relay that is this mint.
    pub(crate) fn keyring(&self) -> Keyring {
        let mut keyring = Keyring::new();
        let secrets = BTreeMap::from([(COIN, self.secret.clone())]);
        let added = keyring.add_issuer(&self.id, &self.keyset, &secrets);
        added.expect("a good keyset");
        keyring
    }

    /// One coin, locked to the relay with this key.
    pub(crate) fn sell(&self, to: &VoucherPublicKey) -> PaymentBytes {
        let locktime = unix().saturating_add(Duration::from_secs(30 * 24 * 3600));
        let coin = Denomination::from_units(COIN).expect("a power of two");
        let blank = VoucherBlank::new(to, &seed(), coin, self.keyset.id, locktime);
        let blank = blank.expect("a blank");
        let (blinded, r) = blind_message(blank.secret().as_bytes(), None).expect("a message");
        let signed = sign_message(&self.secret, &blinded).expect("a signature");
        let key = self.secret.public_key();
        let signature = unblind_message(&signed, &r, &key).expect("a signature");
        let voucher = blank.complete(signature, None);
        PaymentBytes::new(voucher.to_bytes()).expect("a short voucher")
    }
}

/// Another one each time.
pub(crate) fn seed() -> [u8; 32] {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut seed = [0x5e; 32];
    seed[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    seed
}

#[expect(clippy::disallowed_methods, reason = "vouchers have dates")]
pub(crate) fn unix() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::from_secs(since.unwrap_or_default().as_secs())
}
