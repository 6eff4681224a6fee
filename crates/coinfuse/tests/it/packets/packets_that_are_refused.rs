//! A packet that is not good is answered by silence, and counted.

use super::courier::Courier;
use super::mint::{DAY, PocketMint};
use super::office::{MAX_DELAY, Office, OfficePlan, PRICE, paid};
use crate::network::{unix, until};
use coinfuse::relay::PacketStats;
use coinfuse_directory::Identity;
use coinfuse_onion::bolt4::{self, Fill};
use coinfuse_onion::{
    Destination, Frame, NextHop, OnionSecret, PaymentBytes, Question, SmallPacket, Terms, Via,
};
use coinfuse_voucher::{Unit, Voucher};
use coinfuse_wire::{Decode, Encode, Msat, PacketSize, RelayId, ServiceCode};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub(crate) const MAILBOX: [u8; 32] = [0xb0; 32];

/// One relay, its mint, and a client with a mailbox there.
struct Scene {
    office: Office,
    mint: PocketMint,
    courier: Courier,
}

/// Different for each packet, as random ones would be.
pub(crate) fn seed() -> [u8; 32] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut seed = [0x5e; 32];
    seed[..8].copy_from_slice(&NEXT.fetch_add(1, Relaxed).to_be_bytes());
    seed
}

/// A packet over one relay, with a rest that nobody here opens.
pub(crate) fn packet(via: Via) -> Vec<u8> {
    let to = Destination {
        key: OnionSecret::from_seed(&[7; 32]).public_key(),
        service: ServiceCode::MEMPOOL,
        instruction: vec![],
        terms: Terms::default(),
    };
    let question = Question {
        via: &[via],
        to: &to,
        message: b"hello",
        reply: None,
    };
    let packet: SmallPacket = question.build(&seed()).unwrap();
    packet.to_bytes()
}

impl Scene {
    async fn new() -> Self {
        Self::with(OfficePlan::default()).await
    }

    async fn with(plan: OfficePlan) -> Self {
        let mint = PocketMint::new(1);
        let office = Office::start(0, &[&mint], plan);
        let courier = Courier::with_mailbox(&office, MAILBOX).await;
        Self {
            office,
            mint,
            courier,
        }
    }

    fn voucher(&self, units: u64) -> Voucher {
        self.mint.sell(&self.office.till(), units)
    }

    /// To the client's own mailbox on these terms.
    fn home(&self, terms: Terms) -> Vec<u8> {
        self.to(NextHop::Mailbox(MAILBOX), terms)
    }

    fn to(&self, next: NextHop, terms: Terms) -> Vec<u8> {
        packet(Via {
            key: self.office.key(),
            next,
            terms,
        })
    }

    fn good(&self) -> Vec<u8> {
        self.home(paid(&self.voucher(2)))
    }

    /// Brings a packet of which nothing comes, and after it a good one of which something does: so
    /// the relay has seen the first, has said nothing, and has not even ended the lane.
    async fn refuses(&mut self, bad: Vec<u8>, class: impl Fn(PacketStats) -> u64) {
        let (before, paid_before) = (self.office.stats(), self.office.paid());
        self.courier.bring(bad).await;
        self.passes(self.good()).await;
        let (after, paid_after) = (self.office.stats(), self.office.paid());
        assert_eq!(class(after) - class(before), 1, "{after:?}");
        assert_eq!(after.delivered - before.delivered, 1);
        assert_eq!(paid_after.taken - paid_before.taken, 1, "it was paid");
    }

    /// Brings a good packet, and sees it come back without its layer.
    async fn passes(&mut self, good: Vec<u8>) {
        let before = self.office.stats().delivered;
        self.courier.bring(good.clone()).await;
        let came = self.courier.receive().await;
        assert_ne!(came, good);
        SmallPacket::from_bytes(&came).unwrap();
        until("the count", || self.office.stats().delivered > before).await;
    }
}

