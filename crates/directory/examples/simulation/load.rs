//! Where the load goes.

use crate::plot::{Chart, Series};
use crate::seeds::seed;
use crate::world::{NOW, Relay, World, constraints};
use coinfuse_directory::{History, Load, PathConstraints, select_path};
use std::thread;

/// How many times all clients build paths; between them, relays tell their load.
const ROUNDS: u64 = 5;
const PATHS_PER_ROUND: u64 = 2;
/// Of the whole capacity, what all clients together use.
const DEMAND: f64 = 0.5;

/// The relays of a path, by number: of the client's neighbour, the middle and the exit.
pub(crate) type Hops = [usize; 3];

/// Lets all clients build paths for some rounds; returns the chart, and the paths of the last round.
pub(crate) fn run(world: &mut World, clients: u32) -> (Chart, Vec<Hops>) {
    println!(
        "## Load\n\nUse of a relay's capacity when all clients together use {DEMAND} of all capacity.\n"
    );
    println!(
        "| | 10 % of the relays below | median | 90 % below | traffic on relays above 100 % |"
    );
    println!("|---|---|---|---|---|");
    let mut histories = vec![History::new(); clients as usize];
    let mut series = Vec::new();
    let mut paths = Vec::new();
    for round in 0..ROUNDS {
        paths = build_all(world, &mut histories, round);
        let used = used(world, &paths);
        let name = match round {
            0 => "by claims alone".to_owned(),
            1 => "after 1 round of telling load".to_owned(),
            _ => format!("after {round} rounds of telling load"),
        };
        print_row(&name, world, &used);
        if round == 0 || round == ROUNDS - 1 {
            series.push(Series::new(&name, distribution(&used)));
        }
        tell_load(world, &used);
    }
    println!();
    let chart = Chart {
        title: "Use of relays' capacity",
        x: ("of the relay's capacity used, %", 150.0),
        y: ("relays with less, %", 100.0),
        series,
    };
    (chart, paths)
}

fn build_all(world: &World, histories: &mut [History], round: u64) -> Vec<Hops> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let share = histories.len().div_ceil(workers);
    let constraints = constraints();
    thread::scope(|scope| {
        let spawn = |(worker, histories)| {
            let first = (worker * share) as u64;
            let constraints = &constraints;
            scope.spawn(move || build(world, constraints, histories, first, round))
        };
        let working: Vec<_> = histories.chunks_mut(share).enumerate().map(spawn).collect();
        let done = working
            .into_iter()
            .map(|one| one.join().expect("no worker panics"));
        done.flatten().collect()
    })
}

fn build(
    world: &World,
    constraints: &PathConstraints,
    histories: &mut [History],
    first: u64,
    round: u64,
) -> Vec<Hops> {
    let mut paths = Vec::new();
    for (client, history) in (first..).zip(histories) {
        history.tend_guards(&world.directory, constraints, NOW, seed(3, client, round));
        for n in 0..PATHS_PER_ROUND {
            let seed = seed(4, client, round * PATHS_PER_ROUND + n);
            let path = select_path(&world.directory, constraints, history, seed);
            let path = path.expect("there are relays enough");
            let hop = |at: usize| world.index(&path.hops()[at].relay);
            paths.push([hop(0), hop(1), hop(2)]);
        }
    }
    paths
}

/// What part of its capacity each relay carries.
fn used(world: &World, paths: &[Hops]) -> Vec<f64> {
    let mut visits = vec![0_u64; world.relays.len()];
    paths.iter().flatten().for_each(|hop| visits[*hop] += 1);
    let all: u64 = visits.iter().sum();
    let visit = DEMAND * world.capacity() as f64 / all as f64;
    let relays = world.relays.iter().zip(visits);
    relays
        .map(|(relay, visits)| visits as f64 * visit / relay.capacity as f64)
        .collect()
}

/// Relays tell how much they were used lately.
fn tell_load(world: &mut World, used: &[f64]) {
    let mut used = used.iter();
    world.publish(|relay: &mut Relay| {
        relay.used = (relay.used + used.next().expect("one for each relay")) / 2.0;
        let level = (relay.used * 4.0).min(3.0) as u8;
        let before = relay.body.load.replace(Load::new(level).expect("0 to 3"));
        before != relay.body.load
    });
}

fn print_row(name: &str, world: &World, used: &[f64]) {
    let sorted = distribution(used);
    let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100].0;
    let traffic = |filter: &dyn Fn(f64) -> bool| -> f64 {
        let relays = world
            .relays
            .iter()
            .zip(used)
            .filter(|(_, used)| filter(**used));
        relays
            .map(|(relay, used)| relay.capacity as f64 * used)
            .sum()
    };
    let over = 100.0 * traffic(&|used| used > 1.0) / traffic(&|_| true);
    println!(
        "| {name} | {:.0} % | {:.0} % | {:.0} % | {over:.1} % |",
        at(10),
        at(50),
        at(90)
    );
}

/// Percent of capacity used, and of relays that use less.
fn distribution(used: &[f64]) -> Vec<(f64, f64)> {
    let mut sorted = used.to_vec();
    sorted.sort_by(f64::total_cmp);
    let of = sorted.len() as f64;
    let points = (1..).zip(sorted);
    points
        .map(|(n, used)| (100.0 * used, 100.0 * f64::from(n) / of))
        .collect()
}
