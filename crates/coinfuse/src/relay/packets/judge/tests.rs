//! Packets that are to be refused, and why.

use super::*;
use coinfuse_onion::{
    Destination, LargePacket, OnionKey, OnionSecret, Question, RingConfig, SmallPacket, Terms, Via,
};
use coinfuse_voucher::{Keyring, Policy, VoucherKey as Key};
use coinfuse_wire::ServiceCode;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const ME: RelayId = RelayId::new([1; 32]);
const NEXT: RelayId = RelayId::new([2; 32]);
const SECOND: Duration = Duration::from_secs(1);

/// A relay that works for nothing, unless a price is set.
struct Judge {
    house: House,
    ring: KeyRing,
    verifier: Verifier,
}

impl Judge {
    fn new() -> Self {
        let config = RingConfig {
            tags: 8,
            ..RingConfig::default()
        };
        let key = Key::from_secret_bytes([9; 32]).unwrap();
        Self {
            house: House {
                id: ME,
                price: PacketPrice::default(),
                max_delay: SECOND,
            },
            ring: KeyRing::new(config, NOW, &[1; 32]),
            verifier: Verifier::new(key, Keyring::new(), Policy::default()),
        }
    }

    fn judge(&self, from: Option<RelayId>, bytes: Vec<u8>) -> Result<Admitted, Event> {
        let size = PacketSize::ALL
            .into_iter()
            .find(|size| size.len() == bytes.len());
        let arrival = Arrival {
            size: size.unwrap(),
            bytes,
            from,
        };
        judge(&self.house, &self.ring, &self.verifier, NOW, &arrival)
    }

    fn key(&self) -> OnionKey {
        self.ring.public_key()
    }

    fn refuses(&self, bytes: Vec<u8>) -> Event {
        self.judge(None, bytes).err().expect("it was admitted")
    }
}

fn via(key: OnionKey, next: RelayId, terms: Terms) -> Via {
    Via {
        key,
        next: NextHop::Relay(next),
        terms,
    }
}

fn somewhere() -> Destination {
    Destination {
        key: OnionSecret::from_seed(&[7; 32]).public_key(),
        service: ServiceCode::MEMPOOL,
        instruction: vec![],
        terms: Terms::default(),
    }
}

fn question<'a>(via: &'a [Via], to: &'a Destination) -> Question<'a> {
    Question {
        via,
        to,
        message: b"hi",
        reply: None,
    }
}

fn forward(key: OnionKey, next: RelayId, terms: Terms) -> Vec<u8> {
    let (via, to) = ([via(key, next, terms)], somewhere());
    let packet: SmallPacket = question(&via, &to).build(&[5; 32]).unwrap();
    packet.to_bytes()
}

fn delayed(delay: Duration) -> Terms {
    Terms {
        payment: None,
        delay,
    }
}

fn deliver(key: OnionKey) -> Vec<u8> {
    let to = Destination { key, ..somewhere() };
    let packet: LargePacket = question(&[], &to).build(&[5; 32]).unwrap();
    packet.to_bytes()
}

#[test]
fn a_packet_to_pass_on() {
    let judge = Judge::new();
    let terms = delayed(SECOND);
    let admitted = judge.judge(None, forward(judge.key(), NEXT, terms));
    let Work { delay, size, job } = admitted.ok().unwrap().work;
    assert_eq!((delay, size), (SECOND, PacketSize::Small));
    let Job::Forward { next, bytes } = job else {
        panic!("a service was asked");
    };
    assert_eq!(next, NextHop::Relay(NEXT));
    let theirs = OnionSecret::from_seed(&[7; 32]);
    let packet = SmallPacket::from_bytes(&bytes).unwrap();
    assert!(matches!(
        theirs.open(packet).unwrap().task,
        Task::Deliver(_)
    ));
}

#[test]
fn a_question_for_a_service() {
    let judge = Judge::new();
    let admitted = judge.judge(None, deliver(judge.key())).ok().unwrap();
    assert_eq!(admitted.work.len(), PacketSize::Large.len());
    let Job::Serve(delivery) = admitted.work.job else {
        panic!("it was passed on");
    };
    assert_eq!(delivery.message, b"hi");
}

#[test]
fn what_was_altered_or_made_for_another() {
    let judge = Judge::new();
    let good = forward(judge.key(), NEXT, Terms::default());
    let with = |place: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[place] = byte;
        bytes
    };
    assert_eq!(judge.refuses(with(0, 1)), Event::Version);
    assert_eq!(judge.refuses(with(1, 7)), Event::Point);
    assert_eq!(judge.refuses(with(4000, good[4000] ^ 1)), Event::Mac);
    let foreign = OnionSecret::from_seed(&[8; 32]).public_key();
    let foreign = forward(foreign, NEXT, Terms::default());
    assert_eq!(judge.refuses(foreign), Event::Mac);
}

#[test]
fn a_payload_that_is_none() {
    let judge = Judge::new();
    let session = OnionSecret::from_seed(&[3; 32]);
    let hops = [(judge.key(), &b"\x01\x00"[..])];
    let fill = coinfuse_onion::bolt4::Fill::Pad;
    let packet: SmallPacket =
        coinfuse_onion::bolt4::build(&session, &fill, &hops, b"Coinfuse_onion_v1").unwrap();
    assert_eq!(judge.refuses(packet.to_bytes()), Event::Record);
}

#[test]
fn a_packet_that_came_before() {
    let mut judge = Judge::new();
    let bytes = deliver(judge.key());
    let first = judge.judge(None, bytes.clone()).ok().unwrap();
    judge.ring.remember(&first.tag).unwrap();
    assert_eq!(judge.refuses(bytes), Event::Replayed);
}

#[test]
fn a_packet_that_goes_in_a_circle() {
    let judge = Judge::new();
    let back = forward(judge.key(), NEXT, Terms::default());
    let from = |relay| judge.judge(Some(relay), back.clone()).err();
    assert_eq!(from(NEXT), Some(Event::Circle));
    assert_eq!(from(RelayId::new([3; 32])), None);
    let to_me = forward(judge.key(), ME, Terms::default());
    assert_eq!(judge.refuses(to_me), Event::Circle);
}

#[test]
fn a_delay_that_is_not_offered() {
    let judge = Judge::new();
    let terms = delayed(SECOND + Duration::from_millis(1));
    let late = forward(judge.key(), NEXT, terms);
    assert_eq!(judge.refuses(late), Event::Delay);
}

#[test]
fn a_packet_without_its_fee() {
    let mut judge = Judge::new();
    judge.house.price.small = Msat::new(1);
    let unpaid = forward(judge.key(), NEXT, Terms::default());
    assert_eq!(judge.refuses(unpaid), Event::Unpaid);
    // No other size costs anything, nor does a service.
    assert!(judge.judge(None, deliver(judge.key())).is_ok());
    judge.house.price = PacketPrice {
        service: Msat::new(1),
        ..PacketPrice::default()
    };
    assert_eq!(judge.refuses(deliver(judge.key())), Event::Unpaid);
    judge.house.price = PacketPrice {
        delay: Msat::new(1),
        ..PacketPrice::default()
    };
    let delayed = forward(judge.key(), NEXT, delayed(SECOND));
    assert_eq!(judge.refuses(delayed), Event::Unpaid);
    // What is no voucher is no payment, even of what costs nothing.
    let junk = Terms::paid(PaymentBytes::new(vec![0xff; 40]).unwrap());
    assert_eq!(
        judge.refuses(forward(judge.key(), NEXT, junk)),
        Event::Unpaid
    );
}
