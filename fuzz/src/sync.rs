//! What nodes say about their directories.

use crate::NOW;
use crate::laws::canonical;
use coinfuse_directory::sync::{
    Answer, BucketSet, Changes, Difference, Journal, Listings, Request, Row, Summary,
};
use coinfuse_directory::{
    Audit, AuditConfig, Descriptor, DescriptorBody, Directory, Identity, LinkKey, OnionKey,
    RelayKeys, Snapshot, View, VoucherKey,
};
use coinfuse_wire::{Decode, Encode, Instant};
use std::sync::LazyLock;

/// A directory of a few relays, which the seeds are about.
pub static DIRECTORY: LazyLock<Directory> = LazyLock::new(|| {
    let mut directory = Directory::new();
    directory.extend((0..4).map(relay));
    directory
});

/// What changed in it: each of them came in.
pub static JOURNAL: LazyLock<Journal> = LazyLock::new(|| {
    let mut journal = Journal::new(7);
    let rows = DIRECTORY.iter().map(|one| Row::of(one));
    rows.for_each(|row| journal.came(row));
    journal
});

fn relay(number: u8) -> Descriptor {
    let identity = Identity::from_seed([number; 32]);
    let keys = RelayKeys {
        link: LinkKey::new([1; 32]),
        onion: OnionKey::new([2; 32]),
        voucher: VoucherKey::new([2; 33]),
    };
    let body = DescriptorBody::new(&identity, keys, NOW);
    body.sign(&identity).expect("a small descriptor")
}

/// Each question about the directory that can be read has one form and a fitting answer.
pub fn directory_question(data: &[u8]) {
    canonical::<Request>(data);
    let Ok(request) = Request::from_bytes(data) else {
        return;
    };
    assert!(data.len() <= Request::MAX_LEN);
    let answer = match &request {
        Request::Changes(since) => Some(Answer::Changes(JOURNAL.since(*since))),
        other => DIRECTORY.answer(other),
    };
    match answer {
        None => assert!(matches!(request, Request::Publish(_) | Request::Who)),
        Some(answer) => {
            assert!(answer.answers(&request));
            let bytes = answer.to_bytes();
            assert!(bytes.len() <= Answer::MAX_LEN);
            assert_eq!(Answer::from_bytes(&bytes).as_ref(), Ok(&answer));
        }
    }
}

/// What follows from an answer is about what is in it, and what we have.
pub fn directory_answer(data: &[u8]) {
    canonical::<Answer>(data);
    match Answer::from_bytes(data) {
        Ok(Answer::Summary(theirs)) => {
            let ours = Summary::of(&DIRECTORY);
            assert_eq!(ours.differing(&theirs).is_empty(), ours == theirs);
        }
        Ok(Answer::Listings(listings)) => compare(&listings),
        Ok(Answer::Changes(changes)) => follow(changes),
        Ok(Answer::Descriptors(descriptors)) => {
            for raw in &descriptors {
                let Ok(descriptor) = raw.read() else { continue };
                assert_eq!(descriptor.as_bytes(), raw.as_bytes());
                if let Ok(verified) = descriptor.verify(NOW) {
                    assert_eq!(verified.as_bytes(), raw.as_bytes());
                }
            }
        }
        _ => {}
    }
}

/// Who knows nothing cannot be told changes, and who knows all has none to come.
fn follow(changes: Changes) {
    let (next, told) = (changes.next, changes.rows.as_ref().map(Vec::len));
    let answer = Answer::Changes(changes);
    let fits = |since| answer.answers(&Request::Changes(since));
    assert_eq!(fits(None), told.is_none());
    assert_eq!(fits(Some(next)), told.is_none_or(|told| told == 0));
}

fn compare(listings: &Listings) {
    let difference = Difference::between(&DIRECTORY, listings);
    let listed: Vec<&Row> = listings.rows().collect();
    assert!(difference.fetch.iter().all(|row| listed.contains(&row)));
    for offered in &difference.offer {
        assert_eq!(DIRECTORY.get(&offered.relay), Some(offered));
        let row = Row::of(offered);
        assert!(listed.iter().all(|listed| !listed.supersedes(&row)));
    }
    let view = View {
        ours: &DIRECTORY,
        differing: BucketSet::ALL,
        listings,
    };
    let mut audit = Audit::new(AuditConfig::default());
    for (source, at) in [("one", 0), ("two", 0), ("three", 600)] {
        let now = Instant::from_epoch(core::time::Duration::from_secs(at));
        let finding = audit.heard(&source, &view, now);
        assert!(finding.judged <= DIRECTORY.len());
        // All say the same.
        assert_eq!(finding.permille(), 0);
    }
}

/// A directory that was kept has one form, and in it only what is signed is believed.
pub fn directory_snapshot(data: &[u8]) {
    canonical::<Snapshot>(data);
    if let Ok(snapshot) = Snapshot::from_bytes(data) {
        assert!(snapshot.verified(NOW).count() <= snapshot.descriptors().len());
    }
}
