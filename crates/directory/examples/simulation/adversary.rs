//! What somebody sees who runs many relays.

use crate::load::Hops;
use crate::plot::{Chart, Series};
use crate::seeds::{Numbers, seed};
use crate::world::{NOW, Relay, World, constraints, percent, relay};
use coinfuse_directory::{Directory, History, select_path};
use coinfuse_wire::{ByteCount, ServiceCode};
use std::collections::BTreeSet;

const SHARES: [u64; 5] = [1, 2, 5, 10, 20];

/// The share of paths of which an adversary has both ends, by its share of relays or of capacity.
pub(crate) fn shares(world: &World, paths: &[Hops]) -> Chart {
    println!("## What an adversary sees\n\nBoth ends of a path, and its first hop.\n");
    println!(
        "| adversary has | of the relays: both ends, first | of the capacity: both ends, first |"
    );
    println!("|---|---|---|");
    let mut lines = [Vec::new(), Vec::new()];
    for share in SHARES {
        let by_count = seen(paths, &some_relays(world, share));
        let by_capacity = seen(paths, &some_capacity(world, share));
        println!(
            "| {share} % | {:.2} %, {:.1} % | {:.2} %, {:.1} % |",
            by_count.0, by_count.1, by_capacity.0, by_capacity.1
        );
        lines[0].push((share as f64, by_count.0));
        lines[1].push((share as f64, by_capacity.0));
    }
    println!();
    let [count, capacity] = lines;
    Chart {
        title: "Paths of which an adversary has both ends",
        x: ("share of the adversary, %", 20.0),
        y: ("of all paths, %", 5.0),
        series: vec![
            Series::new("of the relays", count),
            Series::new("of the capacity", capacity),
        ],
    }
}

/// Relays drawn at random, that many percent of all.
fn some_relays(world: &World, share: u64) -> BTreeSet<usize> {
    let all = Numbers::new(5).shuffled((0..world.relays.len()).collect());
    let count = all.len() * share as usize / 100;
    all.into_iter().take(count).collect()
}

