//! Answers of a mint that are not what it was asked for. The state is as it was, and the right
//! answer is still taken.

use crate::bank::Bank;
use crate::life::{NOW, funded, key, params, saved, terms};
use cashu::{BlindSignature, BlindedMessage};
use coinfuse_channel::*;

/// Every way to get signatures wrong, and what is said of it.
fn lies(
    right: &[BlindSignature],
    other: Vec<BlindSignature>,
) -> Vec<(Vec<BlindSignature>, MintFault)> {
    let want = right.len();
    let changed = |place: usize, change: fn(&mut BlindSignature)| {
        let mut signatures = right.to_vec();
        change(&mut signatures[place]);
        signatures
    };
    let strange_id = Bank::of(9, &[1], 0, None).published.id;
    let mut strange = right.to_vec();
    strange[0].keyset_id = strange_id;
    let mut swapped = right.to_vec();
    swapped.swap(0, 1);
    // Among equal amounts, only the proof shows it.
    let order = match right[0].amount == right[1].amount {
        true => MintFault::Dleq(0),
        false => MintFault::Other(0),
    };
    let count = |got| MintFault::Count { got, want };
    vec![
        (vec![], count(0)),
        (right[1..].to_vec(), count(want - 1)),
        ([right, &right[..1]].concat(), count(want + 1)),
        (swapped, order),
        (
            changed(1, |signature| signature.amount = u64::MAX.into()),
            MintFault::Other(1),
        ),
        (strange, MintFault::Keyset(strange_id)),
        (
            changed(2, |signature| signature.dleq = None),
            MintFault::Dleq(2),
        ),
        (
            changed(0, |signature| signature.c = key(9).public_key()),
            MintFault::Dleq(0),
        ),
        (
            changed(1, |signature| {
                signature.dleq.as_mut().unwrap().e = key(9);
            }),
            MintFault::Dleq(1),
        ),
        // Signed with a key that is not the published one: the coins would be marked.
        (other, MintFault::Dleq(0)),
    ]
}

/// What a mint would say that has other keys than it publishes.
fn marked(outputs: &[BlindedMessage]) -> Vec<BlindSignature> {
    let amounts: Vec<_> = (0..12).map(|bit| 1 << bit).collect();
    Bank::of(8, &amounts, 0, None).forge(outputs)
}

#[test]
fn about_the_funding() {
    let mut bank = Bank::new(12, 0);
    let planned = Planned::new(params(&bank, 1000), &bank.keyset(), &key(1));
    let mut planned = saved(planned.unwrap());
    let right = bank.issue(&planned.outputs());
    let marked = marked(&planned.outputs());
    for (lie, fault) in lies(&right, marked) {
        let unmoved = *planned.funded(&lie).unwrap_err();
        assert_eq!(unmoved.error, fault);
        planned = unmoved.state;
    }
    saved(planned.funded(&right).unwrap());
}

#[test]
fn about_the_settlement() {
    let mut bank = Bank::new(12, 0);
    let sender = saved(funded(&mut bank, 1000).pay(NOW, 333.into()).unwrap());
    let receiver = saved(terms(&bank).open(NOW, &sender.open()).unwrap());
    let mut settling = saved(receiver.settle());
    let right = bank.swap(&settling.swap().unwrap()).unwrap();
    let marked = marked(settling.swap().unwrap().outputs());
    for (lie, fault) in lies(&right, marked) {
        let unmoved = *settling.settled(&lie).unwrap_err();
        assert_eq!(unmoved.error, fault);
        settling = unmoved.state;
    }
    let settled = saved(settling.settled(&right).unwrap());
    let sum: u64 = settled
        .coins()
        .iter()
        .map(|coin| coin.amount().to_u64())
        .sum();
    assert_eq!(sum, 333);
}

/// A sender that has paid 333 of 1000, whose channel is settled.
fn settled(bank: &mut Bank) -> Closing {
    let sender = saved(funded(bank, 1000).pay(NOW, 333.into()).unwrap());
    let receiver = saved(terms(bank).open(NOW, &sender.open()).unwrap());
    bank.swap(&saved(receiver.settle()).swap().unwrap())
        .unwrap();
    saved(sender.close())
}

#[test]
fn about_the_remainder() {
    let mut bank = Bank::new(12, 0);
    let closing = settled(&mut bank);
    let mut search = closing.search(&[]);
    let question = search.question().unwrap().unwrap();
    let right = bank.restore(&question);
    let mut lie = right.clone();
    lie[0].1.c = key(9).public_key();
    assert_eq!(search.answer(&lie), Err(MintFault::Dleq(0)));
    lie = right.clone();
    lie[0].1.amount = u64::MAX.into();
    assert_eq!(search.answer(&lie), Err(MintFault::Other(0)));
    lie = right;
    let strange = Bank::of(9, &[1], 0, None).published.id;
    lie[1].1.keyset_id = strange;
    assert_eq!(search.answer(&lie), Err(MintFault::Keyset(strange)));
    while let Some(question) = search.question().unwrap() {
        let mut answer = bank.restore(&question);
        // What was not asked for is passed over, and the order is the mint's affair.
        answer.extend(bank.restore(&closing_outputs(&closing)));
        answer.reverse();
        search.answer(&answer).unwrap();
    }
    let found: u64 = search
        .found()
        .iter()
        .map(|coin| coin.amount().to_u64())
        .sum();
    assert_eq!(found, 667);
}

/// Outputs that belong to no remainder.
fn closing_outputs(closing: &Closing) -> Vec<BlindedMessage> {
    let point = closing.watch().unwrap();
    vec![BlindedMessage::new(
        1.into(),
        closing.params().keyset_id,
        point,
    )]
}

#[test]
fn a_mint_that_signs_for_ever_ends_the_search() {
    let mut bank = Bank::of(7, &[1, 16], 0, None);
    let closing = saved(funded(&mut bank, 16).close());
    let mut search = closing.search(&[]);
    let mut questions = 0;
    while let Some(question) = search.question().unwrap() {
        let signatures = bank.issue(&question);
        let answer: Vec<_> = question.into_iter().zip(signatures).collect();
        search.answer(&answer).unwrap();
        questions += 1;
        assert!(questions <= MAX_OUTPUTS + 1);
    }
}
