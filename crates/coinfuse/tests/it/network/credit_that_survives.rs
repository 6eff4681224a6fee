//! Money at a relay outlives the connection, the relay and the client.

use super::town::{Plan, Town, directory};
use super::traffic::{MIB, downloading, hash_of, soon, until};
use coinfuse::client::Client;
use coinfuse::connect::Isolation;
use coinfuse_testkit::{LinkConfig, WebServer};
use coinfuse_wire::{ByteCount, Msat};
use std::time::Duration;

/// Uses up a small part of the first payments.
async fn use_it(town: &Town, web: &WebServer) {
    let (_, download) = downloading(&town.client, web, MIB / 4, Isolation::NONE);
    let hash = soon("the download", download).await.unwrap();
    assert_eq!(hash, hash_of(MIB / 4));
}

fn left(client: &Client) -> Vec<Msat> {
    let circuits = client.circuits();
    assert_eq!(circuits.len(), 1);
    circuits[0].hops.iter().map(|hop| hop.left).collect()
}

/// The same, but for a record at each hop that was on its way when the figure was taken.
fn assert_same(ours: Msat, theirs: Msat) {
    assert!(
        ours.get().abs_diff(theirs.get()) <= 48,
        "{ours} and {theirs}"
    );
}

/// Top-ups so late that none is due in these tests; upstream they are due when a part between none and
/// half of what was paid first is used, so that has to be much.
fn plan(hops: usize) -> Plan {
    let mut plan = Plan::hops(hops);
    plan.client.top_up.low_water = ByteCount::new(1);
    plan.client.top_up.increment_up = ByteCount::from_mib(64);
    plan
}

#[tokio::test]
async fn a_lost_connection_costs_no_second_first_payment() {
    let web = WebServer::start().unwrap();
    let mut plan = plan(1);
    plan.client.links.idle_timeout = Duration::from_secs(2);
    plan.client.links.keep_alive = Duration::from_millis(200);
    plan.relays[0].path = Some(LinkConfig::new(Duration::ZERO, 1_000_000_000));
    let mut town = plan.build().await;
    use_it(&town, &web).await;
    let (spent, had) = (town.client.spent(), left(&town.client));

    town.relays[0].lay_new_path();
    until("the client's notice", || town.client.circuits().is_empty()).await;
    town.client.set_directory(directory(&town.relays));
    use_it(&town, &web).await;
    let more = no_first_payment(&town, spent);
    let report = &town.client.circuits()[0].hops[0];
    assert_same(report.paid, had[0].saturating_add(more));
}

#[tokio::test]
async fn a_relay_that_restarts_still_has_the_credit() {
    let web = WebServer::start().unwrap();
    let mut town = plan(3).build().await;
    use_it(&town, &web).await;
    let (spent, had) = (town.client.spent(), left(&town.client));

    for relay in &mut town.relays {
        relay.shut_down().await;
        relay.start().await;
    }
    until("the client's notice", || town.client.circuits().is_empty()).await;
    use_it(&town, &web).await;
    let more = no_first_payment(&town, spent);
    let report = town.client.circuits();
    let total: Msat = report[0].hops.iter().map(|hop| hop.paid).sum();
    assert_same(total, had.into_iter().sum::<Msat>().saturating_add(more));
}

#[tokio::test]
async fn a_relay_that_is_killed_still_has_the_credit() {
    let web = WebServer::start().unwrap();
    let mut plan = plan(3);
    plan.client.links.idle_timeout = Duration::from_secs(2);
    for relay in &mut plan.relays {
        relay.links.idle_timeout = Duration::from_secs(2);
    }
    let mut town = plan.build().await;
    use_it(&town, &web).await;
    let (spent, had) = (town.client.spent(), left(&town.client));

    for relay in &mut town.relays {
        relay.kill();
        relay.start().await;
    }
    until("the client's notice", || town.client.circuits().is_empty()).await;
    use_it(&town, &web).await;
    let more = no_first_payment(&town, spent);
    let report = town.client.circuits();
    let total: Msat = report[0].hops.iter().map(|hop| hop.paid).sum();
    let had: Msat = had.into_iter().sum();
    assert!(
        total.get() + 48 >= had.saturating_add(more).get(),
        "a crash is at the relay's cost"
    );
}

#[tokio::test]
async fn a_client_that_restarts_finds_its_credit() {
    let web = WebServer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut plan = plan(3);
    plan.client.credit_file = Some(folder.path().join("credit"));
    let mut town = plan.build().await;
    use_it(&town, &web).await;
    let had: Msat = left(&town.client).into_iter().sum();
    town.client.shutdown().await;
    until("the relays' notice", || {
        town.relays.iter().all(|relay| relay.open_circuits() == 0)
    })
    .await;

    until("the memory of it", || folder.path().join("credit").exists()).await;
    town.client = Client::start(
        town.config.clone(),
        directory(&town.relays),
        town.purse.clone(),
        &[7; 32],
    )
    .await
    .unwrap();
    use_it(&town, &web).await;
    let report = town.client.circuits();
    let paid: Msat = report[0].hops.iter().map(|hop| hop.paid).sum();
    assert_same(paid, had.saturating_add(town.client.spent()));
    assert_eq!(
        town.client.spent(),
        Msat::ZERO,
        "it paid before it used what it had"
    );
}

/// What was spent since: top-ups at thresholds that are drawn at random, but not as much as one
/// hop's first payment.
fn no_first_payment(town: &Town, before: Msat) -> Msat {
    let more = town.client.spent().saturating_sub(before);
    assert!(more < town.first_payment(0), "{more} more was spent");
    more
}
