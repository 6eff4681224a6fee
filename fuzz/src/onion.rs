use crate::NOW;
use crate::laws::{canonical, choose};
use coinfuse_onion::bolt4::{self, Fill};
use coinfuse_onion::{
    Destination, Frame, FrameKind, HopRecord, KeyRing, NextHop, OnionSecret, OpenError, Packet,
    PaymentBytes, PeelError, Question, Reply, ReplyBook, ReplyPath, ReplyTicket, RingConfig, SMALL,
    Task, Terms, TooLong, Via,
};
use coinfuse_wire::{Decode, Encode, HopIndex, Instant, Reader, RelayId, ServiceCode};
use core::time::Duration;

/// A region that mutation finds its way through.
const TINY: usize = 400;

const LATER: Instant = Instant::from_epoch(Duration::from_secs(60));

fn secret(n: usize) -> OnionSecret {
    OnionSecret::from_seed(&[n as u8; 32])
}

/// A packet has one encoding, and nobody who lacks the key makes one that opens; behind the HMAC no
/// payload does harm.
pub fn onion_peel(data: &[u8]) {
    match choose(data, 2) {
        Some((0, data)) => packet(data),
        Some((_, data)) => payload(data),
        None => {}
    }
}

fn packet(data: &[u8]) {
    let Ok(packet) = Packet::<TINY>::from_bytes(data) else {
        return;
    };
    assert_eq!(packet.to_bytes(), data);
    assert_eq!(
        secret(200).open(packet.clone()).unwrap_err(),
        OpenError::Peel(PeelError::Mac)
    );
    let (Ok(once), Ok(twice)) = (secret(0).open(packet.clone()), secret(0).open(packet)) else {
        return;
    };
    assert_eq!(once.tag, twice.tag);
}

fn payload(data: &[u8]) {
    let hops = [
        (secret(0).public_key(), data),
        (secret(1).public_key(), &[]),
    ];
    let made = bolt4::build::<SMALL>(&secret(9), &Fill::Pad, &hops, b"Coinfuse_onion_v1");
    let Ok(packet) = made else {
        assert!(data.len() > SMALL - 100);
        return;
    };
    // Its record is sealed with a key that the fuzzer does not know.
    assert!(secret(0).open(packet.clone()).is_err());
    let peeled = bolt4::peel(&secret(0), packet, b"Coinfuse_onion_v1").expect("it was built");
    assert_eq!(peeled.payload, data);
}

/// Records read back as they are written, and a relay's key ring is what it was.
pub fn onion_record(data: &[u8]) {
    match choose(data, 3) {
        Some((0, data)) => record(data),
        Some((1, data)) => ring(data),
        Some((_, data)) => canonical::<coinfuse_onion::OnionKey>(data),
        None => {}
    }
}

fn record(data: &[u8]) {
    if let Ok(record) = HopRecord::from_bytes(data) {
        let again = HopRecord::from_bytes(&record.to_bytes());
        assert_eq!(again, Ok(record));
    }
}

fn ring(data: &[u8]) {
    let config = RingConfig {
        tags: 10,
        ..RingConfig::default()
    };
    if let Ok(mut ring) = KeyRing::from_bytes(config, data) {
        assert_eq!(ring.to_bytes()[..], *data);
        ring.advance(NOW, &[1; 32]);
        assert!(ring.due() > NOW);
    }
}

/// A path that somebody sent is used or refused, and no packet but the answer is the answer.
pub fn onion_reply(data: &[u8]) {
    match choose(data, 2) {
        Some((0, data)) => path(data),
        Some((_, data)) => answer(data),
        None => {}
    }
}

fn path(data: &[u8]) {
    canonical::<ReplyPath>(data);
    if let Ok(path) = ReplyPath::from_bytes(data)
        && let Ok(packet) = path.answer::<SMALL>(&[2; 32], b"answer")
    {
        assert_eq!(packet.to_bytes().len(), 4096);
    }
}

/// The path that `onion_reply` waits on.
pub fn onion_reply_path() -> (ReplyPath, ReplyTicket) {
    way_back(1)
}

fn answer(data: &[u8]) {
    let Ok(packet) = Packet::<TINY>::from_bytes(data) else {
        return;
    };
    let (path, ticket) = onion_reply_path();
    let mut book = ReplyBook::new(1);
    book.wait(ticket, LATER, ()).expect("room");
    if let Ok((_, message)) = book.receive(Instant::ZERO, packet) {
        let right = path.answer::<TINY>(&[2; 32], &message).expect("it fits");
        let right = secret(0).open(right).expect("a packet for the relay");
        assert!(matches!(right.task, Task::Forward { packet, .. } if packet.to_bytes() == data));
    }
}

