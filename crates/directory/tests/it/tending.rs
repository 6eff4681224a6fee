//! How many guards a client draws, whatever happens to them and to its clock.

use crate::guards::{DAY, any as path_of, at, guards, network};
use crate::{NOW, directory, id, relay, seed};
use coinfuse_directory::{
    Directory, History, MintOffer, MintUnit, PathConstraints, Price, select_path,
};
use coinfuse_wire::{Rate, RelayId, UnixTime};
use core::time::Duration;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const HOUR: u64 = 3600;
/// How many guards anybody can make a client draw within thirty days.
const MOST_IN_A_MONTH: usize = 12;

/// A client with three guards.
fn client(network: &Directory) -> History {
    let mut history = History::new();
    assert!(history.tend_guards(network, &path_of(3), NOW, seed(1)));
    assert_eq!(history.guards().len(), 3);
    history
}

/// Keeps a relay from the client until it has failed time after time.
fn bring_down(history: &mut History, relay: &RelayId, now: UnixTime) {
    (0..4).for_each(|_| history.failed(relay, now));
}

#[test]
fn a_client_whose_guards_all_fail_tries_them_again_and_draws_others_ever_more_slowly() {
    let network = network(0..50, 0);
    let mut history = client(&network);
    let before = guards(&history);
    let first_of = |history: &History, secs| {
        let constraints = path_of(3).fresh_at(at(secs));
        let path = select_path(&network, &constraints, history, seed(1));
        path.unwrap().first().relay
    };
    // Who failed but a few times will be back in a moment.
    for guard in &before {
        (0..3).for_each(|_| history.failed(guard, at(2 * DAY)));
    }
    assert!(!history.tend_guards(&network, &path_of(3), at(2 * DAY), seed(2)));
    assert_eq!(first_of(&history, 2 * DAY), before[0]);

    for minute in 0..24 * 60 {
        let now = 2 * DAY + 60 * minute;
        for guard in guards(&history) {
            bring_down(&mut history, &guard, at(now));
        }
        assert_eq!(first_of(&history, now), before[0], "it is tried again");
        history.tend_guards(&network, &path_of(3), at(now), seed(minute as u32));
    }
    // At once, after an hour, after six more.
    let met = guards(&history);
    assert_eq!((&met[..3], met.len()), (&before[..], 6));
    // With one of them back there is no need of others.
    for guard in &met {
        bring_down(&mut history, guard, at(4 * DAY));
    }
    let mut restored = history.clone();
    restored.succeeded(&met[2], at(4 * DAY));
    assert!(!restored.tend_guards(&network, &path_of(3), at(4 * DAY), seed(3)));
    assert_eq!(first_of(&restored, 4 * DAY), met[2]);
    assert!(history.tend_guards(&network, &path_of(3), at(4 * DAY), seed(3)));
}

#[test]
fn a_directory_that_lacks_the_guards_costs_one_guard_and_none_if_it_has_one_of_them() {
    let all = network(0..50, 0);
    for lacking in 1..=3 {
        let mut history = client(&all);
        let before = guards(&history);
        let mut partial = all.clone();
        for guard in &before[..lacking] {
            partial.remove(guard);
        }
        for minute in 0..12 * 60 {
            let now = at(5 * DAY + 60 * minute);
            history.tend_guards(&partial, &path_of(3), now, seed(minute as u32));
        }
        let drawn = guards(&history).len() - 3;
        assert_eq!(drawn, usize::from(lacking == 3), "without {lacking} guards");
        history.tend_guards(&all, &path_of(3), at(6 * DAY), seed(1));
        assert_eq!(guards(&history)[..3], before[..]);
    }
}

/// On which days a client draws guards, if each is kept from it as soon as it is drawn.
fn days_of_draws(
    mut kill: impl FnMut(&mut History, &mut Directory, &RelayId, UnixTime),
) -> Vec<u64> {
    let (mut history, mut days) = (History::new(), Vec::new());
    let mut met = BTreeSet::new();
    let eras = [network(0..200, 0), network(0..200, 25)];
    for hour in 0..40 * 24 {
        let mut network = eras[usize::from(hour >= 25 * 24)].clone();
        let now = at(hour * HOUR);
        for guard in &met {
            kill(&mut history, &mut network, guard, now);
        }
        history.tend_guards(&network, &path_of(3), now, seed(hour as u32));
        let new = guards(&history)
            .into_iter()
            .filter(|guard| met.insert(*guard));
        days.extend(new.map(|_| hour / 24));
    }
    days
}

