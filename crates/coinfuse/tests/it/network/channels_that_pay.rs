//! Sessions that are paid by channels, and every msat found again at the end.

use super::town::{Plan, Town};
use super::traffic::{MIB, downloading, hash_of, isolation, soon, until};
use coinfuse::client::{ChannelConfig, ChannelStage, Client};
use coinfuse::connect::Isolation;
use coinfuse_testkit::WebServer;
use coinfuse_wire::{ByteCount, Msat};
use std::time::Duration;

/// Channels at once, for 16 MiB each; the file is the town's affair.
fn plan(hops: usize) -> Plan {
    let mut plan = Plan::hops(hops);
    let mut channels = ChannelConfig::new("");
    channels.jitter = Duration::ZERO;
    channels.capacity = ByteCount::from_mib(16);
    plan.client.channels = Some(channels);
    plan
}

async fn carry(town: &Town, web: &WebServer, size: u64, isolation: Isolation) {
    let (_, download) = downloading(&town.client, web, size, isolation);
    let hash = soon("the download", download).await.unwrap();
    assert_eq!(hash, hash_of(size));
}

/// Opens a circuit, and waits until all its hops have a channel.
async fn channels(town: &Town, web: &WebServer, hops: usize) {
    carry(town, web, 1, Isolation::NONE).await;
    open_channels(&town.client, hops).await;
}

async fn open_channels(client: &Client, hops: usize) {
    until("channels to all hops", || {
        let open = |channel: &&_| stage(channel) == ChannelStage::Open;
        client.channels().iter().filter(open).count() >= hops
    })
    .await;
}

fn stage(report: &coinfuse::client::ChannelReport) -> ChannelStage {
    report.stage
}

fn by_channel(client: &Client) -> Vec<(Msat, u64)> {
    let circuits = client.circuits();
    let hops = circuits.iter().flat_map(|circuit| &circuit.hops);
    hops.map(|hop| (hop.channels.paid, hop.channels.updates))
        .collect()
}

/// Ends everything; asserts that what was bought is with the relays or came back.
async fn count(town: &Town, bought: Msat) {
    town.client.close_circuits(Isolation::NONE);
    until("the end of the circuits", || {
        town.relays.iter().all(|relay| relay.open_circuits() == 0)
    })
    .await;
    let mut earned = Msat::ZERO;
    for relay in &town.relays {
        earned = earned.saturating_add(relay.settle_all().await);
    }
    // One that was being funded when the circuit ended waits for the account's next circuit.
    let waits = |stage| stage == ChannelStage::Funded;
    soon("the channels' end", async {
        loop {
            town.client.reclaim().await;
            if town
                .client
                .channels()
                .iter()
                .all(|channel| waits(channel.stage))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let left: Msat = town.purse.balances().await.into_values().sum();
    let locked: Msat = town
        .client
        .channels()
        .iter()
        .map(|channel| channel.locked)
        .sum();
    let left = left
        .saturating_add(locked)
        .saturating_add(town.purse.locked().await);
    assert_eq!(
        earned.saturating_add(left),
        bought,
        "{earned} earned, {left} left"
    );
    assert_eq!(town.mint.owes().await, bought, "by the mint's own books");
}

#[tokio::test]
async fn every_hop_is_paid_by_its_channel_and_no_msat_is_lost() {
    let web = WebServer::start().unwrap();
    let plan = plan(3);
    let bought = plan.funds;
    let town = plan.build().await;
    channels(&town, &web, 3).await;
    carry(&town, &web, 12 * MIB, Isolation::NONE).await;
    for (paid, updates) in by_channel(&town.client) {
        assert!(
            paid >= Msat::new(4_000) && updates >= 2,
            "{paid} in {updates}"
        );
    }
    count(&town, bought).await;
}

#[tokio::test]
async fn the_next_channel_takes_over_before_one_is_full() {
    let web = WebServer::start().unwrap();
    let plan = plan(1);
    let bought = plan.funds;
    let town = plan.build().await;
    channels(&town, &web, 1).await;
    // Three channels' worth.
    carry(&town, &web, 48 * MIB, Isolation::NONE).await;
    let circuits = town.client.circuits();
    let hop = &circuits[0].hops[0];
    assert!(
        hop.channels.paid > Msat::new(32 * 1024),
        "{:?}",
        hop.channels
    );
    let totals = town.exit().relay().settle().await.unwrap().channels;
    assert!(totals.opened >= 3, "{totals:?}");
    count(&town, bought).await;
}

#[tokio::test]
async fn two_circuits_to_one_relay_have_channels_with_nothing_in_common() {
    let web = WebServer::start().unwrap();
    let town = plan(1).build().await;
    carry(&town, &web, 1, isolation("alice")).await;
    carry(&town, &web, 1, isolation("bob")).await;
    open_channels(&town.client, 2).await;
    let totals = town.exit().relay().settle().await.unwrap().channels;
    assert_eq!(totals.opened, 2);
}

#[tokio::test]
async fn a_relay_that_is_killed_knows_what_its_channels_paid() {
    let web = WebServer::start().unwrap();
    let mut plan = plan(1);
    plan.client.links.idle_timeout = Duration::from_secs(2);
    plan.relays[0].links.idle_timeout = Duration::from_secs(2);
    let bought = plan.funds;
    let mut town = plan.build().await;
    channels(&town, &web, 1).await;
    carry(&town, &web, 8 * MIB, Isolation::NONE).await;
    let before = town.exit().relay().settle().await.unwrap().channels;
    town.relays[0].kill();
    town.relays[0].start().await;
    until("the client's notice", || town.client.circuits().is_empty()).await;
    let after = town.exit().relay().settle().await.unwrap().channels;
    // A top-up may have been on its way.
    assert_eq!(after.opened, before.opened);
    assert!(after.paid >= before.paid, "{after:?} after {before:?}");
    carry(&town, &web, 8 * MIB, Isolation::NONE).await;
    let later = town.exit().relay().settle().await.unwrap().channels;
    assert!(
        later.paid > before.paid,
        "the same channel goes on, or another one"
    );
    count(&town, bought).await;
}

#[tokio::test]
async fn a_client_that_restarts_goes_on_with_its_channels() {
    let web = WebServer::start().unwrap();
    let plan = plan(1);
    let bought = plan.funds;
    let mut town = plan.build().await;
    channels(&town, &web, 1).await;
    carry(&town, &web, 8 * MIB, Isolation::NONE).await;
    let locked: Msat = town
        .client
        .channels()
        .iter()
        .map(|channel| channel.locked)
        .sum();
    assert!(!locked.is_zero());

    town.restart_client().await;
    carry(&town, &web, 8 * MIB, Isolation::NONE).await;
    count(&town, bought).await;
}

#[tokio::test]
async fn a_cap_holds_for_channels() {
    let web = WebServer::start().unwrap();
    let mut plan = plan(1);
    plan.client.spending_cap = Msat::new(20_000);
    let town = plan.build().await;
    let (_, download) = downloading(&town.client, &web, 64 * MIB, Isolation::NONE);
    let ended = tokio::time::timeout(Duration::from_secs(3), download).await;
    assert!(ended.is_err(), "64 MiB cost 64,000 msat and more");
    let spent = town.client.spent();
    assert!(
        spent <= Msat::new(20_000) && spent > Msat::new(10_000),
        "{spent}"
    );
}
