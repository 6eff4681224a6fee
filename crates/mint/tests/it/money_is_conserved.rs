//! What two mints owe together is what people have paid in, less what was paid out.

use std::collections::HashMap;
use std::time::Duration;

use cdk::nuts::PaymentMethod;
use coinfuse_mint::{EmbeddedMint, LoopbackLightning, Unit};
use coinfuse_wire::Msat;

use crate::support::{buy, mint_in, mint_of, wallet_at};

async fn owed(mint: &EmbeddedMint) -> u64 {
    mint.totals()
        .await
        .expect("totals")
        .outstanding()
        .expect("a sound mint")
        .get()
}

#[tokio::test]
async fn a_paid_invoice_becomes_coins_of_the_same_amount() {
    let network = LoopbackLightning::new();
    let (mint, _folder) = mint_of(&network, Unit::Msat).await;
    let payer = network.wallet(Msat::new(10_000)).await.expect("a wallet");
    let wallet = wallet_at(&mint).await;

    buy(&wallet, &payer, 1_234).await;

    assert_eq!(
        wallet.total_balance().await.expect("a balance").to_u64(),
        1_234
    );
    assert_eq!(owed(&mint).await, 1_234);
    assert_eq!(payer.balance().await.expect("a balance"), Msat::new(8_766));
}

#[tokio::test]
async fn coins_do_not_come_out_before_the_invoice_is_paid() {
    let network = LoopbackLightning::new();
    let (mint, _folder) = mint_of(&network, Unit::Msat).await;
    let wallet = wallet_at(&mint).await;
    let quote = wallet
        .mint_quote(PaymentMethod::BOLT11, Some(64.into()), None, None)
        .await;

    let minted = wallet
        .mint(&quote.expect("a quote").id, Default::default(), None)
        .await;

    assert!(minted.is_err());
    assert_eq!(owed(&mint).await, 0);
}

#[tokio::test]
async fn a_melt_at_one_mint_pays_the_invoice_of_another() {
    let network = LoopbackLightning::new();
    let (first, _a) = mint_of(&network, Unit::Msat).await;
    let (second, _b) = mint_of(&network, Unit::Sat).await;
    let payer = network.wallet(Msat::from_sat(100)).await.expect("a wallet");
    let (from, to) = (wallet_at(&first).await, wallet_at(&second).await);
    buy(&from, &payer, 50_000).await;

    let invoice = to
        .mint_quote(PaymentMethod::BOLT11, Some(20.into()), None, None)
        .await;
    let invoice = invoice.expect("an invoice over 20 sat");
    let offer = from
        .melt_quote(PaymentMethod::BOLT11, invoice.request.clone(), None, None)
        .await
        .expect("an offer to pay it");
    assert_eq!(offer.amount.to_u64(), 20_000);
    let prepared = from
        .prepare_melt(&offer.id, HashMap::new())
        .await
        .expect("coins");
    prepared.confirm().await.expect("melted");
    to.mint(&invoice.id, Default::default(), None)
        .await
        .expect("coins of the second mint");

    assert_eq!(owed(&first).await, 30_000);
    assert_eq!(owed(&second).await, 20_000);
    assert_eq!(
        from.total_balance().await.expect("a balance").to_u64(),
        30_000
    );
    assert_eq!(to.total_balance().await.expect("a balance").to_u64(), 20);
    assert_eq!(
        payer.balance().await.expect("a balance"),
        Msat::from_sat(50)
    );
}

#[tokio::test]
async fn a_melt_that_the_network_refuses_gives_the_coins_back() {
    let network = LoopbackLightning::new();
    let (mint, _folder) = mint_of(&network, Unit::Msat).await;
    let payer = network.wallet(Msat::from_sat(100)).await.expect("a wallet");
    let wallet = wallet_at(&mint).await;
    buy(&wallet, &payer, 5_000).await;
    let invoice = payer.invoice(Msat::new(3_000)).await.expect("an invoice");
    let offer = wallet
        .melt_quote(PaymentMethod::BOLT11, invoice.clone(), None, None)
        .await;
    let offer = offer.expect("an offer");

    // Somebody else is faster.
    let other = network.wallet(Msat::from_sat(100)).await.expect("a wallet");
    other.pay(&invoice).await.expect("paid");
    let prepared = wallet
        .prepare_melt(&offer.id, HashMap::new())
        .await
        .expect("coins");
    assert!(prepared.confirm().await.is_err());

    assert_eq!(owed(&mint).await, 5_000);
    assert_eq!(
        wallet.total_balance().await.expect("a balance").to_u64(),
        5_000
    );
}

#[tokio::test]
async fn an_invoice_paid_while_the_mint_was_down_is_noticed_after_its_restart() {
    let network = LoopbackLightning::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mint = mint_in(&folder, &network, |config| {
        config.public_url("http://127.0.0.1:1")
    })
    .await;
    let payer = network.wallet(Msat::new(1_000)).await.expect("a wallet");
    let quote = mint
        .cdk()
        .get_mint_quote(
            cdk::nuts::MintQuoteBolt11Request {
                amount: 600.into(),
                unit: mint.unit().currency(),
                description: None,
                pubkey: None,
            }
            .into(),
        )
        .await
        .expect("a quote");
    let keyset = mint.active_keyset().expect("a keyset");
    let invoice = quote.request().to_owned();
    mint.shutdown().await;
    payer.pay(&invoice).await.expect("paid");

    let mint = mint_in(&folder, &network, |config| {
        config.public_url("http://127.0.0.1:1")
    })
    .await;

    assert_eq!(mint.active_keyset().expect("a keyset"), keyset);
    assert_eq!(mint.url(), "http://127.0.0.1:1");
    let paid = async || {
        let quotes = mint.cdk().mint_quotes().await.expect("quotes");
        quotes
            .iter()
            .any(|quote| quote.amount_paid().value() == 600)
    };
    let noticed = async {
        while !paid().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), noticed)
        .await
        .expect("the payment is noticed");
}
