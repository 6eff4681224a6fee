//! The issuer's own check of its coins.

use std::collections::HashMap;
use std::fmt;

use bitcoin::Network;
use bitcoin::bip32::Xpriv;
use bitcoin::secp256k1::{Secp256k1, SecretKey as Scalar};
use cdk_common::amount::Amount;
use cdk_common::dhke;
use cdk_common::mint::MintKeySetInfo;
use cdk_common::nuts::{Id, MintKeySet, PublicKey};

use crate::error::MintError;

/// The private keys of all keysets of a mint, for verifying its coins in process.
///
/// A snapshot: take a new one after [`EmbeddedMint::rotate_keyset`](crate::EmbeddedMint::rotate_keyset).
/// Old keysets stay in it, because their coins stay good.
#[derive(Clone)]
pub struct IssuerKeys {
    active: Id,
    keysets: HashMap<Id, MintKeySet>,
}

/// A coin that this mint has not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotOurs {
    /// No keyset of this mint has that id.
    #[error("the keyset is not one of this mint's")]
    UnknownKeyset,
    /// The keyset has no key for that amount.
    #[error("the keyset has no coins of {amount}")]
    NoSuchAmount {
        /// The amount, in the keyset's unit.
        amount: u64,
    },
    /// The signature is not of the amount's key over the secret.
    #[error("the signature is wrong")]
    BadSignature,
}

impl IssuerKeys {
    pub(crate) fn derive(
        seed: &[u8; 32],
        infos: Vec<MintKeySetInfo>,
        active: Id,
    ) -> Result<Self, MintError> {
        let secp = Secp256k1::new();
        // The network does not enter the derivation; this is the one cdk names.
        let master = Xpriv::new_master(Network::Bitcoin, seed).map_err(|_| MintError::Seed)?;
        let keysets = infos.into_iter().map(|info| {
            let keyset = MintKeySet::generate_from_xpriv(
                &secp,
                master,
                &info.amounts,
                info.unit,
                info.derivation_path,
                info.input_fee_ppk,
                info.final_expiry,
                info.id.get_version(),
            );
            (info.id, keyset)
        });
        Ok(Self {
            active,
            keysets: keysets.collect(),
        })
    }

    /// The keyset that new coins are signed with.
    pub fn active(&self) -> Id {
        self.active
    }

    /// The ids of all keysets, in no order.
    pub fn ids(&self) -> impl Iterator<Item = Id> + '_ {
        self.keysets.keys().copied()
    }

    /// The amounts of a keyset and their private keys, in rising order of the amount; empty for
    /// another mint's keyset.
    pub fn secret_keys(&self, keyset: Id) -> impl Iterator<Item = (u64, Scalar)> + '_ {
        self.keysets
            .get(&keyset)
            .into_iter()
            .flat_map(|set| set.keys.iter())
            .map(|(amount, pair)| (amount.to_u64(), *pair.secret_key))
    }

    /// Checks `k·H(secret) = C`: that this mint has signed a coin of `amount` units with that secret.
    /// It says nothing of the coin's having been spent.
    pub fn verify(
        &self,
        keyset: Id,
        amount: u64,
        secret: &[u8],
        signature: PublicKey,
    ) -> Result<(), NotOurs> {
        let set = self.keysets.get(&keyset).ok_or(NotOurs::UnknownKeyset)?;
        let pair = set
            .keys
            .get(&Amount::from(amount))
            .ok_or(NotOurs::NoSuchAmount { amount })?;
        dhke::verify_message(&pair.secret_key, signature, secret).map_err(|_| NotOurs::BadSignature)
    }
}

impl fmt::Debug for IssuerKeys {
    /// The keyset ids and nothing else.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerKeys")
            .field("active", &self.active)
            .field("keysets", &self.keysets.len())
            .finish_non_exhaustive()
    }
}
