//! Outputs of others are signed, coins of others are taken in.

use super::chest::{Chest, key, sign_each, ys};
use super::town::{Line, Town};
use cashu::nut11::Error as SignError;
use cashu::{Proof, State, SwapRequest};
use coinfuse_mint::LoopbackLightning;
use coinfuse_voucher::{CallError, MintId, Purse, PurseError, Redeemer, Unit};
use coinfuse_wire::Msat;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

pub(super) const ALL: Msat = Msat::new(100_000);
pub(super) const TAG: [u8; 32] = [8; 32];
pub(super) const AMOUNTS: [u64; 4] = [1024, 4, 4, 2048];
pub(super) const PRICE: Msat = Msat::new(3080);

/// A purse with money in it.
pub(super) async fn rich() -> (Town, TempDir, Purse) {
    let town = Town::found(&LoopbackLightning::new(), 1, Unit::Msat).await;
    let dir = tempfile::tempdir().unwrap();
    let purse = town.purse(dir.path()).await;
    town.fill(&purse, ALL).await;
    (town, dir, purse)
}

/// Somebody else.
pub(super) async fn other(town: &Town) -> (TempDir, Redeemer) {
    let dir = tempfile::tempdir().unwrap();
    let other = Redeemer::open(&town.config(dir.path())).await.unwrap();
    other.keyring().await;
    (dir, other)
}

pub(super) async fn balance(purse: &Purse, town: &Town) -> Msat {
    purse.balance(&town.id).await.unwrap()
}

pub(super) async fn earned(redeemer: &Redeemer, town: &Town) -> Msat {
    redeemer.earnings().await.unwrap()[&town.id]
}

pub(super) fn rest(price: Msat) -> Msat {
    ALL.checked_sub(price).unwrap()
}

/// Coins that only both keys can spend.
pub(super) async fn locked(purse: &Purse, town: &Town, flag: &str) -> Vec<Proof> {
    let keyset = purse.keyset(&town.id, false).await.unwrap();
    let chest = Chest::of_two(3, &keyset, &AMOUNTS, flag);
    let outputs = chest.outputs.clone();
    let signed = purse
        .sign_outputs([3; 32], &town.id, outputs)
        .await
        .unwrap();
    chest.open(&keyset, &signed)
}

