//! Packets looked at from within, and packets that [`Question`] cannot make.

use crate::key::{Ephemerals, OnionSecret};
use crate::layer::{self, Layer, LayerKeys, Rest};
use crate::payload::Payload;
use crate::question::ASSOCIATED;
use crate::record::{HopRecord, NextHop, Role, Terms};
use crate::{
    Destination, OpenError, Packet, PayloadError, PeelError, Question, SMALL, SmallPacket, Task,
    Via,
};
use chacha20::cipher::StreamCipher;
use coinfuse_wire::{DecodeError, Encode, ServiceCode};

const PLACE: Result<(), OpenError> = Err(OpenError::Payload(PayloadError::Place));

fn secret() -> OnionSecret {
    OnionSecret::from_seed(&[1; 32])
}

fn forward() -> Role {
    Role::Forward {
        next: NextHop::Mailbox([2; 32]),
    }
}

fn deliver() -> Role {
    Role::Deliver {
        service: ServiceCode::MEMPOOL,
        instruction: vec![],
    }
}

/// A packet over as many hops as there are roles and messages, all for the same relay.
fn packet(hops: Vec<(Role, &[u8])>) -> SmallPacket {
    let session = OnionSecret::from_seed(&[3; 32]);
    let mut path = Ephemerals::new(&session);
    let mut layer = |(role, message): (Role, &[u8])| {
        let shared = path.step(&secret().public_key());
        let terms = Terms::default();
        let mut payload = Payload::record(&HopRecord { role, terms }, &shared);
        payload.message = message.to_vec();
        Layer {
            keys: LayerKeys::of(&shared),
            payload: payload.to_bytes(),
        }
    };
    let layers: Vec<_> = hops.into_iter().map(&mut layer).collect();
    layer::wrap(session.public_key(), &layers, &Rest::Zeros, ASSOCIATED).unwrap()
}

fn opened(hops: Vec<(Role, &[u8])>) -> Result<(), OpenError> {
    secret().open(packet(hops)).map(|_| ())
}

/// What the last of `hops` hops has of the region behind its own payload.
fn rest_at_the_last_of(hops: usize) -> Vec<u8> {
    let key = secret().public_key();
    let (next, terms) = (NextHop::Mailbox([2; 32]), Terms::default());
    let via = Via { key, next, terms };
    let to = Destination {
        key,
        service: ServiceCode::MEMPOOL,
        instruction: vec![],
        terms: Terms::default(),
    };
    let question = Question {
        via: &vec![via; hops - 1],
        to: &to,
        message: b"",
        reply: None,
    };
    let mut packet: SmallPacket = question.build(&[4; 32]).unwrap();
    while let Task::Forward { packet: next, .. } = secret().open(packet.clone()).unwrap().task {
        packet = next;
    }
    let keys = LayerKeys::of(&secret().agree(&packet.ephemeral));
    layer::stream(&keys.rho).apply_keystream(&mut *packet.region);
    packet.region[275..].to_vec()
}

#[test]
fn that_tell_the_last_hop_nothing_of_the_hops_before_it() {
    for hops in [1, 3, 5] {
        let rest = rest_at_the_last_of(hops);
        let zeros = rest.iter().filter(|byte| **byte == 0).count();
        // 15 of 3,755 bytes, and a deviation of 4.
        assert!((2..32).contains(&zeros), "{zeros} zeros over {hops} hops");
    }
}

#[test]
fn as_they_should_be() {
    assert_eq!(opened(vec![(forward(), b""), (deliver(), b"hi")]), Ok(()));
    assert_eq!(opened(vec![(deliver(), b"hi")]), Ok(()));
}

#[test]
fn that_end_where_they_are_to_be_forwarded() {
    assert_eq!(opened(vec![(forward(), b"")]), PLACE);
}

#[test]
fn that_go_on_where_they_are_to_end() {
    assert_eq!(opened(vec![(deliver(), b"hi"), (deliver(), b"hi")]), PLACE);
}

#[test]
fn with_a_message_for_a_relay_that_forwards() {
    assert_eq!(opened(vec![(forward(), b"hi"), (deliver(), b"")]), PLACE);
}

#[test]
fn with_an_answer_for_a_relay() {
    assert_eq!(opened(vec![(Role::Answer, b"hi")]), PLACE);
}

#[test]
fn with_a_length_beyond_the_packet() {
    let session = OnionSecret::from_seed(&[3; 32]);
    let shared = session.agree(&secret().public_key());
    let keys = LayerKeys::of(&shared);
    // The first bytes of the stream are known from a packet with another length.
    let layers = [Layer {
        keys: LayerKeys::of(&shared),
        payload: vec![0; 300],
    }];
    let mut packet: Packet<SMALL> =
        layer::wrap(session.public_key(), &layers, &Rest::Zeros, ASSOCIATED).unwrap();
    for (byte, change) in packet.region.iter_mut().zip([0, 0x01 ^ 0x0f, 0x2c ^ 0xff]) {
        *byte ^= change;
    }
    packet.hmac = keys.mac(&*packet.region, ASSOCIATED);
    let missing = match secret().open(packet).unwrap_err() {
        OpenError::Peel(PeelError::Frame(error)) => error,
        other => panic!("{other}"),
    };
    let too_large = DecodeError::TooLarge {
        what: "payload",
        got: 0x0fff,
        max: SMALL as u64,
    };
    assert_eq!(missing, too_large);
}
