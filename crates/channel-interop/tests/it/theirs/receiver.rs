//! `cdk-spilman` as the paid side.
//!
//! `SpilmanBridge` takes the JSON of the wire as it is; around it is what its axum routes do.

use cashu_of_theirs::nuts::SecretKey;
use cdk_spilman::SpilmanBridge;
use serde_json::{Value, json};

use super::RECEIVER_KEY;
use super::host::MemoryHost;
use super::mint::TheirMint;
use crate::http;
use crate::roles::Receiver;
use crate::world::{UNIT, World};

/// A receiver with [`RECEIVER_KEY`].
pub(crate) struct TheirReceiver {
    bridge: SpilmanBridge<MemoryHost, ()>,
    mint: TheirMint,
    url: String,
    min_lifetime: u64,
}

impl Receiver for TheirReceiver {
    async fn start(world: &World, min_lifetime: u64) -> Self {
        let mint = TheirMint::at(world.url()).await;
        let host = MemoryHost::new(world.url(), mint.clone(), min_lifetime);
        Self {
            bridge: SpilmanBridge::new(host),
            mint,
            url: world.url().to_owned(),
            min_lifetime,
        }
    }

    fn offer(&self) -> String {
        let keysets = self.mint.keysets().into_iter();
        let active: Vec<_> = keysets
            .filter(|set| set.active)
            .map(|set| set.id.to_string())
            .collect();
        json!({
            "receiver_pubkey": public_key(RECEIVER_KEY),
            "pricing": { UNIT: { "min_capacity": 1, "variables": {} } },
            "pricing_scale": 1,
            "mints_units_keysets": { &self.url: { UNIT: active } },
            "min_expiry_in_seconds": self.min_lifetime,
        })
        .to_string()
    }

    fn register(&mut self, message: &str) -> Result<String, String> {
        let known = self.bridge.fund_channel_via_json(message);
        let known = known.map_err(|error| error.to_response_json())?;
        let mut answer = serde_json::to_value(known).expect("JSON");
        answer["success"] = Value::Bool(true);
        Ok(answer.to_string())
    }

    fn accept(&mut self, message: &str) -> Result<String, String> {
        let paid = self.bridge.process_payment_via_json(message, &());
        let paid = paid.map_err(|error| error.to_response_json())?;
        Ok(serde_json::to_string(&paid).expect("JSON"))
    }

    fn forgive(&mut self, channel_id: &str, amount: u64) {
        self.bridge.host().set_due(channel_id, amount);
    }

    fn lose_next_answer(&mut self) {
        self.mint.lose_next_answer();
    }

    async fn close(&mut self, message: &str) -> Result<String, String> {
        let closing = self
            .bridge
            .execute_cooperative_close_async(message, &self.mint);
        let closed = closing.await.map_err(|error| error.to_string())?;
        let coins = http::json(&closed.sender_proofs);
        let mut answer = serde_json::to_value(closed).expect("JSON");
        answer["sender_proofs"] = coins;
        Ok(answer.to_string())
    }

    async fn close_alone(&mut self, channel_id: &str) -> Result<(), String> {
        let closing = self
            .bridge
            .execute_unilateral_close_async(channel_id, &self.mint);
        closing.await.map_err(|error| error.to_string())?;
        Ok(())
    }

    /// The coins come out of the bridge signed, so that the wallet needs no key.
    async fn collect(&mut self, world: &World) -> u64 {
        let mut sum = 0;
        for coins in self.bridge.host().take_earned() {
            sum += world.spend(&coins, None).await;
        }
        sum
    }
}

/// The public key of a secret one, both in hex.
pub(super) fn public_key(secret: &str) -> String {
    let secret = SecretKey::from_hex(secret).expect("a key");
    secret.public_key().to_hex()
}
