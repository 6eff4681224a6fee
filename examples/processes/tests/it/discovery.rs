//! Clients and relays that find each other, and are told nothing but one address.

use crate::process::{self, CLIENT, RELAY, Running, succeed, until};
use crate::town::{Town, body, edit, free_port};
use serde_json::{Value, json};
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
        assert_eq!(relay["services"], json!(["relay", "exit"]), "{relay}");
        assert_eq!(relay["mints"], json!([town.mint.url()]), "{relay}");
        assert_eq!(relay["price_up_msat_per_mib"], 100, "{relay}");
        assert_eq!(relay["load"], "low", "{relay}");
        assert!(relay["age_secs"].as_u64() < Some(600), "{relay}");
    }
    assert!(!town.client_dir().join("directory.txt").exists());

    // Those that were used did what they should.
    let used = known
        .iter()
        .filter(|relay| !relay["reliability_permille"].is_null());
    assert_eq!(used.count(), 3);

    // It knows them from then on, even if that one relay has gone.
    assert_eq!(client.signal("INT").await.code(), Some(0));
    town.relays[0].signal("KILL").await;
    let again = Instant::now();
    let (_client, socks) = town.run_client().await;
    assert!(
        again.elapsed() < Duration::from_secs(5),
        "it waits for nobody"
    );
    assert_eq!(town.known().await.len(), 4);
    assert_eq!(body(&socks, &[&town.web.url("/hello")]).await, b"hello\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_changes_its_price_and_its_policy_is_seen_within_a_minute() {
    let mut town = town_of(3).await;
    let (_client, _) = town.client().await;
    let known = town.known().await;
    let relay = known.iter().find_map(|relay| relay["relay"].as_str());
    let relay = relay.expect("one of three").to_owned();
    let number = town.number_of(&relay);

    assert_eq!(town.relays[number].signal("TERM").await.code(), Some(0));
    let file = town.relay_dir(number).join("relay.toml");
    let policy = "policy = [\"accept 127.0.0.1:*\", \"accept [::1]:*\"]";
    edit(
        &file,
        &[("up = 100", "up = 222"), (policy, "policy = []")],
        "",
    );
    town.start_relay(number).await;
    let started = Instant::now();
    until("the new price", async || {
        let known = town.known().await;
        let relay = of(&known, &relay)?;
        let is_new = relay["price_up_msat_per_mib"] == 222;
        is_new.then(|| assert_eq!(relay["services"], json!(["relay"])))
    })
    .await;
    assert!(started.elapsed() < Duration::from_secs(60));
}

/// Nothing is tried twice here: a page that does not come is a failure.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_goes_on_when_three_of_ten_relays_are_killed() {
    let mut town = town_of(10).await;
    town.init_client(&[town.mint.url()]).await;
    // Eight circuits, and what is paid to relays before others on the way turn out to be dead.
    town.edit_client(&[("cap_msat = 1000000", "cap_msat = 20000000")]);
    town.fund("20000sat", town.mint.url()).await;
    let (_client, socks) = town.run_client().await;
    let page = town.web.url("/hello");
    let users = ["a:x", "b:x", "c:x", "d:x", "e:x", "f:x", "g:x", "h:x"];
    for user in &users[..4] {
        assert_eq!(
            body(&socks, &["--proxy-user", user, &page]).await,
            b"hello\n"
        );
    }

    // Its bootstrap relay and two others.
    for number in 0..3 {
        town.relays[number].signal("KILL").await;
    }
    // The first half had circuits; the others need new ones.
    for user in users {
        assert_eq!(
            body(&socks, &["--proxy-user", user, &page]).await,
            b"hello\n"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_say_how_they_are_found_and_whom_they_know() {
    let mut town = town_of(1).await;
    let dir = town.relay_dir(0);
    let running = process::json(RELAY, &dir, &["peers", "--json"]).await;
    let line = town.relays[0].line().await;
    let peer = running["bootstrap"][0].as_str().expect("an address");
    assert_eq!(line, format!("bootstrap = [\"{peer}\"]"));
    assert_eq!(running["relays"], 1, "itself: {running}");
    let said = succeed(RELAY, &dir, &["peers"]).await;
    let id = running["relay"].as_str().expect("an id");
    assert!(said.contains(&format!("its id is {id}")), "{said}");

    town.init_relay(1, "").await;
    town.start_relay(1).await;
    until("each knows the other", async || {
        let peers = process::json(RELAY, &dir, &["peers", "--json"]).await;
        (peers["relays"] == 2).then_some(())
    })
    .await;

    // The same address without the relay.
    town.relays[0].signal("TERM").await;
    let stopped = process::json(RELAY, &dir, &["peers", "--json"]).await;
    assert_eq!(stopped["bootstrap"], running["bootstrap"]);
    assert_eq!(stopped["relay"], running["relay"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_given_a_dead_address_is_told_so() {
    let town = Town::empty().await;
    let dir = town.client_dir();
    let peer = format!(
        "/ip4/127.0.0.1/tcp/{}/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5",
        free_port()
    );
    succeed(CLIENT, &dir, &["init", "--bootstrap", &peer]).await;
    let output = process::run(CLIENT, &dir, &["relays"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("no relays are known. Of `bootstrap`, 127.0.0.1:"),
        "{said}"
    );
    assert!(said.contains("nobody answers at its address"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_first_peer_is_away_finds_it_when_it_is_back() {
    let mut town = town_of(1).await;
    town.init_relay(1, "").await;
    assert_eq!(town.relays[0].signal("TERM").await.code(), Some(0));
    town.start_relay(1).await;
    let dir = town.relay_dir(1);
    until("the first peer's trouble is told", async || {
        let peers = process::json(RELAY, &dir, &["peers", "--json"]).await;
        let trouble = peers["sources"][0]["trouble"].as_str()?.to_owned();
        trouble.contains("nobody answers").then_some(())
    })
    .await;

    town.start_relay(0).await;
    until("each knows the other", async || {
        let peers = process::json(RELAY, &dir, &["peers", "--json"]).await;
        (peers["relays"] == 2 && peers["sources"][0]["trouble"].is_null()).then_some(())
    })
    .await;
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
    let peers = process::json(RELAY, &town.relay_dir(0), &["peers", "--json"]).await;
    assert_eq!(peers["bootstrap"], json!([]));

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
