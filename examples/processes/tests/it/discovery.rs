//! Clients and relays that find each other, and are told nothing but one address.

use crate::process::{CLIENT, RELAY, Running, json, succeed, until};
use crate::town::{Town, body, curl, edit};
use serde_json::Value;
use std::fs;
use std::time::Duration;
use tokio::time::Instant;

/// A town of so many relays, of which only the first is known to anybody.
async fn town_of(relays: usize) -> Town {
    let mut town = Town::empty().await;
    for number in 0..relays {
        town.init_relay(number, &town.accept()).await;
        town.start_relay(number).await;
    }
    town
}

fn of<'a>(known: &'a [Value], relay: &str) -> Option<&'a Value> {
    known.iter().find(|one| one["relay"] == relay)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_needs_nothing_but_the_address_of_one_relay() {
    let mut town = town_of(4).await;
    town.init_client(&[town.mint.url()]).await;
    town.fund("500sat", town.mint.url()).await;
    // Before the client ever ran: it looks for them.
    assert_eq!(town.known().await.len(), 4);

    let (mut client, socks) = town.run_client().await;
    assert_eq!(body(&socks, &[&town.web.url("/hello")]).await, b"hello\n");
    let known = town.known().await;
    assert_eq!(known.len(), 4);
    for relay in &known {
        assert_eq!(
            relay["services"],
            serde_json::json!(["relay", "exit"]),
            "{relay}"
        );
        assert_eq!(relay["price_up_msat_per_mib"], 100, "{relay}");
        assert_eq!(relay["load"], "low", "{relay}");
        assert!(relay["age_secs"].as_u64() < Some(600), "{relay}");
    }
    assert!(!town.client_dir().join("directory.txt").exists());

    // It knows them from then on, even if that one relay has gone.
    assert_eq!(client.signal("INT").await.code(), Some(0));
    town.relays[0].signal("KILL").await;
    let (_client, socks) = town.run_client().await;
    assert_eq!(town.known().await.len(), 4);
    assert_eq!(body(&socks, &[&town.web.url("/hello")]).await, b"hello\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_changes_its_price_is_seen_within_a_minute() {
    let mut town = town_of(3).await;
    let (_client, _) = town.client().await;
    let known = town.known().await;
    let relay = known.iter().find_map(|relay| relay["relay"].as_str());
    let relay = relay.expect("one of three").to_owned();
    let number = town.number_of(&relay);

    assert_eq!(town.relays[number].signal("TERM").await.code(), Some(0));
    let file = town.relay_dir(number).join("relay.toml");
    edit(&file, &[("up = 100", "up = 222")], "");
    town.start_relay(number).await;
    let started = Instant::now();
    until("the new price", async || {
        let known = town.known().await;
        let price = of(&known, &relay)?["price_up_msat_per_mib"].as_u64();
        (price == Some(222)).then_some(())
    })
    .await;
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_goes_on_when_a_third_of_the_relays_is_killed() {
    let mut town = town_of(6).await;
    town.init_client(&[town.mint.url()]).await;
    town.fund("2000sat", town.mint.url()).await;
    let (_client, socks) = town.run_client().await;
    let page = town.web.url("/hello");
    assert_eq!(body(&socks, &[&page]).await, b"hello\n");

    // Its bootstrap relay and another.
    for number in [0, 1] {
        town.relays[number].signal("KILL").await;
    }
    // Circuits that were there end, and new ones may try the dead first.
    for user in ["a:x", "b:x", "c:x", "d:x"] {
        until("a page", async || {
            let output = curl(&socks, &["--proxy-user", user, &page]).await;
            (output.stdout == b"hello\n").then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_say_how_they_are_found_and_whom_they_know() {
    let mut town = town_of(1).await;
    let dir = town.relay_dir(0);
    let running = json(RELAY, &dir, &["peers", "--json"]).await;
    let line = town.relays[0].line().await;
    let peer = running["bootstrap"][0].as_str().expect("an address");
    assert_eq!(line, format!("bootstrap = [\"{peer}\"]"));
    assert_eq!(running["relays"], 1, "itself: {running}");

    town.init_relay(1, "").await;
    town.start_relay(1).await;
    until("each knows the other", async || {
        let peers = json(RELAY, &dir, &["peers", "--json"]).await;
        (peers["relays"] == 2).then_some(())
    })
    .await;

    // The same address without the relay.
    town.relays[0].signal("TERM").await;
    let stopped = json(RELAY, &dir, &["peers", "--json"]).await;
    assert_eq!(stopped["bootstrap"], running["bootstrap"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_without_discovery_tells_nobody() {
    let mut town = Town::empty().await;
    town.init_relay(0, "").await;
    let file = town.relay_dir(0).join("relay.toml");
    // The first `enabled` of the template.
    let on = "`directory`.\nenabled = true";
    edit(&file, &[(on, "`directory`.\nenabled = false")], "");
    town.start_relay(0).await;
    let peers = json(RELAY, &town.relay_dir(0), &["peers", "--json"]).await;
    assert_eq!(peers["bootstrap"], serde_json::json!([]));

    // A client that is told by a file instead.
    let dir = town.client_dir();
    succeed(CLIENT, &dir, &["init"]).await;
    let any = [("listen = \"127.0.0.1:1080\"", "listen = \"127.0.0.1:0\"")];
    edit(&dir.join("client.toml"), &any, "");
    let line = succeed(RELAY, &town.relay_dir(0), &["descriptor"]).await;
    fs::write(dir.join("directory.txt"), line).expect("the folder is ours");
    let mut client = Running::start(CLIENT, &dir, &["run"]);
    client.line().await;
    assert_eq!(town.known().await.len(), 1);
}
