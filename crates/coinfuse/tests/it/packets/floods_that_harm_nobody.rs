//! Whoever sends too much waits; the others do not.

use super::courier::Courier;
use super::mint::PocketMint;
use super::office::{Office, OfficePlan};
use super::packets_that_are_refused::{MAILBOX, packet};
use crate::network::until;
use coinfuse_onion::{Frame, NextHop};
use coinfuse_wire::{Encode, PacketSize};

fn home(office: &Office, mint: &PocketMint) -> Vec<u8> {
    packet(office.via(mint, 2, NextHop::Mailbox(MAILBOX)))
}

/// Packets that cost the relay its point multiplication, and nobody else anything.
fn junk(office: &Office, mint: &PocketMint, count: usize) -> Vec<u8> {
    let mut bytes = home(office, mint);
    bytes[2000] ^= 1;
    Frame::Packet(PacketSize::Small, bytes)
        .to_bytes()
        .repeat(count)
}

#[tokio::test]
async fn a_link_is_read_no_faster_than_it_is_allowed() {
    let mint = PocketMint::new(1);
    let mut plan = OfficePlan::default();
    plan.limits.anonymous_rate = 10;
    let office = Office::start(0, &[&mint], plan);
    let mut flooder = Courier::anonymous(&office).await;
    // A second lane of the same link gets nothing on top.
    let mut second = Courier::on(flooder.link.clone()).await;
    let flood = junk(&office, &mint, 200);
    flooder.send.write_all(&flood).await.unwrap();
    second.send.write_all(&flood).await.unwrap();
    until("the burst", || office.stats().bad_mac == 10).await;

    let mut courier = Courier::with_mailbox(&office, MAILBOX).await;
    for _ in 0..5 {
        courier.bring(home(&office, &mint)).await;
        courier.receive().await;
    }
    let refused = office.stats().bad_mac;
    assert!(refused < 200, "{refused} of 400 were peeled");
}

#[tokio::test]
async fn a_mill_that_is_busy_takes_packets_of_all_links_in_turn() {
    let mint = PocketMint::new(1);
    let mut plan = OfficePlan::default();
    plan.limits.anonymous_rate = 1_000_000;
    let office = Office::start(0, &[&mint], plan);
    let mut flooder = Courier::anonymous(&office).await;
    let flood = junk(&office, &mint, 500);
    let flooding = tokio::spawn(async move {
        // Each write waits while the relay does not read; all together outlast the test.
        for _ in 0..1_000 {
            flooder.send.write_all(&flood).await.unwrap();
        }
    });
    until("the flood", || office.stats().received > 500).await;
    let mut courier = Courier::with_mailbox(&office, MAILBOX).await;
    for _ in 0..3 {
        courier.bring(home(&office, &mint)).await;
        courier.receive().await;
    }
    assert!(!flooding.is_finished(), "the flood was over first");
    flooding.abort();
}

#[tokio::test]
async fn a_link_has_so_many_packet_lanes_and_no_more() {
    let mint = PocketMint::new(1);
    let mut plan = OfficePlan::default();
    plan.limits.lanes_per_link = 2;
    let office = Office::start(0, &[&mint], plan);
    let first = Courier::with_mailbox(&office, MAILBOX).await;
    let mut second = Courier::on(first.link.clone()).await;
    second.bring(home(&office, &mint)).await;
    until("the second lane", || office.stats().delivered == 1).await;
    let mut third = Courier::on(first.link.clone()).await;
    third.is_ended().await;
    // One that ended makes room.
    second.send.finish().unwrap();
    second.is_ended().await;
    let mut fourth = Courier::on(first.link.clone()).await;
    fourth.bring(home(&office, &mint)).await;
    until("the fourth lane", || office.stats().delivered == 2).await;
}
