//! Answers: prepaid, one-time, and for nobody but who asked.

use crate::net::{MAILBOX, forwarded, question, relay_id, secret, seed, via, voucher, way_back};
use coinfuse_onion::{
    BookFull, Delivery, HOP_RECORD_LEN, HopCountError, NextHop, OpenError, PayloadError, PeelError,
    ReplyBook, ReplyError, ReplyPath, SmallPacket, Task,
};
use coinfuse_wire::{Decode, DecodeError, Encode, Instant};
use core::time::Duration;

const ALTERED: OpenError = OpenError::Peel(PeelError::Mac);

fn later(secs: u64) -> Instant {
    Instant::from_epoch(Duration::from_secs(secs))
}

/// Carries a question over three relays to the service there.
fn delivered(packet: SmallPacket) -> Delivery {
    let packet = forwarded(secret(0).open(packet).unwrap());
    let packet = forwarded(secret(1).open(packet).unwrap());
    match secret(2).open(packet).unwrap().task {
        Task::Deliver(delivery) => delivery,
        Task::Forward { .. } => panic!("this was the last hop"),
    }
}

/// Carries an answer back, looks at what each relay is paid, and has what comes to the mailbox.
fn carried_back(mut packet: SmallPacket) -> SmallPacket {
    let next = [
        NextHop::Relay(relay_id(1)),
        NextHop::Relay(relay_id(0)),
        NextHop::Mailbox(MAILBOX),
    ];
    for (n, want) in [2, 1, 0].into_iter().zip(next) {
        let opened = secret(n).open(packet).unwrap();
        assert_eq!(opened.payment, Some(voucher(n)));
        let Task::Forward { next, packet: rest } = opened.task else {
            panic!("relays only forward answers");
        };
        assert_eq!(next, want);
        packet = rest;
    }
    packet
}

#[test]
fn a_question_has_its_answer() {
    let (path, ticket) = way_back(3, 100);
    let delivery = delivered(question(3, 1, b"a transaction", Some(path)));
    assert_eq!(delivery.message, b"a transaction");
    let path = delivery.reply.unwrap();
    assert_eq!(path.first(), relay_id(2));
    let answer = carried_back(path.answer(&seed(2), b"its txid").unwrap());
    assert_eq!(ticket.open(answer).unwrap(), b"its txid");
}

#[test]
fn an_empty_answer_is_an_answer() {
    let (path, ticket) = way_back(3, 100);
    let answer = carried_back(path.answer(&seed(2), b"").unwrap());
    assert_eq!(ticket.open(answer).unwrap(), b"");
}

#[test]
fn an_answer_is_accepted_once() {
    let mut book = ReplyBook::new(8);
    let (path, ticket) = way_back(3, 100);
    book.wait(ticket, later(60), "question 1").unwrap();
    let answer = carried_back(path.answer(&seed(2), b"yes").unwrap());
    let again = answer.clone();
    assert_eq!(
        book.receive(later(1), answer),
        Ok(("question 1", b"yes".to_vec()))
    );
    assert_eq!(book.receive(later(1), again), Err(ReplyError::NotExpected));
}

#[test]
fn an_answer_is_accepted_on_the_path_that_was_laid_for_it_alone() {
    let ((path, first), (_, second)) = (way_back(3, 100), way_back(3, 101));
    let answer = carried_back(path.answer(&seed(2), b"yes").unwrap());
    assert_eq!(second.open(answer.clone()).unwrap_err(), ALTERED);
    assert!(first.open(answer).is_ok());
}

#[test]
fn an_answer_cannot_leave_its_path_or_end_early() {
    let (path, ticket) = way_back(3, 100);
    let answer: SmallPacket = path.answer(&seed(2), b"yes").unwrap();
    // As it is handed to the first relay, at the mailbox; and at a relay out of turn.
    assert_eq!(ticket.open(answer.clone()).unwrap_err(), ALTERED);
    assert_eq!(secret(1).open(answer.clone()).unwrap_err(), ALTERED);
    let after_one = forwarded(secret(2).open(answer).unwrap());
    assert_eq!(secret(0).open(after_one).unwrap_err(), ALTERED);
}

#[test]
fn records_of_two_paths_cannot_be_mixed() {
    // Whoever answers has the keys of the layers, and puts another path's voucher on this one.
    let encode = |number| way_back(3, number).0.to_bytes();
    let (mut mixed, other) = (encode(100), encode(101));
    let before = 32 + 33 + 1 + 32 + 32 + 1;
    let sealed = before..before + HOP_RECORD_LEN + 16;
    mixed[sealed.clone()].copy_from_slice(&other[sealed]);
    let path = ReplyPath::from_bytes(&mixed).unwrap();
    let answer: SmallPacket = path.answer(&seed(2), b"yes").unwrap();
    let refused = OpenError::Payload(PayloadError::Seal);
    assert_eq!(secret(2).open(answer).unwrap_err(), refused);
}

