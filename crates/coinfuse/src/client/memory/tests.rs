use super::*;
use crate::client::packets::testing::{NOW, directory, id, relay};
use coinfuse_wire::ServiceCode;

fn at(secs: u64) -> UnixTime {
    NOW.saturating_add(Duration::from_secs(secs))
}

/// Who rests at that time, of relays 1 to 9.
fn resting(state: &State, now: UnixTime) -> Vec<u8> {
    let rests = |number: &u8| state.history.is_resting(&id(*number), now);
    (1..=9).filter(rests).collect()
}

#[test]
fn a_client_that_is_cut_off_blames_nobody() {
    let mut state = State::default();
    for second in 0..60 {
        state.unreached(id(1 + (second % 3) as u8), at(second));
    }
    assert_eq!(state.history, History::new());
    assert!(!state.changed);
}

#[test]
fn who_cannot_be_reached_when_another_one_can_has_failed() {
    let mut state = State::default();
    for number in [1, 1, 2] {
        state.unreached(id(number), at(0));
    }
    state.worked([id(3), id(4)], at(5));
    assert_eq!(resting(&state, at(5)), [1, 2]);
    assert_eq!(state.history.reliability(&id(1), at(5)), Some(500), "once");
    assert_eq!(state.history.reliability(&id(3), at(5)), Some(1000));
    // And not again at the next success.
    state.worked([id(3)], at(50));
    assert!(resting(&state, at(50)).is_empty());
}

#[test]
fn a_relay_that_was_lost_and_is_found_again_has_failed_once_and_need_not_rest() {
    let mut state = State::default();
    for _ in 0..3 {
        state.unreached(id(1), at(0));
    }
    state.worked([id(1)], at(1));
    assert!(resting(&state, at(1)).is_empty());
    let reliability = state.history.reliability(&id(1), at(1));
    assert!(reliability.is_some_and(|of| of < 700), "{reliability:?}");
}

#[test]
fn after_a_minute_it_is_the_relay() {
    let mut state = State::default();
    state.unreached(id(1), at(0));
    state.unreached(id(1), at(59));
    assert!(resting(&state, at(59)).is_empty());
    state.unreached(id(1), at(60));
    assert_eq!(resting(&state, at(60)), [1]);
}

#[tokio::test]
async fn a_lost_packet_counts_against_all_but_the_guards() {
    let memory = Arc::new(Memory::open(None, Clock::start()));
    let now = memory.clock.unix();
    let network = directory((1..=9).map(|number| {
        relay(number, |body| {
            body.services.insert(ServiceCode::RELAY);
            (body.published, body.expires) = (now, now.saturating_add(Duration::from_secs(3600)));
        })
    }));
    memory.tend_guards(&network, &PathConstraints::new(3).fresh_at(now));
    let guards: Vec<_> = memory.with(|history| history.guards().iter().map(|g| g.relay).collect());
    assert_eq!(guards.len(), 3);
    memory.packet_lost((1..=9).map(id));
    let rests = |relay: &RelayId| memory.with(|history| history.is_resting(relay, now));
    let spared: Vec<_> = (1..=9).map(id).filter(|relay| !rests(relay)).collect();
    assert_eq!(BTreeSet::from_iter(spared), BTreeSet::from_iter(guards));
}

#[tokio::test]
async fn what_is_written_down_is_found_again_and_only_the_owner_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let open = || Arc::new(Memory::open(Some(path.clone()), Clock::start()));
    let memory = open();
    memory.save().await;
    assert!(!path.exists(), "there is nothing to write");
    memory.worked([id(1)]);
    memory.measured(&id(1), ByteCount::from_mib(3));
    memory.save().await;
    assert_eq!(open().history(), memory.history());
    assert_eq!(open().of(&id(1)).1, Some(ByteCount::from_mib(3)));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_file_that_is_something_else_is_told_of_and_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    std::fs::write(&path, "nonsense").unwrap();
    let error = read_history(&path).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let memory = Memory::open(Some(path), Clock::start());
    assert_eq!(memory.history(), History::new());
}
