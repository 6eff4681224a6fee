//! Who gets a place, and who keeps it.

use super::*;
use crate::samples::{NOW, relay};
use coinfuse_directory::sync::{BucketSet, Listings};
use coinfuse_directory::{DescriptorBody, PeerKey, SourceOffer, View, find_work};
use core::num::NonZeroU32;

const LIMITS: BookLimits = BookLimits {
    relays: 100,
    per_subnet: 4,
    private: false,
};

fn at(number: u16, address: &str) -> Arc<Descriptor> {
    with(number, address, |_| {})
}

fn with(number: u16, address: &str, change: impl FnOnce(&mut DescriptorBody)) -> Arc<Descriptor> {
    Arc::new(relay(number, |body| {
        body.addresses = vec![address.parse().unwrap()];
        change(body);
    }))
}

/// A descriptor with at least so many bits of work.
fn worked(number: u16, address: &str, bits: u32) -> Arc<Descriptor> {
    with(number, address, |body| {
        let tries = NonZeroU32::new(1 << 20).unwrap();
        body.work = Some(find_work(&body.relay, 0, tries, bits).0);
    })
}

fn subnet(address: &str) -> Subnet {
    Subnet::of(address.parse().unwrap())
}

fn has(book: &Book, descriptor: &Descriptor) -> bool {
    book.directory().get(&descriptor.relay).is_some()
}

#[test]
fn a_flood_from_one_subnet_gets_only_its_places() {
    let mut book = Book::new(LIMITS, 0);
    let honest = at(1000, "5.6.7.8:1");
    assert_eq!(book.admit(Arc::clone(&honest)), Admission::Added);
    for number in 0..200 {
        book.admit(at(number, "1.2.3.4:1"));
    }
    assert_eq!(book.directory().len(), 5);
    assert!(has(&book, &honest));
    // They are not asked for again.
    assert!((0..200).all(|number| !book.wants(&Row::of(&at(number, "1.2.3.4:1")))));
}

#[test]
fn a_flood_from_everywhere_does_not_push_out_who_did_more_work() {
    let mut book = Book::new(LIMITS, 0);
    let honest = worked(1000, "5.6.7.8:1", 12);
    book.admit(Arc::clone(&honest));
    for number in 0..400 {
        book.admit(at(
            number,
            &format!("9.{}.{}.1:1", number / 200, number % 200),
        ));
    }
    assert_eq!(book.directory().len(), 100);
    assert!(has(&book, &honest));
    let late = worked(1001, "5.6.8.8:1", 12);
    assert_eq!(book.admit(late), Admission::Added);
    assert_eq!(book.directory().len(), 100);
}

#[test]
fn two_books_hold_the_same_whatever_the_order_of_arrival() {
    let relays: Vec<_> = (0..40).map(|number| at(number, "1.2.3.4:1")).collect();
    let (mut one, mut other) = (Book::new(LIMITS, 0), Book::new(LIMITS, 0));
    for relay in &relays {
        one.admit(Arc::clone(relay));
    }
    for relay in relays.iter().rev() {
        other.admit(Arc::clone(relay));
    }
    assert_eq!(one.summary(), other.summary());
}

#[test]
fn who_claims_a_strangers_network_does_not_push_out_who_is_there() {
    let mut book = Book::new(LIMITS, 0);
    let there = at(1000, "1.2.3.4:1");
    book.admit(Arc::clone(&there));
    book.reached(&there.relay, subnet("1.2.3.4"));
    for number in 0..20 {
        book.admit(worked(number, "1.2.3.5:1", 6));
    }
    assert!(has(&book, &there));

    // And who comes late gets a place as soon as somebody went there to look.
    let late = with(1001, "1.2.3.6:1", |body| {
        body.source = Some(SourceOffer {
            key: PeerKey::new([9; 32]),
            addresses: vec!["9.9.9.9:2".parse().unwrap(), "1.2.3.6:2".parse().unwrap()],
        });
    });
    assert_eq!(book.admit(Arc::clone(&late)), Admission::Waiting);
    let probes = (0..20).filter_map(|_| book.next_probe(Probe::Waiting));
    let (relay, source) = probes.last().expect("it waits to be looked at");
    assert_eq!(relay, late.relay);
    assert_eq!(source.addresses, ["1.2.3.6:2".parse().unwrap()]);
    book.reached(&relay, subnet("1.2.3.6"));
    assert!(has(&book, &late));
    assert_eq!(book.directory().len(), 4);
}

