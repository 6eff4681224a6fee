//! curl through three relays that are paid.

use crate::process::{CLIENT, RELAY, json};
use crate::town::{CURLE_PROXY, Town, VOUCHERS_ONLY, body, curl};
use coinfuse_testkit::{WebServer, web};
use std::net::TcpListener;
use std::time::Duration;
use tokio::time::timeout;

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn curl_downloads_through_three_relays_that_are_paid() {
    let town = Town::with_relays().await;
    town.init_client(&[town.mint.url()]).await;
    town.edit_client(&[VOUCHERS_ONLY]);
    town.fund("500sat", town.mint.url()).await;
    let (mut client, socks) = town.run_client().await;

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
    assert!(collected.as_u64() > Some(0));
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

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_run_at_once_to_ipv4_and_ipv6() {
    let town = Town::with_relays().await;
    let (_client, socks) = town.client().await;
    // curl counts up: 32 bodies of 65536, 65537 and so on bytes.
    let pages = town.web.url("/bytes/[65536-65567]");
    let bodies = body(&socks, &["--parallel", &pages]).await;
    assert_eq!(bodies.len(), (65_536..65_568).sum::<usize>());

    let Ok(web) = WebServer::bind("[::1]:0".parse().unwrap()) else {
        eprintln!("SKIPPED: this machine has no IPv6");
        return;
    };
    assert_eq!(body(&socks, &[&web.url("/hello")]).await, b"hello\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_wrong_at_the_exit_is_in_the_reply() {
    let town = Town::with_relays().await;
    let (_client, socks) = town.client().await;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let closed = format!("http://{}/", closed.unwrap());
    // RFC 1928, section 6. No relay of this town is an exit to the last address.
    for (url, reply) in [
        (closed.as_str(), "(5)"),
        ("http://does-not-exist.invalid/", "(4)"),
        ("http://192.0.2.1/", "(3)"),
    ] {
        let output = curl(&socks, &[url]).await;
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(CURLE_PROXY), "{url}: {words}");
        assert!(words.contains(reply), "{url}: {words}");
    }
}

async fn stops_cleanly(program: &mut crate::process::Running) {
    let stopped = timeout(Duration::from_secs(5), program.signal("INT")).await;
    assert_eq!(stopped.expect("it is quick").code(), Some(0));
}
