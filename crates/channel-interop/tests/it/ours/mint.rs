//! The mint as a host of `coinfuse-channel` sees it, and plain coins of it.

use std::collections::HashMap;

use cdk::Amount;
use cdk::dhke::construct_proofs;
use cdk::nuts::{
    BlindSignature, BlindedMessage, CheckStateResponse, Id, KeySet, KeysResponse, PreMintSecrets,
    Proofs, PublicKey, RestoreResponse, State, SwapRequest, SwapResponse,
};
use cdk::secret::Secret;
use coinfuse_channel::Keyset;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::http::{self, MintHttp};
use crate::world::{UNIT, World};

/// Why there was no swap.
#[derive(Debug)]
pub(super) enum Unswapped {
    /// The inputs are spent, or the outputs signed: by this swap, earlier, or by another one.
    Done,
    /// The mint does not sign with this keyset any more.
    Retired,
    /// Nobody knows.
    NoAnswer,
    /// Something else, in the mint's words.
    Other(String),
}

impl Unswapped {
    /// By the error codes of the protocol.
    fn of(answer: String) -> Self {
        if answer == http::LOST {
            return Self::NoAnswer;
        }
        let body = serde_json::from_str::<serde_json::Value>(&answer);
        match body.ok().and_then(|body| body["code"].as_u64()) {
            Some(11_001 | 11_003) => Self::Done,
            Some(12_000..=12_999) => Self::Retired,
            _ => Self::Other(answer),
        }
    }
}

/// Requests of ours.
#[derive(Debug, Clone)]
pub(super) struct OurMint {
    http: MintHttp,
}

impl OurMint {
    pub(super) fn at(url: &str) -> Self {
        let http = MintHttp::new(url);
        Self { http }
    }

    /// The answer to the next swap that is made gets lost.
    pub(super) fn lose_next_answer(&self) {
        self.http.lose_next_swap();
    }

    /// All keysets of the unit.
    pub(super) async fn keysets(&self) -> Vec<KeySet> {
        let list = self.http.read("/v1/keysets").await;
        let mut keysets = Vec::new();
        for row in list["keysets"].as_array().expect("keysets") {
            if row["unit"] == UNIT {
                let path = format!("/v1/keys/{}", row["id"].as_str().expect("an id"));
                let mut keys: KeysResponse = read(&self.http.get(&path).await.expect("keys"));
                let mut keyset = keys.keysets.remove(0);
                keyset.active = row["active"].as_bool();
                keysets.push(keyset);
            }
        }
        keysets
    }

    /// The keyset with which the mint signs.
    pub(super) async fn active(&self) -> KeySet {
        let mut keysets = self.keysets().await.into_iter();
        let active = keysets.find(|keyset| keyset.active == Some(true));
        active.expect("an active keyset")
    }

    pub(super) async fn keyset(&self, id: Id) -> Keyset {
        let mut keysets = self.keysets().await.into_iter();
        checked(&keysets.find(|keyset| keyset.id == id).expect("a keyset"))
    }

    /// NUT-03.
    pub(super) async fn swap(&self, swap: &SwapRequest) -> Result<Vec<BlindSignature>, Unswapped> {
        let answer = self.http.post("/v1/swap", &write(swap)).await;
        let answer: SwapResponse = read(&answer.map_err(Unswapped::of)?);
        Ok(answer.signatures)
    }

    /// NUT-07.
    pub(super) async fn is_spent(&self, y: PublicKey) -> bool {
        let request = json!({ "Ys": [y] }).to_string();
        let answer = self.http.post("/v1/checkstate", &request).await;
        let answer: CheckStateResponse = read(&answer.expect("a state"));
        answer.states[0].state == State::Spent
    }

    /// NUT-09: what the mint has signed of `outputs`, as it answers.
    pub(super) async fn restore(
        &self,
        outputs: Vec<BlindedMessage>,
    ) -> Vec<(BlindedMessage, BlindSignature)> {
        let request = json!({ "outputs": outputs }).to_string();
        let answer = self.http.post("/v1/restore", &request).await;
        let answer: RestoreResponse = read(&answer.expect("an answer"));
        answer.outputs.into_iter().zip(answer.signatures).collect()
    }

    /// The same for the outputs of one swap: the signatures in their order, or `None` if there was
    /// no such swap.
    pub(super) async fn restore_swap(
        &self,
        outputs: Vec<BlindedMessage>,
    ) -> Option<Vec<BlindSignature>> {
        let restored = self.restore(outputs.clone()).await.into_iter();
        let mut signed: HashMap<_, _> = restored
            .map(|(output, signature)| (output.blinded_secret, signature))
            .collect();
        let mut signatures = outputs.iter().map(|output| &output.blinded_secret);
        signatures.try_fold(Vec::new(), |mut found, point| {
            found.push(signed.remove(point)?);
            Some(found)
        })
    }
}

/// A keyset as channels use it.
pub(super) fn checked(published: &KeySet) -> Keyset {
    Keyset::new(published).expect("a good keyset")
}

/// Outputs of plain coins that wait for the mint's signatures.
pub(super) struct Blanks<'a> {
    keyset: &'a KeySet,
    secrets: PreMintSecrets,
}

impl<'a> Blanks<'a> {
    /// The fewest that make up `value`.
    pub(super) fn new(keyset: &'a KeySet, value: Amount) -> Self {
        let split = checked(keyset).ladder(Amount::ZERO).split(value);
        let each = split.expect("an amount").into_iter();
        let amounts: Vec<_> = each
            .flat_map(|(amount, number)| (0..number).map(move |_| amount))
            .collect();
        let secrets = amounts.iter().map(|_| Secret::generate()).collect();
        let secrets = PreMintSecrets::from_secrets(keyset.id, amounts, secrets);
        Self {
            keyset,
            secrets: secrets.expect("outputs"),
        }
    }

    pub(super) fn outputs(&self) -> Vec<BlindedMessage> {
        self.secrets.blinded_messages()
    }

    pub(super) fn unblind(&self, signatures: Vec<BlindSignature>) -> Proofs {
        let (rs, secrets) = (self.secrets.rs(), self.secrets.secrets());
        construct_proofs(signatures, rs, secrets, &self.keyset.keys).expect("coins")
    }
}

/// Plain coins worth `value`.
pub(super) async fn buy(world: &World, keyset: &KeySet, value: u64) -> Proofs {
    let blanks = Blanks::new(keyset, value.into());
    let signatures = world.sign(&json!(blanks.outputs())).await;
    blanks.unblind(read(&signatures.to_string()))
}

/// What a JSON text says.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_value(http::json(text)).expect(text)
}

pub(super) fn write(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("JSON")
}
