//! curl through three relays that are paid.

use crate::process::{CLIENT, RELAY, json};
use crate::town::{Town, body};
use coinfuse_testkit::web;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn curl_downloads_through_three_relays_that_are_paid() {
    let town = Town::with_relays().await;
    let (mut client, socks) = town.client().await;

    let got = body(&socks, &[&town.web.url(&format!("/bytes/{}", 8 * MIB))]).await;
    assert!(
        got.iter().eq(web::chunks(8 * MIB).flatten()),
        "another body came"
    );

    // The name goes to the exit, which knows it.
    let name = format!("http://localhost:{}/hello", town.web.addr().port());
    assert_eq!(body(&socks, &[&name]).await, b"hello\n");

    let circuits = town.circuits().await;
    let hops = circuits["circuits"][0]["hops"].as_array().unwrap();
    assert_eq!(hops.len(), 3);
    assert!(
        hops.iter()
            .all(|hop| hop["down_bytes"].as_u64() >= Some(8 * MIB)),
        "{circuits}"
    );
    let spent = circuits["spent_msat"].as_u64().unwrap();
    let balance = json(CLIENT, &town.client_dir(), &["balance", "--json"]).await;
    assert_eq!(balance["total_msat"].as_u64().unwrap() + spent, 500_000);

    stops_cleanly(&mut client).await;
    let mut collected = 0;
    for number in 0..3 {
        let earned = town.earnings(number).await;
        assert!(earned["used_msat"].as_u64() >= Some(8 * 100), "{earned}");
        collected += earned["collected_msat"].as_u64().unwrap();
    }
    assert_eq!(collected, spent, "what was spent is what was collected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_turns_what_it_collected_into_coins_of_its_own() {
    let mut town = Town::with_relays().await;
    let (_client, socks) = town.client().await;
    body(&socks, &[&town.web.url("/hello")]).await;

    let collected = town.earnings(0).await["collected_msat"].clone();
    let done = json(RELAY, &town.relay_dir(0), &["redeem", "--json"]).await;
    assert_eq!(
        (&done["earned_msat"], done["waiting"].as_u64()),
        (&collected, Some(0)),
        "{done}"
    );
    let running = town.earnings(0).await;
    assert_eq!(running["coins"][0]["msat"], collected, "{running}");

    // The same figures from the files, when nobody is there to ask.
    stops_cleanly(&mut town.relays[0]).await;
    let stopped = town.earnings(0).await;
    assert_eq!(stopped["coins"], running["coins"]);
    assert_eq!(stopped["redeemed_msat"], collected);

    // What was collected and not redeemed can be redeemed while the relay does not run.
    stops_cleanly(&mut town.relays[1]).await;
    let done = json(RELAY, &town.relay_dir(1), &["redeem", "--json"]).await;
    assert_eq!(
        done["earned_msat"],
        town.earnings(1).await["collected_msat"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn different_credentials_never_share_a_circuit() {
    let town = Town::with_relays().await;
    let (_client, socks) = town.client().await;
    let page = town.web.url("/hello");
    for (user, circuits) in [("a:x", 1), ("a:x", 1), ("a:y", 2), ("b:x", 3)] {
        assert_eq!(
            body(&socks, &["--proxy-user", user, &page]).await,
            b"hello\n"
        );
        let open = town.circuits().await;
        assert_eq!(
            open["circuits"].as_array().unwrap().len(),
            circuits,
            "{user}: {open}"
        );
    }
}

async fn stops_cleanly(program: &mut crate::process::Running) {
    let begun = Instant::now();
    let status = program.signal("INT").await;
    assert_eq!(status.code(), Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        begun.elapsed()
    );
}
