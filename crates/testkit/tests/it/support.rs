//! A `cdk` wallet at a test mint.

use std::sync::Arc;
use std::time::Duration;

use cdk::amount::SplitTarget;
use cdk::nuts::PaymentMethod;
use cdk::wallet::{Wallet, WalletBuilder};
use cdk_sqlite::wallet::memory;
use coinfuse_testkit::TestMint;

pub(crate) async fn wallet_at(mint: &TestMint) -> Wallet {
    let store = Arc::new(memory::empty().await.expect("a store"));
    WalletBuilder::new()
        .mint_url(mint.url().parse().expect("a url"))
        .unit(mint.running().unit().currency())
        .localstore(store)
        .seed([9; 64])
        .without_rate_limiting()
        .build()
        .expect("a wallet")
}

/// Buys `amount` units of coins; gives the wallet's balance.
pub(crate) async fn buy(wallet: &Wallet, mint: &TestMint, amount: u64) -> u64 {
    let quote = wallet
        .mint_quote(PaymentMethod::BOLT11, Some(amount.into()), None, None)
        .await;
    let quote = quote.expect("a quote");
    mint.pay_invoice(&quote.request).await;
    wallet
        .wait_and_mint_quote(quote, SplitTarget::default(), None, Duration::from_secs(10))
        .await
        .expect("coins");
    wallet.total_balance().await.expect("a balance").to_u64()
}
