use coinfuse_circuit::*;
use coinfuse_wire::{ByteCount, Decode, DecodeError, Encode, Msat, Rate, UnixTime};
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use proptest::collection::vec;
use proptest::prelude::*;

fn msat() -> impl Strategy<Value = Msat> {
    any::<u64>().prop_map(Msat::new)
}

fn price() -> impl Strategy<Value = Price> {
    any::<(u32, u32)>().prop_map(|(up, down)| Price {
        up: Rate::from_msat_per_mib(up),
        down: Rate::from_msat_per_mib(down),
    })
}

fn quote() -> impl Strategy<Value = Quote> {
    (price(), any::<u64>(), any::<[u8; 32]>())
        .prop_map(|(price, expires, seed)| Quote::sign(price, UnixTime::from_secs(expires), &seed))
}

fn offer() -> impl Strategy<Value = Offer> {
    offer_of(MAX_OFFER)
}

fn offer_of(most: usize) -> impl Strategy<Value = Offer> {
    let payment = prop_oneof![vec(any::<u8>(), 0..300), Just(vec![7; most])];
    (any::<u8>(), payment).prop_map(|(method, payment)| Offer { method, payment })
}

fn address() -> impl Strategy<Value = SocketAddr> {
    let v4 = any::<(u32, u16)>().prop_map(|(ip, port)| (Ipv4Addr::from(ip), port).into());
    let v6 = any::<(u128, u16)>().prop_map(|(ip, port)| (Ipv6Addr::from(ip), port).into());
    prop_oneof![v4, v6]
}

fn next_hop() -> impl Strategy<Value = NextHop> {
    (any::<[u8; 32]>(), vec(address(), 1..=MAX_ADDRESSES)).prop_map(|(link_key, addresses)| {
        NextHop {
            link_key,
            addresses,
        }
    })
}

fn result() -> impl Strategy<Value = PayResult> {
    let item = any::<(u8, u8)>().prop_map(|(index, reason)| RefusedItem { index, reason });
    (any::<u32>(), msat(), vec(item, 0..=MAX_REFUSALS)).prop_map(|(number, credited, refused)| {
        PayResult {
            number: PaymentNumber(number),
            credited,
            refused,
        }
    })
}

fn reading() -> impl Strategy<Value = Reading> {
    any::<(u64, u64)>().prop_map(|(up, down)| Reading {
        up: ByteCount::new(up),
        down: ByteCount::new(down),
    })
}

fn handshake() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..400), Just(vec![7; MAX_HANDSHAKE])]
}

fn suite() -> impl Strategy<Value = Suite> {
    prop_oneof![Just(Suite::ChaChaPoly), Just(Suite::AesGcm)]
}

fn to_relay() -> impl Strategy<Value = ToRelay> {
    let extend =
        (next_hop(), suite(), handshake()).prop_map(|(next, suite, handshake)| ToRelay::Extend {
            next,
            suite,
            handshake,
        });
    let pay = (any::<u32>(), msat(), offer()).prop_map(|(number, upstream, offer)| ToRelay::Pay {
        number: PaymentNumber(number),
        upstream,
        offer,
    });
    prop_oneof![
        extend,
        pay,
        any::<u8>().prop_map(|code| ToRelay::Close(CloseReason::from_code(code))),
        reading().prop_map(ToRelay::Meter),
    ]
}

fn to_client() -> impl Strategy<Value = ToClient> {
    prop_oneof![
        handshake().prop_map(ToClient::Extended),
        any::<u8>().prop_map(|code| ToClient::ExtendFailed(ExtendRefusal::from_code(code))),
        result().prop_map(ToClient::PayResult),
        Just(ToClient::Paused),
        any::<u8>().prop_map(|code| ToClient::Closing(CloseReason::from_code(code))),
        reading().prop_map(ToClient::Meter),
    ]
}

fn hello() -> impl Strategy<Value = Hello> {
    (
        any::<[u8; 32]>(),
        msat(),
        proptest::option::of(offer_of(MAX_FIRST_OFFER)),
    )
        .prop_map(|(account, upstream, offer)| Hello {
            account: AccountToken::new(account),
            upstream,
            offer,
        })
}

fn welcome() -> impl Strategy<Value = Welcome> {
    let mints = prop_oneof![vec(any::<u8>(), 0..100), Just(vec![7; MAX_MINTS_LEN])];
    let result = proptest::option::of(result());
    (quote(), msat(), msat(), result, mints).prop_map(
        |(quote, balance, provisional, result, mints)| Welcome {
            quote,
            balance,
            provisional,
            result,
            mints,
        },
    )
}