/// Frames of a packet lane and what services answer have one encoding; a frame's first byte says how
/// long it is, whatever follows.
pub fn onion_lane(data: &[u8]) {
    match choose(data, 3) {
        Some((0, data)) => canonical::<Frame>(data),
        Some((1, data)) => lane(data),
        Some((_, data)) => canonical::<Reply>(data),
        None => {}
    }
}

/// Reads a lane as a relay does: a byte, then as many as it announces.
fn lane(data: &[u8]) {
    let mut reader = Reader::new(data);
    let mut lane = Vec::new();
    while let Ok(kind) = reader.u8("kind") {
        let Ok(kind) = FrameKind::from_byte(kind) else {
            break;
        };
        assert!(kind.body_len() <= FrameKind::MAX_BODY);
        let Ok(body) = reader.take(kind.body_len(), "body") else {
            break;
        };
        let frame = Frame::from_body(kind, body.to_vec()).expect("any body of the right length");
        assert_eq!(frame.kind(), kind);
        lane.extend(frame.to_bytes());
    }
    assert!(data.starts_with(&lane), "the bytes of the lane, in order");
}

/// What is built is delivered, and its answer comes back; what is not built does not fit.
pub fn onion_build(data: &[u8]) {
    let mut reader = Reader::new(data);
    let Some(plan) = Plan::read(&mut reader) else {
        return;
    };
    plan.run(reader.rest());
}

struct Plan {
    hops: usize,
    payment: usize,
    delay: u32,
    instruction: usize,
    answer: bool,
}

fn way_back(hops: usize) -> (ReplyPath, ReplyTicket) {
    let via = |n| Via {
        key: secret(n).public_key(),
        next: NextHop::Mailbox([n as u8; 32]),
        terms: Terms::default(),
    };
    let via: Vec<_> = (0..hops).rev().map(via).collect();
    ReplyPath::new(&[3; 32], RelayId::new([0; 32]), &via).expect("a short path")
}

impl Plan {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            hops: usize::from(reader.u8("hops").ok()?) % HopIndex::MAX_HOPS + 1,
            payment: usize::from(reader.u8("payment").ok()?) % (PaymentBytes::MAX + 1),
            delay: reader.u32("delay").ok()?,
            instruction: usize::from(reader.u16("instruction").ok()?) % 2049,
            answer: reader.u8("answer").ok()? % 2 == 1,
        })
    }

    fn terms(&self) -> Terms {
        Terms {
            payment: PaymentBytes::new(vec![7; self.payment]).ok(),
            delay: Duration::from_millis(self.delay.into()),
        }
    }

    fn run(&self, message: &[u8]) {
        let last = self.hops - 1;
        let via = |n| Via {
            key: secret(n).public_key(),
            next: NextHop::Relay(RelayId::new([n as u8; 32])),
            terms: self.terms(),
        };
        let to = Destination {
            key: secret(last).public_key(),
            service: ServiceCode::MEMPOOL,
            instruction: vec![1; self.instruction],
            terms: self.terms(),
        };
        let (reply, ticket) = way_back(self.hops);
        let made: Result<Packet<SMALL>, TooLong> = Question {
            via: &(0..last).map(via).collect::<Vec<_>>(),
            to: &to,
            message,
            reply: self.answer.then_some(reply),
        }
        .build(&[4; 32]);
        match made {
            Ok(packet) => self.deliver(packet, message, &ticket),
            Err(TooLong { need, room }) => assert!(need > room && room == SMALL),
        }
    }

    fn deliver(&self, mut packet: Packet<SMALL>, message: &[u8], ticket: &ReplyTicket) {
        for n in 0..self.hops {
            let opened = secret(n).open(packet).expect("what is built opens");
            assert_eq!(opened.payment, self.terms().payment);
            assert_eq!(opened.delay, self.terms().delay);
            match opened.task {
                Task::Forward { packet: next, .. } => packet = next,
                Task::Deliver(delivery) => {
                    assert_eq!(n, self.hops - 1);
                    assert_eq!(delivery.message, message);
                    assert_eq!(delivery.instruction.len(), self.instruction);
                    assert_eq!(delivery.reply.is_some(), self.answer);
                    return delivery
                        .reply
                        .map_or((), |path| self.bring_back(path, ticket));
                }
            }
        }
        panic!("it was not delivered");
    }

    fn bring_back(&self, path: ReplyPath, ticket: &ReplyTicket) {
        let mut packet: Packet<SMALL> = path.answer(&[5; 32], b"answer").expect("it fits");
        for n in (0..self.hops).rev() {
            match secret(n).open(packet).expect("an answer opens").task {
                Task::Forward { packet: next, .. } => packet = next,
                Task::Deliver(_) => panic!("relays only forward answers"),
            }
        }
        assert_eq!(ticket.open(packet).expect("the answer"), b"answer");
    }
}
