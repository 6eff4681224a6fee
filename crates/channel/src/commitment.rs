//! Commitments: the swap that a balance stands for, and its signature.
//!
//! What the sender signs is a hash over the funding proofs, which never change, and the outputs of
//! one balance (NUT-11, `SIG_ALL`). The first part is hashed once, an output is derived once, so
//! that an update costs a short hash and one signature.

use crate::channel::{Channel, ParamsError};
use crate::derive::{Context, Output};
use crate::hash::{Digest, Engine, engine, finish};
use bitcoin::hashes::HashEngine;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Keypair, Message};
use cashu::{Amount, BlindedMessage, Proof, PublicKey, SECP256K1, SecretKey};
use std::collections::BTreeMap;
use thiserror::Error;

/// Why there is no commitment to a balance. Whoever named the balance is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BalanceError {
    /// It is more than the channel holds.
    #[error("a balance of {balance} in a channel of {capacity}")]
    OverCapacity {
        /// The balance.
        balance: u64,
        /// The channel's capacity.
        capacity: u64,
    },
    /// It cannot be made up of the mint's coins.
    #[error(transparent)]
    Terms(#[from] ParamsError),
}

impl BalanceError {
    /// For a balance that cannot be over capacity.
    pub(crate) fn terms(self) -> ParamsError {
        match self {
            Self::Terms(error) => error,
            Self::OverCapacity { .. } => ParamsError::Underivable,
        }
    }
}

/// Signs and checks a channel's commitments.
#[derive(Clone)]
pub(crate) struct Commitments {
    /// The hash after the funding proofs.
    funding: Engine,
    /// What each output that occurred adds to the hash: at most as many as outputs exist.
    lines: BTreeMap<(Context, Amount, u32), Box<str>>,
}

impl Commitments {
    /// For the funding proofs of a channel, in their order.
    pub(crate) fn new(proofs: &[Proof]) -> Self {
        let mut funding = engine();
        hash_inputs(&mut funding, proofs);
        Self {
            funding,
            lines: BTreeMap::new(),
        }
    }

    /// What is signed for `balance` (SPILMAN 6).
    pub(crate) fn digest(
        &mut self,
        channel: &Channel,
        balance: Amount,
    ) -> Result<Digest, BalanceError> {
        let order = coins(channel, balance)?;
        let mut hash = self.funding.clone();
        for (context, amount, index) in order {
            hash.input(self.line(channel, context, amount, index)?.as_bytes());
        }
        Ok(finish(hash))
    }

    fn line(
        &mut self,
        channel: &Channel,
        context: Context,
        amount: Amount,
        index: u32,
    ) -> Result<&str, ParamsError> {
        use std::collections::btree_map::Entry;
        Ok(match self.lines.entry((context, amount, index)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let output = channel.commitment_output(context, amount, index)?;
                let line = format!("{}{}", amount.to_u64(), output.point.to_hex());
                new.insert(line.into())
            }
        })
    }
}

/// The outputs of the swap that settles at `balance`, in its order, each with its owner.
pub(crate) fn outputs(
    channel: &Channel,
    balance: Amount,
) -> Result<Vec<(Context, Output)>, BalanceError> {
    coins(channel, balance)?
        .into_iter()
        .map(|(context, amount, index)| {
            let output = channel.commitment_output(context, amount, index)?;
            Ok((context, output))
        })
        .collect()
}

/// How a balance is made up: the receiver's coins and the sender's, by amount, the receiver's first
/// among equals (SPILMAN 6).
fn coins(channel: &Channel, balance: Amount) -> Result<Vec<(Context, Amount, u32)>, BalanceError> {
    let capacity = channel.params.capacity;
    if balance > capacity {
        return Err(BalanceError::OverCapacity {
            balance: balance.to_u64(),
            capacity: capacity.to_u64(),
        });
    }
    let amount = |error| BalanceError::Terms(ParamsError::Amount(error));
    let receiver = channel.ladder.before_fees(balance).map_err(amount)?;
    let sender = channel
        .value
        .checked_sub(receiver)
        .ok_or(BalanceError::OverCapacity {
            balance: balance.to_u64(),
            capacity: capacity.to_u64(),
        })?;
    let mut coins: Vec<_> = [(Context::Receiver, receiver), (Context::Sender, sender)]
        .into_iter()
        .map(|(context, sum)| {
            let coins = channel.coins(sum)?;
            Ok(coins.map(move |(amount, index)| (context, amount, index)))
        })
        .collect::<Result<Vec<_>, ParamsError>>()?
        .into_iter()
        .flatten()
        .collect();
    coins.sort_by_key(|(_, amount, _)| *amount);
    Ok(coins)
}

/// What is signed for a swap whose inputs are all under `SIG_ALL` (NUT-11).
pub(crate) fn sig_all(inputs: &[Proof], outputs: &[BlindedMessage]) -> Digest {
    let mut hash = engine();
    hash_inputs(&mut hash, inputs);
    for output in outputs {
        hash.input(output.amount.to_u64().to_string().as_bytes());
        hash.input(output.blinded_secret.to_hex().as_bytes());
    }
    finish(hash)
}

fn hash_inputs(hash: &mut Engine, inputs: &[Proof]) {
    for proof in inputs {
        hash.input(proof.secret.as_bytes());
        hash.input(proof.c.to_hex().as_bytes());
    }
}

/// A secret key made ready to sign often. Erased when dropped.
pub(crate) struct Signer(Keypair);

impl Signer {
    pub(crate) fn new(key: &SecretKey) -> Self {
        Self(Keypair::from_secret_key(&SECP256K1, key))
    }

    /// Without auxiliary randomness, which BIP-340 allows: a machine has none.
    pub(crate) fn sign(&self, digest: Digest) -> Signature {
        SECP256K1.sign_schnorr_no_aux_rand(&Message::from_digest(digest), &self.0)
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

/// Whether `key` signed `digest`.
pub(crate) fn verify(key: &PublicKey, digest: Digest, signature: &Signature) -> bool {
    let message = Message::from_digest(digest);
    SECP256K1
        .verify_schnorr(signature, &message, &key.x_only_public_key())
        .is_ok()
}
