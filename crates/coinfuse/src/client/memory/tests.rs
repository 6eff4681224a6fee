use super::*;
use crate::client::packets::testing::{NOW, directory, id, relay};
use coinfuse_wire::ServiceCode;
use core::time::Duration;

fn at(secs: u64) -> UnixTime {
    NOW.saturating_add(Duration::from_secs(secs))
}

/// Who rests at that time, of relays 1 to 9.
fn resting(state: &State, now: UnixTime) -> Vec<u8> {
    let rests = |number: &u8| state.history.is_resting(&id(*number), now);
    (1..=9).filter(rests).collect()
}

#[test]
fn a_client_that_is_cut_off_for_ten_minutes_blames_nobody() {
    let mut state = State::default();
    for second in 0..600 {
        state.unreached.missed(id(1 + (second % 3) as u8));
    }
    state.reached(&[], at(600));
    assert_eq!(*state.history, History::new());
    assert!(!state.changed);
}

#[test]
fn a_relay_that_cannot_be_reached_when_another_one_can_has_failed() {
    let mut state = State::default();
    state.unreached.missed(id(1));
    state.unreached.missed(id(1));
    state.worked(&[id(3), id(4)], at(5));
    assert_eq!(resting(&state, at(5)), [1]);
    assert_eq!(state.history.reliability(&id(1), at(5)), Some(500), "once");
    assert_eq!(state.history.reliability(&id(3), at(5)), Some(1000));
}

#[test]
fn a_relay_that_was_lost_and_is_found_again_has_failed_once_and_need_not_rest() {
    let mut state = State::default();
    for _ in 0..3 {
        state.unreached.missed(id(1));
    }
    state.worked(&[id(1)], at(1));
    assert!(resting(&state, at(1)).is_empty());
    let reliability = state.history.reliability(&id(1), at(1));
    assert!(reliability.is_some_and(|of| of < 700), "{reliability:?}");
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
    let history = memory.history();
    let guards: Vec<_> = history.guards().iter().map(|guard| guard.relay).collect();
    assert_eq!(guards.len(), 3);
    let all: Vec<_> = (1..=9).map(id).collect();
    memory.packet_lost(&all);
    let rests = |relay: &RelayId| memory.history().is_resting(relay, now);
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
fn a_file_that_is_something_else_is_put_aside_and_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    std::fs::write(&path, "nonsense").unwrap();
    let error = read_history(&path).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let memory = Memory::open(Some(path.clone()), Clock::start());
    assert_eq!(*memory.history(), History::new());
    memory.worked([id(1)]);
    memory.save_now().unwrap();
    assert_eq!(read_history(&path).unwrap(), *memory.history());
    let aside = std::fs::read_to_string(path.with_extension("unreadable"));
    assert_eq!(aside.unwrap(), "nonsense");
}

#[test]
fn a_file_that_cannot_be_read_now_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    // Whoever is root may read everything, but nobody a folder.
    std::fs::create_dir(&path).unwrap();
    let memory = Memory::open(Some(path.clone()), Clock::start());
    memory.worked([id(1)]);
    memory.save_now().unwrap();
    assert!(path.is_dir());
    assert!(!path.with_extension("new").exists());
}

/// A state with a guard, 1.
fn guarded() -> State {
    let mut state = State::default();
    let network = directory([relay(1, |body| {
        body.services.insert(ServiceCode::RELAY);
    })]);
    let constraints = PathConstraints::new(3).fresh_at(NOW);
    let drawn = state
        .history()
        .tend_guards(&network, &constraints, NOW, [1; 32]);
    assert!(drawn);
    state
}

#[test]
fn a_guard_on_which_all_packets_are_lost_is_left() {
    let mut state = guarded();
    let mut lose = |others: [u8; 2], second: u64| {
        let way = [id(1), id(others[0]), id(others[1])];
        state.lost(|state| &mut state.packets, &way, true, at(second));
        let over_another = [id(9), id(others[0])];
        state.came_through(|state| &mut state.packets, &over_another, at(second));
        resting(&state, at(second)).contains(&1)
    };
    assert!(!lose([2, 3], 0));
    assert!(!lose([4, 3], 1));
    assert!(lose([5, 6], 2));
}

#[test]
fn a_circuit_that_ends_without_a_word_counts_against_the_exit_and_stalls_against_all_others() {
    let memory = Memory {
        state: Mutex::new(guarded()),
        file: Mutex::new(None),
        clock: Clock::start(),
    };
    let hop = |hop: HopIndex| (hop.get() < 3).then(|| id(1 + hop.get() as u8));
    let now = memory.clock.unix();
    let last = HopIndex::new(2).unwrap();
    memory.went_wrong(&ClientError::StreamsEnded(last), false, hop);
    assert_eq!(resting(&memory.lock(), now), [3]);
    memory.went_wrong(&ClientError::Stalled, false, hop);
    assert_eq!(resting(&memory.lock(), now), [2, 3]);
}

#[test]
fn an_exit_that_opens_nothing_three_times_has_failed_and_a_target_s_refusal_is_nobody_s_fault() {
    let memory = Memory::open(None, Clock::start());
    let now = memory.clock.unix();
    let rests = |number| memory.history().is_resting(&id(number), now);
    for _ in 0..9 {
        memory.stream_refused(id(1), ExitFailure::ConnectionRefused);
        memory.stream_refused(id(1), ExitFailure::PolicyRefused);
        memory.stream_refused(id(1), ExitFailure::ConnectTimeout);
    }
    assert!(!rests(1));
    for _ in 0..2 {
        memory.stream_refused(id(1), ExitFailure::RelayLimit);
        memory.another_exit_did(id(2), ExitFailure::ConnectTimeout);
    }
    assert!(!rests(1) && !rests(2));
    memory.stream_opened(&[id(7), id(2)]);
    memory.stream_refused(id(1), ExitFailure::Internal);
    memory.another_exit_did(id(2), ExitFailure::ConnectTimeout);
    assert!(rests(1) && !rests(2));
}
