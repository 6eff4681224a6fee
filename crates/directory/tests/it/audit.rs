//! Sources that hide, forge or sleep.

use crate::{NOW, identity, relay};
use coinfuse_directory::sync::{BucketSet, Listings, Summary};
use coinfuse_directory::{
    Audit, AuditConfig, DescriptorError, Directory, Finding, Standing, UnverifiedDescriptor, View,
};
use coinfuse_wire::{Instant, RelayId};
use core::time::Duration;
use std::collections::BTreeSet;

const HONEST: [&str; 3] = ["alice", "bob", "carol"];

fn at(secs: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(secs)
}

fn directory(numbers: impl IntoIterator<Item = u16>, sequence: u64) -> Directory {
    let mut directory = Directory::new();
    directory.extend(
        numbers
            .into_iter()
            .map(|n| relay(n, |body| body.sequence = sequence)),
    );
    directory
}

fn ids(numbers: impl IntoIterator<Item = u16>) -> BTreeSet<RelayId> {
    numbers
        .into_iter()
        .map(|n| identity(n).relay_id())
        .collect()
}

/// What we would do on the network: compare summaries, ask for listings where they differ.
fn hear(
    audit: &mut Audit<&'static str>,
    source: &'static str,
    ours: &Directory,
    theirs: &Directory,
    now: u64,
) -> Finding {
    let differing = Summary::of(ours).differing(&Summary::of(theirs));
    let listings = Listings::of(theirs, &differing);
    let view = View {
        ours,
        differing,
        listings: &listings,
    };
    audit.heard(&source, &view, at(now))
}

/// An audit that has heard the three honest sources say what we have, long ago and now.
fn audit_of(ours: &Directory) -> Audit<&'static str> {
    let mut audit = Audit::new(AuditConfig::default());
    for now in [0, 200] {
        for source in HONEST {
            hear(&mut audit, source, ours, ours, now);
        }
    }
    audit
}

#[test]
fn a_source_that_lists_only_its_friends_is_noticed_at_once() {
    let ours = directory(0..40, 1);
    let mut audit = audit_of(&ours);
    let finding = hear(&mut audit, "mallory", &ours, &directory(0..4, 1), 200);
    assert_eq!(finding.judged, 40);
    assert_eq!(
        finding.hidden.into_iter().collect::<BTreeSet<_>>(),
        ids(4..40)
    );
    assert!(finding.stale.is_empty());
    assert_eq!(audit.standing(&"mallory", at(200)), Standing::Bad);
    for source in HONEST {
        assert_eq!(audit.standing(&source, at(200)), Standing::Good);
    }
}

#[test]
fn hiding_one_relay_of_many_is_found_and_costs_little() {
    let ours = directory(0..40, 1);
    let mut audit = audit_of(&ours);
    let finding = hear(&mut audit, "mallory", &ours, &directory(1..40, 1), 200);
    assert_eq!((finding.hidden.len(), finding.permille()), (1, 25));
    assert_eq!(audit.standing(&"mallory", at(200)), Standing::Good);
}

#[test]
fn a_source_that_hands_out_old_descriptors_is_noticed() {
    let ours = directory(0..40, 7);
    let mut audit = audit_of(&ours);
    let finding = hear(&mut audit, "sleepy", &ours, &directory(0..40, 6), 200);
    assert_eq!((finding.stale.len(), finding.hidden.len()), (40, 0));
    assert_eq!(audit.standing(&"sleepy", at(200)), Standing::Bad);
    // Having newer ones than we is no fault.
    let finding = hear(&mut audit, "quick", &ours, &directory(0..40, 8), 200);
    assert_eq!((finding.judged, finding.permille()), (40, 0));
}

#[test]
fn who_lists_newer_ones_than_it_gives_is_no_witness() {
    let ours = directory(0..40, 7);
    let mut audit = Audit::new(AuditConfig::default());
    for now in [0, 300] {
        for liar in HONEST {
            hear(&mut audit, liar, &ours, &directory(0..40, 8), now);
        }
    }
    let finding = hear(&mut audit, "dave", &ours, &directory(0..20, 7), 300);
    assert_eq!(finding.judged, 0);
}

