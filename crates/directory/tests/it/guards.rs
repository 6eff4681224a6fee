//! The relays that a client enters the network through: how paths use them, and how long they stay.

use crate::{NOW, directory, id, relay, seed};
use coinfuse_directory::{Directory, ExitNeed, History, PathConstraints, SelectError, select_path};
use coinfuse_wire::{ByteCount, Decode, Encode, RelayId, ServiceCode, UnixTime};
use core::time::Duration;
use std::collections::BTreeSet;

pub(crate) const DAY: u64 = 24 * 3600;
const HALF_A_DAY: u64 = DAY / 2;

pub(crate) fn at(secs: u64) -> UnixTime {
    NOW.saturating_add(Duration::from_secs(secs))
}

/// Relays whose descriptors hold for 30 days from `day` on.
pub(crate) fn network(numbers: impl IntoIterator<Item = u16>, day: u64) -> Directory {
    directory(numbers.into_iter().map(|number| {
        relay(number, |body| {
            body.sequence += day;
            body.published = at(day * DAY);
            body.expires = at((day + 30) * DAY);
        })
    }))
}

pub(crate) fn any(hops: usize) -> PathConstraints {
    PathConstraints::new(hops)
}

pub(crate) fn guards(history: &History) -> Vec<RelayId> {
    history.guards().iter().map(|guard| guard.relay).collect()
}

#[test]
fn three_guards_are_drawn_and_every_path_starts_at_the_first() {
    let network = network(0..50, 0);
    let mut history = History::new();
    assert!(history.tend_guards(&network, &any(3), NOW, seed(1)));
    let [first, second, _] = guards(&history)[..] else {
        panic!("three guards");
    };
    for n in 0..50 {
        let path = select_path(&network, &any(3).fresh_at(NOW), &history, seed(n)).unwrap();
        assert_eq!(path.first().relay, first);
        assert_ne!(path.last().relay, first);
    }
    // Without the first, the second.
    let path = select_path(&network, &any(3).exclude([first]), &history, seed(1)).unwrap();
    assert_eq!(path.first().relay, second);
    // A path of one hop has no place for a guard.
    let ends: BTreeSet<_> = (0..50)
        .map(|n| {
            select_path(&network, &any(1), &history, seed(n))
                .unwrap()
                .first()
                .relay
        })
        .collect();
    assert!(ends.len() > 20);
}

#[test]
fn a_way_back_begins_anywhere_and_may_end_at_a_guard() {
    let network = network(0..50, 0);
    let mut history = History::new();
    history.tend_guards(&network, &any(3), NOW, seed(1));
    let guard = guards(&history)[0];
    let back = any(3).without_guard().ending_at([guard]);
    let paths: Vec<_> = (0..50)
        .map(|n| select_path(&network, &back, &history, seed(n)).unwrap())
        .collect();
    assert!(paths.iter().all(|path| path.last().relay == guard));
    let firsts: BTreeSet<_> = paths.iter().map(|path| path.first().relay).collect();
    assert!(firsts.len() > 20);
}

#[test]
fn guards_stay_when_they_are_tended_and_over_a_restart() {
    let mut history = History::new();
    history.tend_guards(&network(0..50, 0), &any(3), NOW, seed(1));
    let before = guards(&history);
    for day in 1..50 {
        let network = network(0..50, day);
        history = History::from_bytes(&history.to_bytes()).unwrap();
        history.tend_guards(&network, &any(3), at(day * DAY), seed(day as u32));
        assert_eq!(guards(&history), before, "day {day}");
    }
    // With nothing to do, nothing has to be stored.
    assert!(!history.tend_guards(&network(0..50, 49), &any(3), at(49 * DAY), seed(99)));
}

