//! Numbers chosen to exhaust the memory or the time of whoever reads them. Were anything derived
//! or enumerated before they are judged, these tests would not end.

use crate::bank::Bank;
use crate::life::{EXPIRY, MINT, NOW, funded, funded_as, key, params, terms};
use cashu::{Amount, Proof};
use coinfuse_channel::json::JsonError;
use coinfuse_channel::*;
use coinfuse_wire::{Decode, DecodeError, Encode, UnixTime, Writer};

/// What becomes of an opening with these terms. The id does not fit them, so a refusal for
/// another reason came before the id was derived.
fn refusal(bank: &mut Bank, change: impl FnOnce(&mut Params)) -> Refusal {
    let mut open = funded(bank, 1000).open();
    change(&mut open.params);
    terms(bank).open(NOW, &open).unwrap_err()
}

#[test]
fn four_hundred_million_proofs_of_one() {
    let refusal = refusal(&mut Bank::new(32, 0), |params| {
        params.funding_amount = 400_000_000.into();
        params.max_amount = Amount::ONE;
    });
    let (got, most) = (400_000_000, 64);
    assert_eq!(refusal, Refusal::TooManyProofs { got, most });
}

#[test]
fn as_many_proofs_as_can_be_counted() {
    let refusal = refusal(&mut Bank::new(32, 999), |params| {
        params.funding_amount = u64::MAX.into();
        params.capacity = u64::MAX.into();
        params.max_amount = Amount::ONE;
    });
    let (got, most) = (u64::MAX, 64);
    assert_eq!(refusal, Refusal::TooManyProofs { got, most });
}

#[test]
fn one_proof_more_than_allowed() {
    let mut bank = Bank::new(12, 0);
    let mut most = params(&bank, 64);
    most.max_amount = Amount::ONE;
    let open = funded_as(&mut bank, most.clone(), 1).open();
    assert!(terms(&bank).open(NOW, &open).is_ok());
    let mut more = most;
    more.funding_amount = 65.into();
    let open = funded_as(&mut bank, more, 1).open();
    let (got, most) = (65, 64);
    let refusal = terms(&bank).open(NOW, &open).unwrap_err();
    assert_eq!(refusal, Refusal::TooManyProofs { got, most });
}

#[test]
fn few_proofs_whose_commitments_the_mint_would_refuse() {
    // One coin of 1024 funds the channel; 1023 takes 1023 coins of one.
    let bank = Bank::of(7, &[1, 1024], 0, None);
    let terms_of = params(&bank, 1024);
    let planned = Planned::new(terms_of.clone(), &bank.keyset(), &key(1));
    assert_eq!(planned.unwrap_err(), ParamsError::Outputs(1 + 2 * 1023));
    let mut open = funded(&mut Bank::new(12, 0), 1000).open();
    open.params = terms_of;
    let refusal = terms(&bank).open(NOW, &open).unwrap_err();
    assert_eq!(refusal, Refusal::Terms(ParamsError::Outputs(2047)));
}

#[test]
fn an_amount_that_the_coins_do_not_make_up() {
    let bank = Bank::of(7, &[2, 4, 8, 16], 0, None);
    let odd = Params {
        funding_amount: 15.into(),
        ..params(&bank, 14)
    };
    let error = ParamsError::Amount(AmountError::NotRepresentable(15));
    let planned = Planned::new(odd.clone(), &bank.keyset(), &key(1));
    assert_eq!(planned.unwrap_err(), error);
    let mut open = funded(&mut Bank::new(12, 0), 1000).open();
    open.params = odd;
    let refusal = terms(&bank).open(NOW, &open).unwrap_err();
    assert_eq!(refusal, Refusal::Terms(error));
}

