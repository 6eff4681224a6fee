//! The relay's ledger on the disk of the temporary folder: credited vouchers per second.
//!
//! One iteration is one voucher, acknowledged. `alone` waits for each before it presents the next,
//! so it measures the sync to disk; the others keep that many accounts waiting at once, as a busy
//! relay does, and show what sharing a sync is worth.

use coinfuse::store::{AccountKey, CollectedVoucher, Ledger, LedgerConfig, VoucherKey};
use coinfuse_wire::{Msat, UnixTime};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
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

criterion_group!(benches, credits);
criterion_main!(benches);
