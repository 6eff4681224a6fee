//! A mint in a variable: it signs, remembers what was spent, and checks every lock as NUT-11 says.
//! The tests against a real mint are elsewhere; this one is fast, and can be wrong on demand.

use cashu::SpendingConditionVerification;
use cashu::{
    Amount, BlindSignature, BlindedMessage, CurrencyUnit, Id, KeySet, Keys, Proof, SecretKey,
    SwapRequest,
};
use coinfuse_channel::Keyset;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The secret keys of one keyset.
type Secrets = BTreeMap<u64, SecretKey>;

/// A mint. Its unit is the msat.
pub(crate) struct Bank {
    /// The active keyset.
    pub(crate) published: KeySet,
    /// All keysets, with their secrets.
    keysets: Vec<(KeySet, Secrets)>,
    signed: HashMap<String, BlindSignature>,
    spent: HashSet<String>,
    /// What was paid for the coins that were issued.
    pub(crate) sold: u64,
    /// What it has earned.
    pub(crate) fees: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BankError {
    Spent,
    Signed,
    Keyset,
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
        let keyset = keyset(seed, amounts, fee, final_expiry);
        Self {
            published: keyset.0.clone(),
            keysets: vec![keyset],
            signed: HashMap::new(),
            spent: HashSet::new(),
            sold: 0,
            fees: 0,
        }
    }

    /// Retires the active keyset for a new one, with the same amounts and fee.
    pub(crate) fn rotate(&mut self) {
        let seed = 100 + u8::try_from(self.keysets.len()).unwrap();
        let amounts: Vec<_> = self.keysets[0].1.keys().copied().collect();
        let next = keyset(seed, &amounts, self.published.input_fee_ppk, None);
        self.published = next.0.clone();
        self.keysets.push(next);
    }

    /// The active keyset.
    pub(crate) fn keyset(&self) -> Keyset {
        Keyset::new(&self.published).unwrap()
    }

    /// All keysets.
    pub(crate) fn keysets(&self) -> Vec<Keyset> {
        let published = self.keysets.iter().map(|(published, _)| published);
        published
            .map(|published| Keyset::new(published).unwrap())
            .collect()
    }

    /// Signs what was paid for in another way (NUT-04).
    pub(crate) fn issue(&mut self, outputs: &[BlindedMessage]) -> Vec<BlindSignature> {
        self.check_new(outputs).unwrap();
        let price = sum(outputs.iter().map(|output| output.amount));
        self.sold = self.sold.saturating_add(price);
        self.sign_all(outputs)
    }

    /// Signs with its own keys what another mint was asked to sign, as if it were that one.
    pub(crate) fn forge(&mut self, outputs: &[BlindedMessage]) -> Vec<BlindSignature> {
        let forge = |output: &BlindedMessage| {
            let keyset_id = self.published.id;
            let own = BlindedMessage::new(output.amount, keyset_id, output.blinded_secret);
            let keyset_id = output.keyset_id;
            BlindSignature {
                keyset_id,
                ..self.sign(&own)
            }
        };
        outputs.iter().map(forge).collect()
    }

    fn sign_all(&mut self, outputs: &[BlindedMessage]) -> Vec<BlindSignature> {
        outputs.iter().map(|output| self.sign(output)).collect()
    }

    fn check_new(&self, outputs: &[BlindedMessage]) -> Result<(), BankError> {
        let known = |output: &BlindedMessage| self.signed.contains_key(&name(output));
        let active = |output: &BlindedMessage| output.keyset_id == self.published.id;
        match () {
            () if outputs.iter().any(known) => Err(BankError::Signed),
            () if !outputs.iter().all(active) => Err(BankError::Keyset),
            () => Ok(()),
        }
    }

    fn secret(&self, keyset: Id, amount: Amount) -> &SecretKey {
        let keyset = self.keysets.iter().find(|(known, _)| known.id == keyset);
        &keyset.unwrap().1[&amount.to_u64()]
    }

    fn sign(&mut self, output: &BlindedMessage) -> BlindSignature {
        let key = self.secret(output.keyset_id, output.amount);
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
        self.signed.insert(name(output), signature.clone());
        signature
    }

    /// NUT-03, with NUT-11.
    pub(crate) fn swap(&mut self, swap: &SwapRequest) -> Result<Vec<BlindSignature>, BankError> {
        let names: Vec<_> = swap.inputs().iter().map(y).collect();
        if names.iter().any(|name| self.spent.contains(name)) {
            return Err(BankError::Spent);
        }
        self.check_new(swap.outputs())?;
        let fee = self.fee(swap.inputs().len());
        let inputs = sum(swap.inputs().iter().map(|proof| proof.amount));
        let outputs = sum(swap.outputs().iter().map(|output| output.amount));
        if inputs != outputs + fee {
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
        self.fees += fee;
        Ok(self.sign_all(swap.outputs()))
    }

    /// What it costs to spend so many coins.
    pub(crate) fn fee(&self, inputs: usize) -> u64 {
        (inputs as u64 * self.published.input_fee_ppk).div_ceil(1000)
    }

    fn verify(&self, proof: &Proof) -> Result<(), BankError> {
        let key = self.secret(proof.keyset_id, proof.amount);
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
            let signature = self.signed.get(&name(output))?;
            Some((output.clone(), signature.clone()))
        };
        outputs.iter().filter_map(find).collect()
    }

    /// NUT-09 for outputs that were signed together or not at all.
    pub(crate) fn restore_all(&self, outputs: &[BlindedMessage]) -> Option<Vec<BlindSignature>> {
        let found = self.restore(outputs);
        assert!(found.is_empty() || found.len() == outputs.len());
        let signatures = found.into_iter().map(|(_, signature)| signature);
        Some(signatures.collect()).filter(|found: &Vec<_>| !found.is_empty())
    }
}

fn keyset(seed: u8, amounts: &[u64], fee: u64, final_expiry: Option<u64>) -> (KeySet, Secrets) {
    let secrets: Secrets = (1..)
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
        input_fee_ppk: fee,
        final_expiry,
    };
    (published, secrets)
}

fn sum(amounts: impl Iterator<Item = Amount>) -> u64 {
    amounts.fold(0, |sum, amount| sum.saturating_add(amount.to_u64()))
}

fn is_locked(proof: &Proof) -> bool {
    proof.secret.to_string().starts_with("[\"P2PK\"")
}

fn name(output: &BlindedMessage) -> String {
    output.blinded_secret.to_hex()
}

fn y(proof: &Proof) -> String {
    proof.y().unwrap().to_hex()
}
