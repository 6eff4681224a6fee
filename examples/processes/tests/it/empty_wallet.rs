//! Nothing to pay with.

use crate::town::{CURLE_PROXY, Town, curl};

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_wallet_is_a_general_failure_and_a_sentence() {
    let town = Town::with_relays().await;
    town.init_client(&[town.mint.url()]).await;
    let (client, socks) = town.run_client().await;
    client
        .logs("the wallet is empty: fund it with `client fund`")
        .await;

    let output = curl(&socks, &[&town.web.url("/hello")]).await;
    assert_eq!(output.status.code(), Some(CURLE_PROXY));
    let words = String::from_utf8_lossy(&output.stderr);
    // RFC 1928, section 6: reply 1 is "general SOCKS server failure".
    assert!(words.contains("(1)"), "{words}");
    client
        .logs("there is no money left to pay the relays")
        .await;

    // The client that runs takes money, and goes on.
    town.fund("500sat", town.mint.url()).await;
    assert_eq!(
        crate::town::body(&socks, &[&town.web.url("/hello")]).await,
        b"hello\n"
    );
}
