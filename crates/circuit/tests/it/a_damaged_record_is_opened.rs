use crate::net::{Setup, Way, text};
use crate::raw;
use crate::the_wire_format_is_not_as_specified::{lying_client, lying_relay};
use coinfuse_circuit::{
    Assembler, ClientCircuitError, CloseReason, MAX_CIPHERTEXT, NotAuthentic, RecordError,
    RelayCircuitError, ToClient, ToRelay,
};
use coinfuse_wire::{Encode, Instant};

const FORGED: RecordError = RecordError::NotAuthentic(NotAuthentic);

#[test]
fn one_flipped_bit_anywhere_is_refused_by_the_relay() {
    // Sampled: a bit in each place of the first and last 40 bytes, and in each 97th between.
    for place in (0..528).filter(|place| *place < 40 || *place > 488 || place % 97 == 0) {
        for bit in [0, 3, 7] {
            let (mut client, mut relay) = lying_client();
            let mut wire = client.stream(b"hello");
            wire[2 + place] ^= 1 << bit;
            assert_eq!(relay.stream(&wire).unwrap_err(), FORGED.into());
            assert!(relay.0.credit().up.carried().is_zero());
        }
    }
}

#[test]
fn one_flipped_bit_anywhere_is_refused_by_the_client() {
    for place in (0..528).step_by(13) {
        let (mut client, mut relay) = lying_relay();
        let mut wire = relay.stream(b"hello");
        wire[2 + place] ^= 0x10;
        assert_eq!(client.stream(&wire), Err(FORGED.into()));
    }
}

#[test]
fn a_bit_that_a_middle_hop_flips_is_found_at_the_end() {
    let mut net = Setup::default().build();
    net.send_up(&text(400), 400);
    net.pump();
    net.deliver((0, Way::DataUp), 10_000);
    net.links[1].lane(Way::DataUp).bytes[300] ^= 1;
    net.run();
    assert_eq!(net.relays[1].error, Some(FORGED.into()));
    assert!(net.last().stream.is_empty());
}

#[test]
fn a_record_twice_in_the_other_order_or_in_the_other_lane_is_refused() {
    let (mut client, mut relay) = lying_client();
    let (first, second) = (client.stream(b"first"), client.stream(b"second"));
    assert_eq!(relay.control(&first).unwrap_err(), FORGED.into());
    assert!(relay.stream(&first).is_ok());
    assert_eq!(relay.stream(&first).unwrap_err(), FORGED.into(), "twice");

    let (mut client, mut relay) = lying_client();
    assert_eq!(client.stream(b"first").len(), 530);
    let late = client.stream(b"second");
    assert_eq!(relay.stream(&late).unwrap_err(), FORGED.into(), "order");
    drop(second);
}

#[test]
fn a_record_does_not_come_back_to_its_sender() {
    let mut net = Setup::hops(1).build();
    let wire = net.client.seal(net.now, &[b"hello"]).unwrap();
    let echo = net.client.open(net.now, raw::from_wire(&wire));
    assert_eq!(echo, Err(FORGED.into()));
}

#[test]
fn lengths_that_no_record_has_are_refused_before_anything_is_stored() {
    let take = |len: usize| {
        let mut assembler = Assembler::new();
        assembler.feed(&mut &(len as u16).to_be_bytes()[..]);
        assembler.take().map(|record| assert!(record.is_none()))
    };
    for len in [0, 1, 16, MAX_CIPHERTEXT + 1, 65_535] {
        assert_eq!(take(len), Err(RecordError::Length(len)));
    }
    for len in [17, 528, MAX_CIPHERTEXT] {
        assert_eq!(take(len), Ok(()));
    }
}

#[test]
fn half_a_record_is_none_and_the_lane_does_not_end_in_it() {
    let (mut client, _) = lying_client();
    let wire = client.stream(b"hello");
    for len in 0..wire.len() {
        let (mut assembler, mut part) = (Assembler::new(), &wire[..len]);
        while !part.is_empty() {
            assembler.feed(&mut part);
            assert!(assembler.take().unwrap().is_none());
        }
        assert_eq!(assembler.is_between_records(), len == 0);
    }
}

#[test]
fn an_assembler_that_is_fed_and_not_asked_neither_panics_nor_grows() {
    let (mut client, _) = lying_client();
    let lane = [client.stream(b"one"), client.stream(b"two")].concat();
    let mut rest = &lane[..];
    let mut assembler = Assembler::new();
    let mut records = 0;
    while !rest.is_empty() {
        for _ in 0..5 {
            assembler.feed(&mut rest);
        }
        while let Some(record) = assembler.take().unwrap() {
            assert_eq!(record.ciphertext_len(), 528);
            records += 1;
        }
    }
    assert_eq!(records, 2);
}

