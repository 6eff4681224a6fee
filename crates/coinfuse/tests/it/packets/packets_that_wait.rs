//! Delays, and neighbours that are slow or dead.

use super::courier::Courier;
use super::mint::PocketMint;
use super::office::{Office, OfficePlan, paid};
use super::packets_that_are_refused::{MAILBOX, packet};
use crate::network::until;
use crate::support::{black_hole, loopback};
use coinfuse::link::{LinkEndpoint, LinkLimits};
use coinfuse_onion::{NextHop, Via};
use coinfuse_wire::{ByteCount, PacketSize};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// A packet home that is to be held for a time.
fn held(office: &Office, mint: &PocketMint, delay: Duration) -> Vec<u8> {
    let mut terms = paid(&mint.sell(&office.till(), 64));
    terms.delay = delay;
    packet(Via {
        key: office.key(),
        next: NextHop::Mailbox(MAILBOX),
        terms,
    })
}

fn home(office: &Office, mint: &PocketMint) -> Vec<u8> {
    packet(office.via(mint, 2, NextHop::Mailbox(MAILBOX)))
}

#[tokio::test]
async fn a_packet_is_held_for_its_time_and_others_overtake_it() {
    let mint = PocketMint::new(1);
    let office = Office::start(0, &[&mint], OfficePlan::default());
    let mut courier = Courier::with_mailbox(&office, MAILBOX).await;
    let delay = Duration::from_millis(300);
    let slow = held(&office, &mint, delay);
    #[allow(clippy::disallowed_methods, reason = "a real relay is timed")]
    let begin = Instant::now();
    courier.bring(slow.clone()).await;
    courier.bring(home(&office, &mint)).await;
    let (first, second) = (courier.receive().await, courier.receive().await);
    assert!(begin.elapsed() >= delay);
    assert_ne!(first, second);
    let stats = office.stats();
    assert_eq!((stats.received, stats.hurried), (2, 0));
}

#[tokio::test]
async fn with_no_room_to_wait_a_packet_goes_on_at_once() {
    let mint = PocketMint::new(1);
    let mut plan = OfficePlan::default();
    plan.limits.held = 1;
    let office = Office::start(0, &[&mint], plan);
    let mut courier = Courier::with_mailbox(&office, MAILBOX).await;
    for _ in 0..2 {
        let long = Duration::from_secs(30);
        courier.bring(held(&office, &mint, long)).await;
    }
    courier.receive().await;
    assert_eq!(office.stats().hurried, 1);
}

#[tokio::test]
async fn a_dead_neighbour_delays_nobody() {
    let mint = PocketMint::new(1);
    let mut plan = OfficePlan::default();
    plan.links.handshake_timeout = Duration::from_secs(1);
    let office = Office::start(0, &[&mint], plan);
    let dead = Office::start(1, &[&mint], OfficePlan::default());
    let (_socket, hole) = black_hole();
    office.knows([dead.descriptor_at(hole)]);
    let mut courier = Courier::with_mailbox(&office, MAILBOX).await;
    for _ in 0..3 {
        courier
            .bring(packet(office.via(&mint, 2, NextHop::Relay(dead.id()))))
            .await;
    }
    courier.bring(home(&office, &mint)).await;
    courier.receive().await;
    assert_eq!(office.stats().unreachable, 0, "it is still being dialled");
    until("the drop", || office.stats().unreachable == 3).await;
    assert_eq!(office.stats().forwarded, 0);
}

#[tokio::test]
async fn a_neighbour_that_moved_is_dialled_where_it_is_now() {
    let mint = PocketMint::new(1);
    let office = Office::start(0, &[&mint], OfficePlan::default());
    let mut next = Office::start(1, &[&mint], OfficePlan::default());
    office.knows([next.descriptor()]);
    let mut courier = Courier::anonymous(&office).await;
    let next_id = next.id();
    let onward = || packet(office.via(&mint, 2, NextHop::Relay(next_id)));
    courier.bring(onward()).await;
    until("its arrival", || next.stats().received == 1).await;
    next.restart().await;
    office.knows([next.descriptor()]);
    // What leaves before the end of the old link is heard is lost. It is heard at once, and not when
    // the link has been silent for too long.
    timeout(Duration::from_secs(5), async {
        while next.stats().received == 0 {
            courier.bring(onward()).await;
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    assert!(office.stats().forwarded >= 2);
}

#[tokio::test]
async fn a_client_that_does_not_read_fills_its_own_queue_only() {
    let mint = PocketMint::new(1);
    let mut plan = OfficePlan::default();
    let small = PacketSize::Small.len() as u64;
    plan.limits.outbox = ByteCount::new(8 * small);
    let office = Office::start(0, &[&mint], plan);
    // It lets four packets into its window.
    let mut limits = LinkLimits::default();
    limits.stream_receive_window = ByteCount::new(4 * small + 100);
    let narrow = LinkEndpoint::bind(loopback(), None, limits).unwrap();
    let mut deaf = Courier::from(&narrow, &office).await;
    deaf.send(coinfuse_onion::Frame::Mailbox([1; 32])).await;

    let mut courier = Courier::with_mailbox(&office, MAILBOX).await;
    let to_the_deaf = || packet(office.via(&mint, 2, NextHop::Mailbox([1; 32])));
    for _ in 0..20 {
        deaf.bring(to_the_deaf()).await;
    }
    // Four are in its window, one is on its way there, eight wait; or fewer, if they came at once.
    until("the window to be full, and the queue", || {
        let stats = office.stats();
        stats.delivered == 4 && stats.congested >= 7
    })
    .await;
    courier.bring(home(&office, &mint)).await;
    courier.receive().await;
    // What found room comes when it reads.
    for _ in 0..4 {
        deaf.receive().await;
    }
}
