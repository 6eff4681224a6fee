//! What is remembered of relays, and how it is stored.

use crate::{NOW, directory, id, relay, seed};
use coinfuse_directory::{History, PathConstraints};
use coinfuse_wire::{ByteCount, Decode, DecodeError, Encode, RelayId, UnixTime};
use core::time::Duration;
use proptest::prelude::*;

fn filled() -> History {
    let mut history = History::new();
    history.measured(&id(1), ByteCount::new(12_345), NOW);
    history.succeeded(&id(1), NOW);
    history.failed(&id(2), NOW);
    let network = directory((0..9).map(|number| relay(number, |_| {})));
    history.tend_guards(&network, &PathConstraints::new(3), NOW, seed(1));
    history
}

#[test]
fn a_history_reads_back_as_it_was() {
    let history = filled();
    assert_eq!(History::from_bytes(&history.to_bytes()), Ok(history));
    assert_eq!(History::new().to_bytes(), [1, 0, 0]);
}

#[test]
fn half_a_history_is_none() {
    let bytes = filled().to_bytes();
    for len in 0..bytes.len() {
        assert!(History::from_bytes(&bytes[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn a_file_out_of_bounds_is_refused() {
    let read = |bytes: &[u8]| History::from_bytes(bytes).unwrap_err();
    let what = "history";
    assert_eq!(
        read(&[2, 0, 0]),
        DecodeError::Unknown {
            what: "history version",
            got: 2
        }
    );
    let (got, max) = (4097, 4096);
    assert_eq!(
        read(&[1, 0xfd, 0x10, 0x01]),
        DecodeError::TooLarge { what, got, max }
    );
    let (got, max) = (13, 12);
    assert_eq!(read(&[1, 0, 13]), DecodeError::TooLarge { what, got, max });
    let one = [[1; 32].as_slice(), &[0; 41]].concat();
    let twice = [&[1, 2][..], &one, &one, &[0]].concat();
    assert_eq!(read(&twice), DecodeError::NotCanonical { what });
    let guard = [[1; 32].as_slice(), &[0; 24]].concat();
    let twice = [&[1, 0, 2][..], &guard, &guard].concat();
    assert_eq!(read(&twice), DecodeError::NotCanonical { what: "guards" });
}

#[test]
fn of_too_many_relays_the_one_unused_for_longest_is_forgotten() {
    let number = |n: u32| {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        RelayId::new(bytes)
    };
    let at = |secs: u32| NOW.saturating_add(Duration::from_secs(secs.into()));
    let mut history = History::new();
    let most = History::MAX_RELAYS as u32;
    (0..most).for_each(|n| history.succeeded(&number(n), at(n)));
    history.succeeded(&number(0), at(most));
    history.failed(&number(most), at(most));
    let known = |n| history.reliability(&number(n), at(most)).is_some();
    assert_eq!([0, 1, 2, most].map(known), [true, false, true, true]);
    assert!(history.to_bytes().len() < 350_000);
}

#[test]
fn reliability_is_the_share_of_tries_that_passed_with_one_more() {
    let mut history = History::new();
    assert_eq!(history.reliability(&id(1), NOW), None);
    (0..7).for_each(|_| history.succeeded(&id(1), NOW));
    (0..2).for_each(|_| history.failed(&id(1), NOW));
    assert_eq!(history.reliability(&id(1), NOW), Some(800));
    // A day later both count half: 4.5 of 5.5.
    let later = NOW.saturating_add(Duration::from_secs(24 * 3600));
    assert_eq!(history.reliability(&id(1), later), Some(818));
    // A clock that was set back changes nothing.
    assert_eq!(
        history.reliability(&id(1), UnixTime::from_secs(0)),
        Some(800)
    );
}

#[test]
fn a_clock_that_was_ahead_once_spoils_nothing() {
    let later = |secs| NOW.saturating_add(Duration::from_secs(secs));
    let ahead = later(365 * 24 * 3600);
    let mut history = History::new();
    let slow = relay(1, |body| body.capacity = Some(ByteCount::from_mib(8)));
    history.measured(&id(1), ByteCount::new(70_000), ahead);
    history.failed(&id(1), ahead);
    assert!(history.is_resting(&id(1), ahead));
    // Nobody knows when that was, so the failure counts, and does not keep the relay resting.
    assert!(!history.is_resting(&id(1), NOW));
    assert_eq!(history.reliability(&id(1), NOW), Some(500));
    assert_eq!(history.weight(&slow, NOW), 4 << 20);
    // What is seen from now on is known, and fades.
    history.measured(&id(1), ByteCount::new(70_000), NOW);
    history.failed(&id(1), NOW);
    assert_eq!(history.reliability(&id(1), NOW), Some(333));
    assert!(history.weight(&slow, NOW) < 70_000);
    assert!(history.is_resting(&id(1), NOW) && !history.is_resting(&id(1), later(3600)));
    assert_eq!(
        history.reliability(&id(1), later(40 * 24 * 3600)),
        Some(1000)
    );
    // A clock that is set back by a minute makes no difference.
    let back = UnixTime::from_secs(NOW.secs() - 60);
    assert!(history.is_resting(&id(1), back));
}

#[test]
fn who_was_used_while_the_clock_was_ahead_is_forgotten_first() {
    let number = |n: u32| RelayId::new(core::array::from_fn(|i| n.to_be_bytes()[i % 4]));
    let ahead = NOW.saturating_add(Duration::from_secs(365 * 24 * 3600));
    let mut history = History::new();
    let most = History::MAX_RELAYS as u32;
    history.succeeded(&number(0), ahead);
    (1..=most).for_each(|n| history.succeeded(&number(n), NOW));
    let known = |n| history.reliability(&number(n), NOW).is_some();
    assert_eq!([0, 1, most].map(known), [false, true, true]);
}

proptest! {
    #[test]
    fn reading_a_history_is_total_and_canonical(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(history) = History::from_bytes(&bytes) {
            prop_assert_eq!(history.to_bytes(), bytes);
        }
    }

    #[test]
    fn whatever_happened_there_is_a_weight_and_it_stores(
        events in proptest::collection::vec((0u16..4, 0u8..3, any::<u64>(), any::<u64>()), 0..60),
        now: u64,
    ) {
        let mut history = History::new();
        for (number, event, value, at) in events {
            let (relay, at) = (id(number), UnixTime::from_secs(at));
            match event {
                0 => history.succeeded(&relay, at),
                1 => history.failed(&relay, at),
                _ => history.measured(&relay, ByteCount::new(value), at),
            }
        }
        let now = UnixTime::from_secs(now);
        let one = relay(0, |_| {});
        prop_assert!((1..=128 << 20).contains(&history.weight(&one, now)));
        prop_assert!(history.reliability(&id(0), now).is_none_or(|parts| parts <= 1000));
        prop_assert_eq!(History::from_bytes(&history.to_bytes()), Ok(history));
    }
}
