//! Who may be dialled, who may dial, and what a failure says.

use crate::support::{Neighbour, PATIENCE, black_hole, dialler, loopback};
use coinfuse::link::{
    BindError, CloseReason, DialError, HandshakeRates, LinkEndpoint, LinkLimits, LinkSecret,
    ServeEnd,
};
use std::time::Duration;

#[tokio::test]
async fn the_holder_of_the_pinned_key_is_accepted() {
    let mut relay = Neighbour::new(1);
    let link = dialler()
        .dial(&[relay.address], relay.key, PATIENCE)
        .await
        .unwrap();
    assert_eq!(link.key(), Some(relay.key));
    // The dialling side stays anonymous.
    assert_eq!(relay.links.recv().await.unwrap().key(), None);
}

#[tokio::test]
async fn a_relay_with_another_key_is_refused() {
    let relay = Neighbour::new(1);
    let other = LinkSecret::from_seed([2; 32]).key();
    let refused = dialler().dial(&[relay.address], other, PATIENCE).await;
    assert_eq!(refused.unwrap_err(), DialError::WrongKey);
}

#[tokio::test]
async fn a_dead_first_address_costs_a_head_start_and_no_more() {
    let relay = Neighbour::new(1);
    let (_open, dead) = black_hole();
    let link = dialler()
        .dial(&[dead, relay.address], relay.key, PATIENCE)
        .await
        .unwrap();
    assert_eq!(link.key(), Some(relay.key));
}

#[tokio::test]
async fn a_black_hole_is_a_time_out() {
    let (_open, dead) = black_hole();
    let key = LinkSecret::from_seed([1; 32]).key();
    let failed = dialler()
        .dial(&[dead], key, Duration::from_millis(50))
        .await;
    assert_eq!(failed.unwrap_err(), DialError::Timeout);
}

#[tokio::test]
async fn without_a_usable_address_a_dial_fails_at_once() {
    let key = LinkSecret::from_seed([1; 32]).key();
    for addresses in [
        &[][..],
        &["[::1]:9".parse().unwrap()],
        &["127.0.0.1:0".parse().unwrap()],
    ] {
        let failed = dialler().dial(addresses, key, PATIENCE).await;
        assert_eq!(
            failed.unwrap_err(),
            DialError::NoUsableAddress,
            "{addresses:?}"
        );
    }
}

#[tokio::test]
async fn one_address_has_its_burst_of_handshakes_and_no_more() {
    let rates = HandshakeRates {
        per_address: 0,
        per_address_burst: 3,
        total: 1_000,
        total_burst: 1_000,
    };
    let mut limits = LinkLimits::default();
    limits.handshake_rates = rates;
    let relay = Neighbour::with_limits(1, limits);
    let dialler = dialler();
    let mut links = Vec::new();
    for _ in 0..3 {
        links.push(
            dialler
                .dial(&[relay.address], relay.key, PATIENCE)
                .await
                .unwrap(),
        );
    }
    let refused = dialler.dial(&[relay.address], relay.key, PATIENCE).await;
    assert_eq!(refused.unwrap_err(), DialError::Refused);
    assert!(links.iter().all(|link| !link.is_closed()));
}

#[tokio::test]
async fn under_load_an_honest_dialler_proves_its_address_and_gets_in() {
    // One token left of three: every newcomer is sent a retry, and comes back validated.
    let rates = HandshakeRates {
        per_address: 0,
        per_address_burst: 9,
        total: 0,
        total_burst: 4,
    };
    let mut limits = LinkLimits::default();
    limits.handshake_rates = rates;
    let relay = Neighbour::with_limits(1, limits);
    let dialler = dialler();
    for _ in 0..4 {
        dialler
            .dial(&[relay.address], relay.key, PATIENCE)
            .await
            .unwrap();
    }
    let refused = dialler.dial(&[relay.address], relay.key, PATIENCE).await;
    assert_eq!(refused.unwrap_err(), DialError::Refused);
}

#[tokio::test]
async fn newcomers_beyond_the_number_of_links_are_refused() {
    let mut limits = LinkLimits::default();
    limits.max_links = 1;
    let relay = Neighbour::with_limits(1, limits);
    let dialler = dialler();
    let first = dialler
        .dial(&[relay.address], relay.key, PATIENCE)
        .await
        .unwrap();
    let refused = dialler.dial(&[relay.address], relay.key, PATIENCE).await;
    assert_eq!(refused.unwrap_err(), DialError::Refused);
    assert!(!first.is_closed());
}

#[tokio::test]
async fn garbage_on_the_socket_does_not_end_the_loop() {
    let relay = Neighbour::new(1);
    let noise = tokio::net::UdpSocket::bind(loopback()).await.unwrap();
    for length in [0, 1, 20, 1_200, 1_472] {
        noise
            .send_to(&vec![0xc3; length], relay.address)
            .await
            .unwrap();
    }
    dialler()
        .dial(&[relay.address], relay.key, PATIENCE)
        .await
        .unwrap();
    assert!(!relay.serving.is_finished());
}

#[tokio::test]
async fn shutdown_ends_the_loop_and_leaves_links_open() {
    let mut relay = Neighbour::new(1);
    let link = dialler()
        .dial(&[relay.address], relay.key, PATIENCE)
        .await
        .unwrap();
    let _kept_open = relay.links.recv().await.unwrap();
    relay.shutdown.cancel();
    assert_eq!(relay.serving.await.unwrap(), ServeEnd::Shutdown);
    assert!(!link.is_closed());

    relay.endpoint.close(CloseReason::Shutdown).await;
    link.closed().await;
}

#[tokio::test]
async fn a_port_in_use_is_explained() {
    let relay = Neighbour::new(1);
    let secret = LinkSecret::from_seed([2; 32]);
    let error = LinkEndpoint::bind(relay.address, Some(&secret), LinkLimits::default());
    let error = error.unwrap_err();
    assert!(matches!(error, BindError::Socket { address, .. } if address == relay.address));
    assert!(
        error.to_string().contains("another program has this port"),
        "{error}"
    );
}
