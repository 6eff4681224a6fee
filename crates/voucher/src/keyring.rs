//! The keysets that are accepted, each with its mint.

use crate::unit::{Denomination, MintId, Unit};
use crate::voucher::ShortKeysetId;
use cashu::{Id, KeySet, PublicKey, SecretKey};
use coinfuse_wire::UnixTime;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a keyset is not taken into a [`Keyring`]. The mint that published it is at fault, except
/// for [`Self::Full`] and the secret keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// The id is not the hash of the keys.
    #[error("the keys of keyset {0} do not hash to its id")]
    WrongId(Id),
    /// The keyset counts in another unit than the mint was listed with.
    #[error("keyset {0} is not in the unit of the mint")]
    WrongUnit(Id),
    /// Another keyset or mint has the same short id.
    #[error("keyset {0} has the short id of a keyset that is already held")]
    Ambiguous(Id),
    /// No amount of the keyset is a power of two.
    #[error("keyset {0} has no amount that is a power of two")]
    NoAmounts(Id),
    /// A secret key is missing or does not belong to its public key.
    #[error("the secret keys of keyset {0} are not those of its public keys")]
    WrongSecretKey(Id),
    /// There are [`Keyring::MAX_KEYSETS`] already: remove those that nobody uses any more.
    #[error("the keyring is full")]
    Full,
}

/// The keysets whose coins are accepted.
///
/// A relay holds those of the mints in its descriptor, with the secret keys where it is the issuer;
/// a client those it buys with. Keysets turn over: add the new ones, remove the old ones.
#[derive(Clone, Default)]
pub struct Keyring {
    keysets: BTreeMap<ShortKeysetId, Keyset>,
}

/// One keyset of a keyring.
#[derive(Clone)]
pub(crate) struct Keyset {
    pub(crate) mint: Arc<MintId>,
    pub(crate) id: Id,
    pub(crate) expiry: Option<UnixTime>,
    pub(crate) keys: Keys,
}

/// What a mint's signature is checked with.
#[derive(Clone)]
pub(crate) enum Keys {
    /// By the issuer: `k*Y == C`.
    Issuer(BTreeMap<Denomination, SecretKey>),
    /// By others: DLEQ.
    Public(BTreeMap<Denomination, PublicKey>),
}

impl Keys {
    fn is_empty(&self) -> bool {
        match self {
            Self::Issuer(keys) => keys.is_empty(),
            Self::Public(keys) => keys.is_empty(),
        }
    }

    fn is_issuer(&self) -> bool {
        matches!(self, Self::Issuer(_))
    }
}

impl Keyring {
    /// The most keysets that a keyring holds.
    pub const MAX_KEYSETS: usize = 256;

    /// An empty keyring, which accepts nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts the coins of a keyset of `mint` that carry a DLEQ proof. Again with the same keyset
    /// it does nothing.
    pub fn add(&mut self, mint: &MintId, keyset: &KeySet) -> Result<(), KeyringError> {
        check(mint, keyset)?;
        let keys = powers_of_two(keyset)
            .map(|(amount, key)| (amount, *key))
            .collect();
        self.insert(mint, keyset, Keys::Public(keys))
    }

    /// Accepts the coins of a keyset that this relay itself issues, without DLEQ proofs.
    ///
    /// `secret_keys` has a secret key for each amount (in units) of `keyset` that is a power of
    /// two; others are passed over.
    pub fn add_issuer(
        &mut self,
        mint: &MintId,
        keyset: &KeySet,
        secret_keys: &BTreeMap<u64, SecretKey>,
    ) -> Result<(), KeyringError> {
        check(mint, keyset)?;
        let keys = powers_of_two(keyset).map(|(amount, public)| {
            let secret = secret_keys
                .get(&amount.units())
                .filter(|k| k.public_key() == *public);
            Some((amount, secret?.clone()))
        });
        let keys = keys
            .collect::<Option<_>>()
            .ok_or(KeyringError::WrongSecretKey(keyset.id))?;
        self.insert(mint, keyset, Keys::Issuer(keys))
    }

    /// Stops accepting a keyset; true if it was accepted.
    pub fn remove(&mut self, id: &Id) -> bool {
        let short = ShortKeysetId::of(id);
        self.get(short).is_some_and(|held| held.id == *id) && self.keysets.remove(&short).is_some()
    }

    /// How many keysets are held.
    pub fn len(&self) -> usize {
        self.keysets.len()
    }

    /// True when nothing is accepted.
    pub fn is_empty(&self) -> bool {
        self.keysets.is_empty()
    }

    /// The full id and the mint that a short id stands for.
    pub fn resolve(&self, short: ShortKeysetId) -> Option<(Id, &MintId)> {
        self.get(short).map(|keyset| (keyset.id, &*keyset.mint))
    }

    pub(crate) fn get(&self, short: ShortKeysetId) -> Option<&Keyset> {
        self.keysets.get(&short)
    }

    /// Accepts all that `other` does. Where both hold a keyset, secret keys are kept.
    ///
    /// # Errors
    ///
    /// The first keyset that could not be taken; the others were.
    pub fn merge(&mut self, other: Self) -> Result<(), KeyringError> {
        let mut result = Ok(());
        for keyset in other.keysets.into_values() {
            result = result.and(self.hold(keyset));
        }
        result
    }

    /// True if any keyset of `mint` is accepted.
    pub fn accepts(&self, mint: &MintId) -> bool {
        self.keysets.values().any(|keyset| *keyset.mint == *mint)
    }

    fn insert(&mut self, mint: &MintId, keyset: &KeySet, keys: Keys) -> Result<(), KeyringError> {
        let expiry = keyset
            .final_expiry
            .filter(|&secs| secs > 0)
            .map(UnixTime::from_secs);
        self.hold(Keyset {
            mint: Arc::new(mint.clone()),
            id: keyset.id,
            expiry,
            keys,
        })
    }

    fn hold(&mut self, keyset: Keyset) -> Result<(), KeyringError> {
        let id = keyset.id;
        if keyset.keys.is_empty() {
            return Err(KeyringError::NoAmounts(id));
        }
        let short = ShortKeysetId::of(&id);
        if let Some(held) = self.keysets.get(&short) {
            if held.id != id || *held.mint != *keyset.mint {
                return Err(KeyringError::Ambiguous(id));
            }
            // The secret keys say more than the public ones and are not given up for them.
            if held.keys.is_issuer() && !keyset.keys.is_issuer() {
                return Ok(());
            }
        } else if self.keysets.len() == Self::MAX_KEYSETS {
            return Err(KeyringError::Full);
        }
        self.keysets.insert(short, keyset);
        Ok(())
    }
}

impl core::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list()
            .entries(self.keysets.values().map(|k| (k.id, &k.mint)))
            .finish()
    }
}

fn check(mint: &MintId, keyset: &KeySet) -> Result<(), KeyringError> {
    if Unit::from_cashu(&keyset.unit) != Some(mint.unit()) {
        return Err(KeyringError::WrongUnit(keyset.id));
    }
    keyset
        .verify_id()
        .map_err(|_| KeyringError::WrongId(keyset.id))
}

fn powers_of_two(keyset: &KeySet) -> impl Iterator<Item = (Denomination, &PublicKey)> {
    keyset.keys.iter().filter_map(|(amount, key)| {
        Denomination::from_units(amount.to_u64()).map(|amount| (amount, key))
    })
}
