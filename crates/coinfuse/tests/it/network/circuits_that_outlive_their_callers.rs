//! What was paid for is used, whoever has stopped waiting for it.

use super::station::RelayPlan;
use super::town::{Plan, directory};
use super::traffic::{echo, isolation, open, soon, until};
use coinfuse::client::ClientError;
use coinfuse_testkit::Peer;
use coinfuse_wire::Msat;
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn a_circuit_that_nobody_waits_for_any_more_serves_the_next_stream() {
    let target = Peer::echo().unwrap();
    let town = Plan::hops(2).build().await;
    let frozen = town.exit().freeze();
    let abandoned = open(&town.client, target.addr(), isolation("a"));
    assert!(
        timeout(Duration::from_millis(500), abandoned)
            .await
            .is_err()
    );
    let spent = town.client.spent();
    drop(frozen);
    until("the circuit", || town.client.circuits().len() == 1).await;
    echo(&town.client, target.addr(), isolation("a"))
        .await
        .unwrap();
    assert_eq!(town.exit().relay().stats().circuits, 1);
    assert_eq!(town.client.spent(), spent);
    let first_payments = [0, 1].map(|relay| town.first_payment(relay));
    assert_eq!(spent, first_payments.into_iter().sum::<Msat>());
}

#[tokio::test]
async fn an_account_is_free_again_when_its_circuit_was_not_built() {
    let target = Peer::echo().unwrap();
    let mut plan = Plan::hops(2);
    plan.client.attempts = 1;
    plan.relays[1].limits.extend_timeout = Duration::from_millis(300);
    let mut town = plan.build().await;
    let name = isolation("a");
    echo(&town.client, target.addr(), name).await.unwrap();
    let spent = town.client.spent();
    town.client.close_circuits(name);
    until("the end of the circuit", || {
        town.relays.iter().all(|relay| relay.open_circuits() == 0)
    })
    .await;

    town.relays[0].shut_down().await;
    let error = echo(&town.client, target.addr(), name).await.unwrap_err();
    assert!(matches!(error, ClientError::Circuit(_)), "{error}");

    town.relays[0].start().await;
    // Its neighbour has to notice that it is another link now.
    let again = async { while echo(&town.client, target.addr(), name).await.is_err() {} };
    soon("another circuit", again).await;
    assert_eq!(town.client.spent(), spent, "it paid with another account");
}

/// Most exits are gone, and nobody has noticed yet.
#[tokio::test]
async fn a_stream_is_opened_where_one_exit_in_seven_is_alive() {
    let target = Peer::echo().unwrap();
    let mut plan = Plan::hops(2);
    plan.relays[1].limits.extend_timeout = Duration::from_millis(200);
    plan.relays[0].describe = |body| body.capacity = Some(coinfuse_wire::ByteCount::new(1));
    let gone = || RelayPlan {
        describe: |body| body.capacity = Some(coinfuse_wire::ByteCount::from_mib(8)),
        ..RelayPlan::exit()
    };
    plan.relays.extend((0..6).map(|_| gone()));
    let mut town = plan.build().await;
    let known = directory(&town.relays);
    for relay in &mut town.relays[2..] {
        relay.kill();
    }
    town.client.set_directory(known);
    echo(&town.client, target.addr(), isolation("a"))
        .await
        .unwrap();
}
