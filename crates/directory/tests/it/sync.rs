//! Making two directories one.

use crate::{NOW, directory, id, relay};
use coinfuse_directory::sync::{
    Answer, Bucket, BucketSet, Difference, Listings, RawDescriptor, Request, Row, Summary,
};
use coinfuse_directory::{Descriptor, Directory, Inserted, MintOffer, MintUnit};
use coinfuse_wire::{ByteCount, Decode, DecodeError, Encode, Writer};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn at(number: u16, sequence: u64) -> Descriptor {
    relay(number, |body| body.sequence = sequence)
}

fn listings(directory: &Directory) -> Listings {
    Listings::of(directory, &BucketSet::ALL)
}

fn contents(directory: &Directory) -> Vec<&[u8]> {
    directory.iter().map(|one| one.as_bytes()).collect()
}

/// Takes over what `theirs` has and `ours` lacks, with real bytes in between; says how many bytes
/// were answered.
fn pull(ours: &mut Directory, theirs: &Directory) -> usize {
    let mut answered = 0;
    let mut ask = |request: Request| {
        let heard = Request::from_bytes(&request.to_bytes()).unwrap();
        assert_eq!(heard, request);
        let answer = theirs.answer(&heard).unwrap().to_bytes();
        answered += answer.len();
        let answer = Answer::from_bytes(&answer).unwrap();
        assert!(answer.answers(&request));
        answer
    };
    let Answer::Summary(summary) = ask(Request::Summary) else {
        panic!("not a summary");
    };
    let differing = Summary::of(ours).differing(&summary);
    let Answer::Listings(listings) = ask(Request::Listings(differing)) else {
        panic!("not listings");
    };
    let missing: Vec<_> = Difference::between(ours, &listings).fetch;
    for rows in missing.chunks(Request::MAX_IDS) {
        let ids = rows.iter().map(|row| row.relay).collect();
        let Answer::Descriptors(found) = ask(Request::Descriptors(ids)) else {
            panic!("not descriptors");
        };
        for descriptor in found {
            let descriptor = descriptor.read().unwrap().verify(NOW).unwrap();
            ours.insert(descriptor).unwrap();
        }
    }
    answered
}

#[test]
fn what_the_other_side_has_newer_is_fetched_and_what_it_lacks_is_offered() {
    let ours = directory([at(1, 5), at(2, 5), at(3, 5), at(4, 5)]);
    let theirs = directory([at(2, 5), at(3, 6), at(4, 4), at(5, 1)]);
    let Difference { fetch, offer } = Difference::between(&ours, &listings(&theirs));
    let fetch: BTreeSet<_> = fetch.iter().map(|row| (row.relay, row.sequence)).collect();
    let offer: BTreeSet<_> = offer.iter().map(|one| one.relay).collect();
    assert_eq!(fetch, BTreeSet::from([(id(3), 6), (id(5), 1)]));
    assert_eq!(offer, BTreeSet::from([id(1), id(4)]));
}

#[test]
fn buckets_that_were_not_listed_say_nothing() {
    let ours = directory([at(1, 5), at(2, 5)]);
    let only_first = BucketSet::from_iter([Bucket::of(&id(1))]);
    let Difference { fetch, offer } =
        Difference::between(&ours, &Listings::of(&Directory::new(), &only_first));
    assert!(fetch.is_empty());
    assert_eq!(
        offer.iter().map(|one| one.relay).collect::<Vec<_>>(),
        [id(1)]
    );
}

#[test]
fn a_thousand_relays_are_taken_over_and_then_only_what_changed() {
    let mut theirs = directory((0..1000).map(|number| at(number, 1)));
    let mut ours = Directory::new();
    pull(&mut ours, &theirs);
    assert_eq!(contents(&ours), contents(&theirs));
    let summary = pull(&mut ours, &theirs) - 34;
    theirs.insert(at(7, 2)).unwrap();
    let answered = pull(&mut ours, &theirs);
    assert_eq!(contents(&ours), contents(&theirs));
    // One bucket of some four rows, and one descriptor.
    assert!(answered - summary < 1500, "{answered} - {summary}");
}

#[test]
fn two_descriptors_with_one_sequence_end_up_the_same_everywhere() {
    let [one, two] =
        [1, 2].map(|mib| relay(1, |body| body.capacity = Some(ByteCount::from_mib(mib))));
    let (mut left, mut right) = (directory([one]), directory([two]));
    assert_ne!(Summary::of(&left), Summary::of(&right));
    pull(&mut left, &right);
    pull(&mut right, &left);
    assert_eq!(contents(&left), contents(&right));
    let again = left.iter().next().cloned().unwrap();
    assert_eq!(left.insert(again), Ok(Inserted::Unchanged));
}

