//! The buyer's side: what is signed blindly, and what comes of it.

use crate::id::{VoucherId, coin_point};
use crate::key::{Lock, VoucherPublicKey};
use crate::secret::{MAX_LOCKTIME, canonical, ephemeral_key};
use crate::unit::Denomination;
use crate::voucher::{Extra, ShortKeysetId, Voucher};
use cashu::secret::Secret;
use cashu::{Id, Proof, ProofDleq, PublicKey, SecretKey};
use coinfuse_wire::UnixTime;
use core::fmt;

/// Why a voucher cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlankError {
    /// The locktime lies after 2106-02-07 or is zero, which would be no lock.
    #[error("a locktime of {0} s cannot be written in a voucher")]
    Locktime(u64),
    /// The seed does not go with this relay's key; happens with probability 2^-128.
    #[error("draw another seed for this voucher")]
    Seed,
}

/// A voucher that is not signed yet. All of it follows from the arguments of [`Self::new`], so a
/// purse that keeps those can rebuild it after a crash.
///
/// The steps: blind [`Self::secret`] and have it signed by the mint, unblind, [`Self::complete`].
pub struct VoucherBlank {
    denomination: Denomination,
    keyset: Id,
    locktime: u32,
    ephemeral: SecretKey,
    ephemeral_point: PublicKey,
    tweak: SecretKey,
    secret: Secret,
    point: PublicKey,
}

impl VoucherBlank {
    /// A blank for one coin of `denomination` of `keyset`, locked to `relay` until `locktime`.
    ///
    /// `seed` must be secret and used for one voucher only; the refund key follows from it.
    pub fn new(
        relay: &VoucherPublicKey,
        seed: &[u8; 32],
        denomination: Denomination,
        keyset: Id,
        locktime: UnixTime,
    ) -> Result<Self, BlankError> {
        if locktime > MAX_LOCKTIME || locktime.secs() == 0 {
            return Err(BlankError::Locktime(locktime.secs()));
        }
        let locktime = locktime.secs() as u32;
        let ephemeral = ephemeral_key(seed);
        let ephemeral_point = ephemeral.public_key();
        let Lock { blinded, tweak } = relay.lock(&ephemeral).ok_or(BlankError::Seed)?;
        let secret = canonical(&blinded, &ephemeral_point, locktime);
        let point = coin_point(&secret).ok_or(BlankError::Seed)?;
        Ok(Self {
            denomination,
            keyset,
            locktime,
            ephemeral,
            ephemeral_point,
            tweak,
            secret,
            point,
        })
    }

    /// The NUT-10 secret to blind.
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// `Y = hash_to_curve(secret)`; the blinded message is `Y + r*G`.
    pub const fn point(&self) -> PublicKey {
        self.point
    }

    /// The amount to ask for.
    pub const fn denomination(&self) -> Denomination {
        self.denomination
    }

    /// The keyset to ask for.
    pub const fn keyset(&self) -> Id {
        self.keyset
    }

    /// When the coin can be taken back.
    pub const fn locktime(&self) -> UnixTime {
        UnixTime::from_secs(self.locktime as u64)
    }

    /// The name of the coin.
    pub fn id(&self) -> VoucherId {
        VoucherId::of_point(&self.point)
    }

    /// The voucher, from the mint's unblinded signature `C`.
    ///
    /// Give `dleq` if and only if the relay is not the issuer of the coin: its `r` would tell the
    /// issuer which purchase the coin comes from. That the signature is right must have been
    /// checked before.
    pub fn complete(&self, signature: PublicKey, dleq: Option<ProofDleq>) -> Voucher {
        Voucher {
            denomination: self.denomination,
            keyset: ShortKeysetId::of(&self.keyset),
            locktime: self.locktime,
            ephemeral: self.ephemeral_point,
            signature,
            extra: dleq.map_or(Extra::None, |dleq| Extra::Dleq(dleq.into())),
        }
    }

    /// The voucher for the relay that issued the coin, with the tweak of its lock: 32 bytes more,
    /// and a third less work for the relay. For packets, where each voucher is checked by itself and
    /// there is room. What [`Self::complete`] says about the signature holds.
    pub fn complete_with_tweak(&self, signature: PublicKey) -> Voucher {
        Voucher {
            extra: Extra::Tweak(self.tweak.clone()),
            ..self.complete(signature, None)
        }
    }

    /// The coin as the mint takes it back after the locktime, and the key that it must be signed
    /// with.
    pub fn refund(&self, signature: PublicKey) -> (Proof, SecretKey) {
        let amount = self.denomination.units().into();
        (
            Proof::new(amount, self.keyset, self.secret.clone(), signature),
            self.ephemeral.clone(),
        )
    }
}

impl fmt::Debug for VoucherBlank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VoucherBlank([scrubbed])")
    }
}
