//! A voucher that is not good buys nothing, and whoever presented it is told why.

use super::hand::Hand;
use super::station::unix;
use super::town::{Plan, Town, fund, mint_id};
use super::traffic::{MIB, downloading, echo, hash_of, isolation, soon, until};
use coinfuse::client::ClientError;
use coinfuse::connect::Isolation;
use coinfuse_circuit::PayResult;
use coinfuse_testkit::{Peer, TestMint, Unit, WebServer};
use coinfuse_voucher::{Bought, Order, Purse, Refusal, Voucher, VoucherPublicKey};
use coinfuse_wire::{Decode, Encode, Msat};

const COIN: Msat = Msat::new(1024);
const MINE: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];

/// One coin for a relay and an account.
async fn buy(purse: &Purse, mint: &TestMint, town: &Town, relay: usize) -> Bought {
    let descriptor = town.relays[relay].descriptor();
    let order = Order {
        relay: descriptor.relay,
        voucher_key: VoucherPublicKey::from_bytes(descriptor.keys.voucher.as_bytes()).unwrap(),
        mint: mint_id(mint),
        issuer: false,
        account: MINE,
        amount: COIN,
    };
    let bought = purse.buy(unix(), &[order]).await.unwrap();
    bought.into_iter().next().unwrap()
}

fn refused(result: &PayResult) -> Vec<(u8, Option<Refusal>)> {
    let items = result.refused.iter();
    items
        .map(|item| (item.index, Refusal::from_code(item.reason)))
        .collect()
}

