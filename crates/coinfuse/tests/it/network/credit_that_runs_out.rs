//! A circuit pauses when nobody pays, goes on when somebody does, and loses nothing.

use super::town::{FIRST, Plan, Town};
use super::traffic::{Collector, MIB, downloading, hash_of, isolation, soon, until, uploading};
use coinfuse::connect::Isolation;
use coinfuse_testkit::{LinkConfig, LogWatch, WebServer};
use coinfuse_wire::Msat;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tracing::Level;

/// What the client logs when a relay holds data back.
const PAUSED: &str = "paused until it is paid";
/// What it logs when it has no money.
const NO_MONEY: &str = "a hop could not be paid";

#[tokio::test]
async fn a_download_that_outlasts_its_credit_pauses_and_goes_on_when_paid() {
    let log = LogWatch::new();
    let _guard = log.on_this_thread(Level::DEBUG);
    let web = WebServer::start().unwrap();
    let mut plan = Plan::hops(3);
    // Three first payments, and not one top-up.
    plan.funds = Msat::new(3 * FIRST.get() + 500);
    let town = plan.build().await;
    let size = 8 * MIB;
    let (progress, mut download) = downloading(&town.client, &web, size, Isolation::NONE);
    tokio::select! {
        () = until("the pause", || log.text().contains(PAUSED)) => {}
        early = &mut download => panic!("it never paused: {early:?}"),
    }
    until("a top-up that fails", || log.text().contains(NO_MONEY)).await;
    let paused_at = progress.load(Relaxed);
    assert!(
        paused_at <= 3 * MIB + MIB / 4,
        "{paused_at} bytes for nothing"
    );

    town.fund(Msat::new(200_000)).await;
    let hash = soon("the rest of the download", download).await.unwrap();
    assert_eq!(hash, hash_of(size));
    assert_eq!(progress.load(Relaxed), size);
}

#[tokio::test]
async fn an_upload_that_outlasts_its_credit_blocks_and_can_still_be_paid() {
    let log = LogWatch::new();
    let _guard = log.on_this_thread(Level::INFO);
    let target = Collector::start().await;
    let mut plan = Plan::hops(3);
    plan.funds = Msat::new(3 * FIRST.get() + 500);
    let town = plan.build().await;
    let size = 8 * MIB;
    let upload = uploading(&town.client, target.address, size, Isolation::NONE);
    until("top-ups that fail again and again", || {
        log.text().matches(NO_MONEY).count() >= 4
    })
    .await;
    let blocked_at = target.received.load(Relaxed);
    assert!(blocked_at <= MIB, "{blocked_at} bytes for nothing");
    assert!(!upload.is_finished());

    town.fund(Msat::new(200_000)).await;
    let hash = soon("the rest of the upload", upload).await.unwrap();
    assert_eq!(hash, hash_of(size));
}

#[tokio::test]
async fn money_that_comes_in_drops_carries_many_streams_both_ways_without_a_lost_byte() {
    let log = LogWatch::new();
    let _guard = log.on_this_thread(Level::DEBUG);
    let (web, target) = (WebServer::start().unwrap(), Collector::start().await);
    let mut plan = Plan::hops(3);
    plan.funds = Msat::new(3 * FIRST.get());
    let town = plan.build().await;
    let size = 2 * MIB;
    let mut tasks: Vec<_> = (0..4)
        .map(|_| downloading(&town.client, &web, size, Isolation::NONE).1)
        .collect();
    tasks.extend((0..4).map(|_| uploading(&town.client, target.address, size, Isolation::NONE)));
    let mut drops = 0u64;
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        // Each is enough for some of the pools only.
        town.fund(Msat::new(12_000)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        drops += 1;
        assert!(drops < 200, "the streams do not end");
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), hash_of(size));
    }
    assert!(log.text().contains(NO_MONEY), "there was always money");
    let funded = Msat::new(3 * FIRST.get() + drops * 12_000);
    // The last purchases may be under way.
    soon("books that agree", async {
        while town.client.spent() != funded.saturating_sub(balance(&town).await) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(town.client.circuits().len(), 1, "on one circuit");
}

#[tokio::test]
async fn a_long_download_with_money_in_the_wallet_never_pauses() {
    let log = LogWatch::new();
    let _guard = log.on_this_thread(Level::DEBUG);
    let web = WebServer::start().unwrap();
    let mut plan = Plan::hops(3);
    plan.client.top_up = coinfuse_circuit::TopUpPolicy::default();
    // At a pace that leaves a mint on a busy machine two thirds of a second for a top-up.
    let mut path = LinkConfig::new(Duration::from_millis(1), 200_000_000);
    path.queue_bytes = MIB;
    plan.relays[0].path = Some(path);
    let town = plan.build().await;
    let size = 64 * MIB;
    let (_, download) = downloading(&town.client, &web, size, isolation("long"));
    let hash = soon("the download", download).await.unwrap();
    assert_eq!(hash, hash_of(size));
    let first: u64 = (0..3).map(|relay| town.first_payment(relay).get()).sum();
    assert!(
        town.client.spent() > Msat::new(first),
        "no top-up was needed"
    );
    if let Some(pause) = log.text().find(PAUSED) {
        let log = log.text();
        let from = pause.saturating_sub(1500);
        panic!("a relay waited for money: {}", &log[from..pause]);
    }
}

#[tokio::test]
async fn a_mint_that_is_away_for_a_while_pauses_a_download_and_loses_no_money() {
    let log = LogWatch::new();
    let _guard = log.on_this_thread(Level::DEBUG);
    let web = WebServer::start().unwrap();
    let mut town = Plan::hops(2).build().await;
    let funded = balance(&town).await;
    let size = 12 * MIB;
    let who = isolation("patient");
    let target = web.addr().to_string().parse().unwrap();
    town.client.prepare(&target, who).await.unwrap();
    town.mint.stop().await;
    let (_, mut download) = downloading(&town.client, &web, size, who);
    tokio::select! {
        () = until("the pause", || log.text().contains(PAUSED)) => {}
        early = &mut download => panic!("it never paused: {early:?}"),
    }

    town.mint.restart().await;
    soon("the purse in order", async {
        while town.purse.recover().await.is_ok_and(|left| left > 0) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let hash = soon("the rest of the download", download).await.unwrap();
    assert_eq!(hash, hash_of(size));
    town.client.close_circuits(who);
    for relay in &town.relays {
        until("the end of the circuit", || relay.open_circuits() == 0).await;
    }
    // Purchases may be under way. A voucher whose acknowledgement went down with the circuit counts
    // twice here: it is presented again with the next one.
    soon("all the money", async {
        while accounted(&town).await < funded {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

async fn balance(town: &Town) -> Msat {
    town.purse.balances().await.into_values().sum()
}

/// What is in the purse, in vouchers and at relays.
async fn accounted(town: &Town) -> Msat {
    let mut money = balance(town).await;
    money = money.saturating_add(town.purse.locked().await);
    for relay in &town.relays {
        let totals = relay.relay().settle().await.unwrap();
        money = money.saturating_add(totals.credited);
    }
    money
}
