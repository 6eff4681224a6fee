use coinfuse_delivery::mempool::p2p::{Connection, Event, Role, SessionConfig};
use coinfuse_delivery::mempool::{Answer, Network, Submission};
use coinfuse_wire::{Decode, Encode, Instant};
use std::sync::Arc;

/// A submission and an answer have one form, and a submission never prints.
pub fn mempool_submission(data: &[u8]) {
    if let Ok(answer) = Answer::from_bytes(data) {
        assert_eq!(answer.to_bytes(), data);
    }
    let Ok(submission) = Submission::decode(data) else {
        return;
    };
    assert_eq!(submission.encode(), data);
    assert!(data.len() <= Submission::MAX_LEN);
    assert_eq!(format!("{submission:?}"), "Submission([scrubbed])");
}

/// What a peer says, to a connection that submits (first byte even) or observes (odd): the same
/// comes of it in whatever pieces it arrives, and the last event is the last.
pub fn mempool_session(data: &[u8]) {
    let Some((choice, said)) = data.split_first() else {
        return;
    };
    let whole = hear(*choice, said.chunks(said.len().max(1)));
    let pieces = hear(*choice, said.chunks(usize::from(*choice) / 2 + 1));
    assert_eq!(whole, pieces);
    let last = whole.0.iter().position(|event| event.is_last());
    assert!(last.is_none_or(|last| last + 1 == whole.0.len()));
}

/// The events, and all that the connection said.
fn hear<'a>(choice: u8, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Event>, Vec<u8>) {
    let submission = Submission::decode(SUBMISSION).expect("a seed");
    let role = match choice % 2 {
        0 => Role::Submit(Arc::new(submission)),
        _ => Role::observe(&submission),
    };
    let now = Instant::ZERO;
    let config = SessionConfig::default();
    let mut connection = Connection::plain(Network::Regtest, role, config, [7; 32], now);
    let (mut events, mut out) = (Vec::new(), Vec::new());
    for piece in pieces {
        connection.receive(now, piece);
        out.extend(connection.poll_transmit().into_iter().flatten());
        events.extend(core::iter::from_fn(|| connection.poll_event()));
    }
    (events, out)
}

/// A package.
const SUBMISSION: &[u8] = include_bytes!("../seeds/mempool_submission/package");
