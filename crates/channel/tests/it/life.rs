//! A channel's life, from the plan to the last coin.

use crate::bank::{Bank, BankError};
use cashu::dhke::blind_message;
use cashu::{Amount, BlindedMessage, SecretKey, SwapRequest};
use coinfuse_channel::*;
use coinfuse_wire::{Decode, Encode, UnixTime};
use std::convert::Infallible;

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_900_000_000);
pub(crate) const EXPIRY: UnixTime = UnixTime::from_secs(1_900_000_000 + 24 * 3600);
pub(crate) const MINT: &str = "https://mint.example";

pub(crate) fn key(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).unwrap()
}

/// Saves in no time.
pub(crate) fn saved<S: std::fmt::Debug>(step: Unsaved<S>) -> S {
    step.save(|_| Ok::<_, Infallible>(())).unwrap()
}

pub(crate) fn params(bank: &Bank, capacity: u64) -> Params {
    let ladder = bank.keyset().ladder(Amount::ZERO);
    let funding = ladder.before_fees(capacity.into()).unwrap();
    Params {
        mint: MINT.into(),
        unit: cashu::CurrencyUnit::Msat,
        capacity: capacity.into(),
        funding_amount: ladder.before_fees(funding).unwrap(),
        keyset_id: bank.published.id,
        input_fee_ppk: bank.published.input_fee_ppk,
        max_amount: Amount::ZERO,
        setup: NOW,
        expiry: EXPIRY,
        sender: key(1).public_key(),
        receiver: key(2).public_key(),
    }
}

pub(crate) fn terms(bank: &Bank) -> Terms {
    let mut terms = Terms::new(key(2));
    terms.keysets.push((MINT.into(), bank.keyset()));
    terms
}

pub(crate) fn funded(bank: &mut Bank, capacity: u64) -> Sender {
    let params = params(bank, capacity);
    funded_as(bank, params, 1)
}

/// Whoever has the key `sender` funds a channel.
pub(crate) fn funded_as(bank: &mut Bank, params: Params, sender: u8) -> Sender {
    let planned = saved(Planned::new(params, &bank.keyset(), &key(sender)).unwrap());
    let signatures = bank.issue(&planned.outputs());
    saved(planned.funded(&signatures).unwrap())
}

fn change(bank: &Bank, amount: Amount) -> Vec<BlindedMessage> {
    let coins = bank.keyset().ladder(Amount::ZERO).split(amount).unwrap();
    let each = coins
        .into_iter()
        .flat_map(|(amount, n)| (0..n).map(move |i| (amount, i)));
    each.map(|(amount, i)| {
        let secret = format!("change {amount} {i}");
        let (point, _) = blind_message(secret.as_bytes(), None).unwrap();
        BlindedMessage::new(amount, bank.published.id, point)
    })
    .collect()
}

fn spend(bank: &mut Bank, coins: &[Coin]) -> u64 {
    let inputs: Vec<_> = coins.iter().map(Coin::signed).collect();
    let sum: u64 = coins.iter().map(|coin| coin.amount().to_u64()).sum();
    let fee = (coins.len() as u64 * bank.published.input_fee_ppk).div_ceil(1000);
    let outputs = change(bank, (sum - fee).into());
    bank.swap(&SwapRequest::new(inputs, outputs)).unwrap();
    sum - fee
}

#[test]
fn money_is_conserved_over_a_channels_life() {
    for fee in [0, 100, 400, 999] {
        let mut bank = Bank::new(24, fee);
        let sender = funded(&mut bank, 1_000_000);
        let open = Open::from_bytes(&sender.open().to_bytes()).unwrap();
        let mut receiver = saved(terms(&bank).open(NOW, &open).unwrap());
        let mut sender = sender;
        for amount in [1, 4096, 123_456, 77] {
            sender = saved(sender.pay(NOW, amount.into()).unwrap());
            let bytes = sender.update().to_bytes();
            assert!(bytes.len() <= Update::MAX_LEN);
            let update = Update::from_bytes(&bytes).unwrap();
            receiver = saved(receiver.receive(NOW, &update).unwrap());
        }
        let paid = 1 + 4096 + 123_456 + 77;
        assert_eq!(receiver.balance().to_u64(), paid);

        let closing = saved(sender.close());
        assert!(!bank.is_spent(&closing.watch().unwrap()));
        let settling = saved(receiver.settle());
        let signatures = bank.swap(&settling.swap().unwrap()).unwrap();
        let settled = saved(settling.settled(&signatures).unwrap());
        let earned = spend(&mut bank, settled.coins());
        assert!((paid..paid + 5).contains(&earned), "{earned} of {paid}");
        saved(settled.collected());

        assert!(bank.is_spent(&closing.watch().unwrap()));
        let mut search = closing.search(&[]);
        while let Some(question) = search.question().unwrap() {
            search.answer(&bank.restore(&question)).unwrap();
        }
        let left = spend(&mut bank, &search.found());
        // What is missing are the fees of the two stages.
        let funding = params(&bank, 1_000_000).funding_amount.to_u64();
        assert!(
            funding - earned - left <= 60 * fee / 1000 + 3,
            "{funding} {earned} {left}"
        );
        saved(closing.done());
    }
}

