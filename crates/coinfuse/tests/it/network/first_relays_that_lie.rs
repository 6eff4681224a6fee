//! The first relay knows the client's link. It brings what it likes, and only the answer counts.

use super::questions::{PRICE, broadcast, plan, transaction};
use super::station::unix;
use super::town::{PLENTY, Town, directory};
use super::traffic::{soon, until};
use crate::support::Neighbour;
use coinfuse::client::AskError;
use coinfuse::link::CloseReason;
use coinfuse_delivery::mempool::Answer;
use coinfuse_directory::{
    Descriptor, DescriptorBody, Identity, LinkKey, OnionKey as CircuitKey, PacketKey, PacketOffer,
    RelayKeys, VoucherKey as PublishedVoucherKey,
};
use coinfuse_onion::{
    Frame, FrameKind, KeyRing, NextHop, ReplyPath, RingConfig, SmallPacket, Task, Terms, Via,
};
use coinfuse_testkit::{BitcoinPeer, LogWatch};
use coinfuse_voucher::VoucherKey;
use coinfuse_wire::{Encode, PacketSize};
use std::time::Duration;
use tracing::Level;

/// What the client logs of a packet that it did not wait for.
const NOTHING: &str = "a packet came that answers nothing";

/// A relay that is worked by hand.
struct Liar {
    neighbour: Neighbour,
    identity: Identity,
    ring: KeyRing,
}

/// A lane that somebody opened to it.
struct Lane {
    link: coinfuse::link::Link,
    send: quinn::SendStream,
    recv: quinn::RecvStream,
}

impl Liar {
    fn new() -> Self {
        Self {
            neighbour: Neighbour::new(77),
            identity: Identity::from_seed([77; 32]),
            ring: KeyRing::new(RingConfig::default(), unix(), &[77; 32]),
        }
    }

    fn descriptor(&self, town: &Town) -> Descriptor {
        let till = VoucherKey::from_secret_bytes([77; 32]).unwrap();
        let keys = RelayKeys {
            link: LinkKey::new(*self.neighbour.key.as_bytes()),
            onion: CircuitKey::new([1; 32]),
            voucher: PublishedVoucherKey::new(till.public_key().to_bytes()),
        };
        let mut body = DescriptorBody::new(&self.identity, keys, unix());
        body.addresses = vec![self.neighbour.address];
        body.mints = town.relays[0].descriptor().mints.clone();
        body.packets = Some(PacketOffer {
            key: PacketKey::new(self.ring.public_key().to_bytes()),
            good_until: self.ring.good_until(),
            price: PRICE,
            max_delay: Duration::ZERO,
        });
        body.sign(&self.identity).unwrap()
    }

    async fn lane(&mut self) -> Lane {
        let lane = async {
            let link = self.neighbour.links.recv().await.unwrap();
            let (send, mut recv) = link.accept_bi().await.unwrap();
            let mut header = [0];
            recv.read_exact(&mut header).await.unwrap();
            assert_eq!(header, [3]);
            Lane { link, send, recv }
        };
        soon("a lane", lane).await
    }

    /// A good answer, on a path that somebody else has laid to this mailbox.
    fn answer_of_another(&self, mailbox: [u8; 32]) -> Vec<u8> {
        let via = Via {
            key: self.ring.public_key(),
            next: NextHop::Mailbox(mailbox),
            terms: Terms::default(),
        };
        let (path, _) = ReplyPath::new(&[9; 32], self.identity.relay_id(), &[via]).unwrap();
        let answer: SmallPacket = path.answer(&[8; 32], &[0, 0]).unwrap();
        self.peel(&answer.to_bytes()).1
    }

    fn peel(&self, packet: &[u8]) -> (NextHop, Vec<u8>) {
        let packet = SmallPacket::from_bytes(packet).unwrap();
        match self.ring.open(unix(), packet).unwrap().task {
            Task::Forward { next, packet } => (next, packet.to_bytes()),
            Task::Deliver(_) => panic!("it has no service"),
        }
    }
}

impl Lane {
    async fn frame(&mut self) -> Frame {
        let frame = async {
            let mut kind = [0];
            self.recv.read_exact(&mut kind).await.unwrap();
            let kind = FrameKind::from_byte(kind[0]).unwrap();
            let mut body = vec![0; kind.body_len()];
            self.recv.read_exact(&mut body).await.unwrap();
            Frame::from_body(kind, body).unwrap()
        };
        soon("a frame", frame).await
    }

    /// The client's mailbox and its question.
    async fn question(&mut self) -> ([u8; 32], Vec<u8>) {
        let Frame::Mailbox(name) = self.frame().await else {
            panic!("no mailbox");
        };
        (name, self.packet().await)
    }

