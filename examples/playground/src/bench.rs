//! Speed of the whole: every role in this process, real payment, source and sink included.
//!
//! CPU time is the process's own, user and system, over all threads. The machine's noise shows in the
//! spread: each figure is taken several times and printed as minimum, median and maximum.

use crate::download::{ask, get, now, read_body};
use crate::town::{Plan, Town};
use anyhow::{Context, Result};
use coinfuse::connect::Isolation;
use coinfuse_delivery::Target;
use serde::Serialize;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

/// When channels are funded: as for any client, not for circuits that are closed at once.
const JITTER: Duration = Duration::from_secs(2);
/// Bytes of one bulk run.
const BULK: u64 = 512 << 20;
/// Runs of each bulk figure.
const RUNS: usize = 5;
/// Requests for the first-byte figure.
const FIRST_BYTES: usize = 400;
/// Circuits for the build figure, and for the memory figure.
const CIRCUITS: u32 = 100;
/// The parallel downloads.
const PARALLEL: (usize, u64) = (64, 4 << 20);

/// All figures.
#[derive(Serialize)]
pub(crate) struct Figures {
    bulk: Vec<Bulk>,
    first_byte_ms: Spread,
    fresh_circuit_ms: Spread,
    fresh_circuit_and_first_byte_ms: Spread,
    parallel_64_x_4_mib_mb_per_s: Spread,
    memory_per_circuit_kib: Option<f64>,
}

#[derive(Serialize)]
struct Bulk {
    hops: usize,
    mb_per_s: Spread,
    cpu_s_per_gib: Spread,
}

/// A figure taken several times.
#[derive(Serialize, Clone, Copy)]
struct Spread {
    min: f64,
    p50: f64,
    p99: f64,
    max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let index = ((values.len() as f64 - 1.0) * share).round() as usize;
            values.get(index).copied().unwrap_or(f64::NAN)
        };
        Self {
            min: at(0.0),
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

/// Measures everything and prints it.
pub(crate) async fn run(json: bool) -> Result<()> {
    let mut bulk = Vec::new();
    for hops in [1, 3] {
        bulk.push(bulk_figure(hops).await?);
        if !json {
            let Bulk {
                hops,
                mb_per_s,
                cpu_s_per_gib,
            } = &bulk[bulk.len() - 1];
            println!("{hops} hop(s), bulk      {} MB/s", show(mb_per_s));
            println!("{hops} hop(s), CPU       {} CPU-s/GiB", show(cpu_s_per_gib));
        }
    }
    let town = Town::start(Plan::circuits(3, JITTER)).await?;
    let first_byte_ms = first_bytes(&town).await?;
    let (fresh_circuit_ms, fresh_circuit_and_first_byte_ms) = fresh_circuits(&town).await?;
    let figures = Figures {
        bulk,
        first_byte_ms,
        fresh_circuit_ms,
        fresh_circuit_and_first_byte_ms,
        parallel_64_x_4_mib_mb_per_s: parallel(&town).await?,
        memory_per_circuit_kib: memory(&town).await?,
    };
    town.stop().await;
    if json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
        return Ok(());
    }
    println!(
        "3 hops, first byte    {} ms (open circuit, new stream)",
        show(&figures.first_byte_ms)
    );
    println!(
        "3 hops, fresh circuit {} ms (chosen, bought, paid, built)",
        show(&figures.fresh_circuit_ms)
    );
    println!(
        "  and its first byte  {} ms",
        show(&figures.fresh_circuit_and_first_byte_ms)
    );
    println!(
        "3 hops, 64 x 4 MiB    {} MB/s",
        show(&figures.parallel_64_x_4_mib_mb_per_s)
    );
    match figures.memory_per_circuit_kib {
        Some(kib) => {
            println!("memory per circuit    {kib:.1} KiB for each hop, the client's share included")
        }
        None => println!("memory per circuit    not known on this system"),
    }
    Ok(())
}

fn show(spread: &Spread) -> String {
    let Spread { min, p50, p99, max } = spread;
    format!("min {min:.2}  p50 {p50:.2}  p99 {p99:.2}  max {max:.2}")
}