#[test]
fn the_parties_can_agree_on_less_than_was_paid() {
    let mut bank = Bank::new(24, 0);
    let sender = funded(&mut bank, 10_000);
    let receiver = saved(terms(&bank).open(NOW, &sender.open()).unwrap());
    let sender = saved(sender.pay(NOW, 3000.into()).unwrap());
    let receiver = saved(receiver.receive(NOW, &sender.update()).unwrap());

    let closing = saved(sender.close());
    // Closing pays no more, whatever is asked for.
    assert_eq!(closing.update_at(3001.into()).unwrap(), closing.update());
    let agreed = closing.update_at(1000.into()).unwrap();
    let settling = saved(receiver.settle_at(&agreed).unwrap());
    let signatures = bank.swap(&settling.swap().unwrap()).unwrap();
    let settled = saved(settling.settled(&signatures).unwrap());
    assert_eq!(spend(&mut bank, settled.coins()), 1000);
}

#[test]
fn after_expiry_the_sender_takes_everything_back() {
    let mut bank = Bank::new(24, 0);
    let closing = saved(funded(&mut bank, 1000).close());
    assert!(matches!(
        closing.refund(EXPIRY),
        Err(RefundError::TooEarly(_))
    ));
    let refund = closing.refund(EXPIRY.saturating_add(std::time::Duration::from_secs(1)));
    let refund = refund.unwrap();
    let outputs = change(&bank, 1000.into());
    let mut swap = SwapRequest::new(refund.inputs().to_vec(), outputs);
    refund.sign(&mut swap);
    // The mint's clock is before the expiry: the sender alone is not enough.
    assert_eq!(bank.swap(&swap), Err(BankError::Witness));
}

#[test]
fn a_remainder_of_many_equal_coins_is_found() {
    let mut bank = Bank::new(12, 0);
    let terms_of = Params {
        max_amount: 64.into(),
        ..params(&bank, 1000)
    };
    let sender = funded_as(&mut bank, terms_of, 1);
    let receiver = saved(terms(&bank).open(NOW, &sender.open()).unwrap());
    let sender = saved(sender.pay(NOW, 300.into()).unwrap());
    let receiver = saved(receiver.receive(NOW, &sender.update()).unwrap());
    let swap = saved(receiver.settle()).swap().unwrap();
    bank.swap(&swap).unwrap();
    let closing = saved(sender.close());
    let mut search = closing.search(&[]);
    while let Some(question) = search.question().unwrap() {
        search.answer(&bank.restore(&question)).unwrap();
    }
    assert_eq!(spend(&mut bank, &search.found()), 700);
}

#[test]
fn both_agree_to_settle_at_less_than_was_paid() {
    let mut bank = Bank::new(12, 0);
    let sender = funded(&mut bank, 1000);
    let receiver = saved(terms(&bank).open(NOW, &sender.open()).unwrap());
    let sender = saved(sender.pay(NOW, 100.into()).unwrap());
    let less = sender.update();
    let sender = saved(sender.pay(NOW, 200.into()).unwrap());
    let receiver = saved(receiver.receive(NOW, &sender.update()).unwrap());
    let settling = saved(receiver.settle_at(&less).unwrap());
    let signatures = bank.swap(&settling.swap().unwrap()).unwrap();
    let settled = saved(settling.settled(&signatures).unwrap());
    assert_eq!(spend(&mut bank, settled.coins()), 100);
}

#[test]
fn a_channel_survives_a_change_of_the_fee_under_the_same_id() {
    // Ids of version 0 are a hash of the keys alone.
    let mut bank = Bank::new(12, 100);
    let mut published = bank.published.clone();
    published.id = cashu::Id::v1_from_keys(&published.keys);
    let keyset = Keyset::new(&published).unwrap();
    let params = Params {
        keyset_id: published.id,
        ..params(&bank, 1000)
    };
    let planned = saved(Planned::new(params, &keyset, &key(1)).unwrap());
    let signatures = bank.forge(&planned.outputs());
    let sender = saved(planned.funded(&signatures).unwrap());
    let mut terms = Terms::new(key(2));
    terms.keysets.push((MINT.into(), keyset));
    let opened = terms.open(NOW, &sender.open()).unwrap();
    let rows = [(opened.row().part, opened.row().bytes.to_vec())];

    published.input_fee_ppk = 200;
    terms.keysets[0].1 = Keyset::new(&published).unwrap();
    let state = Receiver::load(&terms, &rows).unwrap();
    assert!(matches!(state, ReceiverState::Open(_)));
    // A new channel is held to the new fee.
    let refusal = terms.open(NOW, &sender.open()).unwrap_err();
    let (got, keyset) = (100, 200);
    assert_eq!(refusal, Refusal::Terms(ParamsError::Fee { got, keyset }));
}
