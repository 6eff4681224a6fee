//! A packet that comes again.

use crate::net::{question, seed};
use coinfuse_onion::{KeyRing, NotFirst, OnionSecret, RingConfig, SmallPacket, Tag, TagFilter};
use coinfuse_wire::UnixTime;
use std::collections::HashSet;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

fn small() -> RingConfig {
    RingConfig {
        tags: 1_000,
        ..RingConfig::default()
    }
}

/// A relay that holds the key for which [`question`] makes packets over one hop.
fn relay(config: RingConfig) -> KeyRing {
    let mut stored = vec![1];
    stored.extend(NOW.secs().to_be_bytes());
    stored.extend(*crate::net::secret(0).to_bytes());
    KeyRing::from_bytes(config, &stored).unwrap()
}

fn tag(number: usize) -> Tag {
    let packet: SmallPacket = question(1, number, b"", None);
    crate::net::secret(0).open(packet).unwrap().tag
}

#[test]
fn a_packet_is_served_once() {
    let mut ring = relay(small());
    let packet: SmallPacket = question(1, 7, b"a transaction", None);
    let first = ring.open(NOW, packet.clone()).unwrap();
    assert!(!ring.seen(&first.tag));
    assert_eq!(ring.remember(&first.tag), Ok(()));
    let second = ring.open(NOW, packet).unwrap();
    assert!(ring.seen(&second.tag));
    assert_eq!(ring.remember(&second.tag), Err(NotFirst::Replayed));
}

#[test]
fn a_packet_of_the_key_before_is_served_once_across_the_change() {
    let mut ring = relay(small());
    let packet: SmallPacket = question(1, 7, b"a transaction", None);
    ring.remember(&ring.open(NOW, packet.clone()).unwrap().tag)
        .unwrap();
    ring.change(NOW, &seed(99));
    let again = ring.open(NOW, packet).unwrap();
    assert_eq!(ring.remember(&again.tag), Err(NotFirst::Replayed));
}

#[test]
fn a_full_filter_refuses_what_is_new_and_still_knows_what_is_old() {
    let mut filter = TagFilter::new(&seed(1), 20);
    let tags: Vec<_> = (0..21).map(tag).collect();
    for tag in &tags[..20] {
        assert_eq!(filter.insert(tag), Ok(()));
    }
    assert_eq!(filter.insert(&tags[20]), Err(NotFirst::Full));
    assert_eq!(filter.insert(&tags[3]), Err(NotFirst::Replayed));
    assert_eq!(filter.len(), 20);
}

#[test]
fn a_filter_takes_all_its_memory_at_the_start() {
    let mut filter = TagFilter::new(&seed(1), 20);
    // 30 slots, rounded up to 32, of 8 bytes.
    assert_eq!(filter.memory(), 256);
    filter.insert(&tag(0)).unwrap();
    assert_eq!(filter.memory(), 256);
    assert_eq!(
        TagFilter::new(&seed(1), RingConfig::default().tags).memory(),
        32 << 20
    );
}

#[test]
fn tags_are_of_the_packet_and_of_the_relay() {
    let tags: HashSet<_> = (0..50).map(tag).collect();
    assert_eq!(tags.len(), 50);
    // The same packet has other tags at other hops, and nobody else can compute them.
    let packet: SmallPacket = question(3, 0, b"", None);
    let mut seen = HashSet::new();
    let mut next = Some(packet);
    for n in 0..3 {
        let opened = crate::net::secret(n).open(next.take().unwrap()).unwrap();
        assert!(seen.insert(opened.tag));
        if n < 2 {
            next = Some(crate::net::forwarded(opened));
        }
    }
    let stranger = OnionSecret::from_seed(&seed(5));
    assert!(
        stranger
            .open(question::<{ coinfuse_onion::SMALL }>(1, 0, b"", None))
            .is_err()
    );
}
