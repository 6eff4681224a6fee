//! What is no packet, or none for this relay.

use crate::net::{question, secret, seed, voucher};
use coinfuse_onion::bolt4::{self, Fill};
use coinfuse_onion::{
    Destination, LargePacket, NotAKey, OnionKey, OnionSecret, OpenError, Packet, PacketError,
    PayloadError, PeelError, Question, SMALL, SmallPacket, Terms, TooLong, Via,
};
use coinfuse_wire::{DecodeError, ServiceCode};

const ASSOCIATED: &[u8] = b"Coinfuse_onion_v1";

fn bytes() -> Vec<u8> {
    question::<SMALL>(1, 0, b"a transaction", None).to_bytes()
}

/// A packet for relay 0 with any payload.
fn with_payload(payload: &[u8]) -> SmallPacket {
    let session = OnionSecret::from_seed(&seed(1));
    let hops = [(secret(0).public_key(), payload)];
    bolt4::build(&session, &Fill::Pad, &hops, ASSOCIATED).unwrap()
}

fn opened(packet: SmallPacket) -> Result<(), OpenError> {
    secret(0).open(packet).map(|_| ())
}

#[test]
fn the_sizes_of_the_network() {
    assert_eq!((SmallPacket::LEN, LargePacket::LEN), (4096, 32 * 1024));
    assert_eq!(bytes().len(), 4096);
    assert_eq!(Packet::<1300>::LEN, 1366);
}

#[test]
fn another_size() {
    for got in [0, 1, 34, 4095, 4097, 32 * 1024] {
        let size = PacketError::Size { got, want: 4096 };
        assert_eq!(SmallPacket::from_bytes(&vec![0; got]), Err(size));
    }
}

#[test]
fn another_version() {
    let mut bytes = bytes();
    bytes[0] = 1;
    assert_eq!(
        SmallPacket::from_bytes(&bytes),
        Err(PacketError::Version { got: 1 })
    );
}

#[test]
fn no_point() {
    // Not compressed, no such x coordinate, infinity.
    for (place, byte) in [(1, 4), (1, 0)] {
        let mut bytes = bytes();
        bytes[place] = byte;
        assert_eq!(SmallPacket::from_bytes(&bytes), Err(PacketError::Key));
    }
    let mut bytes = bytes();
    bytes[2..34].fill(0xff);
    assert_eq!(SmallPacket::from_bytes(&bytes), Err(PacketError::Key));
    bytes[2..34].fill(0);
    assert_eq!(SmallPacket::from_bytes(&bytes), Err(PacketError::Key));
}

#[test]
fn the_opposite_point() {
    let mut bytes = bytes();
    bytes[1] ^= 1;
    let packet = SmallPacket::from_bytes(&bytes).unwrap();
    assert_eq!(opened(packet), Err(PeelError::Mac.into()));
}

#[test]
fn no_key() {
    assert!(OnionSecret::from_bytes(&[0; 32]).is_err());
    assert!(OnionSecret::from_bytes(&[0xff; 32]).is_err());
    assert_eq!(OnionKey::from_bytes(&[5; 33]), Err(NotAKey));
}

#[test]
fn for_another_relay() {
    let packet = question::<SMALL>(1, 0, b"", None);
    let error = secret(1).open(packet).unwrap_err();
    assert_eq!(error, OpenError::Peel(PeelError::Mac));
}

#[test]
fn of_another_network() {
    let session = OnionSecret::from_seed(&seed(1));
    let hops = [(secret(0).public_key(), &[][..])];
    let packet = bolt4::build(&session, &Fill::Pad, &hops, b"").unwrap();
    assert_eq!(opened(packet), Err(PeelError::Mac.into()));
}

#[test]
fn a_payload_that_is_no_stream_or_has_no_record() {
    let refused = |error: DecodeError| Err(OpenError::Payload(PayloadError::Decode(error)));
    let missing = DecodeError::Missing { what: "hop record" };
    assert_eq!(opened(with_payload(&[])), refused(missing));
    let unknown = DecodeError::Unknown {
        what: "payload",
        got: 8,
    };
    assert_eq!(opened(with_payload(&[8, 0])), refused(unknown));
    let order = DecodeError::NotCanonical { what: "TLV order" };
    assert_eq!(opened(with_payload(&[4, 1, 7, 2, 1, 7])), refused(order));
    let message = DecodeError::NotCanonical { what: "message" };
    assert_eq!(opened(with_payload(&[2, 1, 7, 4, 0])), refused(message));
}

#[test]
fn a_record_that_somebody_else_sealed() {
    let seal = Err(OpenError::Payload(PayloadError::Seal));
    assert_eq!(
        opened(with_payload(&[&[2, 40], &[7; 40][..]].concat())),
        seal
    );
}

#[test]
fn more_than_the_region_holds() {
    let to = Destination {
        key: secret(0).public_key(),
        service: ServiceCode::MEMPOOL,
        instruction: vec![],
        terms: Terms::paid(voucher(0)),
    };
    let build = |len: usize| {
        let question = Question {
            via: &[] as &[Via],
            to: &to,
            message: &vec![1; len],
            reply: None,
        };
        question.build::<SMALL>(&seed(1))
    };
    // Record 242, message with type and length, length and HMAC of the payload.
    let room = SMALL - 242 - 4 - 3 - 32;
    assert!(build(room).is_ok());
    let error = TooLong {
        need: SMALL + 1,
        room: SMALL,
    };
    assert_eq!(build(room + 1), Err(error));
}