#[test]
fn a_descriptor_that_cannot_be_read_spoils_no_other() {
    let good = RawDescriptor::from(&at(1, 1));
    let mut bytes = good.as_bytes().to_vec();
    bytes[0] = 9;
    let mut newer = Writer::new();
    newer.bytes(&bytes);
    let newer = RawDescriptor::from_bytes(&newer.into_bytes()).unwrap();
    let answer = Answer::Descriptors(vec![newer, good]).to_bytes();
    let Ok(Answer::Descriptors(read)) = Answer::from_bytes(&answer) else {
        panic!("an answer is read whatever is in it");
    };
    assert_eq!(
        read[0].read(),
        Err(DecodeError::Unknown {
            what: "descriptor version",
            got: 9
        })
    );
    assert_eq!(read[1].read().unwrap().claimed_relay(), id(1));
}

#[test]
fn an_answer_has_to_fit_its_question() {
    let known = directory([at(1, 1), at(2, 1)]);
    let one_bucket = BucketSet::from_iter([Bucket::of(&id(1))]);
    let questions = [
        Request::Summary,
        Request::Listings(one_bucket),
        Request::Descriptors([id(1)].into()),
    ];
    let answers = questions
        .each_ref()
        .map(|question| known.answer(question).unwrap());
    for (asked, question) in questions.iter().enumerate() {
        for (given, answer) in answers.iter().enumerate() {
            assert_eq!(
                answer.answers(question),
                asked == given,
                "{question:?} {answer:?}"
            );
        }
        assert!(Answer::Busy.answers(question));
        assert!(!Answer::Published(0).answers(question));
    }
    // More than was asked for is no answer either.
    let all = known.answer(&Request::Listings(BucketSet::ALL)).unwrap();
    assert!(!all.answers(&questions[1]));
    let two = known
        .answer(&Request::Descriptors([id(1), id(2)].into()))
        .unwrap();
    assert!(!two.answers(&questions[2]));
    let publish = Request::Publish(vec![(&at(1, 1)).into()]);
    assert_eq!(known.answer(&publish), None);
    assert!(Answer::Published(1).answers(&publish));
    assert!(!Answer::Published(2).answers(&publish));
    assert_eq!(known.answer(&Request::Who), None);
    assert!(Answer::Relay(None).answers(&Request::Who));
    assert!(!Answer::Relay(None).answers(&Request::Summary));
}

#[test]
fn messages_have_these_bytes() {
    assert_eq!(Request::Summary.to_bytes(), [1, 1]);
    assert_eq!(Answer::Published(0x0102).to_bytes(), [1, 4, 1, 2]);
    assert_eq!(Answer::Busy.to_bytes(), [1, 5]);
    assert_eq!(Request::Who.to_bytes(), [1, 5]);
    assert_eq!(Answer::Relay(None).to_bytes(), [1, 6]);
    let relay = [&[1, 6][..], id(1).as_bytes()].concat();
    assert_eq!(Answer::Relay(Some(id(1))).to_bytes(), relay);
    assert_eq!(Answer::from_bytes(&relay), Ok(Answer::Relay(Some(id(1)))));
    let empty = Answer::Summary(Summary::empty()).to_bytes();
    assert_eq!(empty, [&[1, 1][..], &[0; 32]].concat());
    let one = [&[1, 3, 1][..], id(1).as_bytes()].concat();
    assert_eq!(Request::Descriptors([id(1)].into()).to_bytes(), one);
    let first = Request::Listings(BucketSet::from_iter([Bucket::new(0)]));
    assert_eq!(first.to_bytes(), [&[1, 2, 1][..], &[0; 31]].concat());

    // A listing, field by field.
    let made = at(1, 0x0a0b);
    let bucket = Bucket::of(&id(1));
    let only = BucketSet::from_iter([bucket]);
    let bytes = Listings::of(&directory([made.clone()]), &only).to_bytes();
    let (buckets, listing) = bytes.split_at(32);
    assert_eq!(buckets, only.to_bytes());
    assert_eq!(listing[0], 1);
    assert_eq!(listing[1..32], id(1).as_bytes()[1..]);
    assert_eq!(listing[32..40], [0, 0, 0, 0, 0, 0, 0x0a, 0x0b]);
    assert_eq!(listing[40..], made.digest().to_bytes());
    // And of the summary with that bucket in it.
    let bytes = Summary::of(&directory([made])).to_bytes();
    assert_eq!(bytes[..34], [&only.to_bytes()[..], &[0, 1]].concat());
    let text = [b"Coinfuse_directory_bucket_v1", listing].concat();
    assert_eq!(bytes[34..], Sha256::digest(text)[..16]);
}

