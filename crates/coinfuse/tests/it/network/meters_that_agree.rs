//! The client's count and the relays' are the same.

use super::town::{PRICE, Plan, Town};
use super::traffic::{Collector, MIB, download, echo, isolation, soon, upload};
use coinfuse::connect::Isolation;
use coinfuse_circuit::MAX_CIPHERTEXT;
use coinfuse_testkit::{Peer, WebServer};
use coinfuse_wire::{ByteCount, Msat};
use std::time::Duration;

/// Small and large, both ways, one after another and at once.
async fn mixed_traffic(town: &Town) {
    let (web, echoing) = (WebServer::start().unwrap(), Peer::echo().unwrap());
    let target = Collector::start().await;
    let (client, progress) = (&town.client, Default::default());
    for name in ["a", "b"] {
        let who = isolation(name);
        for _ in 0..5 {
            echo(client, echoing.addr(), who).await.unwrap();
        }
        tokio::join!(
            download(client, web.addr(), 2 * MIB + 1, who, &progress),
            download(client, web.addr(), 77, who, &progress),
            upload(client, target.address, MIB + 4321, who),
            upload(client, target.address, 1, who),
        );
    }
}

fn used(town: &Town) -> Msat {
    let circuits = town.client.circuits();
    assert_eq!(circuits.len(), 2);
    circuits
        .iter()
        .flat_map(|circuit| &circuit.hops)
        .map(|hop| hop.used)
        .sum()
}

async fn agree_over(hops: usize) {
    let town = Plan::hops(hops).build().await;
    soon("the traffic", mixed_traffic(&town)).await;
    // The last window updates may still be on their way.
    soon("agreement", async {
        loop {
            let (ours, theirs) = (used(&town), town.earned().await);
            if ours == theirs && !ours.is_zero() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // And to within a record of each circuit when everybody has closed the books: a relay may
    // have sent a last one that nobody read any more.
    let ours = used(&town);
    town.client.close_circuits(Isolation::NONE);
    town.client.close_circuits(isolation("a"));
    town.client.close_circuits(isolation("b"));
    for relay in &town.relays {
        super::traffic::until("the end of the circuits", || relay.open_circuits() == 0).await;
    }
    let record = PRICE.charge(ByteCount::new(MAX_CIPHERTEXT as u64));
    let most = ours.get() + 2 * hops as u64 * record.get();
    assert!((ours.get()..=most).contains(&town.earned().await.get()));
}

#[tokio::test]
async fn the_client_and_the_relays_count_the_same_over_one_hop() {
    agree_over(1).await;
}

#[tokio::test]
async fn the_client_and_the_relays_count_the_same_over_two_hops() {
    agree_over(2).await;
}

#[tokio::test]
async fn the_client_and_the_relays_count_the_same_over_three_hops() {
    agree_over(3).await;
}
