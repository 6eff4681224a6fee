//! `kill -9`.

use crate::town::{Town, body};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn credit_survives_the_death_of_a_relay() {
    let mut town = Town::with_relays().await;
    let (client, socks) = town.client().await;
    let page = town.web.url("/bytes/1048576");
    assert_eq!(body(&socks, &[&page]).await.len(), 1 << 20);
    let before = town.circuits().await;
    let relay = before["circuits"][0]["hops"][1]["relay"].clone();
    let paid_before = paid(&before, &relay).expect("the middle hop");
    let number = number_of(&town, relay.as_str().unwrap());

    town.relays[number].signal("KILL").await;
    town.start_relay(number).await;
    client.logs("a circuit ended").await;

    let after = loop {
        // The first tries may meet links that are not known to be dead yet.
        let _ = crate::town::curl(&socks, &[&page]).await;
        let circuits = town.circuits().await;
        if paid(&circuits, &relay).is_some() {
            break circuits;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    // A new circuit pays as much as the first one did; what is more was left from before.
    let paid_after = paid(&after, &relay).unwrap();
    assert!(paid_after > paid_before, "before: {before}\nafter: {after}");
}

/// What a relay was given on the first circuit that has it as a hop.
fn paid(circuits: &serde_json::Value, relay: &serde_json::Value) -> Option<u64> {
    let circuits = circuits["circuits"].as_array()?;
    let hops = circuits
        .iter()
        .flat_map(|circuit| circuit["hops"].as_array().unwrap());
    hops.into_iter().find(|hop| hop["relay"] == *relay)?["paid_msat"].as_u64()
}

fn number_of(town: &Town, relay: &str) -> usize {
    let is_it = |running: &crate::process::Running| running.log().contains(relay);
    town.relays.iter().position(is_it).expect("one of ours")
}
