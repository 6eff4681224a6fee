//! A relay that issues its own coins.

use crate::process::{RELAY, json};
use crate::town::{Town, body};
use std::net::TcpListener;

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_is_paid_with_coins_of_its_own_mint_bought_by_lightning() {
    let mut town = Town::empty().await;
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let own = format!("http://127.0.0.1:{port}");
    let section = format!(
        "[mint]\nlisten = \"127.0.0.1:{port}\"\nurl = \"{own}\"\nunit = \"msat\"\n\
         lightning = \"loopback:{}\"\n",
        town.lightning.local_addr()
    );
    for (number, sections) in [section, town.accept(), town.accept()].iter().enumerate() {
        town.init_relay(number, sections).await;
        town.start_relay(number).await;
    }
    town.init_client(&[town.mint.url(), &own]).await;
    town.fund("500sat", town.mint.url()).await;
    let (_client, socks) = town.run_client().await;

    assert_eq!(body(&socks, &[&town.web.url("/hello")]).await, b"hello\n");
    let earned = town.earnings(0).await;
    assert!(earned["collected_msat"].as_u64() > Some(0), "{earned}");
    let done = json(RELAY, &town.relay_dir(0), &["redeem", "--json"]).await;
    assert_eq!(done["earned_msat"], earned["collected_msat"]);
    assert_eq!(town.earnings(0).await["coins"][0]["mint"], *own);
}
