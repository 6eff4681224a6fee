//! Who is asked, and who is let go.

use super::*;
use crate::samples::relay;
use coinfuse_directory::sync::{BucketSet, Listings};
use coinfuse_directory::{PeerKey, SourceOffer};

fn key(number: u16) -> PeerKey {
    let mut key = [9; 32];
    key[..2].copy_from_slice(&number.to_be_bytes());
    PeerKey::new(key)
}

fn bootstrap(number: u16) -> Source {
    Source {
        peer: peer_id(&key(number)),
        addresses: vec!["/ip4/1.2.3.4/tcp/1".parse().unwrap()],
        relay: None,
    }
}

/// Relays in networks of their own.
fn directory(count: u16) -> Directory {
    directory_at((0..count).map(|number| (number, format!("5.6.{number}.4:1"))))
}

fn directory_at(relays: impl IntoIterator<Item = (u16, String)>) -> Directory {
    let mut directory = Directory::new();
    directory.extend(relays.into_iter().map(|(number, address)| {
        relay(number, |body| {
            body.source = Some(SourceOffer {
                key: key(number),
                addresses: vec![address.parse().unwrap()],
            });
        })
    }));
    directory
}

/// The next one to be asked, where nobody is known to be where he says.
fn next(
    sources: &mut Sources,
    directory: &Directory,
    busy: &[PeerId],
    draw: &mut Draw,
    now: Instant,
) -> Option<PeerId> {
    let busy = |peer: &PeerId| busy.contains(peer);
    let next = sources.next(directory, |_| false, busy, draw, now);
    next.map(|source| source.peer)
}

fn client() -> Sources {
    let local = peer_id(&key(u16::MAX));
    let audit = AuditConfig::default();
    Sources::new(
        local,
        Role::Client,
        Timing::default(),
        audit,
        vec![bootstrap(1000)],
    )
}

fn at(secs: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(secs)
}

/// Asks until nobody is left to be asked; all of them are heard.
fn all(sources: &mut Sources, directory: &Directory, now: Instant) -> Vec<PeerId> {
    let mut asked: Vec<PeerId> = Vec::new();
    let mut draw = Draw::new([1; 32]);
    while let Some(peer) = next(sources, directory, &asked, &mut draw, now) {
        sources.heard(&peer, None, &mut draw, now);
        asked.push(peer);
    }
    asked
}

#[test]
fn a_client_asks_its_bootstrap_peer_and_a_few_others() {
    let mut sources = client();
    let asked = all(&mut sources, &directory(50), at(0));
    assert_eq!(asked.len(), CLIENT_SOURCES);
    assert!(asked.contains(&peer_id(&key(1000))));
    // And the same ones later.
    let again = all(&mut sources, &directory(50), at(60));
    assert!(again.iter().all(|peer| asked.contains(peer)));
}

#[test]
fn a_client_changes_its_sources_slowly() {
    let mut sources = client();
    let (directory, mut draw) = (directory(50), Draw::new([2; 32]));
    let mut heard = std::collections::BTreeSet::new();
    let mut after = |comparisons: u64| {
        for second in 0..comparisons {
            let peer = next(&mut sources, &directory, &[], &mut draw, at(second));
            let peer = peer.expect("they are never busy");
            sources.heard(&peer, None, &mut draw, at(second));
            heard.insert(peer);
        }
        heard.len()
    };
    assert_eq!(after(50), CLIENT_SOURCES);
    // Some eight are expected.
    let later = after(5000);
    assert!((CLIENT_SOURCES + 3..25).contains(&later), "{later}");
    assert!(sources.known.contains_key(&peer_id(&key(1000))));
}

#[test]
fn a_crowd_at_a_meeting_point_gets_one_place() {
    let stranger = |number: u16| Source {
        addresses: vec!["/ip4/9.9.9.9/tcp/1".parse().unwrap()],
        ..bootstrap(number)
    };
    let mut sources = client();
    let crowd: Vec<PeerId> = (2000..2032).map(|number| stranger(number).peer).collect();
    for number in 2000..2032 {
        sources.met(stranger(number));
    }
    // Before anything is known of the directory, and afterwards.
    for directory in [Directory::new(), directory(50)] {
        let asked = all(&mut sources, &directory, at(0));
        assert!(asked.contains(&peer_id(&key(1000))));
        let strangers = asked.iter().filter(|peer| crowd.contains(peer));
        assert_eq!(strangers.count(), 1);
        assert_eq!(asked.len(), CLIENT_SOURCES.min(2 + directory.len()));
    }
}

#[test]
fn who_fails_rests_and_who_fails_again_is_let_go_for_another() {
    let mut sources = client();
    let directory = directory(50);
    let before = all(&mut sources, &directory, at(0));
    let failing = *before
        .iter()
        .find(|peer| !sources.is_bootstrap(peer))
        .unwrap();
    sources.failed(&failing, at(1));
    assert!(!all(&mut sources, &directory, at(2)).contains(&failing));
    sources.failed(&failing, at(40));
    let after = all(&mut sources, &directory, at(41));
    assert_eq!(after.len(), CLIENT_SOURCES);
    assert!(!after.contains(&failing));
}

