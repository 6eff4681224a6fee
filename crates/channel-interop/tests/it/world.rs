//! A real mint with money, for one test.

use std::sync::Arc;
use std::time::Duration;

use cdk::nuts::{Proofs, SecretKey};
use cdk::wallet::{ReceiveOptions, Wallet, WalletBuilder};
use cdk_sqlite::wallet::memory;
use coinfuse_mint::{
    Backend, EmbeddedMint, KeysetId, LightningWallet, LoopbackLightning, MintConfig, Unit,
};
use coinfuse_wire::Msat;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::http::{self, MintHttp};

/// The unit of every test here, as the wire spells it.
pub(crate) const UNIT: &str = "msat";

/// What there is to buy coins with.
const FUNDS: Msat = Msat::new(1_000_000_000);

/// How long a paid invoice may take to reach its mint.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mint, somebody who pays its invoices, and an ordinary wallet.
pub(crate) struct World {
    /// `None` only while it is restarted.
    mint: Option<EmbeddedMint>,
    url: String,
    input_fee_ppk: u64,
    network: LoopbackLightning,
    payer: LightningWallet,
    wallet: Wallet,
    folder: TempDir,
}

impl World {
    /// A mint that takes `input_fee_ppk` thousandths of a unit for each coin spent.
    pub(crate) async fn start(input_fee_ppk: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let network = LoopbackLightning::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mint = start_mint(&folder, input_fee_ppk, &network, listener).await;
        let store = memory::empty().await.expect("a store");
        let wallet = WalletBuilder::new()
            .mint_url(mint.url().parse().expect("a url"))
            .unit(mint.unit().currency())
            .localstore(Arc::new(store))
            .seed([9; 64])
            .without_rate_limiting()
            .build()
            .expect("a wallet");
        Self {
            payer: network.wallet(FUNDS).await.expect("money"),
            url: mint.url().to_owned(),
            mint: Some(mint),
            input_fee_ppk,
            network,
            wallet,
            folder,
        }
    }

    /// The mint starts anew from its disk, where its ready answers (NUT-19) are not.
    pub(crate) async fn restart_mint(&mut self) {
        let old = self.mint.take().expect("a mint");
        let address = old.local_addr();
        old.shutdown().await;
        let listener = TcpListener::bind(address).await.expect("the same port");
        let mint = start_mint(&self.folder, self.input_fee_ppk, &self.network, listener).await;
        self.mint = Some(mint);
    }

    fn mint(&self) -> &EmbeddedMint {
        self.mint.as_ref().expect("a mint")
    }

    /// The mint's URL as channels name it: no `/` at its end.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn http(&self) -> MintHttp {
        MintHttp::new(self.url())
    }

    /// Has `outputs` (an array of blinded messages) signed for fresh money; the signatures.
    pub(crate) async fn sign(&self, outputs: &Value) -> Value {
        let http = self.http();
        let amounts = outputs.as_array().expect("an array").iter();
        let amount: u64 = amounts.filter_map(|o| o["amount"].as_u64()).sum();
        let order = json!({ "amount": amount, "unit": UNIT }).to_string();
        let quote = http.post("/v1/mint/quote/bolt11", &order).await;
        let quote = http::json(&quote.expect("a quote"));
        let invoice = quote["request"].as_str().expect("an invoice");
        self.payer.pay(invoice).await.expect("paid");
        let id = quote["quote"].as_str().expect("an id");
        self.wait_until_paid(id).await;
        let order = json!({ "quote": id, "outputs": outputs }).to_string();
        let answer = http.post("/v1/mint/bolt11", &order).await;
        http::json(&answer.expect("signatures"))["signatures"].take()
    }

    /// The mint hears of a payment in a task of its own.
    async fn wait_until_paid(&self, quote: &str) {
        let path = format!("/v1/mint/quote/bolt11/{quote}");
        let paid = async {
            while self.http().read(&path).await["state"] != "PAID" {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, paid)
            .await
            .expect("the mint notices the payment");
    }

    /// Swaps coins into the ordinary wallet, which derives the key of each from `key` and the
    /// coin's `p2pk_e` (NUT-28) where there is a `key`; how much arrived.
    pub(crate) async fn spend(&self, proofs: &str, key: Option<&str>) -> u64 {
        let proofs: Proofs = serde_json::from_str(proofs).expect("proofs");
        if proofs.is_empty() {
            return 0;
        }
        let keys = key.map(|key| SecretKey::from_hex(key).expect("a key"));
        let options = ReceiveOptions {
            p2pk_signing_keys: keys.into_iter().collect(),
            ..Default::default()
        };
        let received = self.wallet.receive_proofs(proofs, options, None, None);
        received.await.expect("good coins").to_u64()
    }

    /// What the mint owes to the holders of its coins.
    pub(crate) async fn owes(&self) -> u64 {
        let totals = self.mint().totals().await.expect("totals");
        totals.outstanding().expect("a sound mint").get()
    }

    /// The mint signs with a new keyset from now on.
    pub(crate) async fn rotate_keyset(&self) -> KeysetId {
        self.mint().rotate_keyset().await.expect("a new keyset")
    }

    /// The mint's clock, in seconds.
    pub(crate) fn now(&self) -> u64 {
        cdk::util::unix_time()
    }

    /// Waits until `time` is past for the mint, whose clock is the system's and not ours to move.
    pub(crate) async fn wait_for(&self, time: u64) {
        while self.now() <= time {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn start_mint(
    folder: &TempDir,
    input_fee_ppk: u64,
    network: &LoopbackLightning,
    listener: TcpListener,
) -> EmbeddedMint {
    let database = folder.path().join("mint.sqlite");
    let config = MintConfig::new(database, [7; 32], Unit::Msat).input_fee_ppk(input_fee_ppk);
    let backend = Backend::Loopback(network.clone());
    let mint = EmbeddedMint::start(config, backend, listener).await;
    mint.expect("a mint")
}