#[test]
fn news_has_a_grace_time_to_get_around() {
    let (old, new) = (directory(0..40, 1), directory(0..41, 2));
    let mut audit = audit_of(&old);
    // All change at once, and one source has not heard yet.
    for source in HONEST {
        hear(&mut audit, source, &new, &new, 300);
    }
    let late = |audit: &mut _, now| hear(audit, "dave", &new, &old, now).judged;
    assert_eq!(late(&mut audit, 300), 0);
    assert_eq!(late(&mut audit, 479), 0);
    assert_eq!(late(&mut audit, 480), 41);
}

#[test]
fn two_liars_frame_nobody_while_the_honest_are_more() {
    // They list relays of their own that nobody else has heard of.
    let (all, honest) = (directory(0..80, 1), directory(0..40, 1));
    let mut audit = Audit::new(AuditConfig::default());
    for now in [0, 200, 400] {
        for liar in ["mallory", "mary"] {
            hear(&mut audit, liar, &all, &all, now);
        }
        for source in HONEST {
            let finding = hear(&mut audit, source, &all, &honest, now);
            assert!(finding.hidden.is_empty(), "{source} at {now}");
            assert_eq!(audit.standing(&source, at(now)), Standing::Good);
        }
    }
}

#[test]
fn one_witness_is_none() {
    let ours = directory(0..40, 1);
    let mut audit = Audit::new(AuditConfig::default());
    for now in [0, 200] {
        hear(&mut audit, "alice", &ours, &ours, now);
        let finding = hear(&mut audit, "bob", &ours, &Directory::new(), now);
        assert_eq!(finding.judged, 0);
    }
}

#[test]
fn what_was_listed_long_ago_is_no_witness() {
    let ours = directory(0..40, 1);
    let mut audit = audit_of(&ours);
    let finding = hear(&mut audit, "dave", &ours, &Directory::new(), 200 + 3601);
    assert_eq!(finding.judged, 0);
}

#[test]
fn a_source_that_stopped_listing_a_relay_does_not_witness_it() {
    let ours = directory(0..40, 1);
    let mut audit = audit_of(&ours);
    // The relay went away, and two of three know it already.
    let fewer = directory(0..39, 1);
    hear(&mut audit, "alice", &ours, &fewer, 210);
    hear(&mut audit, "bob", &ours, &fewer, 210);
    let finding = hear(&mut audit, "dave", &ours, &fewer, 210);
    assert_eq!((finding.judged, finding.permille()), (39, 0));
}

#[test]
fn buckets_that_were_not_listed_blame_nobody() {
    let ours = directory(0..40, 1);
    let mut audit = audit_of(&ours);
    let view = View {
        ours: &ours,
        differing: BucketSet::ALL,
        listings: &Listings::default(),
    };
    assert_eq!(audit.heard(&"dave", &view, at(200)), Finding::default());
    assert_eq!(audit.standing(&"dave", at(200)), Standing::Good);
}

#[test]
fn suspicion_fades_and_good_answers_help_too() {
    let ours = directory(0..40, 1);
    let mut audit = audit_of(&ours);
    hear(&mut audit, "dave", &ours, &Directory::new(), 200);
    assert_eq!(audit.standing(&"dave", at(200)), Standing::Bad);
    assert_eq!(audit.standing(&"dave", at(200 + 3600)), Standing::Doubtful);
    assert_eq!(audit.standing(&"dave", at(200 + 4 * 3600)), Standing::Good);
    for _ in 0..3 {
        hear(&mut audit, "dave", &ours, &ours, 201);
    }
    assert_eq!(audit.standing(&"dave", at(201)), Standing::Good);
}