#[tokio::test]
async fn what_was_altered_on_the_way() {
    let mut scene = Scene::new().await;
    let good = scene.good();
    let with = |place: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[place] = byte;
        bytes
    };
    scene.refuses(with(0, 1), |stats| stats.bad_version).await;
    scene.refuses(with(1, 9), |stats| stats.bad_point).await;
    for place in [40, 4000, 4095] {
        let altered = with(place, good[place] ^ 1);
        scene.refuses(altered, |stats| stats.bad_mac).await;
    }
    // The voucher in it is as good as before.
    scene.passes(good).await;
}

#[tokio::test]
async fn what_was_made_for_another_relay() {
    let mut scene = Scene::new().await;
    let foreign = packet(Via {
        key: OnionSecret::from_seed(&[8; 32]).public_key(),
        next: NextHop::Mailbox(MAILBOX),
        terms: paid(&scene.voucher(2)),
    });
    scene.refuses(foreign, |stats| stats.bad_mac).await;
}

#[tokio::test]
async fn what_has_no_record_or_one_in_the_wrong_place() {
    let mut scene = Scene::new().await;
    let bare = |payload: &[u8]| {
        let session = OnionSecret::from_seed(&seed());
        let hops = [(scene.office.key(), payload)];
        let associated = b"Coinfuse_onion_v1";
        let packet: SmallPacket = bolt4::build(&session, &Fill::Pad, &hops, associated).unwrap();
        packet.to_bytes()
    };
    let streams: [&[u8]; 4] = [
        b"",
        b"\x02\x01\x00",
        b"\x04\x01\x00\x02\x01\x00",
        b"\x63\x00",
    ];
    for bad in streams.map(bare) {
        scene.refuses(bad, |stats| stats.bad_record).await;
    }
}

#[tokio::test]
async fn what_goes_in_a_circle() {
    let mut scene = Scene::new().await;
    let me = scene.office.id();
    let to_me = scene.to(NextHop::Relay(me), paid(&scene.voucher(2)));
    scene.refuses(to_me, |stats| stats.circles).await;

    let neighbour = Identity::from_seed([0x77; 32]);
    let back = NextHop::Relay(neighbour.relay_id());
    let mut lane = Courier::of_relay(&neighbour, &scene.office).await;
    lane.bring(scene.to(back, paid(&scene.voucher(2)))).await;
    until("the refusal", || scene.office.stats().circles == 2).await;
    // From anybody else it is a packet like others; only that relay is not to be found.
    let onward = scene.to(back, paid(&scene.voucher(2)));
    scene.courier.bring(onward).await;
    until("the drop", || scene.office.stats().no_route == 1).await;
}

#[tokio::test]
async fn what_asks_for_too_long_a_delay() {
    let mut scene = Scene::new().await;
    let mut terms = paid(&scene.voucher(512));
    terms.delay = MAX_DELAY + Duration::from_millis(1);
    let late = scene.home(terms);
    scene.refuses(late, |stats| stats.long_delays).await;
}

#[tokio::test]
async fn what_is_not_paid_or_not_enough() {
    let mut scene = Scene::new().await;
    let free = scene.home(Terms::default());
    scene.refuses(free, |stats| stats.unpaid).await;
    let junk = PaymentBytes::new(vec![0xff; 79]).unwrap();
    let junk = scene.home(Terms::paid(junk));
    scene.refuses(junk, |stats| stats.unpaid).await;
    let cheap = scene.home(paid(&scene.voucher(1)));
    scene.refuses(cheap, |stats| stats.underpaid).await;
    // 2 for the packet and 1 for each second.
    let mut terms = paid(&scene.voucher(2));
    terms.delay = Duration::from_millis(1);
    let delayed = scene.home(terms);
    scene.refuses(delayed, |stats| stats.underpaid).await;
}