#[test]
fn a_relay_that_moves_has_to_be_reached_anew() {
    let mut book = Book::new(LIMITS, 0);
    let before = at(1, "1.2.3.4:1");
    book.admit(Arc::clone(&before));
    book.reached(&before.relay, subnet("1.2.3.4"));
    let after = with(1, "1.2.9.4:1", |body| body.sequence += 1);
    assert_eq!(book.admit(Arc::clone(&after)), Admission::Replaced);
    assert!(!book.rank(&after.relay).unwrap().reached());
    // The place that it left is free, and the name of its record still leads to it.
    assert_eq!(book.by_hash(&relay_hash(&after.relay)), Some(&after));
    assert_eq!(book.admit(before), Admission::Unchanged);
}

#[test]
fn what_expires_leaves_and_who_waited_takes_the_place() {
    let mut book = Book::new(LIMITS, 0);
    for number in 0..8 {
        let short = number < 4;
        book.admit(with(number, "1.2.3.4:1", |body| {
            if short {
                body.expires = NOW.saturating_add(core::time::Duration::from_secs(60));
            }
        }));
    }
    let later = NOW.saturating_add(core::time::Duration::from_secs(61));
    assert!(book.remove_expired(later));
    assert!(!book.remove_expired(later));
    assert_eq!(book.directory().len(), 4);
    assert!(book.directory().iter().all(|one| one.is_fresh(later)));
}

#[test]
fn what_is_older_than_what_expired_is_not_taken_in_its_place() {
    let mut book = Book::new(LIMITS, 0);
    let minute = core::time::Duration::from_secs(60);
    let withdrawn = at(1, "1.2.3.4:1");
    let last = with(1, "1.2.3.4:1", |body| {
        body.sequence += 1;
        body.expires = NOW.saturating_add(minute);
    });
    book.admit(Arc::clone(&withdrawn));
    book.admit(last);
    assert!(book.remove_expired(NOW.saturating_add(minute)));
    assert_eq!(book.admit(Arc::clone(&withdrawn)), Admission::Unchanged);
    assert!(!book.wants(&Row::of(&withdrawn)));
    let back = with(1, "1.2.3.4:1", |body| body.sequence += 2);
    assert_eq!(book.admit(back), Admission::Added);
}

#[test]
fn private_addresses_count_only_where_they_are_allowed() {
    let loopback = at(1, "127.0.0.1:1");
    let nowhere = with(2, "1.2.3.4:1", |body| body.addresses.clear());
    let mut public = Book::new(LIMITS, 0);
    assert_eq!(public.admit(Arc::clone(&loopback)), Admission::Nowhere);
    assert_eq!(public.admit(nowhere), Admission::Nowhere);

    let mut private = Book::new(
        BookLimits {
            private: true,
            ..LIMITS
        },
        0,
    );
    for number in 0..20 {
        assert_eq!(private.admit(at(number, "127.0.0.1:1")), Admission::Added);
    }
}

#[test]
fn the_own_descriptor_always_has_a_place() {
    let mut book = Book::new(
        BookLimits {
            relays: 2,
            ..LIMITS
        },
        0,
    );
    for number in 0..10 {
        book.admit(worked(number, &format!("1.2.{number}.4:1"), 4));
    }
    let own = at(1000, "1.2.3.4:1");
    assert_eq!(book.admit_own(Arc::clone(&own)), Admission::Added);
    for number in 10..20 {
        book.admit(worked(number, &format!("1.2.{number}.4:1"), 4));
    }
    assert!(has(&book, &own));
}