#[test]
fn a_guards_time_is_sixty_to_a_hundred_and_twenty_days_drawn_at_random() {
    let network = network(0..50, 0);
    let lifetimes: BTreeSet<u64> = (0..100)
        .flat_map(|n| {
            let mut history = History::new();
            history.tend_guards(&network, &any(3), NOW, seed(n));
            let lifetime = |guard: &coinfuse_directory::Guard| guard.until.secs() - NOW.secs();
            history.guards().iter().map(lifetime).collect::<Vec<_>>()
        })
        .collect();
    assert!(lifetimes.len() > 290, "nobody can tell when one was chosen");
    assert!(
        lifetimes
            .iter()
            .all(|secs| (60 * DAY..120 * DAY).contains(secs))
    );
    assert!(lifetimes.first().unwrap() / DAY < 65 && lifetimes.last().unwrap() / DAY > 115);
}

#[test]
fn a_guard_is_replaced_when_its_time_is_over() {
    let mut history = History::new();
    history.tend_guards(&network(0..50, 0), &any(3), NOW, seed(1));
    let before = guards(&history);
    let end = history.guards()[0].until.saturating_since(NOW).as_secs();
    let network = network(0..50, end / DAY);
    // Nobody looked for a while.
    assert!(!history.tend_guards(&network, &any(3), at(end - 1), seed(2)));
    assert_eq!(guards(&history), before);
    assert!(history.tend_guards(&network, &any(3), at(end), seed(2)));
    assert_eq!(guards(&history)[..2], before[1..]);
    assert_eq!(guards(&history).len(), 3);
}

#[test]
fn a_guard_that_is_gone_is_stood_in_for_after_half_a_day_and_forgotten_after_a_month() {
    let mut history = History::new();
    history.tend_guards(&network(0..50, 0), &any(3), NOW, seed(1));
    let before = guards(&history);
    let [first, second, third] = before[..] else {
        panic!("three guards");
    };
    let without = |day| {
        let mut network = network(0..50, day);
        network.remove(&first);
        network
    };
    let mut missed = |secs: u64| {
        history.tend_guards(&without(secs / DAY), &any(3), at(secs), seed(2));
        let path = select_path(&without(secs / DAY), &any(3), &history, seed(1)).unwrap();
        assert_eq!(path.first().relay, second);
        history.clone()
    };
    // It may be the directory that is not complete.
    assert_eq!(guards(&missed(DAY)), before);
    assert_eq!(guards(&missed(DAY + HALF_A_DAY - 1)), before);
    let history = missed(DAY + HALF_A_DAY);
    let [.., stand_in] = guards(&history)[..] else {
        panic!("guards");
    };
    assert_eq!(guards(&history), [first, second, third, stand_in]);
    // Back again, it takes its place.
    let path = select_path(&network(0..50, 2), &any(3), &history, seed(1)).unwrap();
    assert_eq!(path.first().relay, first);
    assert!(guards(&missed(30 * DAY - 1)).contains(&first));
    assert_eq!(guards(&missed(30 * DAY)), [second, third, stand_in]);
}

#[test]
fn a_client_that_was_off_for_a_month_keeps_its_guards_though_it_starts_with_an_empty_directory() {
    let mut history = History::new();
    history.tend_guards(&network(0..50, 0), &any(3), NOW, seed(1));
    let before = guards(&history);
    history.tend_guards(&Directory::new(), &any(3), at(30 * DAY), seed(2));
    history.tend_guards(&network(0..50, 30), &any(3), at(30 * DAY + 60), seed(3));
    assert_eq!(guards(&history), before);
    assert!(history.guards().iter().all(|guard| guard.missing.is_none()));
}

#[test]
fn a_guard_that_failed_rests_and_then_is_first_again() {
    let network = network(0..50, 0);
    let mut history = History::new();
    history.tend_guards(&network, &any(3), NOW, seed(1));
    let first = guards(&history)[0];
    history.failed(&first, NOW);
    let start = |secs| {
        let constraints = any(3).fresh_at(at(secs));
        select_path(&network, &constraints, &history, seed(1))
            .unwrap()
            .first()
            .relay
    };
    assert_eq!([start(0), start(30)], [guards(&history)[1], first]);
}

