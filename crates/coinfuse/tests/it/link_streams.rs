//! Streams on a link: both ways, and never in each other's way.

use crate::support::{Neighbour, PATIENCE, dialler, poll_once};
use coinfuse::link::LinkLimits;
use coinfuse_wire::ByteCount;
use std::pin::pin;
use tokio::time::timeout;

#[tokio::test]
async fn bytes_go_both_ways() {
    let mut relay = Neighbour::new(1);
    let link = dialler()
        .dial(&[relay.address], relay.key, PATIENCE)
        .await
        .unwrap();
    let (mut send, mut recv) = link.open_bi().await.unwrap();
    send.write_all(b"question").await.unwrap();
    send.finish().unwrap();

    let accepted = relay.links.recv().await.unwrap();
    let (mut answer, mut question) = accepted.accept_bi().await.unwrap();
    assert_eq!(question.read_to_end(64).await.unwrap(), b"question");
    answer.write_all(b"answer").await.unwrap();
    answer.finish().unwrap();
    assert_eq!(recv.read_to_end(64).await.unwrap(), b"answer");
}

/// Every stream but one is filled to the brim and read by nobody; the last one must still flow.
#[tokio::test]
async fn stalled_circuits_do_not_stop_another_one() {
    let mut limits = LinkLimits::default();
    limits.max_circuits = 8;
    limits.stream_receive_window = ByteCount::new(64 << 10);
    let mut relay = Neighbour::with_limits(1, limits);
    let link = dialler()
        .dial(&[relay.address], relay.key, PATIENCE)
        .await
        .unwrap();

    let mut stalled = Vec::new();
    for _ in 0..15 {
        let (mut send, recv) = link.open_bi().await.unwrap();
        send.write_all(&vec![0; 64 << 10]).await.unwrap();
        stalled.push((send, recv));
    }
    let (mut send, _recv) = link.open_bi().await.unwrap();
    let sender = tokio::spawn(async move {
        send.write_all(&vec![7; 1 << 20]).await.unwrap();
        send.finish().unwrap();
        send
    });

    let accepted = relay.links.recv().await.unwrap();
    let mut unread = Vec::new();
    for _ in 0..15 {
        unread.push(accepted.accept_bi().await.unwrap());
    }
    let (_send, mut live) = accepted.accept_bi().await.unwrap();
    let body = timeout(PATIENCE, live.read_to_end(2 << 20))
        .await
        .expect("it stalled")
        .unwrap();
    assert_eq!(body.len(), 1 << 20);
    sender.await.unwrap();
}

#[tokio::test]
async fn a_peer_cannot_open_more_circuits_than_allowed() {
    let mut limits = LinkLimits::default();
    limits.max_circuits = 2;
    let relay = Neighbour::with_limits(1, limits);
    let link = dialler()
        .dial(&[relay.address], relay.key, PATIENCE)
        .await
        .unwrap();
    let mut streams = Vec::new();
    // Two for each circuit, and two for packets.
    for _ in 0..6 {
        streams.push(link.open_bi().await.unwrap());
    }
    assert!(poll_once(pin!(link.open_bi())).await.is_none());
}