/// Relays drawn at random until they have that many percent of the capacity.
fn some_capacity(world: &World, share: u64) -> BTreeSet<usize> {
    let all = Numbers::new(6).shuffled((0..world.relays.len()).collect::<Vec<_>>());
    let mut left = world.capacity() * share / 100;
    let affordable = |at: &usize| {
        let rest = left.checked_sub(world.relays[*at].capacity);
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    all.into_iter().take_while(affordable).collect()
}

/// Percent of the paths with both ends, and with the first, among the bad.
fn seen(paths: &[Hops], bad: &BTreeSet<usize>) -> (f64, f64) {
    let first = paths.iter().filter(|[first, ..]| bad.contains(first));
    let both = first.clone().filter(|[.., last]| bad.contains(last));
    let of = |count: usize| percent(count as u64, paths.len() as u64);
    (of(both.count()), of(first.count()))
}

/// The share of clients that have met an adversary at both ends at least once, with guards and
/// without.
pub(crate) fn over_time(world: &World, clients: u32) -> Chart {
    const PATHS: u64 = 200;
    const SHARE: u64 = 5;
    let bad = some_capacity(world, SHARE);
    println!(
        "Of {clients} clients, those that had both ends bad at least once, with {SHARE} % of the capacity bad:\n"
    );
    println!("| paths | with guards | without |\n|---|---|---|");
    let met = [true, false].map(|guarded| first_meetings(world, clients, guarded, PATHS, &bad));
    let percent_by = |met: &[Option<u64>], n: u64| {
        let count = met.iter().filter(|at| at.is_some_and(|at| at < n)).count();
        percent(count as u64, clients.into())
    };
    for n in [1, 10, 50, 100, PATHS] {
        println!(
            "| {n} | {:.1} % | {:.1} % |",
            percent_by(&met[0], n),
            percent_by(&met[1], n)
        );
    }
    println!();
    let line = |met| {
        (0..=PATHS)
            .map(|n| (n as f64, percent_by(met, n)))
            .collect()
    };
    Chart {
        title: "Clients that ever had both ends bad (5 % of capacity)",
        x: ("paths built", PATHS as f64),
        y: ("of all clients, %", 50.0),
        series: vec![
            Series::new("with guards", line(&met[0])),
            Series::new("without", line(&met[1])),
        ],
    }
}

/// For each client, which of its paths was the first with both ends bad.
fn first_meetings(
    world: &World,
    clients: u32,
    guarded: bool,
    paths: u64,
    bad: &BTreeSet<usize>,
) -> Vec<Option<u64>> {
    let constraints = constraints();
    let is_bad = |relay: &coinfuse_wire::RelayId| bad.contains(&world.index(relay));
    let meeting = |client: u32| {
        let client = u64::from(client);
        let mut history = History::new();
        if guarded {
            history.tend_guards(&world.directory, &constraints, NOW, seed(7, client, 0));
        }
        (0..paths).find(|n| {
            let seed = seed(8, client, *n);
            let path = select_path(&world.directory, &constraints, &history, seed);
            let path = path.expect("there are relays enough");
            is_bad(&path.first().relay) && is_bad(&path.last().relay)
        })
    };
    (0..clients).map(meeting).collect()
}

/// What it brings to claim all capacity there is and have little.
pub(crate) fn liars(relays: u32, clients: u32) {
    const REAL: u64 = 100_000;
    println!("Share of all hops that go to relays which claim everything and carry 100 KB/s:\n");
    println!(
        "| liars among the relays | of their first 10 paths | of 300 paths, measuring |\n|---|---|---|"
    );
    for share in [1, 5, 10] {
        let liars = relays * share / 100;
        let mut honest = World::new(relays).relays;
        honest.truncate((relays - liars) as usize);
        let lying = (0..liars).map(|n| liar(relays + n, REAL));
        let world = World::of(honest.into_iter().chain(lying).collect());
        let (early, later) = hits(&world, clients, REAL);
        println!("| {share} % | {early:.1} % | {later:.1} % |");
    }
    println!();
}

fn liar(number: u32, real: u64) -> Relay {
    let mut liar = relay(number, real);
    liar.body.capacity = Some(ByteCount::MAX);
    liar.body.services.insert(ServiceCode::EXIT);
    liar.body.exit_policy = "accept *:443".parse().expect("a policy");
    let [_, _, a, b] = number.to_be_bytes();
    liar.body.addresses = vec![([150 + a % 40, b, 0, 1], 4433).into()];
    liar
}

/// Percent of hops at liars, of the first paths of clients and of later ones.
fn hits(world: &World, clients: u32, real: u64) -> (f64, f64) {
    let lies = |at: usize| world.relays[at].capacity == real;
    let (mut early, mut later) = ([0; 2], [0; 2]);
    for client in 0..clients.into() {
        let mut history = History::new();
        history.tend_guards(&world.directory, &constraints(), NOW, seed(9, client, 0));
        for n in 0..300 {
            let hops = measured_path(world, &world.directory, &mut history, seed(10, client, n));
            let count = if n < 10 { &mut early } else { &mut later };
            count[0] += hops.iter().filter(|at| lies(**at)).count() as u64;
            count[1] += 3;
        }
    }
    (percent(early[0], early[1]), percent(later[0], later[1]))
}

/// Builds a path, and measures it: each hop looks as fast as the slowest.
fn measured_path(
    world: &World,
    directory: &Directory,
    history: &mut History,
    seed: [u8; 32],
) -> Vec<usize> {
    let path = select_path(directory, &constraints(), history, seed).expect("relays enough");
    let hops: Vec<_> = path
        .hops()
        .iter()
        .map(|hop| world.index(&hop.relay))
        .collect();
    let slowest = hops.iter().map(|at| world.relays[*at].capacity).min();
    for hop in path.hops() {
        history.measured(&hop.relay, ByteCount::new(slowest.unwrap_or(0)), NOW);
    }
    hops
}
