//! Onion keys come, overlap and are erased.

use crate::net::seed;
use coinfuse_onion::{
    Destination, KeyRing, OnionKey, OpenError, PeelError, Question, RingConfig, SmallPacket, Terms,
};
use coinfuse_wire::{ServiceCode, UnixTime};
use core::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const START: UnixTime = UnixTime::from_secs(1_800_000_000);

fn config() -> RingConfig {
    RingConfig {
        epoch: 24 * HOUR,
        overlap: 6 * HOUR,
        tags: 100,
    }
}

fn after(hours: u32) -> UnixTime {
    START.saturating_add(HOUR * hours)
}

fn packet(key: OnionKey) -> SmallPacket {
    Question {
        via: &[],
        to: &Destination {
            key,
            service: ServiceCode::MEMPOOL,
            instruction: vec![],
            terms: Terms::default(),
        },
        message: b"",
        reply: None,
    }
    .build(&seed(1))
    .unwrap()
}

#[test]
fn nothing_changes_before_its_time() {
    let mut ring = KeyRing::new(config(), START, &seed(1));
    assert_eq!((ring.due(), ring.good_until()), (after(24), after(30)));
    let key = ring.public_key();
    assert!(!ring.advance(after(23), &seed(2)));
    assert_eq!(ring.public_key(), key);
}

#[test]
fn the_key_before_is_good_for_the_overlap_and_then_erased() {
    let mut ring = KeyRing::new(config(), START, &seed(1));
    let old = ring.public_key();
    assert!(ring.advance(after(24), &seed(2)));
    let new = ring.public_key();
    assert_ne!(old, new);
    assert_eq!(ring.due(), after(30));

    assert!(ring.open(after(29), packet(old)).is_ok());
    assert!(ring.open(after(29), packet(new)).is_ok());
    // Its time is over even if nobody has called yet.
    let refused = OpenError::Peel(PeelError::Mac);
    assert_eq!(ring.open(after(30), packet(old)).unwrap_err(), refused);
    let (both, one) = (ring.to_bytes().len(), 1 + 40);
    assert_eq!(both, 1 + 2 * 40);
    assert!(ring.advance(after(30), &seed(3)));
    assert_eq!(ring.to_bytes().len(), one);
    assert_eq!(ring.open(after(29), packet(old)).unwrap_err(), refused);
    assert_eq!((ring.public_key(), ring.due()), (new, after(48)));
}

#[test]
fn a_relay_that_slept_too_long_begins_anew() {
    let mut ring = KeyRing::new(config(), START, &seed(1));
    let old = ring.public_key();
    assert!(ring.advance(after(31), &seed(2)));
    assert!(ring.open(after(31), packet(old)).is_err());
    assert_eq!(ring.due(), after(55));
}

#[test]
fn a_ring_is_the_same_after_a_restart() {
    let mut ring = KeyRing::new(config(), START, &seed(1));
    let old = ring.public_key();
    ring.advance(after(24), &seed(2));
    let again = KeyRing::from_bytes(config(), &ring.to_bytes()).unwrap();
    assert_eq!(again.public_key(), ring.public_key());
    assert_eq!(again.due(), ring.due());
    assert!(again.open(after(25), packet(old)).is_ok());
}

#[test]
fn a_damaged_ring_is_no_ring() {
    let mut ring = KeyRing::new(config(), START, &seed(1));
    ring.advance(after(24), &seed(2));
    let bytes = ring.to_bytes();
    for len in (0..bytes.len()).filter(|len| *len != 41) {
        assert!(
            KeyRing::from_bytes(config(), &bytes[..len]).is_err(),
            "{len}"
        );
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(KeyRing::from_bytes(config(), &longer).is_err());
}

#[test]
fn what_is_secret_is_not_printed() {
    let ring = KeyRing::new(config(), START, &seed(1));
    let (text, secret) = (format!("{ring:?}"), hex::encode(&ring.to_bytes()[9..13]));
    assert!(text.contains("scrubbed"));
    assert!(!text.contains(&secret));
}
