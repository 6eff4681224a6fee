//! A mint in a variable: it signs, remembers what was spent, and checks every lock as NUT-11 says.
//! The tests against a real mint are elsewhere; this one is fast, and can be wrong on demand.

use cashu::SpendingConditionVerification;
use cashu::{
    Amount, BlindSignature, BlindedMessage, CurrencyUnit, Id, KeySet, Keys, Proof, SecretKey,
    SwapRequest,
};
use coinfuse_channel::Keyset;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A mint with one keyset of powers of two.
pub(crate) struct Bank {
    secrets: BTreeMap<u64, SecretKey>,
    pub(crate) published: KeySet,
    signed: HashMap<String, BlindSignature>,
    spent: HashSet<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BankError {
    Spent,
    Unbalanced,
    Witness,
    Forged,
}

impl Bank {
    /// With the amounts from 1 to `2^(exponents - 1)`.
    pub(crate) fn new(exponents: u32, input_fee_ppk: u64) -> Self {
        let amounts: Vec<_> = (0..exponents).map(|bit| 1 << bit).collect();
        Self::of(7, &amounts, input_fee_ppk, None)
    }

    /// With keys that follow from `seed`.
    pub(crate) fn of(seed: u8, amounts: &[u64], fee: u64, final_expiry: Option<u64>) -> Self {
        let input_fee_ppk = fee;
        let secrets: BTreeMap<u64, SecretKey> = (1..)
            .zip(amounts)
            .map(|(number, amount)| {
                let mut bytes = [seed; 32];
                bytes[31] = number;
                (*amount, SecretKey::from_slice(&bytes).unwrap())
            })
            .collect();
        let keys = secrets
            .iter()
            .map(|(amount, key)| (Amount::from(*amount), key.public_key()));
        let keys = Keys::new(keys.collect());
        let id = Id::v2_from_data(&keys, &CurrencyUnit::Msat, fee, final_expiry);
        let published = KeySet {
            id,
            unit: CurrencyUnit::Msat,
            active: Some(true),
            keys,
            input_fee_ppk,
            final_expiry,
        };
        Self {
            secrets,
            published,
            signed: HashMap::new(),
            spent: HashSet::new(),
        }
    }

    pub(crate) fn keyset(&self) -> Keyset {
        Keyset::new(&self.published).unwrap()
    }

    /// Signs, as if it had been paid.
    pub(crate) fn issue(&mut self, outputs: &[BlindedMessage]) -> Vec<BlindSignature> {
        outputs.iter().map(|output| self.sign(output)).collect()
    }

    fn sign(&mut self, output: &BlindedMessage) -> BlindSignature {
        let key = &self.secrets[&output.amount.to_u64()];
        let c = output
            .blinded_secret
            .mul_tweak(&cashu::SECP256K1, &key.as_scalar());
        let mut signature = BlindSignature {
            amount: output.amount,
            keyset_id: output.keyset_id,
            c: c.unwrap().into(),
            dleq: None,
        };
        signature
            .add_dleq_proof(&output.blinded_secret, key)
            .unwrap();
        let name = output.blinded_secret.to_hex();
        self.signed.insert(name, signature.clone());
        signature
    }

    /// NUT-03, with NUT-11.
    pub(crate) fn swap(&mut self, swap: &SwapRequest) -> Result<Vec<BlindSignature>, BankError> {
        let names: Vec<_> = swap.inputs().iter().map(name).collect();
        if names.iter().any(|name| self.spent.contains(name)) {
            return Err(BankError::Spent);
        }
        let fee = (swap.inputs().len() as u64 * self.published.input_fee_ppk).div_ceil(1000);
        let (inputs, outputs) = (swap.input_amount().unwrap(), swap.output_amount().unwrap());
        if inputs.to_u64() != outputs.to_u64() + fee {
            return Err(BankError::Unbalanced);
        }
        swap.inputs()
            .iter()
            .try_for_each(|proof| self.verify(proof))?;
        if swap.inputs().iter().any(is_locked) {
            swap.verify_spending_conditions()
                .map_err(|_| BankError::Witness)?;
        }
        self.spent.extend(names);
        Ok(self.issue(swap.outputs()))
    }

    fn verify(&self, proof: &Proof) -> Result<(), BankError> {
        let key = &self.secrets[&proof.amount.to_u64()];
        let want = proof
            .y()
            .unwrap()
            .mul_tweak(&cashu::SECP256K1, &key.as_scalar());
        match proof.c == want.unwrap().into() {
            true => Ok(()),
            false => Err(BankError::Forged),
        }
    }

    /// NUT-07.
    pub(crate) fn is_spent(&self, y: &cashu::PublicKey) -> bool {
        self.spent.contains(&y.to_hex())
    }

    /// NUT-09.
    pub(crate) fn restore(
        &self,
        outputs: &[BlindedMessage],
    ) -> Vec<(BlindedMessage, BlindSignature)> {
        let find = |output: &BlindedMessage| {
            let signature = self.signed.get(&output.blinded_secret.to_hex())?;
            Some((output.clone(), signature.clone()))
        };
        outputs.iter().filter_map(find).collect()
    }
}

fn is_locked(proof: &Proof) -> bool {
    proof.secret.to_string().starts_with("[\"P2PK\"")
}

fn name(proof: &Proof) -> String {
    proof.y().unwrap().to_hex()
}
