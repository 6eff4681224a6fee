//! Somebody who has outputs signed whose secrets no purse knows: plain ones, and ones locked to
//! keys of hers.

use cashu::dhke::{blind_message, unblind_message};
use cashu::secret::Secret;
use cashu::{BlindSignature, BlindedMessage, KeySet, Proof, PublicKey, SecretKey};

/// Outputs with their secrets.
pub(crate) struct Chest {
    secrets: Vec<(Secret, SecretKey)>,
    pub(crate) outputs: Vec<BlindedMessage>,
}

impl Chest {
    /// One output for each amount. `n` tells chests apart; `lock` are the NUT-11 tags and the key.
    fn make(n: u8, keyset: &KeySet, amounts: &[u64], secret: impl Fn(String) -> String) -> Self {
        let mut chest = Self {
            secrets: Vec::new(),
            outputs: Vec::new(),
        };
        for (place, amount) in amounts.iter().enumerate() {
            let secret = Secret::new(secret(format!("{n:02x}{place:062x}")));
            let mut seed = [n; 32];
            seed[0] = u8::try_from(place).unwrap() + 1;
            let r = SecretKey::from_slice(&seed).unwrap();
            let (point, r) = blind_message(secret.as_bytes(), Some(r)).unwrap();
            let output = BlindedMessage::new((*amount).into(), keyset.id, point);
            chest.outputs.push(output);
            chest.secrets.push((secret, r));
        }
        chest
    }

    /// Coins that whoever has them can spend.
    pub(crate) fn plain(n: u8, keyset: &KeySet, amounts: &[u64]) -> Self {
        Self::make(n, keyset, amounts, |nonce| nonce)
    }

    /// Coins that need signatures of both [`key`]s; `flag` is SIG_INPUTS or SIG_ALL.
    pub(crate) fn of_two(n: u8, keyset: &KeySet, amounts: &[u64], flag: &str) -> Self {
        let [one, two] = [1, 2].map(|n| key(n).public_key().to_hex());
        Self::make(n, keyset, amounts, |nonce| {
            format!(
                r#"["P2PK",{{"data":"{one}","nonce":"{nonce}","tags":[["pubkeys","{two}"],["n_sigs","2"],["sigflag","{flag}"]]}}]"#
            )
        })
    }

    /// The coins, each with a signature that is proven.
    pub(crate) fn open(&self, keyset: &KeySet, signed: &[BlindSignature]) -> Vec<Proof> {
        assert_eq!(signed.len(), self.outputs.len());
        let outputs = self.outputs.iter().zip(&self.secrets);
        let proof = |((output, (secret, r)), signed): (
            (&BlindedMessage, &(Secret, SecretKey)),
            &BlindSignature,
        )| {
            let key = keyset.keys.amount_key(output.amount).unwrap();
            signed.verify_dleq(key, output.blinded_secret).unwrap();
            assert_eq!(
                (signed.amount, signed.keyset_id),
                (output.amount, keyset.id)
            );
            let c = unblind_message(&signed.c, r, &key).unwrap();
            Proof::new(output.amount, keyset.id, secret.clone(), c)
        };
        outputs.zip(signed).map(proof).collect()
    }
}

/// The keys of coins that are locked to two.
pub(crate) fn key(n: u8) -> SecretKey {
    SecretKey::from_slice(&[n; 32]).unwrap()
}

pub(crate) fn ys(proofs: &[Proof]) -> Vec<PublicKey> {
    proofs.iter().map(|proof| proof.y().unwrap()).collect()
}

/// With the signatures of both keys on each.
pub(crate) fn sign_each(mut proofs: Vec<Proof>) -> Vec<Proof> {
    for proof in &mut proofs {
        proof.sign_p2pk(key(1)).unwrap();
        proof.sign_p2pk(key(2)).unwrap();
    }
    proofs
}
