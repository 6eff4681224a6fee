//! What is wrong is told to whoever can do something about it.

use crate::limits::free_address;
use crate::stranger::Stranger;
use crate::town::{Time, Town, eventually, identity, known, until};
use coinfuse_directory::PeerKey;
use coinfuse_directory::sync::Answer;
use coinfuse_discovery::{Discovery, PeerAddress, SourceStatus, SourceTrouble, Status};
use coinfuse_wire::Encode;
use core::time::Duration;

async fn status(node: &Discovery) -> Status {
    node.status().await.unwrap()
}

/// What is known of a bootstrap peer as soon as something is wrong with it.
async fn troubled(node: &Discovery, peer: &PeerAddress) -> SourceTrouble {
    eventually(async || {
        let source = named(node, peer).await;
        assert!(source.bootstrap);
        assert_eq!(source.address, Some(peer.address));
        source.trouble
    })
    .await
}

async fn named(node: &Discovery, peer: &PeerAddress) -> SourceStatus {
    let sources = status(node).await.sources;
    let found = sources.into_iter().find(|one| one.peer == peer.key);
    found.expect("a bootstrap peer is always told of")
}

fn some_key() -> PeerKey {
    PeerKey::new(*identity(99).relay_id().as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bootstrap_peer_that_is_not_there_is_named_until_it_comes() {
    let town = Town::new();
    let address = free_address().await;
    let peer = PeerAddress {
        key: town.key_of_relay(0),
        address,
    };
    let client = town.client(&[peer]).await;
    assert_eq!(troubled(&client, &peer).await, SourceTrouble::Unreachable);

    let late = town.relay_at(address, 0, &[]).await;
    late.publish(|_| {}).await;
    assert_eq!(late.address(), peer);
    until(&client, |directory| directory.len() == 1).await;
    eventually(async || named(&client, &peer).await.trouble.is_none().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_or_place_is_told_from_a_dead_one() {
    let town = Town::new();
    let relay = town.relay(0, &[]).await;
    let wrong = PeerAddress {
        key: some_key(),
        ..relay.address()
    };
    let client = town.client(&[wrong]).await;
    assert_eq!(troubled(&client, &wrong).await, SourceTrouble::OtherKey);

    let peer = relay.address();
    let strict = town
        .client_with(&[peer], |config| config.private_addresses = false)
        .await;
    assert_eq!(troubled(&strict, &peer).await, SourceTrouble::NotPublic);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_and_is_of_no_use_is_told_from_who_does_not() {
    let town = Town::new();
    for (answer, trouble) in [
        (Answer::Busy.to_bytes(), SourceTrouble::Busy),
        (Answer::Published(0).to_bytes(), SourceTrouble::Senseless),
        (vec![0xff; 9], SourceTrouble::Senseless),
    ] {
        let peer = Stranger::new().serve(move |_| answer.clone()).await;
        let client = town.client(&[peer]).await;
        assert_eq!(troubled(&client, &peer).await, trouble);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_may_have_no_more_connections_blames_itself() {
    let town = Town::new();
    let relay = town.relay(0, &[]).await;
    let peer = relay.address();
    let client = town
        .client_with(&[peer], |config| config.limits.process_memory = Some(1))
        .await;
    assert_eq!(troubled(&client, &peer).await, SourceTrouble::OwnLimits);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong_by_days_is_suspected() {
    let town = Town::new();
    let relays = town.relays(3).await;
    let peer = relays[0].address();
    let ahead = Time::new();
    ahead.pass(Duration::from_secs(3 * 24 * 3600));
    let clock = ahead.clock();
    let client = town
        .client_with(&[peer], |config| config.clock = clock)
        .await;
    let trouble = troubled(&client, &peer).await;
    assert_eq!(trouble, SourceTrouble::Clock { untimely: 3 });
    let counts = status(&client).await;
    assert!(counts.expired >= 3 && counts.from_the_future == 0);
    assert_eq!(known(&client).len(), 0);

    // The relays of whoever is behind are from the future.
    let late = Town::new();
    late.time.pass(Duration::from_secs(3 * 24 * 3600));
    let relay = late.relay(0, &[]).await;
    let clock = town.time.clock();
    let client = town
        .client_with(&[relay.address()], |config| config.clock = clock)
        .await;
    let trouble = troubled(&client, &relay.address()).await;
    assert_eq!(trouble, SourceTrouble::Clock { untimely: 1 });
    assert!(status(&client).await.from_the_future >= 1);
}