#[tokio::test]
async fn what_asks_a_service_for_the_price_of_a_forward() {
    let mut scene = Scene::new().await;
    let to = Destination {
        key: scene.office.key(),
        service: ServiceCode::MEMPOOL,
        instruction: vec![],
        terms: paid(&scene.voucher(2)),
    };
    let question = Question {
        via: &[],
        to: &to,
        message: b"hi",
        reply: None,
    };
    let packet: SmallPacket = question.build(&seed()).unwrap();
    scene
        .refuses(packet.to_bytes(), |stats| stats.underpaid)
        .await;
}

#[tokio::test]
async fn vouchers_that_are_not_good_here() {
    let mut scene = Scene::new().await;
    let till = scene.office.till();
    let month = unix().saturating_add(30 * DAY);

    let mut forged = scene.voucher(2).to_bytes();
    // Twice the coin that the mint has signed.
    forged[0] += 1;
    let forged = Voucher::from_bytes(&forged).unwrap();
    let other = coinfuse_voucher::VoucherKey::from_secret_bytes([3; 32]).unwrap();
    let locked_to_another = scene.mint.sell(&other.public_key(), 2);
    let soon_over = scene.mint.sell_until(&till, 2, unix().saturating_add(DAY));
    let wrong_unit = PocketMint::with(1, Unit::Sat, None).sell(&till, 2);
    let of_another_mint = PocketMint::new(2).sell(&till, 2);
    let bad = [
        forged,
        locked_to_another,
        soon_over,
        wrong_unit,
        of_another_mint,
        scene.mint.sell_until(&till, 2, month).without_dleq(),
    ];
    for voucher in bad {
        let packet = scene.home(paid(&voucher));
        scene.refuses(packet, |stats| stats.bad_vouchers).await;
    }
}

#[tokio::test]
async fn a_voucher_of_a_keyset_that_expires() {
    let tomorrow = unix().saturating_add(DAY);
    let expiring = PocketMint::with(5, Unit::Msat, Some(tomorrow));
    let mint = PocketMint::new(1);
    let office = Office::start(0, &[&mint, &expiring], OfficePlan::default());
    let courier = Courier::with_mailbox(&office, MAILBOX).await;
    let mut scene = Scene {
        office,
        mint,
        courier,
    };
    let voucher = expiring.sell(&scene.office.till(), 2);
    let packet = scene.home(paid(&voucher));
    scene.refuses(packet, |stats| stats.bad_vouchers).await;
}

#[tokio::test]
async fn a_packet_that_came_before() {
    let mut scene = Scene::new().await;
    let good = scene.good();
    scene.passes(good.clone()).await;
    scene.refuses(good, |stats| stats.replayed).await;
}

#[tokio::test]
async fn a_packet_that_came_before_the_restart() {
    let mut scene = Scene::new().await;
    let good = scene.good();
    scene.passes(good.clone()).await;
    let key = scene.office.key();
    scene.office.restart().await;
    assert_eq!(scene.office.key(), key, "its key is still good");
    scene.courier = Courier::with_mailbox(&scene.office, MAILBOX).await;
    scene.refuses(good, |stats| stats.spent).await;
}

#[tokio::test]
async fn of_two_packets_with_one_voucher_one_is_served() {
    let mut scene = Scene::new().await;
    let voucher = scene.voucher(2);
    let twins = [(); 2].map(|()| scene.home(paid(&voucher)));
    for twin in twins {
        scene.courier.bring(twin).await;
    }
    scene.courier.receive().await;
    until("the refusal", || scene.office.stats().spent == 1).await;
    let third = scene.home(paid(&voucher));
    scene.refuses(third, |stats| stats.spent).await;
    assert_eq!(scene.office.stats().delivered, 2);
}

#[tokio::test]
async fn a_free_packet_that_came_before() {
    let plan = OfficePlan {
        price: Default::default(),
        ..OfficePlan::default()
    };
    let mut scene = Scene::with(plan).await;
    let free = scene.home(Terms::default());
    scene.passes(free.clone()).await;
    scene.refuses(free, |stats| stats.replayed).await;
}

