//! How often relays are drawn.

use crate::{NOW, directory, id, relay, seed};
use coinfuse_directory::{
    Descriptor, Directory, ExitNeed, History, Load, PathConstraints, select_path,
};
use coinfuse_wire::{ByteCount, RelayId, ServiceCode, UnixTime};
use core::time::Duration;
use std::collections::BTreeMap;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn mib(count: u64) -> ByteCount {
    ByteCount::from_mib(count)
}

fn claiming(number: u16, capacity: ByteCount) -> Descriptor {
    relay(number, |body| body.capacity = Some(capacity))
}

fn constraints(hops: usize) -> PathConstraints {
    PathConstraints::new(hops).fresh_at(NOW)
}

/// The relays at a place of `tries` paths.
fn drawn(
    directory: &Directory,
    history: &History,
    constraints: &PathConstraints,
    place: usize,
    tries: u32,
) -> BTreeMap<RelayId, u32> {
    let mut counts = BTreeMap::new();
    for n in 0..tries {
        let path = select_path(directory, constraints, history, seed(n)).unwrap();
        *counts.entry(path.hops()[place].relay).or_default() += 1;
    }
    counts
}

/// Pearson's statistic of what was drawn against the shares that were expected.
fn chi_square(drawn: &BTreeMap<RelayId, u32>, expected: &BTreeMap<RelayId, f64>) -> f64 {
    let tries: u32 = drawn.values().sum();
    let terms = expected.iter().map(|(relay, share)| {
        let expected = share * f64::from(tries);
        let got = f64::from(drawn.get(relay).copied().unwrap_or(0));
        (got - expected).powi(2) / expected
    });
    terms.sum()
}

/// A thousandth of honest draws of six relays would be further off (five degrees of freedom).
const ONE_IN_A_THOUSAND: f64 = 20.5;

/// Six relays that weigh for different reasons, and their shares.
fn six() -> (Directory, History, BTreeMap<RelayId, f64>) {
    let loaded = |number, load| {
        relay(number, |body| {
            body.capacity = Some(mib(8));
            body.load = Some(load);
        })
    };
    let directory = directory([
        claiming(1, mib(8)),
        claiming(2, mib(2)),
        loaded(3, Load::Medium),
        loaded(4, Load::Full),
        relay(5, |_| {}),
        claiming(6, mib(4)),
    ]);
    let mut history = History::new();
    history.measured(&id(5), mib(6), NOW);
    history.failed(&id(6), NOW.saturating_sub(DAY));
    // Load halves once, and three times; of the last, one success assumed and half a failure left.
    let weights = [8.0, 2.0, 4.0, 1.0, 6.0, 4.0 / 1.5];
    let total: f64 = weights.iter().sum();
    let shares = (1..).map(id).zip(weights.map(|weight| weight / total));
    (directory, history, shares.collect())
}

#[test]
fn relays_are_drawn_by_their_weights() {
    let (directory, history, shares) = six();
    let total: u64 = directory.iter().map(|one| history.weight(one, NOW)).sum();
    for one in directory.iter() {
        let share = history.weight(one, NOW) as f64 / total as f64;
        assert!(
            (share - shares[&one.relay]).abs() < 0.001,
            "{share} {one:?}"
        );
    }
    let drawn = drawn(&directory, &history, &constraints(1), 0, 20_000);
    let off = chi_square(&drawn, &shares);
    assert!(off < ONE_IN_A_THOUSAND, "{off} {drawn:?}");
    // The test would notice: with shares that are all the same it is far off.
    let same = shares.keys().map(|relay| (*relay, 1.0 / 6.0)).collect();
    assert!(chi_square(&drawn, &same) > 100.0 * ONE_IN_A_THOUSAND);
}

#[test]
fn the_hops_before_the_last_are_drawn_by_their_weights_among_those_that_are_left() {
    let (directory, history, shares) = six();
    let after = |relay: &RelayId, last: &RelayId| match relay == last {
        true => 0.0,
        false => shares[last] * shares[relay] / (1.0 - shares[last]),
    };
    let expected = shares
        .keys()
        .map(|relay| (*relay, shares.keys().map(|last| after(relay, last)).sum()))
        .collect();
    let drawn = drawn(&directory, &history, &constraints(2), 0, 20_000);
    let off = chi_square(&drawn, &expected);
    assert!(off < ONE_IN_A_THOUSAND, "{off} {drawn:?}");
}

#[test]
fn a_boast_counts_no_more_than_eight_mib_and_modesty_no_less_than_a_little() {
    let weight = |capacity| History::new().weight(&claiming(1, capacity), NOW);
    assert_eq!(weight(ByteCount::MAX), weight(mib(8)));
    assert_eq!(weight(mib(8)), 8 * weight(mib(1)));
    assert_eq!(weight(ByteCount::ZERO), weight(ByteCount::new(64 << 10)));
    assert_eq!(
        History::new().weight(&relay(1, |_| {}), NOW),
        weight(mib(1))
    );
}