#[test]
fn one_private_address_among_public_ones_is_one_too_many() {
    let mixed = with(1, "1.2.3.4:1", |body| {
        body.addresses.push("192.168.1.1:80".parse().unwrap());
    });
    let mut public = Book::new(LIMITS, 0);
    assert_eq!(public.admit(Arc::clone(&mixed)), Admission::Nowhere);
    assert_eq!(public.unfit(&mixed), Some(mixed.addresses[1]));
    assert_eq!(public.unfit(&at(1, "1.2.3.4:1")), None);
    let mut private = Book::new(
        BookLimits {
            private: true,
            ..LIMITS
        },
        0,
    );
    assert_eq!(private.admit(mixed), Admission::Added);
}

#[test]
fn who_was_reached_elsewhere_does_not_count_as_reached_here() {
    let mut book = Book::new(LIMITS, 0);
    book.admit(at(1, "1.2.3.4:1"));
    let moved = with(1, "1.2.9.4:1", |body| body.sequence += 1);
    book.admit(Arc::clone(&moved));
    // The answer to a question that was asked before it moved.
    book.reached(&moved.relay, subnet("1.2.3.4"));
    assert!(!book.is_reached(&moved.relay));
    book.reached(&moved.relay, subnet("1.2.9.4"));
    assert!(book.is_reached(&moved.relay));
}

#[test]
fn who_moves_to_where_there_is_no_room_leaves_the_directory() {
    let mut book = Book::new(LIMITS, 0);
    let before = at(1000, "5.6.7.8:1");
    book.admit(Arc::clone(&before));
    for number in 0..4 {
        book.admit(worked(number, "1.2.3.4:1", 6));
    }
    let version = book.version();
    let after = with(1000, "1.2.3.4:1", |body| body.sequence += 1);
    assert_eq!(book.admit(Arc::clone(&after)), Admission::Waiting);
    assert!(!has(&book, &after) && book.version() > version);
    assert!(
        book.changed_since(version)
            .contains(Bucket::of(&after.relay))
    );
}

/// With a source of the directory next to it.
fn with_source(
    number: u16,
    address: &str,
    change: impl FnOnce(&mut DescriptorBody),
) -> Arc<Descriptor> {
    with(number, address, |body| {
        body.source = Some(SourceOffer {
            key: PeerKey::new([9; 32]),
            addresses: vec![address.parse().unwrap()],
        });
        change(body);
    })
}

#[test]
fn a_relay_looks_for_everybody_before_it_gets_full() {
    let mut book = Book::new(LIMITS, 0);
    let there: Vec<_> = (0..20)
        .map(|number| with_source(number, &format!("1.2.{number}.4:1"), |_| {}))
        .collect();
    for relay in &there {
        book.admit(Arc::clone(relay));
    }
    // One that never answers does not keep it from looking for the others.
    for _ in 0..20 {
        let next = book.next_probe(Probe::Anybody);
        let (relay, source) = next.expect("somebody is left");
        if relay != there[7].relay {
            book.reached(&relay, Subnet::of(source.addresses[0].ip()));
        }
    }
    let (relay, _) = book.next_probe(Probe::Anybody).expect("one is left");
    assert_eq!(relay, there[7].relay);
    for number in 0..300 {
        book.admit(worked(
            100 + number,
            &format!("9.{}.{}.1:1", number / 200, number % 200),
            5,
        ));
    }
    let left = there.iter().filter(|relay| !has(&book, relay));
    assert!(left.map(|relay| relay.relay).eq([there[7].relay]));
}

