//! A relay that does not do its part is left, wherever it stands.

use super::mute::Mute;
use super::station::RelayPlan;
use super::town::{Plan, Town, directory};
use super::traffic::{echo, isolation, open, soon, until};
use coinfuse::client::ClientError;
use coinfuse_directory::{DescriptorBody, MintUnit};
use coinfuse_testkit::Peer;
use coinfuse_wire::RelayId;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn id(town: &Town, relay: usize) -> RelayId {
    town.relays[relay].descriptor().relay
}

fn rests(town: &Town, relay: usize) -> bool {
    let history = town.client.history();
    history.is_resting(&id(town, relay), super::unix())
}

/// A client whose first guard is relay 1, which then publishes something else. It has to go by
/// relay 2.
async fn guard_that_says(change: fn(&mut DescriptorBody)) -> Town {
    let target = Peer::echo().unwrap();
    let mut plan = Plan::hops(2);
    plan.relays.push(RelayPlan::default());
    let town = plan.build().await;
    town.choose_among(&[0, 1]);
    echo(&town.client, target.addr(), isolation("before"))
        .await
        .unwrap();
    assert_eq!(town.client.history().guards()[0].relay, id(&town, 1));

    let mut known = directory([&town.relays[0], &town.relays[2]]);
    known.insert(town.relays[1].descriptor_but(change)).unwrap();
    town.client.set_directory(known);
    for name in ["a", "b"] {
        echo(&town.client, target.addr(), isolation(name))
            .await
            .unwrap();
    }
    assert_eq!(town.relays[2].open_circuits(), 2);
    town
}

#[tokio::test]
async fn a_guard_that_takes_no_mint_of_ours_any_more_is_passed_over() {
    guard_that_says(|body| body.mints.clear()).await;
}

#[tokio::test]
async fn a_guard_that_counts_in_another_unit_is_passed_over() {
    guard_that_says(|body| body.mints[0].unit = MintUnit::Sat).await;
}

#[tokio::test]
async fn an_exit_that_closes_circuits_as_soon_as_they_are_built_is_left() {
    let target = Peer::echo().unwrap();
    let mut plan = Plan::hops(2);
    plan.relays[0].limits.max_lifetime = Duration::from_millis(300);
    let town = plan.build().await;
    let mut stream = open(&town.client, target.addr(), isolation("a"))
        .await
        .unwrap();
    let end = stream.read_u8();
    soon("the end of the stream", end).await.unwrap_err();
    until("the client's notice", || rests(&town, 0)).await;
    assert!(!rests(&town, 1), "the guard has done its part");
}

#[tokio::test]
async fn an_exit_that_ends_streams_without_a_word_is_left_and_not_the_guard() {
    let (target, mute) = (Peer::echo().unwrap(), Mute::new());
    let mut plan = Plan::hops(2);
    plan.client.attempts = 1;
    let town = plan.build().await;
    let mut known = directory([&town.relays[1]]);
    known.insert(mute.descriptor()).unwrap();
    town.client.set_directory(known.clone());
    let exit = mute.descriptor().relay;
    tokio::spawn(mute.serve());
    let error = echo(&town.client, target.addr(), isolation("a"))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::CircuitLost), "{error}");
    let rests = || town.client.history().is_resting(&exit, super::unix());
    until("the client's notice", rests).await;
    assert!(!self::rests(&town, 1));

    known.insert(town.exit().descriptor()).unwrap();
    town.client.set_directory(known);
    echo(&town.client, target.addr(), isolation("a"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_paid_circuit_that_stalls_is_left_and_its_exit_marked() {
    let target = Peer::echo().unwrap();
    let mut plan = Plan::hops(2);
    plan.relays.push(RelayPlan::exit());
    plan.client.stall_timeout = Duration::from_secs(1);
    let town = plan.build().await;
    town.choose_among(&[0, 1]);
    let mut stream = open(&town.client, target.addr(), isolation("a"))
        .await
        .unwrap();
    // Nobody waits for anything: it stays.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    stream.write_all(b"x").await.unwrap();
    assert_eq!(soon("an echo", stream.read_u8()).await.unwrap(), b'x');

    let _frozen = town.exit().freeze();
    stream.write_all(b"x").await.unwrap();
    soon("the end of the stream", stream.read_u8())
        .await
        .unwrap_err();
    until("the client's notice", || rests(&town, 0)).await;
    assert!(!rests(&town, 1), "a guard is not left for one stall");
    town.tell_everybody();
    echo(&town.client, target.addr(), isolation("a"))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_exit_without_room_is_left_after_three_refusals() {
    let target = Peer::echo().unwrap();
    let mut plan = Plan::hops(1);
    plan.relays[0] = RelayPlan::exit_by(super::station::LOOPBACK, || {
        let mut config = super::station::exit_config(super::station::LOOPBACK);
        config.max_circuit_streams = 1;
        coinfuse_delivery::Exit::new(config, coinfuse_delivery::SystemResolver)
    });
    let town = plan.build().await;
    let name = isolation("a");
    let _stream = open(&town.client, target.addr(), name).await.unwrap();
    for refusals in 1..=3 {
        let refused = open(&town.client, target.addr(), name).await;
        assert!(matches!(refused, Err(ClientError::Exit(_))), "{refused:?}");
        assert_eq!(rests(&town, 0), refusals == 3);
    }
}
