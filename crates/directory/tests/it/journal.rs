//! Following what changes in a directory.

use crate::{id, relay};
use coinfuse_directory::sync::{Answer, Changes, Cursor, Journal, Request, Row};
use coinfuse_directory::{Descriptor, DescriptorDigest, Directory, Inserted};
use coinfuse_wire::{Decode, DecodeError, Encode, RelayId};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

const RELAYS: u16 = 6;
const SEQUENCES: u64 = 5;
const RUN: u64 = 0x0102_0304_0506_0708;

/// Descriptors of all relays with all sequences.
static SIGNED: LazyLock<Vec<Vec<Arc<Descriptor>>>> = LazyLock::new(|| {
    let all = |number| {
        let signed = |sequence| Arc::new(relay(number, |body| body.sequence = sequence));
        (0..SEQUENCES).map(signed).collect()
    };
    (0..RELAYS).map(all).collect()
});

/// A row that nobody signed.
fn row(number: u64) -> Row {
    let mut relay = [7; 32];
    relay[..8].copy_from_slice(&number.to_be_bytes());
    Row {
        relay: RelayId::new(relay),
        sequence: number,
        digest: DescriptorDigest::from_bytes(&[9; 8]).unwrap(),
    }
}

fn journal(rows: impl IntoIterator<Item = u64>) -> Journal {
    let mut journal = Journal::new(RUN);
    rows.into_iter()
        .for_each(|number| journal.came(row(number)));
    journal
}

fn at(number: u64) -> Option<Cursor> {
    Some(Cursor { run: RUN, number })
}

fn told(journal: &Journal, since: Option<Cursor>) -> Option<Vec<u64>> {
    let rows = journal.since(since).rows?;
    Some(rows.iter().map(|row| row.sequence).collect())
}

#[test]
fn each_relay_is_told_once_by_its_last_change_and_not_when_it_is_gone() {
    let mut journal = journal([1, 2, 3, 1, 4]);
    assert_eq!(told(&journal, at(0)), Some(vec![2, 3, 1, 4]));
    assert_eq!(told(&journal, at(3)), Some(vec![1, 4]));
    journal.left(&row(1).relay);
    journal.left(&row(9).relay);
    assert_eq!(told(&journal, at(3)), Some(vec![4]));
    assert_eq!(told(&journal, at(5)), Some(vec![]));
    assert_eq!(Some(journal.cursor()), at(5));
}

#[test]
fn who_knows_nothing_or_another_run_is_told_only_where_to_go_on() {
    let journal = journal([1, 2]);
    let other = Some(Cursor {
        run: RUN + 1,
        number: 1,
    });
    for since in [None, other, at(3)] {
        let changes = journal.since(since);
        assert_eq!((Some(changes.next), changes.rows), (at(2), None));
    }
}

#[test]
fn more_than_fits_is_not_told() {
    let most = Changes::MAX_ROWS as u64;
    let journal = journal(0..most + 1);
    assert_eq!(told(&journal, at(0)), None);
    assert_eq!(told(&journal, at(1)), Some((1..most + 1).collect()));
    let largest = Answer::Changes(journal.since(at(1))).to_bytes();
    assert_eq!(largest.len(), 2 + 16 + 3 + Changes::MAX_ROWS * 48);
    assert!(Answer::from_bytes(&largest).is_ok());
}

#[test]
fn an_answer_has_to_follow_from_the_cursor() {
    let fits = |since, next: Option<Cursor>, rows: Option<u64>| {
        let answer = Answer::Changes(Changes {
            next: next.unwrap(),
            rows: rows.map(|count| (0..count).map(row).collect()),
        });
        answer.answers(&Request::Changes(since))
    };
    assert!(fits(at(3), at(5), Some(2)));
    assert!(fits(at(3), at(3), Some(0)));
    assert!(fits(at(3), at(5), None));
    assert!(fits(None, at(5), None));
    // More rows than numbers, backwards, of another run, and to who knows nothing.
    assert!(!fits(at(3), at(5), Some(3)));
    assert!(!fits(at(3), at(2), Some(0)));
    let other = Some(Cursor { run: 1, number: 5 });
    assert!(!fits(at(3), other, Some(1)));
    assert!(fits(at(3), other, None));
    assert!(!fits(None, at(5), Some(1)));
    let answer = Answer::Changes(journal([]).since(None));
    assert!(!answer.answers(&Request::Summary));
    assert!(!Answer::Published(0).answers(&Request::Changes(None)));
    assert_eq!(Directory::new().answer(&Request::Changes(None)), None);
}