#[test]
fn a_balance_that_the_coins_do_not_make_up() {
    let mut bank = Bank::of(7, &[2, 4, 8, 16], 0, None);
    let sender = funded(&mut bank, 14);
    let mut update = sender.update();
    let receiver = terms(&bank).open(NOW, &sender.open()).unwrap();
    update.balance = 7.into();
    let error = ParamsError::Amount(AmountError::NotRepresentable(7));
    let receiver = crate::life::saved(receiver);
    let unmoved = *receiver.receive(NOW, &update).unwrap_err();
    assert_eq!(unmoved.error, Refusal::Terms(error));
    let unmoved = *sender.pay(NOW, 7.into()).unwrap_err();
    assert!(matches!(unmoved.error, PayError::Balance(_)));
}

#[test]
fn the_largest_numbers_in_every_field() {
    let max = UnixTime::from_secs(u64::MAX);
    let changes: [fn(&mut Params); 6] = [
        |params| params.capacity = u64::MAX.into(),
        |params| params.funding_amount = u64::MAX.into(),
        |params| params.input_fee_ppk = u64::MAX,
        |params| params.max_amount = u64::MAX.into(),
        |params| params.setup = UnixTime::from_secs(u64::MAX),
        |params| params.expiry = UnixTime::from_secs(u64::MAX),
    ];
    for fee in [0, 999] {
        for change in changes {
            refusal(&mut Bank::new(64, fee), change);
        }
        let all = |params: &mut Params| changes.iter().for_each(|change| change(params));
        refusal(&mut Bank::new(64, fee), all);
    }
    let bank = Bank::new(12, 0);
    let open = funded(&mut Bank::new(12, 0), 1000).open();
    assert_eq!(
        terms(&bank).open(max, &open).unwrap_err(),
        Refusal::ExpiryTooSoon { expiry: EXPIRY }
    );
}

#[test]
fn the_largest_channel_works() {
    let mut bank = Bank::new(64, 999);
    let ladder = bank.keyset().ladder(Amount::ZERO);
    let value = ladder.after_fees(u64::MAX.into()).unwrap();
    let params = Params {
        funding_amount: u64::MAX.into(),
        capacity: ladder.after_fees(value).unwrap(),
        ..params(&bank, 1)
    };
    let sender = funded_as(&mut bank, params.clone(), 1);
    let receiver = terms(&bank).open(NOW, &sender.open()).unwrap();
    let sender = crate::life::saved(sender.pay(NOW, params.capacity).unwrap());
    let receiver = crate::life::saved(receiver);
    let receiver = receiver.receive(NOW, &sender.update()).unwrap();
    assert_eq!(crate::life::saved(receiver).balance(), params.capacity);
}

#[test]
fn arithmetic_of_the_largest_amounts_ends() {
    for fee in [0, 1, 999] {
        for amounts in [
            &[1][..],
            &[1, 2],
            &[1, 1 << 63],
            &[u64::MAX],
            &[3, u64::MAX],
        ] {
            let ladder = Bank::of(7, amounts, fee, None)
                .keyset()
                .ladder(Amount::ZERO);
            for amount in [0, 1, 2, 1000, 1001, u64::MAX - 1, u64::MAX] {
                let amount = Amount::from(amount);
                let outputs = ladder.outputs(amount);
                assert!(outputs.is_ok_and(|outputs| outputs <= MAX_OUTPUTS) || outputs.is_err());
                if let Ok(coins) = ladder.split(amount) {
                    let sum: u128 = coins
                        .iter()
                        .map(|(coin, number)| u128::from(coin.to_u64()) * u128::from(*number))
                        .sum();
                    assert_eq!(sum, amount.to_u64().into());
                }
                if let Ok(before) = ladder.before_fees(amount) {
                    let after = ladder.after_fees(before);
                    assert!(fee == 0 || after.is_ok_and(|after| after >= amount));
                }
                ladder.most_outputs(amount);
            }
        }
    }
}

#[test]
fn a_count_of_proofs_that_would_fill_the_memory() {
    let open = funded(&mut Bank::new(12, 0), 1000).open();
    let bytes = open.to_bytes();
    let count = 32 + open.params.to_bytes().len();
    assert_eq!(usize::from(bytes[count]), open.proofs.len());
    for number in [MAX_OUTPUTS + 1, u64::from(u32::MAX), u64::MAX] {
        let mut out = Writer::new();
        out.put(&bytes[..count]);
        out.varint(number);
        out.put(&bytes[count + 1..]);
        let what = "funding proofs";
        assert_eq!(
            Open::from_bytes(&out.into_bytes()),
            Err(DecodeError::TooLarge {
                what,
                got: number,
                max: MAX_OUTPUTS
            })
        );
    }
}

