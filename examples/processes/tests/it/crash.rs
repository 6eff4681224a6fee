//! `kill -9`.

use crate::town::{Town, VOUCHERS_ONLY, body, curl};
use serde_json::Value;
use std::time::Duration;

/// The relay is dead for a moment and comes back; what the client had paid and not used is there.
#[tokio::test(flavor = "multi_thread")]
async fn credit_survives_the_death_of_a_relay() {
    let mut town = Town::with_relays().await;
    town.init_client(&[town.mint.url()]).await;
    // No top-ups and no channels in this test, so that the sums are plain.
    town.edit_client(&[
        ("top_up_below_mib = 8", "top_up_below_mib = 1"),
        VOUCHERS_ONLY,
    ]);
    town.fund("500sat", town.mint.url()).await;
    let (client, socks) = town.run_client().await;

    let page = town.web.url("/bytes/1048576");
    assert_eq!(body(&socks, &[&page]).await.len(), 1 << 20);
    let before = town.circuits().await["circuits"][0]["hops"][1].clone();
    let relay = before["relay"].as_str().unwrap();
    let number = town.number_of(relay);
    assert_eq!(collected(&town, number).await, msat(&before, "paid_msat"));

    town.relays[number].signal("KILL").await;
    town.start_relay(number).await;
    client.logs("a circuit ended").await;

    let after = loop {
        // The first tries may meet links that are not known to be dead yet.
        let _ = curl(&socks, &[&page]).await;
        match hop(&town.circuits().await, relay) {
            Some(hop) => break hop,
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    // What the new circuit was given beyond what the relay has collected since is from before.
    let new = collected(&town, number).await - msat(&before, "paid_msat");
    let survived = msat(&after, "paid_msat") - new;
    // A relay that dies forgets at most a second of use, in the client's favour.
    let possible = msat(&before, "left_msat")..=msat(&before, "paid_msat");
    assert!(
        possible.contains(&survived),
        "{survived} survived\nbefore: {before}\nafter: {after}"
    );
}

async fn collected(town: &Town, number: usize) -> u64 {
    msat(&town.earnings(number).await, "collected_msat")
}

fn msat(of: &Value, name: &str) -> u64 {
    of[name].as_u64().expect("an amount")
}

/// A relay's part in the first circuit that has it.
fn hop(circuits: &Value, relay: &str) -> Option<Value> {
    let circuits = circuits["circuits"].as_array()?;
    let mut hops = circuits
        .iter()
        .flat_map(|circuit| circuit["hops"].as_array().unwrap());
    hops.find(|hop| hop["relay"] == relay).cloned()
}
