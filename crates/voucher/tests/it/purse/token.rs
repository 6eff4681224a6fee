//! Money goes out as a Cashu token, and comes in as one.

use super::foreign::{ALL, balance, earned, other, rest, rich};
use super::town::{Line, Town};
use cashu::nut00::Token;
use cashu::{CurrencyUnit, KeySetInfo, Proof};
use cdk::wallet::{ReceiveOptions, Wallet};
use coinfuse_mint::LoopbackLightning;
use coinfuse_voucher::{MintId, Purse, PurseError, Unit};
use coinfuse_wire::Msat;
use std::str::FromStr;
use std::sync::Arc;

const SUM: Msat = Msat::new(3080);

/// A Cashu wallet that has nothing to do with us.
async fn stranger(town: &Town) -> Wallet {
    let store = cdk_sqlite::wallet::memory::empty().await.unwrap();
    let (url, unit) = (town.id.url().to_string(), town.id.unit().to_cashu());
    Wallet::new(&url, unit, Arc::new(store), [5; 64], None).unwrap()
}

async fn received_by_stranger(town: &Town, token: &str) -> u64 {
    let wallet = stranger(town).await;
    let options = ReceiveOptions::default();
    let received = wallet.receive(token, options).await.unwrap().to_u64();
    assert_eq!(wallet.total_balance().await.unwrap().to_u64(), received);
    received
}

