//! Hop records: one encoding, and every rule of it.

use coinfuse_onion::{
    HOP_RECORD_LEN, HopRecord, NextHop, PaymentBytes, PaymentLenError, Role, Terms,
};
use coinfuse_wire::{Decode, DecodeError, Encode, RelayId, ServiceCode, TlvWriter};
use core::time::Duration;
use proptest::prelude::*;

fn stream(fields: &[(u64, &[u8])]) -> Result<HopRecord, DecodeError> {
    let mut out = TlvWriter::new();
    for (kind, value) in fields {
        out.field(*kind, value);
    }
    HopRecord::from_bytes(&out.into_bytes())
}

fn forward() -> HopRecord {
    HopRecord {
        role: Role::Forward {
            next: NextHop::Relay(RelayId::new([0xaa; 32])),
        },
        terms: Terms {
            payment: Some(PaymentBytes::new(vec![0xbb; 79]).unwrap()),
            delay: Duration::from_millis(1500),
        },
    }
}

#[test]
fn a_record_in_bytes() {
    let want = [
        "01 62".to_string() + &"00".repeat(98), // padding, to 224 bytes
        "02 01 01".to_string(),                 // role: forward
        "04 20".to_string() + &"aa".repeat(32), // next relay
        "08 4f".to_string() + &"bb".repeat(79), // payment
        "0e 04 000005dc".to_string(),           // delay: 1,500 ms
    ];
    let want = hex::decode(want.concat().replace(' ', "")).unwrap();
    assert_eq!(want.len(), HOP_RECORD_LEN);
    assert_eq!(forward().to_bytes(), want);
    assert_eq!(HopRecord::from_bytes(&want), Ok(forward()));
}

#[test]
fn records_of_relays_have_one_length_whatever_is_in_them() {
    for next in [
        NextHop::Relay(RelayId::new([1; 32])),
        NextHop::Mailbox([1; 32]),
    ] {
        for payment in [None, Some(1), Some(79), Some(175)] {
            for delay in [0, 1, u32::MAX] {
                let payment = payment.map(|len| PaymentBytes::new(vec![7; len]).unwrap());
                let delay = Duration::from_millis(delay.into());
                let record = HopRecord {
                    role: Role::Forward { next },
                    terms: Terms { payment, delay },
                };
                assert_eq!(record.to_bytes().len(), HOP_RECORD_LEN);
                assert_eq!(HopRecord::from_bytes(&record.to_bytes()), Ok(record));
            }
        }
    }
}

#[test]
fn fields_are_there_for_their_role_and_for_no_other() {
    let (id, name, code) = (&[1; 32][..], &[2; 32][..], &[0, 5][..]);
    let invalid = |what| Err(DecodeError::Invalid { what });
    let missing = |what| Err(DecodeError::Missing { what });
    assert_eq!(stream(&[(4, id)]), missing("role"));
    assert_eq!(stream(&[(2, &[1])]), missing("next hop"));
    assert_eq!(
        stream(&[(2, &[1]), (4, id), (6, name)]),
        invalid("next hop")
    );
    assert_eq!(
        stream(&[(2, &[1]), (4, id), (10, code)]),
        invalid("hop record")
    );
    assert_eq!(
        stream(&[(2, &[1]), (4, id), (12, &[1])]),
        invalid("hop record")
    );
    assert_eq!(stream(&[(2, &[2])]), missing("service"));
    assert_eq!(
        stream(&[(2, &[2]), (4, id), (10, code)]),
        invalid("hop record")
    );
    assert_eq!(
        stream(&[(2, &[2]), (6, name), (10, code)]),
        invalid("hop record")
    );
    assert_eq!(stream(&[(2, &[3]), (10, code)]), invalid("hop record"));
    assert_eq!(stream(&[(2, &[3]), (4, id)]), invalid("hop record"));
    let unknown = DecodeError::Unknown {
        what: "role",
        got: 4,
    };
    assert_eq!(stream(&[(2, &[4])]), Err(unknown));
    assert!(stream(&[(2, &[1]), (6, name)]).is_ok());
    assert!(stream(&[(2, &[2]), (10, code)]).is_ok());
    assert!(stream(&[(2, &[3])]).is_ok());
}

#[test]
fn unknown_even_fields_are_refused_and_odd_ones_passed_over() {
    let unknown = DecodeError::Unknown {
        what: "hop record",
        got: 16,
    };
    assert_eq!(stream(&[(2, &[3]), (16, &[])]), Err(unknown));
    assert_eq!(stream(&[(2, &[3]), (17, &[1])]), stream(&[(2, &[3])]));
}

#[test]
fn values_have_one_form() {
    let odd = |what| Err(DecodeError::NotCanonical { what });
    let code = &[0, 5][..];
    assert_eq!(stream(&[(1, &[0, 1]), (2, &[3])]), odd("padding"));
    assert_eq!(
        stream(&[(2, &[2]), (10, code), (12, &[])]),
        odd("instruction")
    );
    assert_eq!(stream(&[(2, &[3]), (14, &[0; 4])]), odd("delay"));
    assert_eq!(
        stream(&[(2, &[3, 0])]),
        Err(DecodeError::Leftover { count: 1 })
    );
}

#[test]
fn a_payment_has_a_length_of_a_voucher() {
    for got in [0, PaymentBytes::MAX + 1] {
        assert_eq!(
            PaymentBytes::new(vec![1; got]),
            Err(PaymentLenError { got })
        );
        let invalid = DecodeError::Invalid { what: "payment" };
        assert_eq!(stream(&[(2, &[3]), (8, &vec![1; got])]), Err(invalid));
    }
}

#[test]
fn what_is_secret_is_not_printed() {
    let text = format!("{:?}", forward());
    assert_eq!(text.matches("[scrubbed]").count(), 2);
    assert!(!text.contains("aa") && !text.contains("187"));
}

fn role() -> impl Strategy<Value = Role> {
    let forward = prop_oneof![
        any::<[u8; 32]>().prop_map(|id| NextHop::Relay(RelayId::new(id))),
        any::<[u8; 32]>().prop_map(NextHop::Mailbox),
    ];
    prop_oneof![
        forward.prop_map(|next| Role::Forward { next }),
        (any::<u16>(), prop::collection::vec(any::<u8>(), 0..300)).prop_map(
            |(code, instruction)| {
                Role::Deliver {
                    service: ServiceCode::new(code),
                    instruction,
                }
            }
        ),
        Just(Role::Answer),
    ]
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        role in role(),
        payment in prop::option::of(prop::collection::vec(any::<u8>(), 1..=175)),
        delay: u32,
    ) {
        let payment = payment.map(|bytes| PaymentBytes::new(bytes).unwrap());
        let delay = Duration::from_millis(delay.into());
        let record = HopRecord { role, terms: Terms { payment, delay } };
        prop_assert_eq!(HopRecord::from_bytes(&record.to_bytes()), Ok(record));
    }

    #[test]
    fn what_reads_is_written_the_same(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(record) = HopRecord::from_bytes(&bytes) {
            let again = HopRecord::from_bytes(&record.to_bytes());
            prop_assert_eq!(again, Ok(record));
        }
    }
}