pub(super) fn sign_all(request: &mut SwapRequest) -> Result<(), SignError> {
    request.sign_sig_all(key(1))?;
    request.sign_sig_all(key(2))
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_of_others_are_signed_and_the_change_comes_back() {
    let (town, _dir, purse) = rich().await;
    let keyset = purse.keyset(&town.id, false).await.unwrap();
    let chest = Chest::plain(1, &keyset, &AMOUNTS);
    let outputs = chest.outputs.clone();
    let signed = purse.sign_outputs(TAG, &town.id, outputs).await.unwrap();
    assert_eq!(balance(&purse, &town).await, rest(PRICE));

    let proofs = chest.open(&keyset, &signed);
    let (_dir, other) = other(&town).await;
    assert_eq!(other.take_in(&town.id, &proofs).await.unwrap(), PRICE);
    assert_eq!(earned(&other, &town).await, PRICE);
    assert_eq!(town.owes().await, ALL);
    // Once more does no harm.
    let again = other.take_in(&town.id, &proofs).await;
    assert!(matches!(again, Err(PurseError::Spent(_))), "{again:?}");
    assert_eq!(earned(&other, &town).await, PRICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_paid_once_and_stands_for_one_set_of_outputs() {
    let (town, dir, purse) = rich().await;
    let keyset = purse.keyset(&town.id, false).await.unwrap();
    let chest = Chest::plain(1, &keyset, &AMOUNTS);
    let sign = |purse: &Purse, chest: &Chest| {
        let (purse, mint, outputs) = (purse.clone(), town.id.clone(), chest.outputs.clone());
        async move { purse.sign_outputs(TAG, &mint, outputs).await }
    };
    // Two at once, and one later, and one without the mint, after a restart.
    let (first, second) = tokio::join!(sign(&purse, &chest), sign(&purse, &chest));
    let signed = first.unwrap();
    assert_eq!(second.unwrap(), signed);
    assert_eq!(sign(&purse, &chest).await.unwrap(), signed);
    drop(purse);
    town.set(Line::Down);
    let purse = town.purse(dir.path()).await;
    assert_eq!(sign(&purse, &chest).await.unwrap(), signed);
    assert_eq!(purse.signed(&TAG).await.unwrap(), signed);
    town.set(Line::Up);

    let others = Chest::plain(2, &keyset, &AMOUNTS);
    assert!(matches!(sign(&purse, &others).await, Err(PurseError::Tag)));
    assert_eq!(balance(&purse, &town).await, rest(PRICE));

    // Forgotten here, but the mint knows: not paid again either.
    purse.forget_signed(&TAG).await.unwrap();
    assert_eq!(purse.signed(&TAG).await, None);
    assert_eq!(sign(&purse, &chest).await.unwrap(), signed);
    assert_eq!(purse.signed(&TAG).await.unwrap(), signed);
    assert_eq!(balance(&purse, &town).await, rest(PRICE));
    // And then the tag is free for other outputs.
    purse.forget_signed(&TAG).await.unwrap();
    sign(&purse, &others).await.unwrap();
    assert_eq!(balance(&purse, &town).await, rest(Msat::new(2 * 3080)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_keyset_is_told_and_costs_nothing() {
    let (town, _dir, purse) = rich().await;
    let old = purse.keyset(&town.id, false).await.unwrap();
    let new = town.mint.rotate_keyset().await.unwrap();
    // The purse does not know yet: the mint refuses. Then it does.
    for _ in 0..2 {
        let outputs = Chest::plain(1, &old, &AMOUNTS).outputs;
        let retired = purse.sign_outputs(TAG, &town.id, outputs).await;
        assert!(matches!(retired, Err(PurseError::Keyset(_))), "{retired:?}");
        assert_eq!(balance(&purse, &town).await, ALL);
        assert_eq!(purse.signed(&TAG).await, None);
    }
    let keyset = purse.keyset(&town.id, true).await.unwrap();
    assert_eq!(keyset.id, new);
    let chest = Chest::plain(1, &keyset, &AMOUNTS);
    let outputs = chest.outputs.clone();
    let signed = purse.sign_outputs(TAG, &town.id, outputs).await.unwrap();
    chest.open(&keyset, &signed);
    assert_eq!(balance(&purse, &town).await, rest(PRICE));
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_that_cannot_be_signed_leave_coins_and_tag_free() {
    let (town, _dir, purse) = rich().await;
    let keyset = purse.keyset(&town.id, false).await.unwrap();
    let sign = |outputs| purse.sign_outputs(TAG, &town.id, outputs);

    let much = Chest::plain(1, &keyset, &[1 << 20]).outputs;
    let poor = sign(much).await;
    assert!(
        matches!(poor, Err(PurseError::TooLittle { .. })),
        "{poor:?}"
    );
    let odd = Chest::plain(1, &keyset, &[3]).outputs;
    assert!(matches!(sign(odd).await, Err(PurseError::Unfit(_))));
    assert!(matches!(sign(Vec::new()).await, Err(PurseError::Unfit(_))));
    let chest = Chest::plain(1, &keyset, &AMOUNTS);
    let twice = [chest.outputs.clone(), chest.outputs.clone()].concat();
    assert!(matches!(sign(twice).await, Err(PurseError::Unfit(_))));
    let elsewhere = MintId::new("http://127.0.0.1:1", Unit::Msat).unwrap();
    let outputs = chest.outputs.clone();
    let unknown = purse.sign_outputs(TAG, &elsewhere, outputs).await;
    assert!(matches!(unknown, Err(PurseError::UnknownMint(_))));

    assert_eq!(balance(&purse, &town).await, ALL);
    sign(chest.outputs.clone()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn coins_of_two_keys_are_taken_in_with_both_signatures() {
    let (town, _dir, purse) = rich().await;
    let proofs = locked(&purse, &town, "SIG_INPUTS").await;
    let (_dir, other) = other(&town).await;
    let mut half = proofs.clone();
    for proof in &mut half {
        proof.sign_p2pk(key(1)).unwrap();
    }
    let refused = other.take_in(&town.id, &half).await;
    assert!(
        matches!(refused, Err(PurseError::Refused { .. })),
        "{refused:?}"
    );

    // What the mint need not know goes with a proof, and does not reach it.
    let mut proofs = sign_each(proofs);
    proofs[0].p2pk_e = Some(key(9).public_key());
    assert_eq!(other.take_in(&town.id, &proofs).await.unwrap(), PRICE);
    assert_eq!(earned(&other, &town).await, PRICE);
    assert_eq!(town.owes().await, ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_coins_that_are_partly_spent_the_rest_is_taken_in() {
    let (town, _dir, purse) = rich().await;
    let proofs = sign_each(locked(&purse, &town, "SIG_INPUTS").await);
    let (_dir, other) = other(&town).await;
    let one = other.take_in(&town.id, &proofs[..1]).await.unwrap();
    assert_eq!(one, Msat::new(1024));
    let left = other.take_in(&town.id, &proofs).await.unwrap();
    assert_eq!(left, PRICE.checked_sub(one).unwrap());
    assert_eq!(earned(&other, &town).await, PRICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn coins_under_sig_all_are_taken_in_by_whoever_signs_the_swap() {
    let (town, _dir, purse) = rich().await;
    let proofs = locked(&purse, &town, "SIG_ALL").await;
    let (_dir, other) = other(&town).await;
    // Not signed at all, or not by both.
    let refused = other.take_in(&town.id, &proofs).await;
    assert!(
        matches!(refused, Err(PurseError::Refused { .. })),
        "{refused:?}"
    );
    let unsigned = |_: &mut SwapRequest| Err("no key");
    let nothing = other.take_in_signed(&town.id, &proofs, unsigned).await;
    assert!(matches!(nothing, Err(PurseError::NotSigned(_))));
    let meddling = |request: &mut SwapRequest| {
        request.outputs_mut().pop();
        sign_all(request)
    };
    let meddled = other.take_in_signed(&town.id, &proofs, meddling).await;
    assert!(matches!(meddled, Err(PurseError::NotSigned(_))));
    assert_eq!(earned(&other, &town).await, Msat::ZERO);

    let brought = other.take_in_signed(&town.id, &proofs, sign_all).await;
    assert_eq!(brought.unwrap(), PRICE);
    assert_eq!(earned(&other, &town).await, PRICE);
    let gone = purse.take_in_signed(&town.id, &proofs, sign_all).await;
    assert!(matches!(gone, Err(PurseError::Spent(_))), "{gone:?}");
    assert_eq!(town.owes().await, ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_keyset_is_met_by_signing_the_swap_again() {
    let (town, _dir, purse) = rich().await;
    let proofs = locked(&purse, &town, "SIG_ALL").await;
    let (_dir, other) = other(&town).await;
    town.mint.rotate_keyset().await.unwrap();
    let times = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&times);
    let sign = move |request: &mut SwapRequest| {
        counted.fetch_add(1, Ordering::SeqCst);
        sign_all(request)
    };
    let brought = other.take_in_signed(&town.id, &proofs, sign).await.unwrap();
    assert_eq!((brought, times.load(Ordering::SeqCst)), (PRICE, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fees_of_the_mint_are_paid() {
    let town = Town::with_fee(&LoopbackLightning::new(), 1, Unit::Msat, 100).await;
    let dir = tempfile::tempdir().unwrap();
    let purse = town.purse(dir.path()).await;
    town.fill(&purse, ALL).await;
    assert_eq!(
        purse.keyset(&town.id, false).await.unwrap().input_fee_ppk,
        100
    );
    let proofs = locked(&purse, &town, "SIG_ALL").await;
    // One coin of 65536 goes in, and four of the outputs.
    let one = Msat::new(1);
    assert_eq!(
        balance(&purse, &town).await,
        rest(PRICE).checked_sub(one).unwrap()
    );
    let brought = purse.take_in_signed(&town.id, &proofs, sign_all).await;
    assert_eq!(brought.unwrap(), PRICE.checked_sub(one).unwrap());
    assert_eq!(balance(&purse, &town).await, rest(Msat::new(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn single_calls_tell_a_refusal_from_silence() {
    let (town, _dir, purse) = rich().await;
    let proofs = locked(&purse, &town, "SIG_ALL").await;
    let keyset = purse.keyset(&town.id, false).await.unwrap();
    let states = |proofs: &[Proof]| purse.check_state(&town.id, ys(proofs));
    let unspent = states(&proofs).await.unwrap();
    assert!(unspent.iter().all(|state| state.state == State::Unspent));

    let chest = Chest::plain(4, &keyset, &[8, 1024, 2048]);
    let request = |outputs| {
        let mut request = SwapRequest::new(proofs.clone(), outputs);
        sign_all(&mut request).unwrap();
        request
    };
    let unsigned = SwapRequest::new(proofs.clone(), chest.outputs.clone());
    let refused = purse.submit_swap(&town.id, unsigned).await.unwrap_err();
    assert!(matches!(refused, CallError::Refused { .. }), "{refused:?}");
    assert!(!refused.is_spent() && !refused.is_keyset());

    let swap = request(chest.outputs.clone());
    town.set(Line::Deaf);
    let silent = purse.submit_swap(&town.id, swap.clone()).await;
    assert!(
        matches!(silent, Err(CallError::Unanswered { .. })),
        "{silent:?}"
    );
    town.set(Line::Down);
    assert!(matches!(
        states(&proofs).await,
        Err(CallError::Unanswered { .. })
    ));
    town.set(Line::Up);

    // It had happened. The same request has the same answer, another one has none.
    let spent = states(&proofs[1..]).await.unwrap();
    assert_eq!(
        spent.iter().map(|state| state.y).collect::<Vec<_>>(),
        ys(&proofs[1..])
    );
    assert!(spent.iter().all(|state| state.state == State::Spent));
    let others = Chest::plain(5, &keyset, &[8, 1024, 2048]).outputs;
    let late = purse.submit_swap(&town.id, request(others.clone())).await;
    assert_eq!(late.unwrap_err().code(), Some(11001));
    let signed = purse.submit_swap(&town.id, swap).await.unwrap();
    let coins = chest.open(&keyset, &signed);

    // The mint finds what it has signed, and only that.
    let asked = [others, chest.outputs.clone()].concat();
    let restored = purse.restore(&town.id, asked).await.unwrap();
    let (outputs, again): (Vec<_>, Vec<_>) = restored.into_iter().unzip();
    assert_eq!((outputs, again), (chest.outputs.clone(), signed));

    town.mint.rotate_keyset().await.unwrap();
    let outputs = Chest::plain(6, &keyset, &[8, 1024, 2048]).outputs;
    let retired = purse
        .submit_swap(&town.id, SwapRequest::new(coins, outputs))
        .await;
    assert!(retired.unwrap_err().is_keyset());
    let elsewhere = MintId::new("http://127.0.0.1:1", Unit::Msat).unwrap();
    let unknown = purse.check_state(&elsewhere, ys(&proofs)).await;
    assert_eq!(unknown.unwrap_err(), CallError::UnknownMint(elsewhere));
}
