//! The relay's side: is this a coin that only I can spend?

use crate::id::{VoucherId, coin_point};
use crate::key::{VoucherKey, add, multiply, subtract};
use crate::keyring::{Keyring, Keys, Keyset};
use crate::refusal::Refusal;
use crate::secret::canonical;
use crate::unit::{Denomination, MintId};
use crate::voucher::{Dleq, Extra, Voucher};
use bitcoin::secp256k1::ecdh::shared_secret_point;
use cashu::dhke::hash_e;
use cashu::secret::Secret;
use cashu::{Id, Proof, PublicKey, SecretKey};
use coinfuse_wire::{Msat, UnixTime};
use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What a relay asks of a voucher beyond its being good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long the relay wants to have for redeeming, before the locktime and before the keyset
    /// expires. Default: 7 days. Too short, and a relay that is down for a week-end loses money.
    pub time_to_redeem: Duration,
    /// The least value of one voucher. Each costs the relay about 0.1 ms to check, 64 bytes of
    /// ledger and a share of the mint's fees. Default: 1 msat, which is no limit.
    pub min_value: Msat,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            time_to_redeem: Duration::from_secs(7 * 24 * 3600),
            min_value: Msat::new(1),
        }
    }
}

/// Checks vouchers, offline and without memory: whether one was spent before is for the caller's
/// [spent set](crate::SpentSet) to say.
#[derive(Debug)]
pub struct Verifier {
    key: VoucherKey,
    keyring: Keyring,
    policy: Policy,
}

impl Verifier {
    /// A verifier for the relay that holds `key`.
    pub const fn new(key: VoucherKey, keyring: Keyring, policy: Policy) -> Self {
        Self {
            key,
            keyring,
            policy,
        }
    }

    /// The key that vouchers for this relay are locked to.
    pub const fn public_key(&self) -> crate::VoucherPublicKey {
        self.key.public_key()
    }

    /// The keysets accepted now.
    pub const fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The keysets accepted from now on, to change.
    pub const fn keyring_mut(&mut self) -> &mut Keyring {
        &mut self.keyring
    }

    /// Checks everything about a voucher that can be checked without asking anybody.
    ///
    /// The cheap checks come first: keyset, amount, times; then about 0.1 ms of curve arithmetic
    /// where this relay is the issuer and 0.2 ms where it is not (the `voucher` bench).
    pub fn verify(&self, now: UnixTime, voucher: &Voucher) -> Result<VerifiedVoucher, Refusal> {
        let keyset = self.keyset(voucher)?;
        let enough = now.saturating_add(self.policy.time_to_redeem);
        if keyset.expiry.is_some_and(|expiry| expiry < enough) {
            return Err(Refusal::KeysetExpiring);
        }
        if value(keyset, voucher)? < self.policy.min_value {
            return Err(Refusal::TooSmall);
        }
        if voucher.locktime() < enough {
            return Err(Refusal::LocktimeTooNear);
        }
        self.open(keyset, voucher)
    }

    /// Checks a voucher that this relay took before, when it comes back from the ledger to be
    /// redeemed: as [`Self::verify`], but however near its locktime is.
    pub fn reopen(&self, voucher: &Voucher) -> Result<VerifiedVoucher, Refusal> {
        self.open(self.keyset(voucher)?, voucher)
    }

    fn keyset(&self, voucher: &Voucher) -> Result<&Keyset, Refusal> {
        self.keyring
            .get(voucher.keyset)
            .ok_or(Refusal::UnknownKeyset)
    }

    fn open(&self, keyset: &Keyset, voucher: &Voucher) -> Result<VerifiedVoucher, Refusal> {
        let value = value(keyset, voucher)?;
        let check = Check::new(&keyset.keys, voucher)?;
        let lock = match &voucher.extra {
            Extra::Tweak(tweak) => self.key.lock_by(tweak),
            Extra::None | Extra::Dleq(_) => self.key.lock(&voucher.ephemeral),
        }
        .ok_or(Refusal::BadSignature)?;
        let secret = canonical(&lock.blinded, &voucher.ephemeral, voucher.locktime);
        let point = coin_point(&secret).ok_or(Refusal::BadSignature)?;
        if !check.passes(&point, &voucher.signature) {
            return Err(Refusal::BadSignature);
        }
        let signing_key = self.key.signing_key(&lock).ok_or(Refusal::BadSignature)?;
        Ok(VerifiedVoucher {
            id: VoucherId::of_point(&point),
            value,
            mint: Arc::clone(&keyset.mint),
            keyset: keyset.id,
            denomination: voucher.denomination,
            signature: voucher.signature,
            secret,
            signing_key,
        })
    }
}

fn value(keyset: &Keyset, voucher: &Voucher) -> Result<Msat, Refusal> {
    keyset
        .mint
        .unit()
        .value(voucher.denomination.units())
        .ok_or(Refusal::UnknownAmount)
}

/// How the mint's signature on one voucher is checked.
enum Check<'a> {
    Issuer(&'a SecretKey),
    Dleq(&'a PublicKey, &'a Dleq),
}

