//! A voucher that carries the tweak of its lock is the same coin, found with less work.

use crate::shop::{NOW, Shop, key, relay};
use coinfuse_voucher::{Payment, Refusal, Unit, Voucher};
use coinfuse_wire::{Decode, DecodeError, Encode};

const HEAD: DecodeError = DecodeError::Invalid {
    what: "voucher head",
};

fn shop() -> Shop {
    Shop::new(1, Unit::Msat)
}

fn voucher(relay: u8, seed: u8) -> Voucher {
    let shop = shop();
    shop.sell_with_tweak(&shop.blank(&key(relay).public_key(), seed))
}

fn refusal(bytes: &[u8]) -> Refusal {
    let voucher = Voucher::from_bytes(bytes).unwrap();
    let relay = relay(shop().issuer_keyring());
    relay.verify(NOW, &voucher).expect_err("must be refused")
}

#[test]
fn it_is_the_short_form_with_one_bit_set_and_32_bytes_more() {
    let with = voucher(9, 1);
    let (long, short) = (with.to_bytes(), with.without_tweak().to_bytes());
    assert_eq!((long.len(), short.len()), (Voucher::TWEAK_LEN, 79));
    assert_eq!(long[0], short[0] | 0x40);
    assert_eq!(long[1..79], short[1..]);
    assert_eq!(Voucher::from_bytes(&long), Ok(voucher(9, 1)));
}

#[test]
fn it_has_a_tweak_or_a_dleq_proof_but_not_both() {
    let mut bytes = voucher(9, 1).to_bytes();
    bytes[0] |= 0x80;
    bytes.resize(Voucher::LONG_LEN + 32, 1);
    assert_eq!(Voucher::from_bytes(&bytes), Err(HEAD));
}

#[test]
fn a_tweak_is_a_scalar() {
    for byte in [0, 0xff] {
        let mut bytes = voucher(9, 1).to_bytes();
        bytes[79..].fill(byte);
        let what = "voucher tweak";
        assert_eq!(
            Voucher::from_bytes(&bytes),
            Err(DecodeError::Invalid { what })
        );
    }
}

#[test]
fn it_is_the_same_coin_with_the_same_key_to_redeem_it() {
    let relay = relay(shop().issuer_keyring());
    let with = relay.verify(NOW, &voucher(9, 1)).unwrap();
    let without = voucher(9, 1).without_tweak();
    let without = relay.verify(NOW, &without).unwrap();
    assert_eq!(with.id(), without.id());
    assert_eq!(with.value(), without.value());
    let (mut proof, signing_key) = with.redemption();
    assert_eq!((proof.clone(), signing_key.clone()), without.redemption());
    proof.sign_p2pk(signing_key).unwrap();
    proof.verify_p2pk().unwrap();
}

#[test]
fn no_other_tweak_makes_a_coin_of_it() {
    let mut bytes = voucher(9, 1).to_bytes();
    bytes[110] ^= 1;
    assert_eq!(refusal(&bytes), Refusal::BadSignature);
    // The tweak of another of the buyer's coins.
    bytes[79..].copy_from_slice(&voucher(9, 2).to_bytes()[79..]);
    assert_eq!(refusal(&bytes), Refusal::BadSignature);
}

#[test]
fn a_coin_for_another_relay_is_refused_whatever_tweak_it_carries() {
    let other = voucher(8, 1).to_bytes();
    assert_eq!(refusal(&other), Refusal::BadSignature);
    let mut mixed = other;
    mixed[79..].copy_from_slice(&voucher(9, 1).to_bytes()[79..]);
    assert_eq!(refusal(&mixed), Refusal::BadSignature);
}

#[test]
fn a_relay_that_is_not_the_issuer_still_wants_the_dleq_proof() {
    let relay = relay(shop().public_keyring());
    let refused = relay.verify(NOW, &voucher(9, 1)).unwrap_err();
    assert_eq!(refused, Refusal::DleqMissing);
}

#[test]
fn in_payments_vouchers_are_short() {
    let payment = Payment::new(vec![voucher(9, 1)]).unwrap();
    assert_eq!(payment.to_bytes().len(), 1 + Voucher::SHORT_LEN);
}