async fn bulk_figure(hops: usize) -> Result<Bulk> {
    let town = Town::start(Plan::circuits(hops, JITTER)).await?;
    download(&town, 64 << 20).await?;
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (cpu, begun) = (cpu_time(), now());
        download(&town, BULK).await?;
        let took = begun.elapsed();
        rates.push(BULK as f64 / took.as_secs_f64() / 1e6);
        let gib = BULK as f64 / f64::from(1u32 << 30);
        if let (Some(before), Some(after)) = (cpu, cpu_time()) {
            costs.push((after - before).as_secs_f64() / gib);
        }
    }
    town.stop().await;
    Ok(Bulk {
        hops,
        mb_per_s: Spread::of(rates),
        cpu_s_per_gib: Spread::of(costs),
    })
}

async fn download(town: &Town, size: u64) -> Result<()> {
    let mut stream = get(town, size).await?;
    read_body(&mut stream, size, |_| {}).await
}

/// A new stream on an open circuit: from asking for it to the first byte of the answer.
async fn first_bytes(town: &Town) -> Result<Spread> {
    download(town, 1 << 20).await?;
    let mut times = Vec::new();
    for _ in 0..FIRST_BYTES {
        let begun = now();
        let mut stream = get(town, 64).await?;
        stream.fill_buf().await?;
        times.push(millis(begun.elapsed()));
        stream.shutdown().await?;
    }
    Ok(Spread::of(times))
}

/// A circuit from nothing: relays chosen, vouchers bought at the mint, sessions made and paid; then
/// the same with the first byte of an answer through it.
async fn fresh_circuits(town: &Town) -> Result<(Spread, Spread)> {
    let target: Target = town.web.addr().to_string().parse()?;
    let (mut built, mut answered) = (Vec::new(), Vec::new());
    for index in 0..CIRCUITS {
        let isolation = Isolation::from_credentials(b"fresh", &index.to_be_bytes());
        let begun = now();
        town.client.prepare(&target, isolation).await?;
        built.push(millis(begun.elapsed()));
        let mut stream = town.client.connect_isolated(&target, isolation).await?;
        ask(&mut stream, town.web.addr(), 64).await?;
        stream.fill_buf().await?;
        answered.push(millis(begun.elapsed()));
        town.client.close_circuits(isolation);
    }
    Ok((Spread::of(built), Spread::of(answered)))
}

async fn parallel(town: &Town) -> Result<Spread> {
    let (streams, size) = PARALLEL;
    let mut rates = Vec::new();
    for _ in 0..RUNS {
        let begun = now();
        let mut tasks = JoinSet::new();
        for _ in 0..streams {
            let (client, address) = (town.client.clone(), town.web.addr());
            tasks.spawn(async move {
                let mut stream = crate::download::get_from(&client, address, size).await?;
                read_body(&mut stream, size, |_| {}).await
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.context("a download panicked")??;
        }
        rates.push(streams as f64 * size as f64 / begun.elapsed().as_secs_f64() / 1e6);
    }
    Ok(Spread::of(rates))
}

/// What the process grows by for each open circuit, divided by its hops: an upper bound of what
/// it takes at one relay, since the client's part is in it.
async fn memory(town: &Town) -> Result<Option<f64>> {
    let target: Target = town.web.addr().to_string().parse()?;
    // The first ones pay for tables and arenas.
    open(town, &target, 0..CIRCUITS).await?;
    let before = resident();
    open(town, &target, CIRCUITS..3 * CIRCUITS).await?;
    let after = resident();
    let kib = |(before, after): (u64, u64)| {
        after.saturating_sub(before) as f64 / 1024.0 / f64::from(2 * CIRCUITS) / 3.0
    };
    Ok(before.zip(after).map(kib))
}

async fn open(town: &Town, target: &Target, circuits: std::ops::Range<u32>) -> Result<()> {
    for index in circuits {
        let isolation = Isolation::from_credentials(b"memory", &index.to_be_bytes());
        town.client.prepare(target, isolation).await?;
    }
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// User and system time of this process; Linux only.
fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is in parentheses and may hold blanks; utime and stime are the 14th and 15th.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// Resident memory of this process in bytes; Linux only.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}
