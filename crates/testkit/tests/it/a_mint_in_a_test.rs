//! `TestMint` itself.

use coinfuse_testkit::{TestMint, Unit};
use coinfuse_wire::Msat;

use crate::support::{buy, wallet_at};

#[tokio::test]
async fn it_sells_coins_in_both_units() {
    for (unit, owed) in [(Unit::Msat, 100), (Unit::Sat, 100_000)] {
        let mint = TestMint::start(unit).await;
        let wallet = wallet_at(&mint).await;
        assert_eq!(buy(&wallet, &mint, 100).await, 100);
        assert_eq!(mint.owes().await, Msat::new(owed));
    }
}

#[tokio::test]
async fn it_remembers_across_a_restart() {
    let mut mint = TestMint::start(Unit::Msat).await;
    let wallet = wallet_at(&mint).await;
    buy(&wallet, &mint, 100).await;
    let (url, keyset) = (
        mint.url().to_owned(),
        mint.running().active_keyset().expect("a keyset"),
    );

    mint.restart().await;

    assert_eq!(mint.url(), url);
    assert_eq!(mint.running().active_keyset().expect("a keyset"), keyset);
    assert_eq!(mint.owes().await, Msat::new(100));
    assert_eq!(buy(&wallet, &mint, 23).await, 123);
}