#[test]
fn records_do_not_depend_on_how_the_lane_is_cut() {
    let (mut client, mut relay) = lying_client();
    let bodies = [1, 600, 509, 0].map(text);
    let lane: Vec<u8> = bodies.iter().flat_map(|body| client.stream(body)).collect();
    let mut assembler = Assembler::new();
    let mut got = Vec::new();
    for mut byte in lane.chunks(1) {
        assembler.feed(&mut byte);
        if let Some(record) = assembler.take().unwrap() {
            match relay.0.data_from_client(Instant::ZERO, record).unwrap() {
                coinfuse_circuit::FromClient::Stream(body) => got.push(body.to_vec()),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(got, bodies);
}

#[test]
fn an_authentic_record_that_makes_no_sense_is_refused() {
    let record = |error: RecordError| RelayCircuitError::Record(error);
    let mut long = raw::plaintext(raw::STREAM, b"");
    long[1..3].copy_from_slice(&510u16.to_be_bytes());
    for (plaintext, expected) in [
        (raw::plaintext(4, b""), record(RecordError::Kind(4))),
        (raw::plaintext(0x7f, b""), record(RecordError::Kind(0x7f))),
        (long, record(RecordError::Body)),
        (vec![raw::STREAM], record(RecordError::Body)),
        (vec![raw::STREAM, 0], record(RecordError::Body)),
        (vec![raw::FORWARD], record(RecordError::Length(0))),
        (vec![raw::FORWARD; 17], record(RecordError::Length(16))),
    ] {
        let (mut client, mut relay) = lying_client();
        let error = relay.stream(&client.data(&plaintext)).unwrap_err();
        assert_eq!(error, expected);
        assert_eq!(error.close_reason(), CloseReason::Protocol);
    }
}

#[test]
fn a_lane_carries_its_own_kinds_only() {
    let (mut client, mut relay) = lying_client();
    let stream = client.control(&raw::plaintext(raw::STREAM, b"hello"));
    assert_eq!(
        relay.control(&stream).unwrap_err(),
        RelayCircuitError::WrongLane
    );
    let close = ToRelay::Close(CloseReason::Done).to_bytes();
    let (mut client, mut relay) = lying_client();
    let wire = client.data_message(&close);
    assert_eq!(
        relay.stream(&wire).unwrap_err(),
        RelayCircuitError::WrongLane
    );
    let meter = ToRelay::Meter(Default::default()).to_bytes();
    let (mut client, mut relay) = lying_client();
    let wire = client.message(&meter);
    assert_eq!(
        relay.control(&wire).unwrap_err(),
        RelayCircuitError::WrongLane
    );

    let (mut client, mut relay) = lying_relay();
    let wire = relay.control(&raw::plaintext(raw::STREAM, b"hello"));
    assert!(matches!(
        client.control(&wire),
        Err(ClientCircuitError::Message { .. })
    ));
    let wire = relay.data_message(&ToClient::Paused.to_bytes());
    assert!(matches!(
        client.stream(&wire),
        Err(ClientCircuitError::Message { .. })
    ));
}

#[test]
fn messages_with_something_behind_them_or_missing_are_refused() {
    for body in [&[][..], &[99], &[3], &[3, 0, 0], &[2, 0, 0, 0]] {
        let (mut client, mut relay) = lying_client();
        let error = relay.control(&client.message(body)).unwrap_err();
        assert!(matches!(error, RelayCircuitError::Message(_)), "{body:?}");
        let (mut client, mut relay) = lying_relay();
        let error = client.control(&relay.message(body)).unwrap_err();
        assert!(
            matches!(error, ClientCircuitError::Message { .. }),
            "{body:?}"
        );
    }
}

#[test]
fn padding_is_free_and_carries_nothing() {
    let (mut client, mut relay) = lying_client();
    for _ in 0..2 {
        let wire = client.data(&raw::plaintext(raw::PADDING, b""));
        relay.stream(&wire).unwrap();
        let wire = client.control(&raw::plaintext(raw::PADDING, b""));
        relay.control(&wire).unwrap();
    }
    assert!(relay.0.credit().used().is_zero());
    let (mut client, mut relay) = lying_relay();
    let wire = relay.data(&[raw::PADDING]);
    assert_eq!(client.stream(&wire), Ok(None));
    assert!(
        client
            .0
            .credit(crate::net::hop(0))
            .unwrap()
            .used()
            .is_zero()
    );
}
