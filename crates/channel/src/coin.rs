//! Stage 2: the coins that a settlement leaves to each party, locked to its own key.

use crate::commitment::Signer;
use crate::derive::stage2_key;
use crate::hash::hash;
use cashu::nuts::nut11::P2PKWitness;
use cashu::{Amount, Proof, SecretKey, Witness};
use core::fmt;

/// A coin of a settled channel, and the key that opens it. Swap it for plain coins soon: the other
/// party knows its blinding factor, so a mint that asks can tell where it came from.
#[derive(Clone)]
pub struct Coin {
    proof: Proof,
    key: SecretKey,
}

impl Coin {
    /// `None` if the proof has no ephemeral key, or for one that nobody finds.
    pub(crate) fn new(proof: Proof, owner: &SecretKey) -> Option<Self> {
        let key = stage2_key(owner, proof.p2pk_e.as_ref()?)?;
        Some(Self { proof, key })
    }

    /// What it is worth.
    pub const fn amount(&self) -> Amount {
        self.proof.amount
    }

    /// The proof with its ephemeral key (`p2pk_e`), and without a signature: any wallet with the
    /// party's raw key can take it in (NUT-28).
    pub const fn locked(&self) -> &Proof {
        &self.proof
    }

    /// The proof, signed: an input for a swap (NUT-11, `SIG_INPUTS`).
    pub fn signed(&self) -> Proof {
        let digest = hash(&[self.proof.secret.as_bytes()]);
        let mut proof = self.proof.clone();
        // Only wallets have a use for it.
        proof.p2pk_e = None;
        proof.witness = Some(witness(vec![
            Signer::new(&self.key).sign(digest).to_string(),
        ]));
        proof
    }
}

impl fmt::Debug for Coin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Coin({})", self.amount())
    }
}

pub(crate) fn witness(signatures: Vec<String>) -> Witness {
    Witness::P2PKWitness(P2PKWitness { signatures })
}
