//! The encoding: total, one for each voucher, and small.

use crate::shop::{Shop, coin, key, month};
use coinfuse_voucher::{Payment, PaymentSizeError, Unit, Voucher};
use coinfuse_wire::{Decode, DecodeError, Encode};
use proptest::prelude::*;

fn voucher() -> Voucher {
    let shop = Shop::new(1, Unit::Msat);
    shop.sell(&shop.blank(&key(9).public_key(), 1))
}

#[test]
fn a_voucher_is_79_bytes_for_the_issuer_and_175_for_others() {
    let long = voucher().to_bytes();
    assert_eq!(long.len(), 175);
    let short = voucher().without_dleq().to_bytes();
    assert_eq!(short.len(), 79);
    // They differ in the first bit and in what follows, and in nothing else.
    assert_eq!(short[0], long[0] & 0x7f);
    assert_eq!(short[1..], long[1..79]);
}

#[test]
fn the_fields_lie_where_the_table_says() {
    let shop = Shop::new(1, Unit::Msat);
    let bytes = voucher().to_bytes();
    assert_eq!(bytes[0], 0x80 | coin().exponent());
    assert_eq!(bytes[1..9], shop.keyset.id.to_bytes()[..8]);
    assert_eq!(bytes[9..13], (month().secs() as u32).to_be_bytes());
    assert!(matches!(bytes[13], 2 | 3), "E is a compressed point");
    assert!(matches!(bytes[46], 2 | 3), "C is a compressed point");
}

#[test]
fn points_off_the_curve_and_scalars_of_zero_are_no_voucher() {
    let good = voucher().to_bytes();
    let spoil = |range: std::ops::Range<usize>, byte| {
        let mut bytes = good.clone();
        bytes[range].fill(byte);
        Voucher::from_bytes(&bytes)
    };
    let invalid = |what| Err(DecodeError::Invalid { what });
    assert_eq!(spoil(0..1, 0xc0 | 10), invalid("voucher head"));
    assert_eq!(spoil(13..14, 4), invalid("voucher ephemeral point"));
    assert_eq!(spoil(46..79, 0xff), invalid("voucher signature"));
    assert_eq!(spoil(79..111, 0), invalid("voucher dleq e"));
    assert_eq!(spoil(111..143, 0xff), invalid("voucher dleq s"));
    assert_eq!(spoil(143..175, 0), invalid("voucher dleq r"));
}

#[test]
fn a_payment_has_one_to_sixteen_vouchers() {
    let one = voucher();
    let many = |count| Payment::new(vec![one.clone(); count]);
    assert_eq!(many(0).unwrap_err(), PaymentSizeError(0));
    assert_eq!(many(17).unwrap_err(), PaymentSizeError(17));
    let full = many(16).unwrap().to_bytes();
    assert_eq!(full.len(), Payment::MAX_LEN);
    assert_eq!(Payment::from_bytes(&full).unwrap(), many(16).unwrap());

    let too_large = DecodeError::TooLarge {
        what: "payment",
        got: 17,
        max: 16,
    };
    assert_eq!(Payment::from_bytes(&[17]), Err(too_large));
    assert_eq!(
        Payment::from_bytes(&[0]),
        Err(DecodeError::Missing { what: "payment" })
    );
}

#[test]
fn a_payment_is_named_by_its_bytes() {
    let payment = |voucher: Voucher| Payment::new(vec![voucher]).unwrap();
    let long = payment(voucher());
    assert_eq!(
        long.id(),
        Payment::from_bytes(&long.to_bytes()).unwrap().id()
    );
    assert_ne!(long.id(), payment(voucher().without_dleq()).id());
}

#[test]
fn vouchers_are_not_printed() {
    assert_eq!(format!("{:?}", voucher()), "Voucher([scrubbed])");
}

proptest! {
    /// Whatever is read has one encoding, the bytes it was read from.
    #[test]
    fn reading_is_total_and_the_encoding_unique(
        at in 0usize..175, byte: u8, cut in 0usize..=175, short: bool,
    ) {
        let mut bytes = voucher().to_bytes();
        if short { bytes = voucher().without_dleq().to_bytes(); }
        if let Some(place) = bytes.get_mut(at) { *place = byte; }
        bytes.truncate(cut);
        if let Ok(read) = Voucher::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }

    #[test]
    fn any_bytes_are_a_payment_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(read) = Payment::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }
}
