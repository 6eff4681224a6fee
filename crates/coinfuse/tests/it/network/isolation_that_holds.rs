//! Streams of different users share nothing that a relay could see.

use super::town::Plan;
use super::traffic::{echo, isolation, until};
use coinfuse_testkit::Peer;
use coinfuse_wire::Msat;

#[tokio::test]
async fn one_user_s_streams_share_a_circuit_and_two_users_share_none() {
    let target = Peer::echo().unwrap();
    let town = Plan::hops(2).build().await;
    for (name, circuits) in [("alice", 1), ("alice", 1), ("bob", 2), ("alice", 2)] {
        echo(&town.client, target.addr(), isolation(name))
            .await
            .unwrap();
        assert_eq!(town.client.circuits().len(), circuits, "{name}");
    }
    for relay in &town.relays {
        assert_eq!(relay.relay().stats().circuits, 2);
    }
}

#[tokio::test]
async fn streams_that_are_opened_at_once_share_the_circuit_that_they_wait_for() {
    let target = Peer::echo().unwrap();
    let town = Plan::hops(2).build().await;
    let streams = (0..20).map(|_| {
        let (client, target) = (town.client.clone(), target.addr());
        tokio::spawn(async move { echo(&client, target, isolation("alice")).await })
    });
    for stream in streams.collect::<Vec<_>>() {
        stream.await.unwrap().unwrap();
    }
    assert_eq!(town.client.circuits().len(), 1);
}

#[tokio::test]
async fn what_one_user_leaves_on_an_account_is_not_used_by_another() {
    let target = Peer::echo().unwrap();
    let mut plan = Plan::hops(2);
    plan.client.top_up.low_water = coinfuse_wire::ByteCount::new(1);
    let town = plan.build().await;
    let first = Msat::new(town.first_payment(0).get() + town.first_payment(1).get());
    let (alice, bob) = (isolation("alice"), isolation("bob"));

    echo(&town.client, target.addr(), alice).await.unwrap();
    town.client.close_circuits(alice);
    until("the end of the circuit", || {
        town.relays[0].open_circuits() == 0
    })
    .await;
    // A hop may be topped up once by chance, which is less than a first payment to both.
    let by_alice = town.client.spent();
    assert!(by_alice >= first);

    echo(&town.client, target.addr(), bob).await.unwrap();
    let by_both = town.client.spent();
    assert!(by_both >= by_alice.saturating_add(first), "bob pays");
    echo(&town.client, target.addr(), alice).await.unwrap();
    let more = town.client.spent().saturating_sub(by_both);
    assert!(more < first, "alice has paid");
}