#[test]
fn a_mint_with_an_endless_name() {
    let name = "m".repeat(MAX_MINT_LEN + 1);
    let open = Open {
        params: Params {
            mint: name.clone(),
            ..params(&Bank::new(12, 0), 1000)
        },
        ..funded(&mut Bank::new(12, 0), 1000).open()
    };
    let decoded = Open::from_bytes(&open.to_bytes());
    assert!(matches!(
        decoded,
        Err(DecodeError::TooLarge { what: "mint", .. })
    ));
    let planned = Planned::new(open.params, &Bank::new(12, 0).keyset(), &key(1));
    assert_eq!(planned.unwrap_err(), ParamsError::Mint);
}

#[test]
fn a_mint_whose_name_moves_the_fields_of_the_hash() {
    for mint in [
        format!("{MINT}|msat"),
        format!("{MINT}\n"),
        "https://mint .example".into(),
        "https://münze.example".into(),
    ] {
        let params = Params {
            mint,
            ..params(&Bank::new(12, 0), 1000)
        };
        let planned = Planned::new(params, &Bank::new(12, 0).keyset(), &key(1));
        assert_eq!(planned.unwrap_err(), ParamsError::Mint);
    }
}

#[test]
fn more_json_proofs_than_any_channel_has() {
    let open = funded(&mut Bank::new(12, 0), 1000).open_with_claims();
    let mut body: serde_json::Value = serde_json::from_str(&open.to_json().unwrap()).unwrap();
    let mut proof = body["funding_proofs"][0].clone();
    proof["secret"] = "".into();
    let _: Proof = serde_json::from_value(proof.clone()).unwrap();
    body["funding_proofs"] = vec![proof; 1001].into();
    let read = Open::from_json(&body.to_string());
    assert_eq!(read, Err(JsonError::Field("funding_proofs")));
}

#[test]
fn keysets_that_cannot_carry_channels() {
    let bank = |fee| Bank::of(7, &[1, 2], fee, None).published;
    let id = bank(1000).id;
    assert_eq!(Keyset::new(&bank(1000)).unwrap_err(), KeysetError::Fee(id));
    let id = bank(u64::MAX).id;
    let error = Keyset::new(&bank(u64::MAX)).unwrap_err();
    assert_eq!(error, KeysetError::Fee(id));
    let mut other = bank(0);
    other.input_fee_ppk = 1;
    let error = Keyset::new(&other).unwrap_err();
    assert_eq!(error, KeysetError::WrongId(other.id));
    for amounts in [&[][..], &[0, 1]] {
        let published = Bank::of(7, amounts, 0, None).published;
        let error = Keyset::new(&published).unwrap_err();
        assert_eq!(error, KeysetError::Amounts(published.id));
    }
}

#[test]
fn a_keyset_with_more_keys_than_can_be_read_back() {
    let key = key(1).public_key();
    let published = |keys: u64, unit: &str| {
        let keys = (1..=keys).map(|amount| (amount.into(), key)).collect();
        let keys = cashu::Keys::new(keys);
        let unit = cashu::CurrencyUnit::custom(unit);
        cashu::KeySet {
            id: cashu::Id::v2_from_data(&keys, &unit, 0, None),
            unit,
            active: None,
            keys,
            input_fee_ppk: 0,
            final_expiry: None,
        }
    };
    assert!(Keyset::new(&published(1024, "x")).is_ok());
    let many = published(1025, "x");
    let error = Keyset::new(&many).unwrap_err();
    assert_eq!(error, KeysetError::Amounts(many.id));
    for unit in ["", "a|b", "café", &"u".repeat(33)] {
        let odd = published(1, unit);
        assert_eq!(Keyset::new(&odd).unwrap_err(), KeysetError::Unit(odd.id));
    }
}
