//! What a client has seen of relays decides which of them it uses, and it does not forget it.

use super::questions;
use super::station::RelayPlan;
use super::town::{Plan, Town, directory};
use super::traffic::{MIB, downloading, echo, hash_of, soon, until};
use coinfuse::client::{AskError, Client, ClientError, read_history};
use coinfuse::connect::Isolation;
use coinfuse_directory::{Price, SelectError};
use coinfuse_testkit::{BitcoinPeer, LinkConfig, Peer, WebServer};
use coinfuse_wire::{ByteCount, Rate, RelayId};
use std::path::PathBuf;
use std::time::Duration;

/// An exit and `others`, of which circuits have two. The client remembers in this file.
fn plan(others: usize, history: PathBuf) -> Plan {
    let mut plan = Plan::hops(2);
    plan.relays.resize_with(1 + others, RelayPlan::default);
    plan.client.history_file = Some(history);
    plan
}

fn id(town: &Town, relay: usize) -> RelayId {
    town.relays[relay].descriptor().relay
}

/// Builds a circuit; its first relay.
async fn first(client: &Client) -> Result<RelayId, ClientError> {
    let target = "127.0.0.1:9".parse().unwrap();
    let circuit = client.prepare(&target, Isolation::NONE).await?;
    Ok(circuit.hops[0].relay)
}

#[tokio::test]
async fn a_client_enters_by_the_same_relay_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let mut town = plan(5, path.clone()).build().await;
    let guard = first(&town.client).await.unwrap();
    for _ in 0..2 {
        assert_eq!(first(&town.client).await.unwrap(), guard);
        town.restart_client().await;
        assert_eq!(first(&town.client).await.unwrap(), guard);
    }
    // And when it has crashed just after it had begun.
    std::fs::remove_file(&path).unwrap();
    town.restart_client().await;
    std::fs::remove_file(&path).ok();
    let (config, known) = (town.config.clone(), directory(&town.relays));
    let start = || Client::start(config.clone(), known.clone(), town.purse.clone(), &[7; 32]);
    let crashes = start().await.unwrap();
    let guard = first(&crashes).await.unwrap();
    until("the guards on disk", || {
        read_history(&path).is_ok_and(|history| !history.guards().is_empty())
    })
    .await;
    let after = start().await.unwrap();
    assert_eq!(first(&after).await.unwrap(), guard);
}

#[tokio::test]
async fn packets_enter_by_the_same_relay() {
    let (peer, folder) = (BitcoinPeer::start().unwrap(), tempfile::tempdir().unwrap());
    let mut plan = questions::plan(&peer, 4);
    plan.client.history_file = Some(folder.path().join("history"));
    let mut town = plan.build().await;
    for number in 1..=4 {
        questions::accepted(&town, &peer, number).await;
        town.restart_client().await;
    }
    let received = (1..=4).map(|relay| questions::stats(&town, relay).received);
    // There and back, each time.
    assert_eq!(received.max(), Some(8));
}

#[tokio::test]
async fn a_relay_that_fails_is_left_and_that_is_remembered() {
    let (target, folder) = (Peer::echo().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("history");
    let mut plan = plan(2, path.clone());
    plan.client.links.idle_timeout = Duration::from_secs(2);
    plan.client.links.keep_alive = Duration::from_millis(200);
    plan.client.links.handshake_timeout = Duration::from_millis(500);
    let mut town = plan.build().await;
    let guard = first(&town.client).await.unwrap();
    let dead = (1..3).find(|relay| id(&town, *relay) == guard).unwrap();
    let known = directory(&town.relays);
    town.relays[dead].kill();

    town.client.close_circuits(Isolation::NONE);
    echo(&town.client, target.addr(), Isolation::NONE)
        .await
        .unwrap();
    let hops = &town.client.circuits()[0].hops;
    assert_ne!(hops[0].relay, guard);
    assert_eq!(hops[0].reliability, Some(1000));
    let now = super::unix();
    let reliability = |relay| town.client.history().reliability(relay, now);
    assert!(reliability(&guard).is_some_and(|of| of < 1000));
    // The next run does not try it first.
    town.client.shutdown().await;
    assert!(read_history(&path).unwrap().is_resting(&guard, now));
    let again = Client::start(town.config.clone(), known, town.purse.clone(), &[7; 32]);
    assert_ne!(first(&again.await.unwrap()).await.unwrap(), guard);
}

#[tokio::test]
async fn a_client_without_a_network_keeps_its_guards() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = plan(5, folder.path().join("history"));
    plan.client.links.handshake_timeout = Duration::from_millis(100);
    plan.client.links.idle_timeout = Duration::from_secs(1);
    let mut town = plan.build().await;
    let known = directory(&town.relays);
    first(&town.client).await.unwrap();
    let before = town.client.history();
    for relay in &mut town.relays {
        relay.kill();
    }
    until("the client's notice", || town.client.circuits().is_empty()).await;
    town.client.set_directory(known);
    for _ in 0..4 {
        let target = "127.0.0.1:9".parse().unwrap();
        let nobody = town.client.connect_isolated(&target, Isolation::NONE).await;
        assert!(
            matches!(nobody, Err(ClientError::Link { .. })),
            "{nobody:?}"
        );
    }
    assert_eq!(town.client.history(), before);
}

