//! The power goes at every point where something was written, and the line at every point where
//! something was sent.

use super::town::{Line, Town, check, copy_dir, now, order, relay, value};
use coinfuse_mint::LoopbackLightning;
use coinfuse_voucher::{PurseError, Redeemer, Unit};
use coinfuse_wire::Msat;
use std::collections::BTreeSet;
use tempfile::TempDir;

const ALL: Msat = Msat::new(100_000);
const PRICE: Msat = Msat::new(4096);

/// A purse with money in it whose purchase got no answer.
async fn interrupted(line: Line) -> (Town, TempDir) {
    let town = Town::found(&LoopbackLightning::new(), 1, Unit::Msat).await;
    let dir = tempfile::tempdir().unwrap();
    let purse = town.purse(dir.path()).await;
    town.fill(&purse, ALL).await;
    town.set(line);
    let lost = purse.buy(now(), &[order(1, &town.id, PRICE)]).await;
    assert!(
        matches!(lost, Err(PurseError::Unfinished { .. })),
        "{lost:?}"
    );
    drop(purse);
    (town, dir)
}

async fn all_is_there_after_recovery(town: &Town, dir: &TempDir) {
    let purse = town.purse(dir.path()).await;
    assert_eq!(purse.recover().await.unwrap(), 0);
    let bought = purse.unsettled(None).await;
    assert_eq!(value(&bought), PRICE);
    assert_eq!(bought[0].account, [1; 32]);
    assert_eq!(
        purse.balance(&town.id).await.unwrap(),
        ALL.checked_sub(PRICE).unwrap()
    );
    check(&relay(1, &purse).await, &bought);
    // What was recovered can be spent.
    purse
        .buy(now(), &[order(2, &town.id, Msat::new(50_000))])
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn written_down_but_never_sent() {
    let (town, dir) = interrupted(Line::Down).await;
    town.set(Line::Up);
    all_is_there_after_recovery(&town, &dir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sent_but_the_answer_was_lost() {
    let (town, dir) = interrupted(Line::Deaf).await;
    town.set(Line::Up);
    all_is_there_after_recovery(&town, &dir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answered_but_not_written_down() {
    let (town, dir) = interrupted(Line::Deaf).await;
    town.set(Line::Up);
    let before = copy_dir(dir.path());
    let names = |bought: Vec<coinfuse_voucher::Bought>| -> BTreeSet<_> {
        bought.into_iter().map(|bought| bought.id).collect()
    };
    let purse = town.purse(dir.path()).await;
    purse.recover().await.unwrap();
    let vouchers = names(purse.unsettled(None).await);
    drop(purse);
    // As if the answer had come and the power had gone: the old folder brings the same vouchers.
    let purse = town.purse(before.path()).await;
    purse.recover().await.unwrap();
    assert_eq!(names(purse.unsettled(None).await), vouchers);
    drop(purse);
    all_is_there_after_recovery(&town, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_given_up_while_the_mint_is_away() {
    let (town, dir) = interrupted(Line::Deaf).await;
    town.set(Line::Down);
    let purse = town.purse(dir.path()).await;
    assert_ne!(purse.recover().await.unwrap(), 0);
    assert!(purse.unsettled(None).await.is_empty());
    drop(purse);
    town.set(Line::Up);
    all_is_there_after_recovery(&town, &dir).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_goes_on_when_nobody_waits_for_it() {
    let town = Town::found(&LoopbackLightning::new(), 1, Unit::Msat).await;
    let dir = tempfile::tempdir().unwrap();
    let purse = town.purse(dir.path()).await;
    town.fill(&purse, ALL).await;
    let orders = [order(1, &town.id, PRICE)];
    {
        // Polled once, then dropped.
        let purchase = std::pin::pin!(purse.buy(now(), &orders));
        let mut once = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(purchase.poll(&mut once).is_pending());
    }
    drop(purse);
    let purse = loop {
        // The file is free when the task has ended.
        match coinfuse_voucher::Purse::open(&town.config(dir.path())).await {
            Ok(purse) => break purse,
            Err(PurseError::Store(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(value(&purse.unsettled(None).await), PRICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn funding_that_nobody_waited_for_arrives() {
    let lightning = LoopbackLightning::new();
    let town = Town::found(&lightning, 1, Unit::Msat).await;
    let dir = tempfile::tempdir().unwrap();
    let purse = town.purse(dir.path()).await;
    let invoice = purse.fund(&town.id, ALL).await.unwrap();
    drop(purse);
    let payer = lightning.wallet(ALL).await.unwrap();
    payer.pay(&invoice.bolt11).await.unwrap();
    let purse = town.purse(dir.path()).await;
    purse.recover().await.unwrap();
    assert_eq!(purse.balance(&town.id).await.unwrap(), ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_lost_the_answer_has_its_earnings() {
    let town = Town::found(&LoopbackLightning::new(), 1, Unit::Msat).await;
    let (client, operator) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let purse = town.purse(client.path()).await;
    town.fill(&purse, ALL).await;
    let bought = purse
        .buy(now(), &[order(1, &town.id, PRICE)])
        .await
        .unwrap();
    let vouchers = check(&relay(1, &purse).await, &bought);

    let redeemer = Redeemer::open(&town.config(operator.path())).await.unwrap();
    redeemer.recover().await.unwrap();
    redeemer.keyring().await;
    town.set(Line::Deaf);
    assert!(matches!(
        redeemer.redeem(&vouchers).await,
        Err(PurseError::Unfinished { .. })
    ));
    drop(redeemer);
    town.set(Line::Up);
    let redeemer = Redeemer::open(&town.config(operator.path())).await.unwrap();
    // Given again before the recovery, it is not sent twice.
    assert_eq!(
        redeemer.redeem(&vouchers).await.unwrap().done,
        [vouchers[0].id()]
    );
    redeemer.recover().await.unwrap();
    assert_eq!(redeemer.earnings().await.unwrap()[&town.id], PRICE);
    assert_eq!(town.owes().await, ALL);
}