impl<'a> Check<'a> {
    fn new(keys: &'a Keys, voucher: &'a Voucher) -> Result<Self, Refusal> {
        let amount = &voucher.denomination;
        match keys {
            Keys::Issuer(keys) => keys.get(amount).map(Self::Issuer),
            Keys::Public(keys) => {
                let key = keys.get(amount).ok_or(Refusal::UnknownAmount)?;
                let Extra::Dleq(dleq) = &voucher.extra else {
                    return Err(Refusal::DleqMissing);
                };
                Some(Self::Dleq(key, dleq))
            }
        }
        .ok_or(Refusal::UnknownAmount)
    }

    fn passes(&self, point: &PublicKey, signature: &PublicKey) -> bool {
        match self {
            Self::Issuer(key) => issuer_signed(key, point, signature),
            Self::Dleq(key, dleq) => dleq_holds(key, point, signature, dleq).unwrap_or(false),
        }
    }
}

/// NUT-00: `k*Y == C`. Constant in time, since `k` is the mint's and anybody may choose `Y`.
fn issuer_signed(key: &SecretKey, point: &PublicKey, signature: &PublicKey) -> bool {
    let expected = Zeroizing::new(shared_secret_point(point, key));
    // The first byte of the uncompressed form only says that it is uncompressed.
    expected[..]
        .ct_eq(&signature.to_uncompressed_bytes()[1..])
        .into()
}

/// NUT-12, "DLEQ by third party": Carol's check. `None` if a sum is at infinity, which no honest
/// proof is.
pub(crate) fn dleq_holds(
    mint_key: &PublicKey,
    point: &PublicKey,
    signature: &PublicKey,
    Dleq { e, s, r }: &Dleq,
) -> Option<bool> {
    // C' = C + r*A, B' = Y + r*G
    let blind_signature = add(signature, &multiply(mint_key, r)?)?;
    let blinded = add(point, &r.public_key())?;
    // R1 = s*G - e*A, R2 = s*B' - e*C'
    let r1 = subtract(&s.public_key(), &multiply(mint_key, e)?)?;
    let r2 = subtract(&multiply(&blinded, s)?, &multiply(&blind_signature, e)?)?;
    // e == hash(R1, R2, A, C')
    Some(hash_e([r1, r2, *mint_key, blind_signature]) == e.to_secret_bytes())
}

/// The receipt of a check: a coin of a mint that this relay accepts, which only this relay can
/// spend before its locktime. It says nothing about its having been spent before.
pub struct VerifiedVoucher {
    id: VoucherId,
    value: Msat,
    mint: Arc<MintId>,
    keyset: Id,
    denomination: Denomination,
    signature: PublicKey,
    secret: Secret,
    signing_key: SecretKey,
}

impl VerifiedVoucher {
    /// The name of the coin: the key for the spent set.
    pub const fn id(&self) -> VoucherId {
        self.id
    }

    /// What it is worth.
    pub const fn value(&self) -> Msat {
        self.value
    }

    /// The mint that redeems it.
    pub fn mint(&self) -> &MintId {
        &self.mint
    }

    /// The coin as the mint takes it, not signed yet, and the key to sign it with (NUT-11). The
    /// proof carries no DLEQ and no `p2pk_e`: the mint needs neither.
    pub fn redemption(&self) -> (Proof, SecretKey) {
        let amount = self.denomination.units().into();
        let proof = Proof::new(amount, self.keyset, self.secret.clone(), self.signature);
        (proof, self.signing_key.clone())
    }
}

impl fmt::Debug for VerifiedVoucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "VerifiedVoucher({} of {}, [scrubbed])",
            self.value, self.mint
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// tests/vectors/nut12.md, "DLEQ verification on `Proof`".
    #[test]
    fn the_dleq_check_is_the_one_of_the_published_vectors() {
        let point = |hex| PublicKey::from_hex(hex).unwrap();
        let scalar = |hex| SecretKey::from_hex(hex).unwrap();
        let mint_key = point("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
        let secret = "daf4dd00a2b68a0858a80450f52c8a7d2ccf87d375e43e216e0c571f089f63e9";
        let y = coin_point(&Secret::new(secret)).unwrap();
        let c = point("024369d2d22a80ecf78f3937da9d5f30c1b9f74f0c32684d583cca0fa6a61cdcfc");
        let good = Dleq {
            e: scalar("b31e58ac6527f34975ffab13e70a48b6d2b0d35abc4b03f0151f09ee1a9763d4"),
            s: scalar("8fbae004c59e754d71df67e392b6ae4e29293113ddc2ec86592a0431d16306d8"),
            r: scalar("a6d13fcd7a18442e6076f5e1e7c887ad5de40a019824bdfa9fe740d302e8d861"),
        };
        assert_eq!(dleq_holds(&mint_key, &y, &c, &good), Some(true));
        // The mint's key there is 1*G, so the issuer's check has a vector as well.
        let one = scalar("0000000000000000000000000000000000000000000000000000000000000001");
        assert!(issuer_signed(&one, &y, &c));
        let two = scalar("0000000000000000000000000000000000000000000000000000000000000002");
        assert!(!issuer_signed(&two, &y, &c));

        let swapped = Dleq {
            e: good.s.clone(),
            s: good.e.clone(),
            r: good.r.clone(),
        };
        assert_eq!(dleq_holds(&mint_key, &y, &c, &swapped), Some(false));
        assert_eq!(dleq_holds(&mint_key, &y, &mint_key, &good), Some(false));
        assert_eq!(dleq_holds(&mint_key, &mint_key, &c, &good), Some(false));
    }
}