#[test]
fn an_altered_answer_does_not_close_the_path() {
    let mut book = ReplyBook::new(8);
    let (path, ticket) = way_back(3, 100);
    book.wait(ticket, later(60), ()).unwrap();
    let answer = carried_back(path.answer(&seed(2), b"yes").unwrap());
    let mut bytes = answer.to_bytes();
    bytes[1000] ^= 1;
    let altered = SmallPacket::from_bytes(&bytes).unwrap();
    assert_eq!(
        book.receive(later(1), altered),
        Err(ReplyError::Open(ALTERED))
    );
    assert!(book.receive(later(1), answer).is_ok());
}

#[test]
fn an_answer_that_comes_too_late_is_not_expected() {
    let mut book = ReplyBook::new(8);
    let (path, ticket) = way_back(3, 100);
    book.wait(ticket, later(60), "question 1").unwrap();
    assert_eq!(book.next_expiry(), Some(later(60)));
    let answer = carried_back(path.answer(&seed(2), b"yes").unwrap());
    assert_eq!(
        book.receive(later(60), answer),
        Err(ReplyError::NotExpected)
    );
    assert_eq!(book.expire(later(59)), Vec::<&str>::new());
    assert_eq!(book.expire(later(60)), ["question 1"]);
    assert!(book.is_empty());
}

#[test]
fn a_book_holds_no_more_than_it_has_room_for() {
    let mut book = ReplyBook::new(2);
    for number in 0..2 {
        book.wait(way_back(1, number).1, later(60), number).unwrap();
    }
    assert_eq!(
        book.wait(way_back(1, 2).1, later(60), 2),
        Err(BookFull { capacity: 2 })
    );
}

#[test]
fn a_path_is_the_same_after_it_has_travelled() {
    let (path, _) = way_back(5, 100);
    let bytes = path.to_bytes();
    assert_eq!(ReplyPath::from_bytes(&bytes), Ok(path));
    // What a question with a way back over three relays has for its message.
    assert_eq!(way_back(3, 100).0.to_bytes().len(), 1_065);
}

#[test]
fn a_path_has_one_to_eight_relays() {
    for got in [0, 9] {
        let via = vec![via(0, NextHop::Mailbox(MAILBOX)); got];
        let error = ReplyPath::new(&seed(1), relay_id(0), &via).unwrap_err();
        assert_eq!(error, HopCountError { got });
    }
    way_back(8, 1);
}

#[test]
fn a_path_that_does_not_decode() {
    let bytes = way_back(1, 1).0.to_bytes();
    let with = |place: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[place] = byte;
        ReplyPath::from_bytes(&bytes).unwrap_err()
    };
    let (key, layers, sealed) = (32, 65, 130);
    assert_eq!(with(key, 5), DecodeError::Invalid { what: "onion key" });
    // Without a relay it would be no path.
    let what = "layers of a reply path";
    assert_eq!(with(layers, 1), DecodeError::Missing { what });
    assert_eq!(
        with(layers, 10),
        DecodeError::TooLarge {
            what,
            got: 10,
            max: 9
        }
    );
    assert!(matches!(with(layers, 3), DecodeError::Truncated { .. }));
    assert!(matches!(with(sealed, 252), DecodeError::Truncated { .. }));
}

#[test]
fn whoever_answers_learns_only_the_first_relay() {
    let bytes = way_back(3, 100).0.to_bytes();
    let has = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    assert!(has(relay_id(2).as_bytes()));
    assert!(!has(&relay_id(1).as_bytes()[..8]) && !has(&relay_id(0).as_bytes()[..8]));
    assert!(!has(&MAILBOX[..8]) && !has(&voucher(1).as_bytes()[..8]));
    for n in 0..3 {
        assert!(!has(&secret(n).public_key().to_bytes()));
    }
}

#[test]
fn an_answer_that_is_given_up_makes_room() {
    let mut book = ReplyBook::new(2);
    for number in [1, 2] {
        book.wait(way_back(3, number).1, later(60), number).unwrap();
    }
    assert!(book.wait(way_back(3, 3).1, later(60), 3).is_err());
    book.retain(|number| *number != 1);
    assert_eq!(book.len(), 1);
    book.wait(way_back(3, 3).1, later(60), 3).unwrap();
}