#[test]
fn messages_have_these_bytes() {
    let cursor = [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(Request::Changes(None).to_bytes(), [1, 6]);
    let question = [&[1, 6][..], &cursor].concat();
    assert_eq!(Request::Changes(at(1)).to_bytes(), question);
    assert_eq!(Request::from_bytes(&question), Ok(Request::Changes(at(1))));

    let journal = journal([0x0a0b]);
    let untold = [&[1, 7][..], &cursor].concat();
    assert_eq!(Answer::Changes(journal.since(None)).to_bytes(), untold);
    let name = row(0x0a0b).relay;
    let rest = [0, 0, 0, 0, 0, 0, 0x0a, 0x0b, 9, 9, 9, 9, 9, 9, 9, 9];
    let one = [&untold[..], &[1], name.as_bytes(), &rest].concat();
    assert_eq!(Answer::Changes(journal.since(at(0))).to_bytes(), one);
    let nothing = [&untold[..], &[0]].concat();
    assert_eq!(Answer::Changes(journal.since(at(1))).to_bytes(), nothing);
}

#[test]
fn messages_out_of_bounds_are_refused() {
    let answer = |count: &[u8]| Answer::from_bytes(&[&[1, 7][..], &[0; 16], count].concat());
    let too_large = DecodeError::TooLarge {
        what: "changes",
        got: 1025,
        max: 1024,
    };
    assert_eq!(answer(&[0xfd, 4, 1]), Err(too_large));
    assert!(matches!(
        answer(&[0xfd, 4, 0]),
        Err(DecodeError::Truncated { .. })
    ));
    for cut in [1, 15] {
        let question = [&[1, 6][..], &vec![0; cut]].concat();
        let read = Request::from_bytes(&question);
        assert!(matches!(read, Err(DecodeError::Truncated { .. })));
    }
}

/// Somebody whose directory changes, and somebody who follows him.
#[derive(Default)]
struct Pair {
    source: Directory,
    follower: Directory,
    cursor: Option<Cursor>,
}

impl Pair {
    fn publish(&mut self, journal: &mut Journal, descriptor: &Arc<Descriptor>) {
        match self.source.insert(Arc::clone(descriptor)) {
            Ok(Inserted::Unchanged) => {}
            done => {
                done.expect("there is room");
                journal.came(Row::of(descriptor));
            }
        }
    }

    /// Both see that a descriptor does not hold any more.
    fn expire(&mut self, journal: &mut Journal, relay: &RelayId) {
        self.source.remove(relay);
        self.follower.remove(relay);
        journal.left(relay);
    }

    fn follow(&mut self, journal: &Journal) {
        let Changes { next, rows } = journal.since(self.cursor.replace(journal.cursor()));
        assert_eq!(Some(next), self.cursor);
        match rows {
            None => self.follower = self.source.clone(),
            Some(rows) => {
                for row in rows {
                    let known = self.source.get(&row.relay).expect("what is told is there");
                    assert_eq!(Row::of(known), row);
                    self.follower
                        .insert(Arc::clone(known))
                        .expect("there is room");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn who_follows_ends_with_the_same(
        steps in proptest::collection::vec((0..4u8, 0..RELAYS, 0..SEQUENCES), 0..60),
    ) {
        let (mut journal, mut pair) = (Journal::new(RUN), Pair::default());
        for (kind, number, sequence) in steps {
            match kind {
                0 | 1 => {
                    let signed = &SIGNED[usize::from(number)][sequence as usize];
                    pair.publish(&mut journal, signed);
                }
                2 => pair.expire(&mut journal, &id(number)),
                _ => pair.follow(&journal),
            }
            // It is no larger than the directory.
            let all = journal.since(at(0)).rows.expect("few relays");
            prop_assert_eq!(all.len(), pair.source.len());
        }
        pair.follow(&journal);
        prop_assert_eq!(pair.follower.to_text(), pair.source.to_text());
    }
}
