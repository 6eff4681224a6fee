//! Limits refuse with a reason, and whoever is within them goes on.

use super::station::{LOOPBACK, RelayPlan, exit_config};
use super::town::{Plan, Town};
use super::traffic::{echo, isolation, open, soon};
use coinfuse::client::{ClientError, Stream};
use coinfuse::connect::Isolation;
use coinfuse_circuit::{ClientCircuitError, ExtendRefusal};
use coinfuse_delivery::{Exit, ExitFailure, SystemResolver};
use coinfuse_testkit::Peer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn still_echoes(stream: &mut Stream) {
    stream.write_all(b"x").await.unwrap();
    assert_eq!(soon("an echo", stream.read_u8()).await.unwrap(), b'x');
}

#[tokio::test]
async fn a_circuit_that_has_all_its_streams_is_given_a_sister() {
    let target = Peer::echo().unwrap();
    let mut plan = Plan::hops(2);
    plan.relays[0].limits.max_streams = 2;
    let town = plan.build().await;
    let mut streams = Vec::new();
    for circuits in [1, 1, 2, 2, 3] {
        let stream = open(&town.client, target.addr(), Isolation::NONE);
        streams.push(soon("a stream", stream).await.unwrap());
        assert_eq!(town.client.circuits().len(), circuits);
    }
    for stream in &mut streams {
        still_echoes(stream).await;
    }
    // Where one was closed, there is room for another.
    streams.remove(0);
    let stream = open(&town.client, target.addr(), Isolation::NONE);
    streams.push(soon("a stream", stream).await.unwrap());
    assert_eq!(town.client.circuits().len(), 3);
}

#[tokio::test]
async fn one_stream_more_than_an_exit_allows_is_refused_and_the_others_go_on() {
    let target = Peer::echo().unwrap();
    let mut plan = Plan::hops(1);
    plan.relays[0] = RelayPlan::exit_by(LOOPBACK, || {
        let mut config = exit_config(LOOPBACK);
        config.max_circuit_streams = 2;
        Exit::new(config, SystemResolver)
    });
    let town = plan.build().await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let stream = open(&town.client, target.addr(), Isolation::NONE).await;
        streams.push(stream.unwrap());
    }
    let refused = open(&town.client, target.addr(), Isolation::NONE).await;
    assert!(matches!(
        refused.unwrap_err(),
        ClientError::Exit(ExitFailure::CircuitLimit)
    ));
    for stream in &mut streams {
        still_echoes(stream).await;
    }
}

/// Two circuits through `town`, of which the second is refused; the first goes on.
async fn second_circuit(town: &Town) -> ClientError {
    let target = Peer::echo().unwrap();
    let mut stream = open(&town.client, target.addr(), isolation("a"))
        .await
        .unwrap();
    let spent = town.client.spent();
    let refused = echo(&town.client, target.addr(), isolation("b")).await;
    still_echoes(&mut stream).await;
    echo(&town.client, target.addr(), isolation("a"))
        .await
        .unwrap();
    assert!(town.client.spent() > spent, "the payment was bought");
    refused.unwrap_err()
}

#[tokio::test]
async fn circuits_that_are_made_too_fast_are_refused_and_the_others_go_on() {
    let mut plan = Plan::hops(1);
    plan.client.attempts = 1;
    plan.relays[0].limits.creates_per_second = 1;
    let town = plan.build().await;
    let error = second_circuit(&town).await;
    assert!(
        matches!(error, ClientError::FirstHop(ExtendRefusal::Busy)),
        "{error}"
    );
}

#[tokio::test]
async fn a_relay_that_is_full_refuses_and_what_it_carries_goes_on() {
    let mut plan = Plan::hops(2);
    plan.client.attempts = 1;
    plan.relays[0].limits.max_circuits = 1;
    let town = plan.build().await;
    let error = second_circuit(&town).await;
    assert!(
        matches!(
            error,
            ClientError::Circuit(ClientCircuitError::Extend {
                reason: ExtendRefusal::Busy,
                ..
            })
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_payment_that_went_with_a_refused_circuit_pays_for_the_next_one() {
    let target = Peer::echo().unwrap();
    let mut plan = Plan::hops(1);
    plan.client.attempts = 1;
    plan.relays[0].limits.max_circuits = 1;
    let town = plan.build().await;
    let (a, b) = (isolation("a"), isolation("b"));
    echo(&town.client, target.addr(), a).await.unwrap();
    echo(&town.client, target.addr(), b).await.unwrap_err();
    let spent = town.client.spent();
    town.client.close_circuits(a);
    super::traffic::until("room", || town.exit().open_circuits() == 0).await;
    echo(&town.client, target.addr(), b).await.unwrap();
    assert_eq!(town.client.spent(), spent);
}

#[tokio::test]
async fn a_client_spends_no_more_than_its_cap() {
    let target = Peer::echo().unwrap();
    let mut plan = Plan::hops(1);
    plan.client.spending_cap = coinfuse_wire::Msat::new(6000);
    let town = plan.build().await;
    echo(&town.client, target.addr(), isolation("a"))
        .await
        .unwrap();
    let refused = echo(&town.client, target.addr(), isolation("b")).await;
    assert!(matches!(refused.unwrap_err(), ClientError::CapReached));
    echo(&town.client, target.addr(), isolation("a"))
        .await
        .unwrap();
    assert_eq!(town.client.spent(), town.first_payment(0));
}