/// Presents a voucher that must buy nothing.
async fn refusal(town: &Town, account: [u8; 32], voucher: Voucher) -> Refusal {
    let mut hand = Hand::open(town.exit(), account).await;
    let before = hand.credit();
    let result = hand.present(vec![voucher]).await;
    assert_eq!(result.credited, Msat::ZERO);
    assert_eq!(hand.credit(), before, "it bought something");
    match refused(&result)[..] {
        [(0, Some(refusal))] => refusal,
        ref other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_good_voucher_is_credited_once_and_only_to_one_account() {
    let town = Plan::hops(1).build().await;
    let good = buy(&town.purse, &town.mint, &town, 0).await.voucher;
    let mut hand = Hand::open(town.exit(), MINE).await;
    let result = hand.present(vec![good.clone()]).await;
    assert_eq!((result.credited, refused(&result)), (COIN, vec![]));
    // After a crash it is presented again.
    let result = hand.present(vec![good.clone()]).await;
    assert_eq!((result.credited, refused(&result)), (Msat::ZERO, vec![]));
    assert_eq!(hand.credit(), COIN);

    assert_eq!(refusal(&town, OTHER, good).await, Refusal::Spent);
    let totals = town.exit().relay().settle().await.unwrap();
    assert_eq!((totals.credited, totals.vouchers), (COIN, 1));
}

#[tokio::test]
async fn a_forged_voucher_is_refused_and_stays_in_the_purse() {
    let town = Plan::hops(1).build().await;
    let good = buy(&town.purse, &town.mint, &town, 0).await;
    let mut bytes = good.voucher.to_bytes();
    // Twice the coin that the mint has signed.
    bytes[0] += 1;
    let forged = Voucher::from_bytes(&bytes).unwrap();
    assert_eq!(refusal(&town, MINE, forged).await, Refusal::BadSignature);

    town.purse
        .refused(good.id, Refusal::BadSignature)
        .await
        .unwrap();
    assert_eq!(town.purse.unsettled(None).await, []);
    assert_eq!(town.purse.locked().await, COIN, "it waits for its locktime");
}

#[tokio::test]
async fn a_voucher_for_another_relay_is_refused_and_still_good_there() {
    let town = Plan::hops(2).build().await;
    let theirs = buy(&town.purse, &town.mint, &town, 1).await.voucher;
    let told = refusal(&town, MINE, theirs.clone()).await;
    assert_eq!(told, Refusal::BadSignature);
    let mut hand = Hand::open(&town.relays[1], MINE).await;
    assert_eq!(hand.present(vec![theirs]).await.credited, COIN);
}

#[tokio::test]
async fn a_voucher_of_a_foreign_mint_is_refused() {
    let town = Plan::hops(1).build().await;
    let foreign = TestMint::start(Unit::Msat).await;
    let purse = town.purse_at("foreign", &foreign).await;
    fund(&purse, &foreign, Msat::new(10_000)).await;
    let voucher = buy(&purse, &foreign, &town, 0).await.voucher;
    assert_eq!(refusal(&town, MINE, voucher).await, Refusal::UnknownKeyset);
}

#[tokio::test]
async fn a_voucher_without_its_proof_is_refused_and_good_with_it() {
    let town = Plan::hops(1).build().await;
    let whole = buy(&town.purse, &town.mint, &town, 0).await.voucher;
    let bare = whole.clone().without_dleq();
    assert_eq!(refusal(&town, MINE, bare).await, Refusal::DleqMissing);
    let mut hand = Hand::open(town.exit(), MINE).await;
    assert_eq!(hand.present(vec![whole]).await.credited, COIN);
}

#[tokio::test]
async fn among_good_vouchers_only_the_bad_one_is_refused() {
    let town = Plan::hops(2).build().await;
    let first = buy(&town.purse, &town.mint, &town, 0).await.voucher;
    let bad = buy(&town.purse, &town.mint, &town, 1).await.voucher;
    let last = buy(&town.purse, &town.mint, &town, 0).await.voucher;
    let mut hand = Hand::open(town.exit(), MINE).await;
    let result = hand.present(vec![first, bad, last]).await;
    assert_eq!(result.credited, Msat::new(2 * COIN.get()));
    assert_eq!(refused(&result), [(1, Some(Refusal::BadSignature))]);
}

#[tokio::test]
async fn bytes_that_are_no_payment_are_refused_and_the_circuit_goes_on() {
    let town = Plan::hops(1).build().await;
    let good = buy(&town.purse, &town.mint, &town, 0).await.voucher;
    let mut hand = Hand::open(town.exit(), MINE).await;
    for junk in [vec![], vec![0xff; 500], good.to_bytes()[..40].to_vec()] {
        let result = hand.offer(junk).await;
        assert_eq!(refused(&result), [(0, Some(Refusal::Malformed))]);
    }
    assert_eq!(hand.present(vec![good]).await.credited, COIN);
}

#[tokio::test]
async fn a_relay_that_takes_no_payment_is_left_before_it_costs_much() {
    let target = Peer::echo().unwrap();
    let mut plan = Plan::hops(1);
    plan.relays[0].accepts_the_mint = false;
    let town = plan.build().await;
    let error = soon(
        "an error",
        echo(&town.client, target.addr(), Isolation::NONE),
    )
    .await
    .unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::PaymentRefused {
                reason: Refusal::UnknownKeyset,
                ..
            }
        ),
        "{error}"
    );
    echo(&town.client, target.addr(), isolation("another"))
        .await
        .unwrap_err();
    assert_eq!(town.client.spent(), town.first_payment(0), "it paid again");
    until_locked(&town, town.first_payment(0)).await;
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn a_relay_that_takes_no_payment_is_replaced_by_one_that_does() {
    let web = WebServer::start().unwrap();
    let mut plan = Plan::hops(2);
    let mut deaf = super::station::RelayPlan::exit();
    deaf.accepts_the_mint = false;
    plan.relays.push(deaf);
    let town = plan.build().await;
    for name in ["a", "b", "c", "d"] {
        let (_, download) = downloading(&town.client, &web, MIB, isolation(name));
        assert_eq!(soon("the download", download).await.unwrap(), hash_of(MIB));
    }
    let collected = town.relays[2].relay().settle().await.unwrap();
    assert_eq!(collected.vouchers, 0);
}

/// What was refused is still the client's, until its locktime.
async fn until_locked(town: &Town, amount: Msat) {
    soon("refusals in the purse's book", async {
        while !town.purse.unsettled(None).await.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(town.purse.locked().await, amount);
    until("the end of the circuit", || {
        town.exit().open_circuits() == 0
    })
    .await;
}