#[tokio::test]
async fn a_full_filter_refuses_what_is_free_and_brings_a_new_key() {
    let plan = OfficePlan {
        price: Default::default(),
        tags: 2,
        ..OfficePlan::default()
    };
    let mut scene = Scene::with(plan).await;
    let key = scene.office.key();
    for _ in 0..2 {
        let free = scene.home(Terms::default());
        scene.passes(free).await;
    }
    scene.courier.bring(scene.home(Terms::default())).await;
    until("the refusal", || scene.office.stats().filter_full == 1).await;
    until("another key", || scene.office.key() != key).await;
    let free = scene.home(Terms::default());
    scene.passes(free).await;
}

#[tokio::test]
async fn a_full_filter_serves_what_is_paid() {
    let plan = OfficePlan {
        tags: 2,
        ..OfficePlan::default()
    };
    let mut scene = Scene::with(plan).await;
    let packets: Vec<_> = (0..6).map(|_| scene.good()).collect();
    let again = packets[0].clone();
    for packet in packets {
        scene.passes(packet).await;
    }
    // The filter it was in is the one of the key before.
    scene.courier.bring(again).await;
    until("the refusal", || {
        let stats = scene.office.stats();
        stats.replayed + stats.spent == 1
    })
    .await;
}

#[tokio::test]
async fn packets_that_cannot_be_passed_on_are_dropped() {
    let mut scene = Scene::new().await;
    let nobody = scene.to(
        NextHop::Relay(RelayId::new([9; 32])),
        paid(&scene.voucher(2)),
    );
    let no_box = scene.to(NextHop::Mailbox([9; 32]), paid(&scene.voucher(2)));
    scene.courier.bring(nobody).await;
    scene.courier.bring(no_box).await;
    scene.passes(scene.good()).await;
    let stats = scene.office.stats();
    assert_eq!((stats.no_route, stats.no_mailbox), (1, 1));
    // They were served as far as it went, and that was paid.
    assert_eq!(scene.office.paid().fees, Msat::new(3 * PRICE.small.get()));
}

#[tokio::test]
async fn a_mailbox_is_whose_who_asked_last_and_nobodys_after_that() {
    let mut scene = Scene::new().await;
    let good = scene.good();
    let mut other = Courier::with_mailbox(&scene.office, MAILBOX).await;
    other.bring(good).await;
    other.receive().await;
    other.send.finish().unwrap();
    other.is_ended().await;
    scene.courier.bring(scene.good()).await;
    until("the drop", || scene.office.stats().no_mailbox == 1).await;
}

#[tokio::test]
async fn frames_that_may_not_come_end_their_lane_and_no_other() {
    let mut scene = Scene::new().await;
    let me = Identity::from_seed([0x77; 32]);
    let on_another_link = Courier::anonymous(&scene.office).await;
    let exported = on_another_link
        .link
        .export_keying_material(coinfuse_onion::INTRODUCTION_LABEL);
    let introduction = Frame::Introduction(coinfuse_onion::Introduction {
        relay: me.relay_id(),
        signature: me.sign("coinfuse packet lane v1", &exported.unwrap()),
    });
    let introduction = introduction.to_bytes();
    let mut short = Frame::Packet(PacketSize::Small, scene.good()).to_bytes();
    short.pop();
    let late = [Frame::Mailbox([5; 32]).to_bytes(), introduction.clone()].concat();
    let bad = [vec![0], vec![5; 40], introduction, late, short];
    for (count, bytes) in (1..).zip(bad) {
        let mut lane = Courier::on(scene.courier.link.clone()).await;
        lane.send.write_all(&bytes).await.unwrap();
        let _already_stopped = lane.send.finish();
        lane.is_ended().await;
        until("the count", || scene.office.stats().bad_lanes == count).await;
    }
    scene.passes(scene.good()).await;
}