#[test]
fn silence_is_forgiven_a_few_times() {
    let mut audit = Audit::new(AuditConfig::default());
    let standings = [1, 2, 3].map(|now| {
        audit.failed(&"dave", at(now));
        audit.standing(&"dave", at(now))
    });
    assert_eq!(
        standings,
        [Standing::Doubtful, Standing::Doubtful, Standing::Bad]
    );
}

#[test]
fn a_forger_is_banned_for_a_day() {
    let mut bytes = relay(1, |_| {}).as_bytes().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let forged = UnverifiedDescriptor::from_bytes(&bytes)
        .unwrap()
        .verify(NOW);
    assert_eq!(forged.unwrap_err(), DescriptorError::BadSignature);

    let ours = directory(0..4, 1);
    let mut audit = audit_of(&ours);
    audit.forged(&"carol", at(200));
    assert_eq!(audit.standing(&"carol", at(201)), Standing::Banned);
    assert!(!audit.meet(&"carol", at(201)));
    assert_eq!(
        hear(&mut audit, "carol", &ours, &Directory::new(), 201),
        Finding::default()
    );
    assert!(!audit.next(9, at(201), [1; 32]).contains(&"carol"));
    // With carol gone two are left, and her word does not count any more.
    assert_eq!(
        hear(&mut audit, "bob", &ours, &Directory::new(), 201).judged,
        0
    );
    let day_later = at(200 + 24 * 3600);
    assert!(audit.meet(&"carol", day_later));
}

#[test]
fn the_good_are_asked_first_and_the_one_not_heard_for_longest_always() {
    let ours = directory(0..40, 1);
    let mut audit = audit_of(&ours);
    hear(&mut audit, "mallory", &ours, &Directory::new(), 200);
    assert!(audit.meet(&"dave", at(200)));
    let mut asked = BTreeSet::new();
    for n in 0..30 {
        let next = audit.next(2, at(210), [n; 32]);
        assert!(next.contains(&"dave"), "{next:?}");
        asked.extend(next);
    }
    assert_eq!(asked, ["alice", "bob", "carol", "dave"].into());
    // The one in bad standing comes last, and is asked if there is nobody else.
    assert_eq!(audit.next(9, at(210), [1; 32]).last(), Some(&"mallory"));
    for source in ["alice", "bob", "carol", "dave"] {
        audit.forget(&source);
    }
    assert_eq!(audit.next(3, at(210), [1; 32]), ["mallory"]);
    assert!(audit.next(0, at(210), [1; 32]).is_empty());
}

#[test]
fn a_crowd_of_new_sources_drives_out_only_the_bad() {
    let ours = directory(0..4, 1);
    let mut audit = Audit::new(AuditConfig::default());
    let view = |theirs: &Directory| {
        (
            Summary::of(&ours).differing(&Summary::of(theirs)),
            Listings::of(theirs, &BucketSet::ALL),
        )
    };
    let (none, same) = (view(&Directory::new()), view(&ours));
    let hear = |audit: &mut Audit<u32>,
                source: u32,
                (differing, listings): &(BucketSet, Listings),
                now| {
        let view = View {
            ours: &ours,
            differing: *differing,
            listings,
        };
        audit.heard(&source, &view, at(now));
    };
    for now in [0, 200] {
        (0..31).for_each(|source| hear(&mut audit, source, &same, now));
    }
    hear(&mut audit, 31, &none, 200);
    assert_eq!(audit.standing(&31, at(200)), Standing::Bad);
    // The place of the bad one is free for one of a thousand, once.
    let met = (100..1100).filter(|new| audit.meet(new, at(201))).count();
    assert_eq!(met, 1);
    let known: BTreeSet<u32> = audit.next(100, at(201), [1; 32]).into_iter().collect();
    assert_eq!(known, (0..31).chain([100]).collect());
    // And who took it does not inherit what the other had listed.
    hear(&mut audit, 100, &none, 201);
    assert_eq!(audit.standing(&100, at(201)), Standing::Bad);
}