#[test]
fn a_bootstrap_peer_is_asked_again_however_often_it_failed() {
    let mut sources = client();
    let peer = peer_id(&key(1000));
    for failures in 0..10 {
        sources.failed(&peer, at(failures));
    }
    let nobody = Directory::new();
    assert_eq!(all(&mut sources, &nobody, at(100)), [peer]);
    sources.forged(&peer, at(100));
    assert!(all(&mut sources, &nobody, at(200)).is_empty());
}

#[test]
fn who_answers_well_is_followed_until_all_is_to_be_compared_with_another() {
    let mut sources = client();
    let (peer, cursor) = (peer_id(&key(1000)), Cursor { run: 1, number: 2 });
    let (nobody, listings) = (Directory::new(), Listings::default());
    let mut draw = Draw::new([1; 32]);
    let full = View {
        ours: &nobody,
        differing: BucketSet::EMPTY,
        listings: &listings,
    };
    next(&mut sources, &nobody, &[], &mut draw, at(0));
    sources.heard(&peer, Some(full), &mut draw, at(0));
    // Nothing can be held against it yet, so following it is not enough.
    assert!(sources.wants_full(at(1)));
    sources.known.get_mut(&peer).unwrap().judged = true;
    assert!(!sources.wants_full(at(179)) && sources.wants_full(at(300)));

    sources.follow(peer, cursor, at(1));
    let (source, since) = sources.take_followed().unwrap();
    assert_eq!((source, since), (bootstrap(1000), cursor));
    assert_eq!(sources.take_followed(), None);
    // Neither who failed is followed nor who is not known.
    sources.failed(&peer, at(2));
    sources.follow(peer, cursor, at(3));
    assert_eq!(sources.take_followed(), None);
    sources.follow(peer_id(&key(7)), cursor, at(3));
    assert_eq!(sources.take_followed(), None);
}

#[test]
fn a_relay_goes_round() {
    let local = peer_id(&key(0));
    let audit = AuditConfig::default();
    let mut sources = Sources::new(local, Role::Relay, Timing::default(), audit, Vec::new());
    let directory = directory(60);
    let mut heard = std::collections::BTreeSet::new();
    let mut draw = Draw::new([1; 32]);
    for second in 0..1000 {
        let peer = next(&mut sources, &directory, &[], &mut draw, at(second)).unwrap();
        sources.heard(&peer, None, &mut draw, at(second));
        heard.insert(peer);
    }
    assert!(!heard.contains(&local));
    assert_eq!(heard.len(), 59);
}

#[test]
fn the_first_of_several_bootstrap_peers_does_not_name_the_other_sources() {
    let (first, second) = (bootstrap(1000), bootstrap(1001));
    let mut sources = client();
    sources.bootstrap = vec![first.clone(), second.clone()];
    let (directory, mut draw) = (directory(50), Draw::new([1; 32]));
    let mut ask = |sources: &mut Sources, busy: &[PeerId], now| {
        next(sources, &directory, busy, &mut draw, now)
    };
    let both = [first.peer, second.peer];
    let one = ask(&mut sources, &[], at(0)).expect("one of them");
    let other = ask(&mut sources, &[one], at(0)).expect("the other");
    assert!(both.contains(&one) && both.contains(&other));
    sources.heard(&one, None, &mut Draw::new([2; 32]), at(0));
    assert_eq!(ask(&mut sources, &both, at(2)), None);
    // But one that says nothing is not waited for without end.
    assert!(ask(&mut sources, &both, at(4)).is_some());
}

#[test]
fn a_client_draws_its_sources_from_those_that_are_known_to_be_there() {
    let mut sources = client();
    let directory = directory(200);
    let mut sure = directory.iter().take(8);
    let sure: Vec<RelayId> = sure.by_ref().map(|one| one.relay).collect();
    let mut draw = Draw::new([1; 32]);
    let is_sure = |relay: &RelayId| sure.contains(relay);
    for second in 0..100 {
        let next = sources.next(&directory, is_sure, |_| false, &mut draw, at(second));
        let next = next.expect("they are never busy");
        assert!(next.relay.is_none_or(|relay| is_sure(&relay)));
        sources.heard(&next.peer, None, &mut draw, at(second));
    }
    assert_eq!(sources.known.len(), CLIENT_SOURCES);
}

#[test]
fn a_crowd_in_one_network_gets_one_place() {
    let crowd = |number: u16| (number, format!("9.9.9.{}:{}", number % 16, number));
    let honest = (100..110).map(|number| (number, format!("5.6.{number}.4:1")));
    let directory = directory_at((1..80).map(crowd).chain(honest));
    let mut sources = client();
    all(&mut sources, &directory, at(0));
    let asked = all(&mut sources, &directory, at(1));
    let of_the_crowd = asked
        .iter()
        .filter(|peer| (1..80).any(|number| peer_id(&key(number)) == **peer));
    assert_eq!(of_the_crowd.count(), 1);
    assert!(asked.len() > 2);

    // Who is in the network of a bootstrap peer gets its turn when that fails.
    let beside = directory_at([(1, "1.2.3.5:1".to_owned())]);
    let mut sources = client();
    assert_eq!(all(&mut sources, &beside, at(0)).len(), 1);
    sources.failed(&peer_id(&key(1000)), at(1));
    assert_eq!(all(&mut sources, &beside, at(2)), [peer_id(&key(1))]);
}
