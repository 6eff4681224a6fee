//! The usual day.

use super::town::{SOON, Town, check, key, now, order, relay, relay_id, value};
use coinfuse_mint::LoopbackLightning;
use coinfuse_voucher::{
    MintId, Order, Policy, Purse, PurseError, Redeemer, Refusal, Unit, Verifier,
};
use coinfuse_wire::Msat;
use std::time::Duration;

async fn town() -> Town {
    Town::found(&LoopbackLightning::new(), 1, Unit::Msat).await
}

#[tokio::test(flavor = "multi_thread")]
async fn money_goes_from_the_client_to_three_relays_and_none_is_lost() {
    let town = town().await;
    let (client, operator) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let purse = town.purse(client.path()).await;
    town.fill(&purse, Msat::new(100_000)).await;

    let orders = [1, 2, 3].map(|relay| order(relay, &town.id, Msat::new(4096)));
    let bought = purse.buy(now(), &orders).await.unwrap();
    assert_eq!(
        bought.iter().map(|b| b.relay).collect::<Vec<_>>(),
        [1, 2, 3].map(relay_id)
    );
    assert_eq!(
        bought.iter().map(|b| b.account).collect::<Vec<_>>(),
        [1, 2, 3].map(|n| [n; 32])
    );
    assert_eq!(
        purse.balance(&town.id).await.unwrap(),
        Msat::new(100_000 - 3 * 4096)
    );
    assert_eq!(town.owes().await, Msat::new(100_000));

    // Each relay takes its own voucher, and only that.
    let redeemer = Redeemer::open(&town.config(operator.path())).await.unwrap();
    for number in 1..=3u8 {
        let relay = relay(number, &purse).await;
        let (mine, others): (Vec<_>, Vec<_>) = bought
            .iter()
            .cloned()
            .partition(|b| b.relay == relay_id(number));
        for other in others {
            assert_eq!(
                relay.verify(now(), &other.voucher).err(),
                Some(Refusal::BadSignature)
            );
        }
        let redeemed = redeemer.redeem(&check(&relay, &mine)).await.unwrap();
        assert_eq!((redeemed.done.len(), redeemed.earned), (1, Msat::new(4096)));
    }
    purse
        .credited(&bought.iter().map(|b| b.id).collect::<Vec<_>>())
        .await
        .unwrap();
    assert!(purse.unsettled(None).await.is_empty());
    assert_eq!(
        redeemer.earnings().await.unwrap()[&town.id],
        Msat::new(3 * 4096)
    );
    assert_eq!(town.owes().await, Msat::new(100_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voucher_for_the_issuer_is_short_and_the_issuer_takes_it() {
    let town = town().await;
    let dir = tempfile::tempdir().unwrap();
    let purse = town.purse(dir.path()).await;
    town.fill(&purse, Msat::new(10_000)).await;
    let order = Order {
        issuer: true,
        ..order(1, &town.id, Msat::new(3072))
    };
    let bought = purse.buy(now(), &[order]).await.unwrap();
    // 3072 is 2048 and 1024.
    assert_eq!(
        bought.iter().map(|b| b.value.get()).collect::<Vec<_>>(),
        [2048, 1024]
    );
    assert!(bought.iter().all(|b| !b.voucher.has_dleq()));
    let issuer = Verifier::new(key(1), town.issuer_keyring().await, Policy::default());
    assert_eq!(
        check(&issuer, &bought)
            .iter()
            .map(|v| v.value())
            .sum::<Msat>(),
        Msat::new(3072)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn redeeming_twice_earns_once() {
    let town = town().await;
    let (client, operator) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let purse = town.purse(client.path()).await;
    town.fill(&purse, Msat::new(10_000)).await;
    let orders = [1024, 2048].map(|amount| order(1, &town.id, Msat::new(amount)));
    let vouchers = check(
        &relay(1, &purse).await,
        &purse.buy(now(), &orders).await.unwrap(),
    );

    let redeemer = Redeemer::open(&town.config(operator.path())).await.unwrap();
    let first = redeemer.redeem(&vouchers[..1]).await.unwrap();
    assert_eq!((first.done.len(), first.earned), (1, Msat::new(1024)));
    // The ledger forgot to mark the first one; the batch still goes through.
    let second = redeemer.redeem(&vouchers).await.unwrap();
    assert_eq!(second.spent_before, [vouchers[0].id()]);
    assert_eq!(
        (second.done, second.earned),
        (vec![vouchers[1].id()], Msat::new(2048))
    );
    assert_eq!(
        redeemer.earnings().await.unwrap()[&town.id],
        Msat::new(3072)
    );
    assert_eq!(town.owes().await, Msat::new(10_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_voucher_comes_back_after_its_locktime_and_not_before() {
    let town = town().await;
    let dir = tempfile::tempdir().unwrap();
    let purse = town.purse(dir.path()).await;
    town.fill(&purse, Msat::new(10_000)).await;
    // Bought long ago, so the mint's clock is past its locktime already.
    let year = Duration::from_secs(365 * 24 * 3600);
    let long_ago = now().saturating_sub(year);
    let old = purse
        .buy(long_ago, &[order(1, &town.id, Msat::new(4096))])
        .await
        .unwrap();
    let new = purse
        .buy(now(), &[order(1, &town.id, Msat::new(1024))])
        .await
        .unwrap();
    for bought in old.iter().chain(&new) {
        purse
            .refused(bought.id, Refusal::UnknownKeyset)
            .await
            .unwrap();
    }
    assert!(purse.unsettled(None).await.is_empty());
    assert_eq!(purse.locked().await, Msat::new(5120));

    assert_eq!(purse.refund_expired(long_ago).await.unwrap(), Msat::ZERO);
    assert_eq!(purse.refund_expired(now()).await.unwrap(), Msat::new(4096));
    assert_eq!(purse.refund_expired(now()).await.unwrap(), Msat::ZERO);
    assert_eq!(purse.locked().await, Msat::new(1024));
    assert_eq!(
        purse.balance(&town.id).await.unwrap(),
        Msat::new(10_000 - 1024)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn money_moves_between_mints_by_lightning() {
    let lightning = LoopbackLightning::new();
    let (here, there) = (
        Town::found(&lightning, 1, Unit::Msat).await,
        Town::found(&lightning, 2, Unit::Sat).await,
    );
    let dir = tempfile::tempdir().unwrap();
    let mut config = here.config(dir.path());
    config.mints.push(there.id.clone());
    let purse = Purse::open(&config).await.unwrap();
    here.fill(&purse, Msat::from_sat(1000)).await;

    let paid = purse
        .across(&here.id, &there.id, Msat::from_sat(100), SOON)
        .await
        .unwrap();
    assert_eq!(paid.amount, Msat::from_sat(100));
    let left = Msat::from_sat(900).checked_sub(paid.fee).unwrap();
    assert_eq!(purse.balance(&here.id).await.unwrap(), left);
    assert_eq!(purse.balance(&there.id).await.unwrap(), Msat::from_sat(100));
    assert_eq!(purse.balances().await.len(), 2);
    // A mint that counts satoshis rounds up.
    let bought = purse
        .buy(now(), &[order(1, &there.id, Msat::new(7_001))])
        .await
        .unwrap();
    assert_eq!(value(&bought), Msat::from_sat(8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_that_takes_a_fee_is_paid_it() {
    let town = Town::with_fee(&LoopbackLightning::new(), 1, Unit::Msat, 100).await;
    let dir = tempfile::tempdir().unwrap();
    let purse = town.purse(dir.path()).await;
    town.fill(&purse, Msat::new(10_000)).await;
    let bought = purse
        .buy(now(), &[order(1, &town.id, Msat::new(1024))])
        .await
        .unwrap();
    assert_eq!(value(&bought), Msat::new(1024));
    // 8192 is one input, 100 thousandths of a unit, rounded up.
    assert_eq!(
        purse.balance(&town.id).await.unwrap(),
        Msat::new(10_000 - 1024 - 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_keyset_is_picked_up_by_the_purchase_that_meets_it() {
    let town = town().await;
    let dir = tempfile::tempdir().unwrap();
    let purse = town.purse(dir.path()).await;
    town.fill(&purse, Msat::new(10_000)).await;
    let new = town.mint.rotate_keyset().await.unwrap();
    let bought = purse
        .buy(now(), &[order(1, &town.id, Msat::new(1024))])
        .await
        .unwrap();
    assert_eq!(
        bought[0].voucher.keyset().as_bytes()[..],
        new.to_bytes()[..8]
    );
    assert_eq!(
        purse.balance(&town.id).await.unwrap(),
        Msat::new(10_000 - 1024)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_bought_costs_nothing() {
    let town = town().await;
    let dir = tempfile::tempdir().unwrap();
    let purse = town.purse(dir.path()).await;
    town.fill(&purse, Msat::new(1000)).await;

    let too_much = purse
        .buy(now(), &[order(1, &town.id, Msat::new(1001))])
        .await;
    let Err(PurseError::TooLittle { have, need, .. }) = too_much else {
        panic!("{too_much:?}")
    };
    assert_eq!((have, need), (Msat::new(1000), Msat::new(1001)));
    let nothing = purse.buy(now(), &[order(1, &town.id, Msat::ZERO)]).await;
    assert!(matches!(nothing, Err(PurseError::Amount(_))));
    let elsewhere = MintId::new("http://127.0.0.1:1", Unit::Msat).unwrap();
    let unknown = purse
        .buy(now(), &[order(1, &elsewhere, Msat::new(1))])
        .await;
    assert!(matches!(unknown, Err(PurseError::UnknownMint(_))));
    assert_eq!(purse.balance(&town.id).await.unwrap(), Msat::new(1000));
}
