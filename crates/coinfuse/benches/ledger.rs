//! The relay's ledger on the disk of the temporary folder: credited vouchers and channel updates
//! per second.
//!
//! One iteration is one voucher, acknowledged. `alone` waits for each before it presents the next,
//! so it measures the sync to disk; the others keep that many accounts waiting at once, as a busy
//! relay does, and show what sharing a sync is worth.
//!
//! One iteration of `update` is one update of each of 2,000 channels; a channel waits for each of its
//! own before the next. What that costs in processor time, of all threads, is printed after it. The
//! number in its name is how many channels the file holds.

use coinfuse::store::{
    AccountKey, ChannelKey, ChannelStage, ChannelWrite, CollectedVoucher, Ledger, LedgerConfig,
    VoucherKey,
};
use coinfuse_wire::{Msat, UnixTime};
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use std::hint::black_box;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// The spent set's keys are hashes: spread them over the tree as a hash does.
fn voucher(number: u64) -> CollectedVoucher {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    CollectedVoucher {
        key: VoucherKey::new(key),
        value: Msat::new(1024),
        locktime: UnixTime::from_secs(1_900_000_000),
        bytes: vec![0x5a; 175],
    }
}

fn account(number: u64) -> AccountKey {
    let mut key = [0xac; 32];
    key[..8].copy_from_slice(&number.wrapping_mul(0xd6e8_feb8_6659_fd93).to_be_bytes());
    AccountKey::new(key)
}

/// `count` vouchers, presented by `clients` at once.
async fn credit(ledger: &Ledger, next: &AtomicU64, clients: u64, count: u64) {
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let share = count / clients + u64::from(client < count % clients);
        let first = next.fetch_add(share, Ordering::Relaxed);
        let ledger = ledger.clone();
        tasks.spawn(async move {
            for number in first..first + share {
                ledger
                    .credit(account(client), vec![voucher(number)])
                    .await
                    .expect("a credit");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a client");
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn timed(runtime: &Runtime, work: impl Future<Output = ()>) -> Duration {
    let start = Instant::now();
    runtime.block_on(work);
    start.elapsed()
}

fn credits(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ledger = Ledger::open(&folder.path().join("ledger.redb"), LedgerConfig::default());
    let ledger = ledger.expect("a ledger");
    let next = AtomicU64::new(0);
    let mut group = criterion.benchmark_group("ledger");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    for clients in [1, 32, 512] {
        group.bench_function(BenchmarkId::new("credit", clients), |bencher| {
            bencher.iter_custom(|count| timed(&runtime, credit(&ledger, &next, clients, count)));
        });
    }
    group.bench_function("reserve, new", |bencher| {
        bencher.iter(|| {
            let number = next.fetch_add(1, Ordering::Relaxed);
            drop(black_box(ledger.reserve(account(0), vec![voucher(number)])));
        });
    });
    group.bench_function("load", |bencher| {
        bencher.iter(|| black_box(ledger.load(&account(7))));
    });
    group.finish();
}

/// Channels that pay at the same time.
const PAYING: u64 = 2_000;

/// The `number`th channel, which has paid `credited` in all; the row is as long as a receiver's
/// balance with its signature.
fn update(number: u64, credited: u64) -> ChannelWrite {
    ChannelWrite {
        channel: ChannelKey::new(*account(!number).as_bytes()),
        account: account(number),
        part: 1,
        bytes: vec![credited as u8; 104],
        credited: Msat::new(credited),
        expiry: UnixTime::from_secs(1_900_000_000 + number),
        stage: ChannelStage::Open,
    }
}

/// Each of the `channels` pays `rounds` times, from `paid` on.
async fn pay(ledger: &Ledger, channels: Range<u64>, paid: u64, rounds: u64) {
    let mut tasks = JoinSet::new();
    for number in channels {
        let ledger = ledger.clone();
        tasks.spawn(async move {
            for round in 1..=rounds {
                let written = ledger.write_channel(update(number, paid + round)).await;
                written.expect("a write");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a channel");
    }
}

/// Processor time of this process; zero where the system does not tell it this way.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may contain anything: user and system time are the 12th and 13th, in
    // hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn updates(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("ledger");
    group.throughput(Throughput::Elements(PAYING));
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for known in [PAYING, 50 * PAYING] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ledger = Ledger::open(&folder.path().join("ledger.redb"), LedgerConfig::default());
        let ledger = ledger.expect("a ledger");
        let (mut paid, mut spent, mut count) = (1, Duration::ZERO, 0);
        group.bench_function(BenchmarkId::new("update", known), |bencher| {
            if paid == 1 {
                runtime.block_on(pay(&ledger, 0..known, 0, paid));
                paid += 1;
            }
            bencher.iter_custom(|rounds| {
                let before = processor_time();
                let work = pay(&ledger, 0..PAYING, paid, rounds);
                let elapsed = timed(&runtime, work);
                spent += processor_time() - before;
                count += rounds * PAYING;
                paid += rounds;
                elapsed
            });
        });
        if count > 0 {
            let each = spent.as_secs_f64() / count as f64;
            println!("{:.1} us of processor time per update", each * 1e6);
        }
    }
    group.finish();
}

criterion_group!(benches, credits, updates);
criterion_main!(benches);