#[test]
fn a_guard_that_is_far_slower_than_it_claims_comes_after_the_others_unless_all_are() {
    let network = network(0..50, 0);
    let mut history = History::new();
    history.tend_guards(&network, &any(3), NOW, seed(1));
    let guards = guards(&history);
    let start = |history: &History| {
        let path = select_path(&network, &any(3), history, seed(1));
        path.unwrap().first().relay
    };
    // They claim nothing, which counts as 1 MiB/s.
    history.measured(&guards[0], ByteCount::new(66_000), NOW);
    assert_eq!(start(&history), guards[0]);
    for guard in 0..3 {
        (0..3).for_each(|_| history.measured(&guards[guard], ByteCount::new(60_000), NOW));
        assert_eq!(start(&history), guards[(guard + 1) % 3]);
    }
}

#[test]
fn without_a_guard_that_will_do_there_is_no_path_until_there_is_another() {
    let network = network(0..50, 0);
    let mut history = History::new();
    history.tend_guards(&network, &any(3), NOW, seed(1));
    let picky = any(3).exclude(guards(&history));
    let Err(SelectError::NoGuard(shortage)) = select_path(&network, &picky, &history, seed(1))
    else {
        panic!("all guards are excluded");
    };
    assert_eq!((shortage.needed, shortage.excluded), (1, 3));
    // Who is left out may have been made to fail.
    assert!(!history.tend_guards(&network, &picky, at(599), seed(2)));
    assert!(history.tend_guards(&network, &picky, at(600), seed(2)));
    let path = select_path(&network, &picky, &history, seed(1)).unwrap();
    assert_eq!(path.first().relay, guards(&history)[3]);
}

#[test]
fn the_only_exit_ends_paths_though_it_is_the_first_guard() {
    const WEB: ExitNeed = ExitNeed::Name { port: 443 };
    let network = directory((0..3).map(|number| {
        relay(number, |body| {
            if number == 0 {
                body.services.insert(ServiceCode::EXIT);
                body.exit_policy = "accept *:443".parse().unwrap();
            }
        })
    }));
    for n in 0..20 {
        let mut history = History::new();
        history.tend_guards(&network, &any(3), NOW, seed(n));
        let path = select_path(&network, &any(3).exit_to(WEB), &history, seed(n)).unwrap();
        assert_eq!(path.last().relay, id(0));
    }
}

#[test]
fn guards_are_strangers_to_each_other_if_they_can_be() {
    let operator = |number: u16| {
        relay(number, |body| {
            let tag = if number < 40 {
                "big".into()
            } else {
                format!("small{number}")
            };
            body.operator = Some(tag.parse().unwrap());
        })
    };
    let network = directory((0..42).map(operator));
    for n in 0..20 {
        let mut history = History::new();
        history.tend_guards(&network, &any(3), NOW, seed(n));
        let big = guards(&history)
            .iter()
            .filter(|relay| (0..40).any(|b| id(b) == **relay))
            .count();
        assert_eq!((big, guards(&history).len()), (1, 3));
    }
    // And if they cannot, they are still three.
    let mut history = History::new();
    history.tend_guards(&directory((0..5).map(operator)), &any(3), NOW, seed(1));
    assert_eq!(guards(&history).len(), 3);
}

#[test]
fn somebody_with_a_tenth_of_the_relays_sees_a_few_clients_often_and_most_never() {
    let network = network(0..100, 0);
    let bad: BTreeSet<_> = (0..10).map(id).collect();
    let touched = (0..300).filter(|client| {
        let mut history = History::new();
        history.tend_guards(&network, &any(3), NOW, seed(*client));
        let starts = (0..30).map(|n| {
            let path = select_path(&network, &any(3), &history, seed(1000 * client + n));
            path.unwrap().first().relay
        });
        starts.into_iter().any(|first| bad.contains(&first))
    });
    let touched = touched.count();
    // 10 % of 300; drawing a new first hop each time, it would be 96 %.
    assert!((15..50).contains(&touched), "{touched}");
}