#[test]
fn messages_out_of_bounds_are_refused() {
    let unknown = |what, got| DecodeError::Unknown { what, got };
    let version = "directory protocol version";
    assert_eq!(Request::from_bytes(&[2, 1]), Err(unknown(version, 2)));
    assert_eq!(Answer::from_bytes(&[0, 1]), Err(unknown(version, 0)));
    assert_eq!(
        Request::from_bytes(&[1, 9]),
        Err(unknown("directory request", 9))
    );
    assert_eq!(
        Answer::from_bytes(&[1, 9]),
        Err(unknown("directory answer", 9))
    );
    // Counts are refused before anything is read for them.
    let too_large = |what, got, max| DecodeError::TooLarge { what, got, max };
    let request = |bytes: &[u8]| Request::from_bytes(bytes).unwrap_err();
    let answer = |bytes: &[u8]| Answer::from_bytes(bytes).unwrap_err();
    assert_eq!(
        request(&[1, 3, 0xfd, 1, 1]),
        too_large("relays asked for", 257, 256)
    );
    assert_eq!(request(&[1, 4, 65]), too_large("published", 65, 64));
    assert_eq!(
        answer(&[1, 3, 0xfd, 1, 1]),
        too_large("descriptors", 257, 256)
    );
    let rows = |count: &[u8]| [&[1, 2, 1][..], &[0; 31], count].concat();
    assert_eq!(
        answer(&rows(&[0xfd, 0x4e, 0x21])),
        too_large("listing", 20_001, 20_000)
    );
    let truncated = DecodeError::Truncated {
        what: "listing row",
        missing: 31,
    };
    assert_eq!(answer(&rows(&[0xfd, 0x4e, 0x20])), truncated);
    // A descriptor too long to be one.
    let long = [&[1, 4, 1, 0xfd, 0x10, 0x01][..], &[0; 4097]].concat();
    assert_eq!(request(&long), too_large("descriptor", 4097, 4096));
    // One encoding: names in order and once, no empty bucket among the filled ones.
    for names in [[2, 1], [1, 1]] {
        let names = names.map(|byte| [byte; 32]).concat();
        let wrong = DecodeError::NotCanonical {
            what: "relays asked for",
        };
        assert_eq!(request(&[&[1, 3, 2][..], &names].concat()), wrong);
    }
    let none = [&[1, 1, 1][..], &[0; 31], &[0; 18]].concat();
    assert_eq!(
        answer(&none),
        DecodeError::NotCanonical {
            what: "bucket summary"
        }
    );
    let rows = [&[1, 2, 1][..], &[0; 31], &[2], &[0; 94]].concat();
    assert_eq!(answer(&rows), DecodeError::NotCanonical { what: "listing" });
}

#[test]
fn the_largest_messages_are_within_their_bounds() {
    let full = relay(1, |body| {
        body.exit_policy = "accept [2001:db8::1:2:3:4]:1000-2000\n"
            .repeat(128)
            .parse()
            .unwrap();
        let long = format!("http://{}", "m".repeat(150));
        body.mints = (0..2)
            .map(|i| MintOffer {
                url: format!("{long}{i}").parse().unwrap(),
                unit: MintUnit::Sat,
                issuer: false,
            })
            .collect();
    });
    assert!(full.as_bytes().len() > 3000);
    let raw = RawDescriptor::from(&full);
    let answer = Answer::Descriptors(vec![raw.clone(); Request::MAX_IDS]).to_bytes();
    assert!(answer.len() <= Answer::MAX_LEN);
    let request = Request::Publish(vec![raw; Request::MAX_PUBLISHED]).to_bytes();
    assert!(request.len() <= Request::MAX_LEN);
}

fn row(number: u8, sequence: u64) -> Row {
    let descriptor = at(number.into(), sequence);
    Row::of(&descriptor)
}

#[test]
fn only_a_row_of_the_same_relay_supersedes() {
    assert!(row(1, 2).supersedes(&row(1, 1)));
    assert!(!row(1, 1).supersedes(&row(1, 1)));
    assert!(!row(1, 1).supersedes(&row(1, 2)));
    assert!(!row(2, 2).supersedes(&row(1, 1)));
}

#[test]
fn a_full_directory_takes_nothing_new_and_still_what_is_newer() {
    let mut small = Directory::with_limit(1);
    assert_eq!(small.insert(Arc::new(at(1, 1))), Ok(Inserted::Added));
    assert!(small.insert(at(2, 1)).is_err());
    assert_eq!(small.insert(at(1, 2)), Ok(Inserted::Replaced));
    assert_eq!(small.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pulling_from_each_other_makes_both_the_union_of_the_newest(
        left in proptest::collection::btree_map(0u16..24, 1u64..4, 0..20),
        right in proptest::collection::btree_map(0u16..24, 1u64..4, 0..20),
    ) {
        let made = |all: &BTreeMap<u16, u64>| {
            directory(all.iter().map(|(number, sequence)| at(*number, *sequence)))
        };
        let (mut ours, mut theirs) = (made(&left), made(&right));
        let mut union = made(&left);
        union.extend(right.iter().map(|(number, sequence)| at(*number, *sequence)));
        pull(&mut ours, &theirs);
        prop_assert_eq!(contents(&ours), contents(&union));
        pull(&mut theirs, &ours);
        prop_assert_eq!(contents(&theirs), contents(&union));
        prop_assert!(Summary::of(&ours).differing(&Summary::of(&theirs)).is_empty());
    }

    #[test]
    fn reading_messages_is_total_and_canonical(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let versioned = [&[1][..], &bytes].concat();
        if let Ok(request) = Request::from_bytes(&versioned) {
            prop_assert_eq!(request.to_bytes(), &versioned[..]);
        }
        if let Ok(answer) = Answer::from_bytes(&versioned) {
            prop_assert_eq!(answer.to_bytes(), versioned);
        }
    }
}