#[test]
fn a_cheap_liar_does_not_win() {
    // Ten liars claim everything at no price and carry 100 KB/s; thirty honest relays claim the
    // 4 MiB/s that they have. The client measures whom it meets.
    let liar = |number: u16| number < 10;
    let directory = directory(
        (0..40).map(|number| claiming(number, if liar(number) { ByteCount::MAX } else { mib(4) })),
    );
    let liars: Vec<_> = (0..10).map(id).collect();
    let mut history = History::new();
    let mut met = |paths: core::ops::Range<u32>| {
        let mut hits = 0;
        for n in paths {
            let path = select_path(&directory, &constraints(3), &history, seed(n)).unwrap();
            for hop in path.hops() {
                let lied = liars.contains(&hop.relay);
                hits += u32::from(lied);
                let speed = if lied {
                    ByteCount::new(100_000)
                } else {
                    mib(4)
                };
                history.measured(&hop.relay, speed, NOW);
            }
        }
        hits
    };
    // At first they have what eight MiB/s buy each: 80 of 200 parts, of 300 hops.
    let first = met(0..100);
    let later = met(100..600);
    assert!(first < 120, "{first}");
    // By then their real capacity is 1 MB/s of 121: below 3 % of 1,500 hops.
    assert!(later < 45, "{later}");
}

#[test]
fn a_measurement_fades_back_to_the_claim() {
    let one = claiming(1, mib(1));
    let mut history = History::new();
    history.measured(&id(1), mib(65), NOW);
    let mib_after = |days: u32| history.weight(&one, NOW.saturating_add(days * DAY)) >> 20;
    assert_eq!([0, 3, 6, 60].map(mib_after), [65, 33, 17, 1]);
}

#[test]
fn a_measurement_is_an_average_that_moves_up_faster_than_down() {
    let mut history = History::new();
    assert_eq!(history.capacity(&id(1)), None);
    let measured = [1000, 2000, 2000, 150].map(|speed| {
        history.measured(&id(1), ByteCount::new(speed), NOW);
        history.capacity(&id(1)).unwrap().get()
    });
    assert_eq!(measured, [1000, 1500, 1750, 1550]);
    for _ in 0..80 {
        history.measured(&id(1), ByteCount::MAX, NOW);
    }
    for _ in 0..400 {
        history.measured(&id(1), ByteCount::ZERO, NOW);
    }
    assert!(history.capacity(&id(1)).unwrap() < ByteCount::new(10));
}

#[test]
fn a_relay_that_fails_is_drawn_less_and_recovers() {
    let one = claiming(1, mib(8));
    let fresh = History::new().weight(&one, NOW);
    let mut history = History::new();
    let later = |secs| NOW.saturating_add(Duration::from_secs(secs));
    history.failed(&id(1), NOW);
    assert_eq!(history.weight(&one, later(29)), fresh / 2 / 16);
    assert!(!history.is_resting(&id(1), later(30)));
    assert!(history.weight(&one, later(30)) >= fresh / 2);
    // Twice as long after each failure, an hour at most.
    history.failed(&id(1), NOW);
    assert!(history.is_resting(&id(1), later(59)) && !history.is_resting(&id(1), later(60)));
    (0..200).for_each(|_| history.failed(&id(1), NOW));
    assert!(history.is_resting(&id(1), later(3599)) && !history.is_resting(&id(1), later(3600)));
    assert!(history.reliability(&id(1), NOW).unwrap() < 10);
    // A success ends the rest, and time the bad name.
    history.succeeded(&id(1), NOW);
    assert!(!history.is_resting(&id(1), NOW));
    let month = NOW.saturating_add(30 * DAY);
    assert!(history.reliability(&id(1), month).unwrap() > 990);
    assert!(history.weight(&one, month) > fresh * 99 / 100);
}

#[test]
fn rare_last_hops_are_spared_elsewhere_and_used_where_nothing_else_is() {
    const WEB: ExitNeed = ExitNeed::Name { port: 443 };
    let exit = |number| {
        relay(number, |body| {
            body.services.insert(ServiceCode::EXIT);
            body.exit_policy = "accept *:443".parse().unwrap();
        })
    };
    let is_exit = |relay: &RelayId| (0..10).map(id).any(|exit| exit == *relay);
    let share = |exits: u16, all: u16| {
        let relays = (0..exits).map(exit);
        let directory = directory(relays.chain((10..10 + all - exits).map(|n| relay(n, |_| {}))));
        let first = drawn(
            &directory,
            &History::new(),
            &constraints(3).exit_to(WEB),
            0,
            2000,
        );
        first
            .iter()
            .filter(|(relay, _)| is_exit(relay))
            .map(|(_, count)| count)
            .sum::<u32>()
    };
    // A third of all capacity is exits: all of it is needed at the end.
    assert_eq!(share(10, 30), 0);
    // Half of it: of ten shares of exits, 6.7 are needed at the end, so 3.3 compete with 10.
    let half = share(10, 20);
    assert!((400..600).contains(&half), "{half}");
    // Only exits: they are everywhere.
    assert_eq!(share(10, 10), 2000);
}

#[test]
fn weights_have_no_overflow() {
    let mut history = History::new();
    for _ in 0..1000 {
        history.measured(&id(1), ByteCount::MAX, NOW);
        history.succeeded(&id(1), UnixTime::from_secs(u64::MAX));
        history.succeeded(&id(1), UnixTime::from_secs(0));
    }
    let most = history.weight(&claiming(1, ByteCount::MAX), NOW);
    assert_eq!(most, 128 << 20);
}