    async fn packet(&mut self) -> Vec<u8> {
        match self.frame().await {
            Frame::Packet(PacketSize::Small, bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    async fn send(&mut self, frame: Frame) {
        self.send.write_all(&frame.to_bytes()).await.unwrap();
    }

    async fn bring(&mut self, packet: &[u8]) {
        let frame = Frame::Packet(PacketSize::Small, packet.to_vec());
        self.send(frame).await;
    }
}

/// A client that can only go over the liar.
async fn town(peer: &BitcoinPeer, liar: &Liar, patience: Duration) -> Town {
    let mut plan = plan(peer, 0);
    plan.client.packets.answer_timeout = patience;
    let town = plan.build().await;
    let mut known = directory(&town.relays);
    known.insert(liar.descriptor(&town)).unwrap();
    town.relays[0].relay().set_directory(known.clone());
    town.client.set_directory(known);
    town
}

#[tokio::test]
async fn what_is_made_up_or_altered_or_came_before_is_no_answer() {
    let log = LogWatch::new();
    let _guard = log.on_this_thread(Level::DEBUG);
    let (peer, mut liar) = (BitcoinPeer::start().unwrap(), Liar::new());
    let town = town(&peer, &liar, Duration::from_secs(20)).await;
    let (client, submission) = (town.client.clone(), transaction(1, 1));
    let asked = submission.clone();
    let asking = tokio::spawn(async move { client.broadcast(&asked).await });
    let mut lane = liar.lane().await;
    let (mailbox, question) = lane.question().await;

    // As an honest relay would: on to the one with the service.
    let (next, onward) = liar.peel(&question);
    assert_eq!(next, NextHop::Relay(town.relays[0].descriptor().relay));
    let service = town.relays[0].descriptor();
    let key = coinfuse::link::LinkKey::new(*service.keys.link.as_bytes());
    let link = crate::support::dialler()
        .dial(&service.addresses, key, crate::support::PATIENCE)
        .await
        .unwrap();
    let (mut up, _down) = link.open_bi().await.unwrap();
    up.write_all(&[3]).await.unwrap();
    let frame = Frame::Packet(PacketSize::Small, onward.clone());
    up.write_all(&frame.to_bytes()).await.unwrap();
    let mut from_service = liar.lane().await;
    assert!(matches!(from_service.frame().await, Frame::Introduction(_)));
    let (next, answer) = liar.peel(&from_service.packet().await);
    assert_eq!(next, NextHop::Mailbox(mailbox));

    // But before the answer comes all that it is not.
    let mut lies = vec![
        question,
        onward,
        vec![7; 4096],
        liar.answer_of_another(mailbox),
    ];
    for place in [0, 20, 34, 2000, 4095] {
        let mut altered = answer.clone();
        altered[place] ^= 1;
        lies.push(altered);
    }
    for lie in &lies {
        lane.bring(lie).await;
    }
    lane.send(Frame::Packet(PacketSize::Large, vec![7; 32 << 10]))
        .await;
    until("the client's contempt", || {
        log.text().matches(NOTHING).count() == lies.len() + 1
    })
    .await;
    assert!(!asking.is_finished());
    lane.bring(&answer).await;
    let outcome = soon("the answer", asking).await.unwrap().unwrap();
    assert_eq!(outcome, Answer::Accepted(submission.txid()));
    // And once is enough.
    lane.bring(&answer).await;
    until("the client's contempt", || {
        log.text().matches(NOTHING).count() == lies.len() + 2
    })
    .await;
}

#[tokio::test]
async fn a_first_relay_that_keeps_silent_is_waited_for_no_longer_than_is_said() {
    let (peer, mut liar) = (BitcoinPeer::start().unwrap(), Liar::new());
    let town = town(&peer, &liar, Duration::from_secs(1)).await;
    let asked = broadcast(&town, 1);
    let lane = async {
        let mut lane = liar.lane().await;
        lane.question().await;
        lane
    };
    let (answer, _lane) = tokio::join!(asked, lane);
    assert!(matches!(answer, Err(AskError::NoAnswer)), "{answer:?}");
    // Its voucher is given away: it may be taken.
    assert!(town.purse.unsettled(None).await.is_empty());
    let money: u64 = town
        .purse
        .balances()
        .await
        .values()
        .map(|sum| sum.get())
        .sum();
    let locked = town.purse.locked().await;
    assert_eq!(money + locked.get(), PLENTY.get());
}

#[tokio::test]
async fn a_first_relay_that_ends_the_lane_is_told_of_at_once() {
    let (peer, mut liar) = (BitcoinPeer::start().unwrap(), Liar::new());
    let town = town(&peer, &liar, Duration::from_secs(600)).await;
    for how in 0..3 {
        let asked = broadcast(&town, 1);
        let end = async {
            let mut lane = liar.lane().await;
            lane.question().await;
            match how {
                0 => lane.link.close(CloseReason::Shutdown),
                1 => lane.send.finish().unwrap(),
                // A frame that may not come down.
                _ => lane.send(Frame::Mailbox([1; 32])).await,
            }
            lane
        };
        let (answer, lane) = tokio::join!(soon("the end", asked), end);
        assert!(matches!(answer, Err(AskError::LinkLost)), "{answer:?}");
        lane.link.close(CloseReason::Shutdown);
        until("the end of the link", || lane.link.is_closed()).await;
    }
}

#[tokio::test]
async fn a_transaction_goes_another_way_as_soon_as_its_first_relay_ends_the_link() {
    let (peer, mut liar) = (BitcoinPeer::start().unwrap(), Liar::new());
    let mut plan = plan(&peer, 1);
    plan.client.packets.attempts = 2;
    plan.client.packets.answer_timeout = Duration::from_secs(600);
    let town = plan.build().await;
    let mut known = directory(&town.relays[..1]);
    known.insert(liar.descriptor(&town)).unwrap();
    town.client.set_directory(known);
    let end = async {
        let mut lane = liar.lane().await;
        lane.question().await;
        town.choose_among(&[0, 1]);
        lane.link.close(CloseReason::Shutdown);
    };
    let (answer, ()) = tokio::join!(soon("an answer", broadcast(&town, 1)), end);
    assert!(matches!(answer, Ok(Answer::Accepted(_))), "{answer:?}");
    assert!(peer.has(transaction(1, 1).txid()));
}
