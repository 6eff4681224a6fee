//! Vouchers that leave with nobody to acknowledge them.

use super::town::{Town, check, copy_dir, now, order, relay, value};
use coinfuse_mint::LoopbackLightning;
use coinfuse_voucher::{Bought, Purse, Redeemer, Unit, VoucherId};
use coinfuse_wire::{Msat, UnixTime};
use std::time::Duration;
use tempfile::TempDir;

const ALL: Msat = Msat::new(100_000);
const PRICE: Msat = Msat::new(1024);

async fn town() -> (Town, TempDir, Purse) {
    let town = Town::found(&LoopbackLightning::new(), 1, Unit::Msat).await;
    let dir = tempfile::tempdir().unwrap();
    let purse = town.purse(dir.path()).await;
    town.fill(&purse, ALL).await;
    (town, dir, purse)
}

/// So long ago that the locktime of what was bought then has passed.
fn long_ago() -> UnixTime {
    now().saturating_sub(Duration::from_secs(365 * 24 * 3600))
}

async fn buy(purse: &Purse, town: &Town, when: UnixTime) -> Vec<Bought> {
    let orders = [1, 2, 3].map(|relay| order(relay, &town.id, PRICE));
    purse.buy(when, &orders).await.unwrap()
}

fn ids(bought: &[Bought]) -> Vec<VoucherId> {
    bought.iter().map(|bought| bought.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_away_is_never_used_again_also_after_a_power_cut() {
    let (town, dir, purse) = town().await;
    let bought = buy(&purse, &town, now()).await;
    let (given, kept) = (ids(&bought[..2]), ids(&bought[2..]));
    assert!(purse.give_away(&given).await.unwrap());
    let after = copy_dir(dir.path());
    drop(purse);

    let purse = town.purse(after.path()).await;
    assert_eq!(purse.recover().await.unwrap(), 0);
    assert_eq!(ids(&purse.unsettled(None).await), kept);
    // Their value is still the purse's to tell of.
    assert_eq!(purse.locked().await, value(&bought));
    assert!(!purse.give_away(&given).await.unwrap(), "given away twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_are_given_away_or_none() {
    let (town, _dir, purse) = town().await;
    let bought = buy(&purse, &town, now()).await;
    assert!(purse.give_away(&ids(&bought[..1])).await.unwrap());
    // The first of these is gone.
    assert!(!purse.give_away(&ids(&bought)).await.unwrap());
    assert_eq!(purse.unsettled(None).await.len(), 2);
    assert!(purse.give_away(&ids(&bought[1..])).await.unwrap());
    assert!(purse.unsettled(None).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_to_be_taken_is_forgotten() {
    let (town, _dir, purse) = town().await;
    let bought = buy(&purse, &town, now()).await;
    assert!(purse.give_away(&ids(&bought)).await.unwrap());
    purse.credited(&ids(&bought)).await.unwrap();
    assert_eq!(purse.locked().await, Msat::ZERO);
    assert!(!purse.give_away(&ids(&bought)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_relay_took_comes_back_after_the_locktime_and_what_one_took_does_not() {
    let (town, dir, purse) = town().await;
    let old = buy(&purse, &town, long_ago()).await;
    let new = buy(&purse, &town, now()).await;
    assert!(purse.give_away(&ids(&old)).await.unwrap());
    assert!(purse.give_away(&ids(&new)).await.unwrap());
    // The first relay has redeemed its own.
    let operator = tempfile::tempdir().unwrap();
    let redeemer = Redeemer::open(&town.config(operator.path())).await.unwrap();
    let verifier = relay(1, &purse).await;
    let verified = verifier.reopen(&old[0].voucher).unwrap();
    assert_eq!(redeemer.redeem(&[verified]).await.unwrap().done.len(), 1);

    // The power goes before the refund; that changes nothing.
    let after = copy_dir(dir.path());
    drop(purse);
    let purse = town.purse(after.path()).await;
    assert_eq!(purse.refund_expired(long_ago()).await.unwrap(), Msat::ZERO);
    let back = purse.refund_expired(now()).await.unwrap();
    assert_eq!(back, value(&old[1..]));
    assert_eq!(purse.refund_expired(now()).await.unwrap(), Msat::ZERO);
    // The new ones are still out, and good.
    assert_eq!(purse.locked().await, value(&new));
    check(&verifier, &new[..1]);
    let spent = value(&old[..1]).saturating_add(value(&new));
    assert_eq!(
        purse.balance(&town.id).await.unwrap(),
        ALL.checked_sub(spent).unwrap()
    );
}
