//! Who gets a place, and who keeps it.

use super::*;
use crate::samples::{NOW, relay};
use coinfuse_directory::{DescriptorBody, find_work};
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
    book.reached(&there.relay);
    for number in 0..20 {
        book.admit(worked(number, "1.2.3.5:1", 6));
    }
    assert!(has(&book, &there));

    // And who comes late gets a place as soon as somebody went there to look.
    let late = with(1001, "1.2.3.6:1", |body| {
        body.source = Some(SourceOffer {
            key: coinfuse_directory::PeerKey::new([9; 32]),
            addresses: vec!["9.9.9.9:2".parse().unwrap(), "1.2.3.6:2".parse().unwrap()],
        });
    });
    assert_eq!(book.admit(Arc::clone(&late)), Admission::Waiting);
    let probes = (0..20).filter_map(|_| book.next_probe(false));
    let (relay, source) = probes.last().expect("it waits to be looked at");
    assert_eq!(relay, late.relay);
    assert_eq!(source.addresses, ["1.2.3.6:2".parse().unwrap()]);
    assert_eq!(book.reached(&relay), Admission::Added);
    assert_eq!(book.directory().len(), 4);
}

#[test]
fn a_relay_that_moves_has_to_be_reached_anew() {
    let mut book = Book::new(LIMITS, 0);
    let before = at(1, "1.2.3.4:1");
    book.admit(Arc::clone(&before));
    book.reached(&before.relay);
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