/// Where two relays claim most, and one of them is at the end of a thin line.
#[tokio::test]
async fn who_boasts_is_found_out() {
    let web = WebServer::start().unwrap();
    let boasting = || RelayPlan {
        describe: |body| body.capacity = Some(ByteCount::from_mib(1000)),
        ..RelayPlan::exit()
    };
    let mut plan = Plan::hops(1);
    plan.relays = vec![boasting(), boasting()];
    plan.relays[0].path = Some(LinkConfig::new(Duration::ZERO, 4_000_000));
    let town = plan.build().await;
    let weight = |relay: usize| {
        let descriptor = town.relays[relay].descriptor();
        town.client.history().weight(&descriptor, super::unix())
    };
    assert_eq!(weight(0), weight(1));

    town.choose_among(&[0]);
    let (_, download) = downloading(&town.client, &web, 3 * MIB, Isolation::NONE);
    assert_eq!(
        soon("the download", download).await.unwrap(),
        hash_of(3 * MIB)
    );
    let liar = id(&town, 0);
    until("the measurement", || {
        town.client.history().capacity(&liar).is_some()
    })
    .await;
    let measured = town.client.circuits()[0].hops[0].measured;
    assert!(measured.is_some_and(|speed| speed < ByteCount::from_mib(1)));
    assert!(weight(0) * 8 < weight(1), "{} and {}", weight(0), weight(1));
}

/// Builds a circuit after a restart with other settings.
async fn with(
    town: &mut Town,
    change: impl FnOnce(&mut coinfuse::client::ClientConfig),
) -> Result<RelayId, ClientError> {
    change(&mut town.config);
    town.restart_client().await;
    first(&town.client).await
}

fn excluded(result: Result<RelayId, ClientError>) -> usize {
    match result {
        Err(ClientError::NoPath(SelectError::NotEnoughRelays(shortage))) => shortage.excluded,
        Err(ClientError::NoPath(SelectError::NoGuard(shortage))) => shortage.excluded,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn relays_that_the_user_does_not_want_are_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = plan(1, folder.path().join("history"));
    plan.relays[1].describe = |body| body.country = Some("XK".parse().unwrap());
    let mut town = plan.build().await;
    let only = id(&town, 1);
    assert_eq!(first(&town.client).await.unwrap(), only);

    let without = with(&mut town, |config| {
        config.excluded_relays.insert(only);
    });
    assert_eq!(excluded(without.await), 1);
    let abroad = with(&mut town, |config| {
        config.excluded_relays.clear();
        config.excluded_countries.insert("XK".parse().unwrap());
    });
    assert_eq!(excluded(abroad.await), 1);
    let elsewhere = with(&mut town, |config| {
        config.excluded_countries = ["XL".parse().unwrap()].into();
    });
    assert_eq!(elsewhere.await.unwrap(), only);
}

#[tokio::test]
async fn packets_pass_no_relay_that_the_user_does_not_want() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = questions::plan(&peer, 1);
    plan.relays[1].describe = |body| body.country = Some("XK".parse().unwrap());
    plan.client.packets.stock = 1;
    let mut town = plan.build().await;
    questions::accepted(&town, &peer, 1).await;
    // Not even those that were paid ahead.
    assert_eq!(town.client.packets().journeys, 1);
    town.config.excluded_countries.insert("XK".parse().unwrap());
    town.restart_client().await;
    let error = questions::broadcast(&town, 2).await.unwrap_err();
    assert!(matches!(error, AskError::NoPath(_)), "{error}");
}

#[tokio::test]
async fn all_hops_together_cost_no_more_than_the_user_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut town = plan(1, folder.path().join("history")).build().await;
    let total = |msat| {
        let rate = Rate::from_msat_per_mib(msat);
        Some(Price {
            up: rate,
            down: rate,
        })
    };
    let too_dear = with(&mut town, |config| config.max_total_price = total(1999)).await;
    assert!(
        matches!(too_dear, Err(ClientError::NoPath(_))),
        "{too_dear:?}"
    );
    let paid = with(&mut town, |config| config.max_total_price = total(2000)).await;
    paid.unwrap();
}
