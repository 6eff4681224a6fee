//! Vouchers for packets to come, bought when nobody can tell what for.

use super::questions::{SHORT, accepted, books_agree, broadcast, plan};
use super::town::{PLENTY, directory};
use super::traffic::until;
use coinfuse::client::AskError;
use coinfuse::keys::{MasterSeed, Purpose};
use coinfuse_directory::Identity;
use coinfuse_testkit::BitcoinPeer;
use coinfuse_wire::{Msat, ServiceCode};
use std::time::Duration;

fn journeys(count: u64) -> Msat {
    Msat::new(count * SHORT.get())
}

#[tokio::test]
async fn what_was_bought_ahead_is_used_first_and_needs_no_mint() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 2);
    plan.client.packets.stock = 3;
    let mut town = plan.build().await;
    town.client.stock_up(ServiceCode::MEMPOOL).await.unwrap();
    let ahead = town.client.packets();
    assert_eq!((ahead.journeys, ahead.value), (3, journeys(3)));
    // It is set aside, not spent.
    assert_eq!(town.client.spent(), Msat::ZERO);
    assert_eq!(town.purse.locked().await, journeys(3));

    town.mint.stop().await;
    for number in 1..=3 {
        accepted(&town, &peer, number).await;
        assert_eq!(town.client.spent(), journeys(number.into()));
    }
    assert_eq!(town.client.packets().journeys, 0);
    books_agree(&town, PLENTY).await;
}

#[tokio::test]
async fn what_a_silent_mint_has_sold_is_found_and_not_bought_again() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 1);
    plan.client.packets.stock = 1;
    plan.mint_timeout = Duration::from_secs(4);
    let mut town = plan.build().await;
    town.mint.stop().await;
    let error = broadcast(&town, 1).await.unwrap_err();
    assert!(matches!(error, AskError::Payment(_)), "{error}");
    assert_eq!(town.client.spent(), Msat::ZERO);
    town.mint.restart().await;
    accepted(&town, &peer, 1).await;
    // Two journeys were bought, and one is left.
    assert_eq!(town.client.packets().value, SHORT);
    assert_eq!(town.purse.locked().await, SHORT);
    books_agree(&town, PLENTY).await;
}

#[tokio::test]
async fn what_was_bought_ahead_is_there_after_a_restart() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 2);
    plan.client.packets.stock = 2;
    let mut town = plan.build().await;
    accepted(&town, &peer, 1).await;
    assert_eq!(town.client.packets().journeys, 2, "bought with the first");
    town.restart_client().await;
    let ahead = town.client.packets();
    assert_eq!((ahead.journeys, ahead.value), (2, journeys(2)));
    town.mint.stop().await;
    accepted(&town, &peer, 2).await;
    accepted(&town, &peer, 3).await;
    assert_eq!(town.client.spent(), journeys(2), "in this run");
    assert_eq!(town.earned().await, journeys(3));
}

#[tokio::test]
async fn what_an_earlier_run_has_bought_counts_towards_the_cap() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 1);
    plan.client.packets.stock = 3;
    let mut town = plan.build().await;
    town.client.stock_up(ServiceCode::MEMPOOL).await.unwrap();
    town.config.spending_cap = journeys(2);
    town.restart_client().await;
    assert_eq!(town.client.packets().journeys, 2);
    accepted(&town, &peer, 1).await;
    accepted(&town, &peer, 2).await;
    let error = broadcast(&town, 3).await.unwrap_err();
    assert!(matches!(error, AskError::CapReached), "{error}");
}

#[tokio::test]
async fn the_stock_fills_up_again_by_itself() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 1);
    plan.client.packets.stock = 2;
    plan.client.packets.refill_within = Duration::from_millis(100);
    let town = plan.build().await;
    for number in 1..=3 {
        accepted(&town, &peer, number).await;
        until("a stock that is full", || {
            town.client.packets().journeys == 2
        })
        .await;
    }
    books_agree(&town, PLENTY).await;
}

#[tokio::test]
async fn many_who_find_the_stock_empty_buy_no_more_than_is_needed() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 1);
    plan.client.packets.stock = 3;
    let town = plan.build().await;
    let (first, second, third) = tokio::join!(
        accepted(&town, &peer, 1),
        accepted(&town, &peer, 2),
        accepted(&town, &peer, 3),
    );
    let ((), (), ()) = (first, second, third);
    // One bought four.
    assert_eq!(town.client.packets().journeys, 1);
    books_agree(&town, PLENTY).await;
}

#[tokio::test]
async fn a_relay_that_issues_its_coins_is_not_shown_when_they_were_bought() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 1);
    plan.client.packets.stock = 1;
    let town = plan.build().await;
    // The second relay says that the mint is its own.
    let identity = MasterSeed::new([101; 32]).derive(Purpose::Identity);
    let mut body = town.relays[1].descriptor().body().clone();
    body.mints[0].issuer = true;
    let issuer = body.sign(&Identity::from_seed(*identity)).unwrap();
    let mut known = directory([&town.relays[0]]);
    known.insert(issuer).unwrap();
    town.client.set_directory(known);
    town.client.stock_up(ServiceCode::MEMPOOL).await.unwrap();
    let bought = town.purse.unsettled(None).await;
    assert_eq!(bought.len(), 3);
    for voucher in bought {
        let to_issuer = voucher.relay == body.relay;
        assert_eq!(voucher.voucher.has_dleq(), !to_issuer);
    }
}