fn lists<'a>(relays: impl IntoIterator<Item = &'a Arc<Descriptor>>) -> Lists {
    let mut directory = Directory::new();
    for relay in relays {
        directory.insert(Arc::clone(relay)).unwrap();
    }
    Lists::of(&View {
        ours: &Directory::new(),
        differing: BucketSet::ALL,
        listings: &Listings::of(&directory, &BucketSet::ALL),
    })
}

fn source(number: u8) -> libp2p::PeerId {
    crate::address::peer_id(&PeerKey::new([number; 32]))
}

/// A client's book that was told these by the source of each number.
fn client<'a>(told: impl IntoIterator<Item = (u8, Vec<&'a Arc<Descriptor>>)>) -> Book {
    let mut book = Book::new(LIMITS, 0);
    for (number, relays) in told {
        for relay in &relays {
            book.admit(Arc::clone(relay));
        }
        book.heard(source(number), lists(relays), |_| true);
    }
    book
}

#[test]
fn names_with_work_do_not_push_out_whom_most_sources_list() {
    let victim = at(1000, "1.2.3.4:1");
    let worked = |number| worked(number, "1.2.3.5:1", 6);
    let flood: Vec<_> = (0..20).map(worked).collect();
    let later: Vec<_> = (20..40).map(worked).collect();
    let honest = |number| (number, vec![&victim]);
    let liar = |number| (number, flood.iter().collect());
    for told in [
        [liar(1), honest(2), honest(3), honest(4), liar(5)],
        [honest(1), honest(2), honest(3), liar(4), liar(5)],
        [liar(1), liar(2), honest(3), honest(4), honest(5)],
    ] {
        let mut book = client(told);
        assert!(has(&book, &victim));
        // Nor when it publishes anew, and some of the sources have not heard of that.
        let newer = with(1000, "1.2.3.4:1", |body| body.sequence += 1);
        book.admit(Arc::clone(&newer));
        book.heard(source(4), lists([&newer]), |_| true);
        for relay in &later {
            book.admit(Arc::clone(relay));
        }
        assert_eq!(book.directory().get(&newer.relay), Some(&newer));
        assert_eq!(book.directory().len(), 4);
    }
}

#[test]
fn names_with_work_from_everywhere_do_not_push_out_whom_most_sources_list() {
    let honest: Vec<_> = (1000..1030)
        .map(|number| at(number, &format!("5.6.{}.8:1", number % 100)))
        .collect();
    let from = |number: u16| format!("9.{}.{}.1:1", number / 200, number % 200);
    let flood: Vec<_> = (0..300)
        .map(|number| worked(number, &from(number), 5))
        .collect();
    let book = client([
        (1, flood.iter().collect()),
        (2, honest.iter().collect()),
        (3, honest.iter().collect()),
        (1, flood.iter().collect()),
    ]);
    assert_eq!(book.directory().len(), 100);
    assert!(honest.iter().all(|relay| has(&book, relay)));
}

#[test]
fn what_sources_list_of_a_relay_does_not_count_where_it_moves_to() {
    let before = at(1, "5.6.7.8:1");
    let after = with(1, "1.2.3.4:1", |body| body.sequence += 1);
    let mut book = client([
        (1, vec![&before]),
        (2, vec![&before]),
        (3, vec![&before, &after]),
    ]);
    assert_eq!(book.directory().get(&after.relay), Some(&after));
    assert!(!book.is_reached(&after.relay));
    book.heard(source(1), lists([&after]), |_| true);
    assert!(book.is_reached(&after.relay));
}

#[test]
fn sources_in_bad_standing_are_no_witnesses() {
    let relay = at(1, "1.2.3.4:1");
    let mut book = client([(1, vec![&relay]), (2, vec![&relay])]);
    assert!(book.is_reached(&relay.relay));
    book.heard(source(3), lists([]), |peer| *peer != source(1));
    assert!(!book.is_reached(&relay.relay));
    // And one alone says nothing.
    book.heard(source(2), lists([&relay]), |peer| *peer == source(2));
    assert!(!book.is_reached(&relay.relay));
}
