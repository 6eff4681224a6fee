//! A transaction goes out over relays that know nothing of each other, and the answer comes back.

use super::questions::{
    NOWHERE, PRICE, SHORT, accepted, books_agree, broadcast, broadcaster, make_it_drop, plan,
    stats, transaction,
};
use super::town::{PLENTY, directory};
use super::traffic::soon;
use coinfuse_delivery::mempool::{Answer, Rejection};
use coinfuse_directory::PacketPrice;
use coinfuse_testkit::BitcoinPeer;
use coinfuse_wire::{Msat, ServiceCode};
use std::time::Duration;

#[tokio::test]
async fn an_answer_comes_over_three_relays_and_three_and_all_are_paid() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 4);
    (plan.client.packets.hops, plan.client.packets.hops_back) = (3, 3);
    let town = plan.build().await;
    accepted(&town, &peer, 1).await;
    assert_eq!(town.client.spent(), Msat::new(2 + 2 + 8 + 2 + 2 + 2));
    // The vouchers of an answered question are known to be taken.
    assert_eq!(town.purse.locked().await, Msat::ZERO);
    books_agree(&town, PLENTY).await;
    // Each of the five was passed, the first one twice.
    let received = (0..5).map(|relay| stats(&town, relay).received);
    assert_eq!(received.sum::<u64>(), 6);
    assert_eq!(stats(&town, 0).served, 1);

    accepted(&town, &peer, 2).await;
    books_agree(&town, PLENTY).await;
}

#[tokio::test]
async fn questions_at_the_same_time_get_their_own_answers() {
    let peer = BitcoinPeer::start().unwrap();
    let town = plan(&peer, 1).build().await;
    let asked = (1..=6).map(|number| accepted(&town, &peer, number));
    soon("all answers", futures(asked)).await;
    assert_eq!(town.client.spent(), Msat::new(6 * SHORT.get()));
    assert_eq!(town.client.packets().waiting, 0);
    books_agree(&town, PLENTY).await;
}

/// All of them, side by side.
async fn futures(all: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        all.retain_mut(|one| one.as_mut().poll(cx).is_pending());
        match all.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

#[tokio::test]
async fn a_long_transaction_goes_in_a_large_packet_and_costs_more() {
    let peer = BitcoinPeer::start().unwrap();
    let town = plan(&peer, 1).build().await;
    let submission = transaction(1, 250);
    assert!(submission.encode().len() > 10_000);
    let answer = town.client.broadcast(&submission).await.unwrap();
    assert_eq!(answer, Answer::Accepted(submission.txid()));
    // 16 and 6 are paid with one coin of 32.
    assert_eq!(town.client.spent(), Msat::new(16 + 32 + 16));
    books_agree(&town, PLENTY).await;
}

#[tokio::test]
async fn hops_hold_a_packet_for_as_long_as_the_client_draws_and_are_paid_for_the_longest() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 1);
    plan.client.packets.delay = Duration::from_millis(300);
    let town = plan.build().await;
    accepted(&town, &peer, 1).await;
    // A begun second: 2 + 1 is paid with 4, 8 + 1 with 16.
    assert_eq!(town.client.spent(), Msat::new(4 + 16 + 4));
    books_agree(&town, PLENTY).await;
}

#[tokio::test]
async fn free_packets_need_no_money() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 1);
    plan.funds = Msat::ZERO;
    for relay in &mut plan.relays {
        relay.packets = Some(PacketPrice::default());
    }
    let town = plan.build().await;
    accepted(&town, &peer, 1).await;
    assert_eq!(town.client.spent(), Msat::ZERO);
}

#[tokio::test]
async fn a_relay_that_reaches_no_bitcoin_node_is_passed_over_for_one_that_does() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 0);
    plan.relays.extend((0..2).map(|_| broadcaster(NOWHERE)));
    plan.client.packets.attempts = 3;
    let town = plan.build().await;
    accepted(&town, &peer, 1).await;
    // And where there is no other, it is said.
    town.choose_among(&[1, 2]);
    let answer = broadcast(&town, 2).await.unwrap();
    assert_eq!(answer, Answer::Rejected(Rejection::Unavailable));
    books_agree(&town, PLENTY).await;
}

#[tokio::test]
async fn a_relay_that_drops_packets_is_passed_over_for_one_that_does_not() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 3);
    plan.client.packets.attempts = 3;
    plan.client.packets.answer_timeout = Duration::from_secs(2);
    // It is asked for its service, and is nobody's guard: those are the other three.
    plan.relays[0].describe = |body| body.services = [ServiceCode::MEMPOOL].into_iter().collect();
    let town = plan.build().await;
    for relay in [1, 2] {
        make_it_drop(&town, relay);
    }
    accepted(&town, &peer, 1).await;
    assert_eq!(stats(&town, 0).served, 1);
    for number in 2..=4 {
        accepted(&town, &peer, number).await;
    }
    // Whoever has lost a packet got no other.
    for relay in [1, 2] {
        assert!(stats(&town, relay).received <= 1);
    }
}

#[tokio::test]
async fn a_relay_that_cannot_be_reached_costs_nothing_and_another_one_is_taken() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 2);
    plan.client.packets.attempts = 2;
    plan.client.links.handshake_timeout = Duration::from_millis(500);
    let mut town = plan.build().await;
    let gone = town.relays[1].descriptor();
    town.relays[1].shut_down().await;
    let mut known = directory([&town.relays[0], &town.relays[2]]);
    known.insert(gone).unwrap();
    town.client.set_directory(known);
    for number in 1..=3 {
        accepted(&town, &peer, number).await;
    }
    assert_eq!(town.client.spent(), Msat::new(3 * SHORT.get()));
}

#[tokio::test]
async fn a_relay_that_raises_its_price_is_paid_the_new_one() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 1);
    plan.client.packets.stock = 2;
    let mut town = plan.build().await;
    accepted(&town, &peer, 1).await;
    let ahead = town.client.packets();
    assert_eq!((ahead.journeys, ahead.value), (2, Msat::new(24)));

    let dearer = PacketPrice {
        small: Msat::new(4),
        ..PRICE
    };
    town.relays[1].shut_down().await;
    town.relays[1].charge_for_packets(dearer);
    town.relays[1].start().await;
    town.tell_everybody();
    accepted(&town, &peer, 2).await;
    assert_eq!(town.client.spent(), Msat::new(12 + 4 + 8 + 4));
    // What was bought for the old price is used for what it still pays.
    town.client.stock_up(ServiceCode::MEMPOOL).await.unwrap();
    books_agree(&town, PLENTY).await;
    let refused = (0..2).map(|relay| stats(&town, relay).underpaid);
    assert_eq!(refused.sum::<u64>(), 0);
}
