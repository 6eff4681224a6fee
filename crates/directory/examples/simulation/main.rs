//! 10,000 relays and 100,000 clients, on one machine and without a network: where the load goes, what
//! an adversary sees, and what it costs a client to stay up to date.
//!
//! ```console
//! $ cargo run --release -p coinfuse-directory --example simulation -- docs/paths.svg
//! ```
//!
//! prints tables in Markdown and draws the plot. Two more arguments are the numbers of relays and of
//! clients. Everything follows from [`SEED`]; it takes some minutes.

mod adversary;
mod freshness;
mod load;
mod plot;
mod seeds;
mod world;

use plot::Chart;
use std::error::Error;
use world::World;

/// What all randomness grows from.
const SEED: u64 = 20_261_121;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next();
    let mut number = |usual| {
        arguments
            .next()
            .map_or(Ok(usual), |text| text.parse::<u32>())
    };
    let (relays, clients) = (number(10_000)?, number(100_000)?);
    println!("Seed {SEED}, {relays} relays, {clients} clients.\n");

    let mut world = World::new(relays);
    println!("{}\n", world.describe());
    let (load_chart, paths) = load::run(&mut world, clients);

    let seen_chart = adversary::shares(&world, &paths);
    let ever_chart = adversary::over_time(&world, clients.min(400));
    adversary::liars(relays, clients.min(50));
    freshness::run(&world);

    if let Some(file) = file {
        let charts: [Chart; 3] = [load_chart, seen_chart, ever_chart];
        std::fs::write(&file, plot::svg(&charts))?;
        println!("Plot: {file}");
    }
    Ok(())
}