#[test]
fn whoever_kills_every_guard_meets_a_client_twelve_times_in_a_month() {
    // The first three; one after ten minutes, an hour, six hours; and then in days.
    let days = [0, 0, 0, 0, 0, 0, 1, 3, 6, 9, 12, 15, 30, 31, 33, 35, 37, 39];
    let hidden = days_of_draws(|_, network, guard, _| _ = network.remove(guard));
    assert_eq!(hidden, days);
    let attacked = days_of_draws(|history, _, guard, now| bring_down(history, guard, now));
    assert_eq!(attacked, days);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Somebody who controls the network does something to each of the guards, for hours or days: lets
    /// it be, hides it, makes it fail, or makes the caller leave it out.
    #[test]
    fn nobody_makes_a_client_draw_more_than_twelve_guards_in_thirty_days(
        start in 0u64..200,
        moves in proptest::collection::vec((any::<u32>(), 1usize..20), 10..40),
        seed: [u8; 32],
    ) {
        let eras: Vec<_> = (0..12).map(|era| network(0..80, 25 * era)).collect();
        let mut history = client(&eras[0]);
        let mut drawn: BTreeMap<(UnixTime, RelayId), ()> = BTreeMap::new();
        let moves = moves.into_iter().flat_map(|(what, times)| vec![what; times]);
        for (quarter, moves) in (0..400).zip(moves) {
            let secs = start * DAY + quarter * 6 * HOUR;
            let mut network = eras[(secs / DAY / 25) as usize % 12].clone();
            let mut excluded = Vec::new();
            for (n, guard) in guards(&history).into_iter().enumerate() {
                match (moves >> (2 * n)) % 8 {
                    0 => history.succeeded(&guard, at(secs)),
                    1..4 => _ = network.remove(&guard),
                    4..6 => bring_down(&mut history, &guard, at(secs)),
                    _ => excluded.push(guard),
                }
            }
            history.tend_guards(&network, &path_of(3).exclude(excluded), at(secs), seed);
            prop_assert!(history.guards().len() <= History::MAX_GUARDS);
            drawn.extend(history.guards().iter().map(|one| ((one.since, one.relay), ())));
        }
        let times: Vec<_> = drawn.keys().map(|(since, _)| *since).collect();
        let month = |pair: &[UnixTime]| pair[MOST_IN_A_MONTH].saturating_since(pair[0]);
        let mut months = times.windows(MOST_IN_A_MONTH + 1).map(month);
        prop_assert!(months.all(|span| span >= Duration::from_secs(30 * DAY)), "{times:?}");
    }
}

/// Fifty relays, of which each takes the ecash of one mint of five.
fn market() -> Directory {
    directory((0..50).map(|number| {
        relay(number, |body| {
            body.expires = at(30 * DAY);
            let rate = Rate::from_msat_per_mib(10);
            body.price = Price {
                up: rate,
                down: rate,
            };
            body.mints = vec![MintOffer {
                url: mint(number % 5).0,
                unit: MintUnit::Sat,
                issuer: false,
            }];
        })
    }))
}

fn mint(number: u16) -> (coinfuse_directory::MintUrl, MintUnit) {
    let url = format!("http://mint{number}.example");
    (url.parse().unwrap(), MintUnit::Sat)
}

fn paying(number: u16) -> PathConstraints {
    PathConstraints::new(3).pay_with([mint(number)])
}

#[test]
fn who_asks_for_something_else_gets_other_guards_at_once_and_the_old_ones_back() {
    let market = market();
    let mut history = History::new();
    let mut start = |number, drawing| {
        history.tend_guards(&market, &paying(number), NOW, seed(drawing));
        let path = select_path(&market, &paying(number), &history, seed(1)).unwrap();
        (path.first().relay, history.guards().len())
    };
    // Three for each, until there are twelve, and then one in place of the last.
    let first = [0, 1, 2, 3, 4].map(|number| start(number, number.into()));
    assert_eq!(first.map(|(_, count)| count), [3, 6, 9, 12, 12]);
    for number in (0..5).rev() {
        assert_eq!(start(number, 9), (first[usize::from(number)].0, 12));
    }
}

#[test]
fn who_has_asked_for_many_things_gets_another_guard_when_those_of_the_last_fail() {
    let market = market();
    // The fourth wish has three guards of the twelve, and the fifth only one.
    for (wish, first) in [(3, 9), (4, 11)] {
        let mut history = History::new();
        for number in 0..=wish {
            history.tend_guards(&market, &paying(number), NOW, seed(number.into()));
        }
        let twelve = guards(&history);
        for guard in &twelve[first..] {
            bring_down(&mut history, guard, at(3 * DAY));
        }
        assert!(!history.tend_guards(&market, &paying(wish), at(3 * DAY - 1), seed(9)));
        assert!(history.tend_guards(&market, &paying(wish), at(3 * DAY), seed(9)));
        let new = guards(&history)[11];
        let expected = [&twelve[..first - 1], &twelve[first..], &[new]].concat();
        assert_eq!(guards(&history), expected, "{wish}");
        let constraints = paying(wish).fresh_at(at(3 * DAY));
        let path = select_path(&market, &constraints, &history, seed(1));
        assert_eq!(path.unwrap().first().relay, new);
    }
}

#[test]
fn a_jump_of_the_clock_replaces_one_guard_and_not_all() {
    let mut history = client(&network(0..50, 0));
    let before = guards(&history);
    for day in 0..3 {
        let network = network(0..50, 300 + day);
        for hour in 0..24 {
            let now = at((300 + day) * DAY + hour * HOUR);
            history.tend_guards(&network, &path_of(3), now, seed(hour as u32));
        }
        let after = guards(&history);
        let gone = day as usize + 1;
        assert_eq!(after[..3 - gone], before[gone..], "day {day}");
        assert_eq!(after.len(), 3);
    }
}

#[test]
fn a_guard_drawn_while_the_clock_was_ahead_lasts_no_longer_than_others() {
    let ahead = 3000 * DAY;
    let mut history = History::new();
    history.tend_guards(&network(0..50, 3000), &path_of(3), at(ahead), seed(1));
    history.tend_guards(&Directory::new(), &path_of(3), at(ahead), seed(1));
    let before = guards(&history);
    assert!(history.tend_guards(&network(0..50, 0), &path_of(3), NOW, seed(2)));
    assert_eq!(guards(&history), before);
    for guard in history.guards() {
        assert_eq!((guard.since, guard.missing), (NOW, None));
        assert!(guard.until <= at(120 * DAY));
    }
    // And is stood in for when it fails.
    before
        .iter()
        .for_each(|guard| bring_down(&mut history, guard, at(2 * DAY)));
    assert!(history.tend_guards(&network(0..50, 2), &path_of(3), at(2 * DAY), seed(3)));
    assert_eq!(guards(&history).len(), 4);
    assert!(!guards(&history).contains(&id(50)));
}