fn lane() -> impl Strategy<Value = LaneHeader> {
    let control =
        (any::<(u32, u8)>(), 0..=MAX_HANDSHAKE as u16).prop_map(|((circuit, suite), handshake)| {
            LaneHeader::Control {
                circuit: CircuitNumber(circuit),
                suite,
                handshake,
            }
        });
    let data = any::<u32>().prop_map(|circuit| LaneHeader::Data {
        circuit: CircuitNumber(circuit),
    });
    prop_oneof![control, data, Just(LaneHeader::Packets)]
}

/// Decoding gives the value back, and no shorter or longer bytes do.
fn survives<T: Encode + Decode + PartialEq + core::fmt::Debug>(value: &T) {
    let mut bytes = value.to_bytes();
    assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(value));
    bytes.push(0);
    assert!(T::from_bytes(&bytes).is_err(), "something behind");
    bytes.truncate(bytes.len() - 2);
    assert!(T::from_bytes(&bytes).is_err(), "cut short");
}

/// Any bytes are refused, or are the encoding of what they decode to.
fn canonical<T: Encode + Decode>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes);
    }
}

/// The same, of a value with fields that a reader may pass over.
fn stable<T: Encode + Decode + PartialEq + core::fmt::Debug>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(T::from_bytes(&value.to_bytes()), Ok(value));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_message_survives(
        (to_relay, to_client) in (to_relay(), to_client()),
        (next, offer, result) in (next_hop(), offer(), result()),
        (reading, price, quote, suite) in (reading(), price(), quote(), suite()),
        lane in lane(),
    ) {
        survives(&to_relay);
        survives(&to_client);
        survives(&next);
        survives(&offer);
        survives(&result);
        survives(&reading);
        survives(&price);
        survives(&quote);
        survives(&suite);
        survives(&lane);
    }

    #[test]
    fn both_halves_of_a_handshake_survive(hello in hello(), welcome in welcome()) {
        prop_assert_eq!(Hello::from_bytes(&hello.to_bytes()), Ok(hello.clone()));
        prop_assert_eq!(Welcome::from_bytes(&welcome.to_bytes()), Ok(welcome.clone()));
        prop_assert!(hello.to_bytes().len() + HANDSHAKE_OVERHEAD <= MAX_HANDSHAKE);
        prop_assert!(welcome.to_bytes().len() + HANDSHAKE_OVERHEAD <= MAX_HANDSHAKE);
    }

    #[test]
    fn a_first_payment_that_is_too_long_is_refused(mut hello in hello(), more in 1usize..64) {
        let payment = vec![7; MAX_FIRST_OFFER + more];
        hello.offer = Some(Offer { method: 1, payment });
        let refused = Hello::from_bytes(&hello.to_bytes());
        let is_too_large = matches!(refused, Err(DecodeError::TooLarge { .. }));
        prop_assert!(is_too_large, "{:?}", refused);
    }

    #[test]
    fn any_bytes_are_refused_or_are_the_one_encoding(
        kind in 0u8..8,
        bytes in vec(any::<u8>(), 0..200),
    ) {
        let bytes = &[&[kind], &bytes[..]].concat();
        canonical::<ToRelay>(bytes);
        canonical::<ToClient>(bytes);
        canonical::<NextHop>(bytes);
        canonical::<Offer>(bytes);
        canonical::<PayResult>(bytes);
        canonical::<Reading>(bytes);
        canonical::<Quote>(bytes);
        canonical::<Suite>(bytes);
        canonical::<LaneHeader>(bytes);
        stable::<Hello>(bytes);
        stable::<Welcome>(bytes);
    }
}

#[test]
fn a_hello_may_have_fields_from_a_later_version() {
    let hello = Hello {
        account: AccountToken::new([1; 32]),
        upstream: Msat::new(5),
        offer: None,
    };
    let with = |kind: u8| [&hello.to_bytes()[..], &[kind, 1, 0]].concat();
    assert_eq!(
        Hello::from_bytes(&with(9)),
        Ok(hello.clone()),
        "odd: passed over"
    );
    assert!(
        Hello::from_bytes(&with(8)).is_err(),
        "even: must be understood"
    );
}

#[test]
fn codes_and_their_meanings_are_each_others_inverse() {
    for code in 0..=255 {
        assert_eq!(CloseReason::from_code(code).code(), code);
        assert_eq!(CreateRefusal::from_code(code).code(), code);
        assert_eq!(ExtendRefusal::from_code(code).code(), code);
        if let Some(suite) = Suite::from_code(code) {
            assert_eq!(suite.code(), code);
        }
    }
}