/// The coins of a token of an `msat` mint.
async fn proofs(purse: &Purse, town: &Town, token: &str) -> Vec<Proof> {
    let keyset = purse.keyset(&town.id, false).await.unwrap();
    let info = KeySetInfo {
        id: keyset.id,
        unit: keyset.unit,
        active: true,
        input_fee_ppk: keyset.input_fee_ppk,
        final_expiry: None,
    };
    Token::from_str(token).unwrap().proofs(&[info]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_cashu_wallet_receives_what_was_taken_out() {
    let (town, dir, purse) = rich().await;
    let token = purse.token(&town.id, SUM).await.unwrap();
    assert!(token.starts_with("cashuB"));
    assert_eq!(balance(&purse, &town).await, rest(SUM));
    // It is kept, also over a restart, and without the mint.
    let [kept] = purse.tokens().await.try_into().unwrap();
    drop(purse);
    town.set(Line::Down);
    let purse = town.purse(dir.path()).await;
    assert_eq!(purse.tokens().await, std::slice::from_ref(&kept));
    assert_eq!(
        (kept.mint, kept.value, kept.token),
        (town.id.clone(), SUM, token.clone())
    );
    town.set(Line::Up);

    assert_eq!(received_by_stranger(&town, &token).await, SUM.get());
    assert_eq!(town.owes().await, ALL);
    purse.forget_token(&token).await.unwrap();
    assert_eq!(purse.tokens().await, []);
    drop(purse);
    assert_eq!(town.purse(dir.path()).await.tokens().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_drains_all_earnings() {
    let (town, _dir, purse) = rich().await;
    let (_dir, redeemer) = other(&town).await;
    let token = purse.token(&town.id, SUM).await.unwrap();
    let (mint, brought) = redeemer.receive(&token).await.unwrap();
    assert_eq!((mint, brought), (town.id.clone(), SUM));
    assert_eq!(earned(&redeemer, &town).await, SUM);
    let drained = redeemer.token(&town.id, SUM).await.unwrap();
    assert_eq!(earned(&redeemer, &town).await, Msat::ZERO);
    assert_eq!(received_by_stranger(&town, &drained).await, SUM.get());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_that_takes_a_fee_says_how_much_can_be_drained() {
    let town = Town::with_fee(&LoopbackLightning::new(), 1, Unit::Msat, 100).await;
    let dir = tempfile::tempdir().unwrap();
    let purse = town.purse(dir.path()).await;
    town.fill(&purse, ALL).await;
    let all = purse.token(&town.id, ALL).await;
    let Err(PurseError::TooLittle { have, need, .. }) = all else {
        panic!("{all:?}")
    };
    assert_eq!(have, ALL);
    let missing = need.checked_sub(have).unwrap();
    let token = purse.token(&town.id, rest(missing)).await.unwrap();
    // The smallest coins may not be worth their fee.
    assert!(balance(&purse, &town).await < missing);
    // Who receives it pays a fee as well: a tenth of a unit for each coin.
    let value = rest(missing).get();
    let fee = u64::from(value.count_ones()).div_ceil(10);
    assert_eq!(received_by_stranger(&town, &token).await, value - fee);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_satoshis_is_exact_or_not_made() {
    let town = Town::found(&LoopbackLightning::new(), 1, Unit::Sat).await;
    let dir = tempfile::tempdir().unwrap();
    let purse = town.purse(dir.path()).await;
    town.fill(&purse, ALL).await;
    let uneven = purse.token(&town.id, Msat::new(1500)).await;
    assert!(matches!(uneven, Err(PurseError::Amount(_))), "{uneven:?}");
    let token = purse.token(&town.id, Msat::new(7000)).await.unwrap();
    let unit = Token::from_str(&token).unwrap().unit();
    assert_eq!(unit, Some(CurrencyUnit::Sat));
    assert_eq!(received_by_stranger(&town, &token).await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_out_costs_nothing() {
    let (town, _dir, purse) = rich().await;
    let more = Msat::new(ALL.get() + 1);
    let too_much = purse.token(&town.id, more).await;
    let Err(PurseError::TooLittle { have, need, .. }) = too_much else {
        panic!("{too_much:?}")
    };
    assert_eq!((have, need), (ALL, more));
    let nothing = purse.token(&town.id, Msat::ZERO).await;
    assert!(matches!(nothing, Err(PurseError::Amount(_))));
    let elsewhere = MintId::new("http://127.0.0.1:1", Unit::Msat).unwrap();
    let unknown = purse.token(&elsewhere, SUM).await;
    assert!(matches!(unknown, Err(PurseError::UnknownMint(_))));
    assert_eq!(balance(&purse, &town).await, ALL);
    assert_eq!(purse.tokens().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyset_that_turns_over_stops_neither_payer_nor_payee() {
    let (town, _dir, purse) = rich().await;
    let (_dir, other) = other(&town).await;
    let old = purse.token(&town.id, SUM).await.unwrap();
    let new_keyset = town.mint.rotate_keyset().await.unwrap();
    // The payer does not know yet, and neither does the payee.
    let new = purse.token(&town.id, SUM).await.unwrap();
    let coins = proofs(&purse, &town, &new).await;
    assert!(coins.iter().all(|coin| coin.keyset_id == new_keyset));
    for token in [new, old] {
        assert_eq!(other.receive(&token).await.unwrap().1, SUM);
    }
    assert_eq!(earned(&other, &town).await, Msat::new(2 * SUM.get()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_nobody_received_is_taken_back() {
    let (town, _dir, purse) = rich().await;
    let token = purse.token(&town.id, SUM).await.unwrap();
    assert_eq!(purse.reclaim(&format!(" {token}\n")).await.unwrap(), SUM);
    assert_eq!(balance(&purse, &town).await, ALL);
    assert_eq!(purse.tokens().await, []);
    let again = purse.reclaim(&token).await;
    assert!(matches!(again, Err(PurseError::UnknownToken)), "{again:?}");
    // Its coins are spent.
    let (_dir, other) = other(&town).await;
    let late = other.receive(&token).await;
    assert!(matches!(late, Err(PurseError::Spent(_))), "{late:?}");
    // Received at home, it is forgotten as well.
    let token = purse.token(&town.id, SUM).await.unwrap();
    assert_eq!(purse.receive(&token).await.unwrap().1, SUM);
    assert_eq!(purse.tokens().await, []);
    assert_eq!(balance(&purse, &town).await, ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_token_that_was_received_nothing_is_taken_back() {
    let (town, _dir, purse) = rich().await;
    let (_dir, other) = other(&town).await;
    let [all, half] = [purse.token(&town.id, SUM), purse.token(&town.id, SUM)];
    let (all, half) = (all.await.unwrap(), half.await.unwrap());
    assert_ne!(all, half);
    other.receive(&all).await.unwrap();
    assert_eq!(purse.reclaim(&all).await.unwrap(), Msat::ZERO);
    // Somebody has taken one of its coins.
    let coins = proofs(&purse, &town, &half).await;
    let taken = other.take_in(&town.id, &coins[..1]).await.unwrap();
    let left = SUM.checked_sub(taken).unwrap();
    assert_eq!(purse.reclaim(&half).await.unwrap(), left);
    assert_eq!(purse.tokens().await, []);
    assert_eq!(town.owes().await, ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_mint_that_is_not_listed_is_refused() {
    let (town, _dir, purse) = rich().await;
    let elsewhere = Town::found(&LoopbackLightning::new(), 2, Unit::Msat).await;
    let (_dir, other) = other(&elsewhere).await;
    let token = purse.token(&town.id, SUM).await.unwrap();
    let foreign = other.receive(&token).await;
    let Err(PurseError::UnknownMint(mint)) = foreign else {
        panic!("{foreign:?}")
    };
    assert_eq!(mint, town.id);
    // The same coins under the name of a mint that is listed: it does not know their keyset.
    let coins = proofs(&purse, &town, &token).await;
    let url = elsewhere.id.url().clone();
    let renamed = Token::new(url, coins, None, CurrencyUnit::Msat).to_string();
    let forged = other.receive(&renamed).await;
    assert!(
        matches!(forged, Err(PurseError::Refused { .. })),
        "{forged:?}"
    );
    assert_eq!(earned(&other, &elsewhere).await, Msat::ZERO);
    assert_eq!(purse.reclaim(&token).await.unwrap(), SUM);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_refused_without_a_word_to_the_mint() {
    let (town, _dir, purse) = rich().await;
    let token = purse.token(&town.id, SUM).await.unwrap();
    town.set(Line::Down);
    let coins = proofs(&purse, &town, &token).await;
    let url = town.id.url().clone();
    let dollars = Token::new(url.clone(), coins, None, CurrencyUnit::Usd).to_string();
    let mut garbage = vec![
        String::new(),
        "cashuA".into(),
        "cashuB".into(),
        "cashuC0000".into(),
        "lnbc1".into(),
        "cashuAeyJ0b2tlbiI6W119".into(),
        format!("cashuB{}", "_".repeat(1 << 21)),
        format!("cashuB{}", "gYGB".repeat(1 << 16)),
        dollars,
    ];
    let bare = token.trim_end_matches('=');
    garbage.extend((0..bare.len()).map(|end| token[..end].to_owned()));
    for text in garbage {
        let refused = purse.receive(&text).await;
        assert!(
            matches!(refused, Err(PurseError::NotAToken)),
            "{text}: {refused:?}"
        );
    }
    // No coins: not even then.
    town.set(Line::Up);
    let empty = Token::new(url, Vec::new(), None, CurrencyUnit::Msat).to_string();
    let refused = purse.receive(&empty).await;
    assert!(matches!(refused, Err(PurseError::NotAToken)), "{refused:?}");
    assert_eq!(purse.reclaim(&token).await.unwrap(), SUM);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_version_3_is_received_too() {
    let (town, _dir, purse) = rich().await;
    let (_dir, other) = other(&town).await;
    let token = purse.token(&town.id, SUM).await.unwrap();
    let old = Token::from_str(&token).unwrap().to_v3_string();
    assert!(old.starts_with("cashuA"));
    let (mint, brought) = other.receive(&old).await.unwrap();
    assert_eq!((mint, brought), (town.id.clone(), SUM));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_of_a_token_is_not_in_its_debug_output() {
    let (town, _dir, purse) = rich().await;
    let token = purse.token(&town.id, SUM).await.unwrap();
    let shown = format!("{:?}", purse.tokens().await);
    assert!(shown.contains("3080") && !shown.contains(&token[..20]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_coins_become_one_token() {
    let (town, _dir, purse) = rich().await;
    let (_dir, redeemer) = other(&town).await;
    many_coins(&town, &purse).await;
    let all = balance(&purse, &town).await;
    let token = purse.token(&town.id, all).await.unwrap();
    assert_eq!(balance(&purse, &town).await, Msat::ZERO);
    assert_eq!(redeemer.receive(&token).await.unwrap().1, all);
}

/// More coins than fit into a swap: each payment brings thirty.
async fn many_coins(town: &Town, purse: &Purse) {
    for _ in 0..34 {
        town.fill(purse, Msat::new((1 << 30) - 1)).await;
    }
}
