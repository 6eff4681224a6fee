//! The mint as `cdk-spilman` wants to see it: keysets in its own form, and its network traits.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cashu_of_theirs::nuts::{
    CheckStateResponse, Id, PublicKey, RestoreRequest, RestoreResponse, SwapRequest, SwapResponse,
};
use cdk_spilman::{
    KeysetInfo, MintConnection, SpilmanAsyncNetworking, SpilmanClientAsyncNetworking,
    SpilmanClientNetworking, parse_keyset_info_from_json,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::http::MintHttp;
use crate::world::UNIT;

/// A keyset of the mint.
#[derive(Debug, Clone)]
pub(super) struct Keyset {
    pub(super) id: Id,
    pub(super) active: bool,
    /// `{ keysetId, unit, keys, inputFeePpk, finalExpiry }`.
    pub(super) json: String,
}

impl Keyset {
    pub(super) fn parsed(&self) -> KeysetInfo {
        parse_keyset_info_from_json(&self.json).expect("a keyset")
    }
}

/// The mint and what is known of its keys. Clones share that.
#[derive(Debug, Clone)]
pub(super) struct TheirMint {
    http: MintHttp,
    keysets: Arc<Mutex<Vec<Keyset>>>,
}

impl TheirMint {
    pub(super) async fn at(url: &str) -> Self {
        let mint = Self {
            http: MintHttp::new(url),
            keysets: Arc::default(),
        };
        mint.refresh().await;
        mint
    }

    /// Reads all keysets anew.
    pub(super) async fn refresh(&self) {
        let list = self.http.read("/v1/keysets").await;
        let mut keysets = Vec::new();
        for row in list["keysets"].as_array().expect("keysets") {
            if row["unit"] == UNIT {
                keysets.push(self.read(row).await);
            }
        }
        *self.keysets.lock().expect("not poisoned") = keysets;
    }

    async fn read(&self, row: &Value) -> Keyset {
        let id = row["id"].as_str().expect("an id");
        let mut keys = self.http.read(&format!("/v1/keys/{id}")).await;
        let json = json!({
            "keysetId": id,
            "unit": UNIT,
            "keys": keys["keysets"][0]["keys"].take(),
            "inputFeePpk": row["input_fee_ppk"].as_u64().unwrap_or(0),
            "finalExpiry": row["final_expiry"],
        });
        Keyset {
            id: id.parse().expect("an id"),
            active: row["active"] == true,
            json: json.to_string(),
        }
    }

    pub(super) fn keysets(&self) -> Vec<Keyset> {
        self.keysets.lock().expect("not poisoned").clone()
    }

    pub(super) fn keyset(&self, id: &Id) -> Option<Keyset> {
        self.keysets().into_iter().find(|keyset| keyset.id == *id)
    }

    pub(super) fn active(&self) -> Keyset {
        let mut keysets = self.keysets().into_iter();
        keysets
            .find(|keyset| keyset.active)
            .expect("an active keyset")
    }

    /// The answer to the next swap that is made gets lost.
    pub(super) fn lose_next_answer(&self) {
        self.http.lose_next_swap();
    }

    pub(super) async fn swap(&self, request: &str) -> Result<String, String> {
        self.http.post("/v1/swap", request).await
    }

    async fn ask<Q, A>(&self, path: &str, request: &Q) -> anyhow::Result<A>
    where
        Q: Serialize + Sync,
        A: DeserializeOwned,
    {
        let body = serde_json::to_string(request)?;
        let answer = self.http.post(path, &body).await;
        Ok(serde_json::from_str(&answer.map_err(anyhow::Error::msg)?)?)
    }
}

#[async_trait]
impl SpilmanClientAsyncNetworking for TheirMint {
    async fn call_mint_swap(&self, _mint: &str, request: &str) -> Result<String, String> {
        self.swap(request).await
    }
}

/// Asked for by a type; every call here is of the asynchronous one.
impl SpilmanClientNetworking for TheirMint {
    fn call_mint_swap(&self, _mint: &str, _request: &str) -> Result<String, String> {
        Err("the tests' mint is on this thread".to_owned())
    }
}

#[async_trait]
impl SpilmanAsyncNetworking for TheirMint {
    /// A refusal's text must be the mint's JSON: its code says whether the keyset is at fault.
    async fn call_mint_swap(&self, _mint: &str, request: &str) -> Result<String, String> {
        self.swap(request).await
    }

    async fn refresh_all_keysets(&self, _mint: &str) -> Result<(), String> {
        self.refresh().await;
        Ok(())
    }
}

#[async_trait]
impl MintConnection for TheirMint {
    async fn process_swap(&self, request: SwapRequest) -> anyhow::Result<SwapResponse> {
        self.ask("/v1/swap", &request).await
    }

    async fn post_restore(&self, request: RestoreRequest) -> anyhow::Result<RestoreResponse> {
        self.ask("/v1/restore", &request).await
    }

    async fn check_state(&self, ys: Vec<PublicKey>) -> anyhow::Result<CheckStateResponse> {
        self.ask("/v1/checkstate", &json!({ "Ys": ys })).await
    }
}
