//! A relay that accepts the ecash of two mints, of which one goes away.

use crate::process::{RELAY, json};
use crate::town::{Town, body};
use coinfuse_testkit::{TestMint, Unit};

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_that_is_down_holds_up_no_other_mints_vouchers() {
    let mut town = Town::empty().await;
    let other = TestMint::on(town.mint.network(), Unit::Msat).await;
    let (first, second) = (town.mint.url().to_owned(), other.url().to_owned());
    let both = town.accept() + &town.accept().replace(&first, &second);
    for number in 0..3 {
        town.init_relay(number, &both).await;
        town.start_relay(number).await;
    }

    // Somebody pays with the coins of one mint, and somebody else with those of the other.
    browse(&town, &first).await;
    let by_first = town.earnings(0).await["collected_msat"].as_u64().unwrap();
    town.client = "other-client";
    browse(&town, &second).await;
    let by_both = town.earnings(0).await["collected_msat"].as_u64().unwrap();
    assert!(0 < by_first && by_first < by_both);

    town.mint.stop().await;
    let done = json(RELAY, &town.relay_dir(0), &["redeem", "--json"]).await;
    assert_eq!(done["earned_msat"], by_both - by_first, "{done}");
    assert!(done["waiting"].as_u64() > Some(0), "{done}");

    town.mint.restart().await;
    let done = json(RELAY, &town.relay_dir(0), &["redeem", "--json"]).await;
    assert_eq!(done["waiting"], 0, "{done}");
    let earned = town.earnings(0).await;
    assert_eq!(earned["redeemed_msat"], by_both, "{earned}");
    let coins = earned["coins"].as_array().unwrap().iter();
    assert_eq!(
        coins
            .filter_map(|coins| coins["msat"].as_u64())
            .sum::<u64>(),
        by_both
    );
}

/// A new client's run of one page, paid with the coins of `mint`.
async fn browse(town: &Town, mint: &str) {
    town.init_client(&[mint]).await;
    town.fund("500sat", mint).await;
    let (mut client, socks) = town.run_client().await;
    assert_eq!(body(&socks, &[&town.web.url("/hello")]).await, b"hello\n");
    assert_eq!(client.signal("INT").await.code(), Some(0));
}
