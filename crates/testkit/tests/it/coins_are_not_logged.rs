//! What a mint and a wallet log may be read by anybody: no coin is in it.

use coinfuse_testkit::{LogWatch, TestMint, Unit};
use tracing::Level;

use crate::support::{buy, wallet_at};

#[tokio::test]
async fn neither_the_mint_nor_the_wallet_logs_a_coin() {
    let watch = LogWatch::new();
    let _watching = watch.on_this_thread(Level::DEBUG);
    let mint = TestMint::start(Unit::Msat).await;
    let wallet = wallet_at(&mint).await;
    buy(&wallet, &mint, 1_000).await;

    let coins = wallet.get_unspent_proofs().await.expect("coins");
    let secrets = coins
        .iter()
        .flat_map(|coin| [coin.secret.to_string(), coin.c.to_string()]);
    assert_eq!(watch.leaks(secrets), []);
    assert!(watch.text().contains("cdk"), "something was logged at all");
}
