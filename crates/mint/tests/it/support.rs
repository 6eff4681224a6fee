//! A mint in a temporary folder, and a `cdk` wallet that uses it.

use std::sync::Arc;
use std::time::Duration;

use cdk::Amount;
use cdk::amount::SplitTarget;
use cdk::nuts::{PaymentMethod, Proofs};
use cdk::wallet::{Wallet, WalletBuilder};
use cdk_sqlite::wallet::memory;
use coinfuse_mint::{Backend, EmbeddedMint, LightningWallet, LoopbackLightning, MintConfig, Unit};
use tempfile::TempDir;
use tokio::net::TcpListener;

pub(crate) const SEED: [u8; 32] = [7; 32];

pub(crate) async fn mint_in(
    folder: &TempDir,
    network: &LoopbackLightning,
    config: impl FnOnce(MintConfig) -> MintConfig,
) -> EmbeddedMint {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let config = config(MintConfig::new(
        folder.path().join("mint.sqlite"),
        SEED,
        Unit::Msat,
    ));
    EmbeddedMint::start(config, Backend::Loopback(network.clone()), listener)
        .await
        .expect("a mint")
}

pub(crate) async fn mint_of(network: &LoopbackLightning, unit: Unit) -> (EmbeddedMint, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let seed = if unit == Unit::Msat { SEED } else { [8; 32] };
    let config = MintConfig::new(folder.path().join("mint.sqlite"), seed, unit);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let backend = Backend::Loopback(network.clone());
    (
        EmbeddedMint::start(config, backend, listener)
            .await
            .expect("a mint"),
        folder,
    )
}

pub(crate) async fn wallet_at(mint: &EmbeddedMint) -> Wallet {
    let store = Arc::new(memory::empty().await.expect("a store"));
    WalletBuilder::new()
        .mint_url(mint.url().parse().expect("a url"))
        .unit(mint.unit().currency())
        .localstore(store)
        .seed([9; 64])
        .without_rate_limiting()
        .build()
        .expect("a wallet")
}

/// Buys `amount` units of coins with money of `payer`.
pub(crate) async fn buy(wallet: &Wallet, payer: &LightningWallet, amount: u64) -> Proofs {
    let quote = wallet
        .mint_quote(
            PaymentMethod::BOLT11,
            Some(Amount::from(amount)),
            None,
            None,
        )
        .await
        .expect("a quote");
    payer.pay(&quote.request).await.expect("paid");
    wallet
        .wait_and_mint_quote(quote, SplitTarget::default(), None, Duration::from_secs(10))
        .await
        .expect("coins")
}
