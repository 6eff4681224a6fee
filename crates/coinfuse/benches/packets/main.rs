//! Paid packets through a whole relay: from a neighbour's link to another neighbour's link, with
//! every voucher in the durable spent set.
//!
//! Three parties in one process, each with an endpoint and a thread of its own, over loopback: a
//! neighbour that sends as fast as the relay reads, the relay, and a neighbour that counts what
//! arrives. The packets were made before: one layer for this relay, in it a coin of the relay's own
//! mint, locked to the relay, as real ones are; none twice. The relay does all that it always does:
//! allowance, point, HMAC, layer, record, replay filter, voucher, ledger on the disk of the
//! temporary folder, outbox.
//!
//! A run begins with the first packet sent and ends with the last one counted at the far side. The
//! figures are packets a second, and the processor time of each thread for a packet: the two
//! neighbours' threads are not the relay's.

mod mint;
mod parties;

use coinfuse_wire::PacketSize;
use mint::Mint;
use parties::{Far, Near, Under};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Packets of a run.
const SMALL_PACKETS: usize = 12_000;
const LARGE_PACKETS: usize = 3_000;
/// Runs of each size, on one ledger.
const RUNS: usize = 3;

fn main() {
    // Without it this is `cargo test`, which wants to see whether it works.
    let measuring = std::env::args().any(|arg| arg == "--bench");
    let (share, runs) = if measuring { (1, RUNS) } else { (100, 1) };
    let mint = Mint::new();
    for (size, count) in [
        (PacketSize::Small, SMALL_PACKETS),
        (PacketSize::Large, LARGE_PACKETS),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let far = Far::start();
        let relay = Under::start(folder.path(), &mint, &far);
        let near = Near::start(&relay);
        for _ in 0..runs {
            let packets = (0..count / share).map(|_| relay.packet(&mint, size));
            run(&relay, &near, &far, size, packets.collect());
        }
    }
}

/// One run, and its figures.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn run(relay: &Under, near: &Near, far: &Far, size: PacketSize, packets: Vec<Vec<u8>>) {
    let count = packets.len();
    let expected = far.packets() + count;
    let (before, begin) = (processor_times(), Instant::now());
    near.send(packets);
    while far.packets() < expected {
        std::thread::sleep(Duration::from_millis(1));
    }
    let elapsed = begin.elapsed().as_secs_f64();
    let (kib, rate) = (size.len() >> 10, count as f64 / elapsed);
    println!("{count} packets of {kib} KiB: {rate:.0} a second, processor time for each:");
    for (thread, used) in processor_times() {
        let used = used.saturating_sub(before.get(&thread).copied().unwrap_or_default());
        let each = used.as_secs_f64() * 1e6 / count as f64;
        if each >= 1.0 {
            println!("  {thread:<16} {each:>6.1} us");
        }
    }
    let stats = relay.stats();
    assert_eq!(stats.received, stats.forwarded, "{stats:?}");
}

/// Processor time of this process by the names of its threads; empty where the system does not
/// tell it this way.
fn processor_times() -> BTreeMap<String, Duration> {
    let mut times = BTreeMap::<String, Duration>::new();
    for task in std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let Some((name, fields)) = stat
            .split_once('(')
            .and_then(|(_, rest)| rest.rsplit_once(')'))
        else {
            continue;
        };
        // User and system time are the 12th and 13th after the name, in hundredths of a second.
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        *times.entry(name.to_owned()).or_default() += Duration::from_millis(ticks * 10);
    }
    times
}
