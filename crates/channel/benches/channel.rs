//! What a channel costs the processor: updates, which are many, and openings, which are few. Sizes
//! are printed first.

use coinfuse_channel::*;
use coinfuse_wire::{Encode, UnixTime};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::convert::Infallible;
use std::hint::black_box;
use std::mem::size_of;
use std::time::Duration;

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/it/bank.rs"]
mod bank;

use bank::Bank;
use cashu::{Amount, CurrencyUnit, SecretKey};

const NOW: UnixTime = UnixTime::from_secs(1_900_000_000);
const EXPIRY: UnixTime = UnixTime::from_secs(1_900_000_000 + 24 * 3600);
const MINT: &str = "https://mint.example";
/// A thousand sat.
const CAPACITY: u64 = 1_000_000;
/// How many updates are made at once, so that the clock does not count.
const UPDATES: u64 = 500;
/// How many channels are kept to see what they take.
const CHANNELS: u64 = 500;
/// A balance for which most coins of both parties differ from those of zero.
const FAR: u64 = 0x5_5555;

fn key(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).unwrap()
}

fn saved<S: std::fmt::Debug>(step: Unsaved<S>) -> S {
    step.save(|_| Ok::<_, Infallible>(())).unwrap()
}

fn pay(sender: Sender, amount: u64) -> Sender {
    saved(sender.pay(NOW, amount.into()).unwrap())
}

fn receive(receiver: Receiver, update: &Update) -> Receiver {
    saved(receiver.receive(NOW, update).unwrap())
}

struct Scene {
    bank: Bank,
    terms: Terms,
}

impl Scene {
    fn new() -> Self {
        let bank = Bank::new(32, 100);
        let mut terms = Terms::new(key(2));
        terms.keysets.push((MINT.into(), bank.keyset()));
        Self { bank, terms }
    }

    fn sender(&mut self, capacity: u64, max_amount: u64, setup: u64) -> Sender {
        let keyset = self.bank.keyset();
        let ladder = keyset.ladder(max_amount.into());
        let value = ladder.before_fees(capacity.into()).unwrap();
        let params = Params {
            mint: MINT.into(),
            unit: CurrencyUnit::Msat,
            capacity: capacity.into(),
            funding_amount: ladder.before_fees(value).unwrap(),
            keyset_id: keyset.id(),
            input_fee_ppk: keyset.input_fee_ppk(),
            max_amount: max_amount.into(),
            setup: UnixTime::from_secs(setup),
            expiry: EXPIRY,
            sender: key(1).public_key(),
            receiver: key(2).public_key(),
        };
        let planned = saved(Planned::new(params, &keyset, &key(1)).unwrap());
        let signatures = self.bank.issue(&planned.outputs());
        saved(planned.funded(&signatures).unwrap())
    }

    fn receiver(&self, open: &Open) -> Receiver {
        saved(self.terms.open(NOW, open).unwrap())
    }
}

fn updates(c: &mut Criterion) {
    let mut scene = Scene::new();
    let open = scene.sender(CAPACITY, 0, 0).open();
    let mut number = 0;
    let mut sender = || {
        number += 1;
        scene.sender(CAPACITY, 0, number)
    };
    let mut group = c.benchmark_group("update");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(UPDATES));
    group.bench_function("sign", |b| {
        b.iter_batched(
            || (0..UPDATES).fold(sender(), |sender, _| pay(sender, 1)),
            |warm| (0..UPDATES).fold(warm, |sender, _| pay(sender, 1)),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("verify", |b| {
        b.iter_batched(
            || warm_receiver(&open),
            |(warm, updates)| updates.iter().fold(warm, receive),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// A receiver that has seen updates, and more of them.
fn warm_receiver(open: &Open) -> (Receiver, Vec<Update>) {
    let mut scene = Scene::new();
    let mut sender = Some(scene.sender(CAPACITY, 0, 0));
    let mut next = |_| {
        let paid = pay(sender.take().unwrap(), 1);
        let update = paid.update();
        sender = Some(paid);
        update
    };
    let warm: Vec<_> = (0..UPDATES).map(&mut next).collect();
    let receiver = warm.iter().fold(scene.receiver(open), receive);
    (receiver, (0..UPDATES).map(next).collect())
}

fn first_update(c: &mut Criterion) {
    let mut scene = Scene::new();
    let sender = scene.sender(CAPACITY, 0, 0);
    let open = sender.open();
    let update = pay(sender, FAR).update();
    let mut number = 0;
    let mut group = c.benchmark_group("update with no output derived before");
    group.sample_size(20);
    group.bench_function("verify", |b| {
        b.iter_batched(
            || scene.receiver(&open),
            |receiver| receive(receiver, &update),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("sign", |b| {
        b.iter_batched(
            || {
                number += 1;
                scene.sender(CAPACITY, 0, number)
            },
            |sender| pay(sender, FAR),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn openings(c: &mut Criterion) {
    let mut scene = Scene::new();
    let few = scene.sender(CAPACITY, 0, 0).open();
    let many = scene.sender(48, 1, 0).open();
    let mut group = c.benchmark_group("open");
    group.sample_size(20);
    for open in [few, many] {
        let name = format!("{} proofs", open.proofs.len());
        group.bench_function(name, |b| b.iter(|| black_box(scene.terms.open(NOW, &open))));
    }
    let mut hostile = scene.sender(CAPACITY, 0, 9).open();
    hostile.params.max_amount = Amount::ONE;
    hostile.params.funding_amount = 400_000_000.into();
    group.bench_function("400 million proofs, refused", |b| {
        b.iter(|| black_box(scene.terms.open(NOW, &hostile)));
    });
    group.finish();
}

fn sizes(_: &mut Criterion) {
    let mut scene = Scene::new();
    let sender = scene.sender(CAPACITY, 0, 0);
    let open = sender.open();
    let json = sender.open_with_claims().to_json().unwrap();
    let opened = scene.terms.open(NOW, &open).unwrap();
    let row = opened.row().bytes.len();
    let sender = pay(sender, FAR);
    let update = sender.update();
    println!(
        "bytes: opening with {} proofs {}",
        open.proofs.len(),
        open.to_bytes().len()
    );
    println!("bytes: the same in JSON {}", json.len());
    println!(
        "bytes: update {}, in JSON {}",
        update.to_bytes().len(),
        update.to_json().len()
    );
    println!("bytes: receiver's rows {row} and {}", {
        let step = saved(opened).receive(NOW, &update).unwrap();
        step.row().bytes.len()
    });
    println!(
        "bytes: receiver {}, sender {}",
        size_of::<Receiver>(),
        size_of::<Sender>()
    );
    let before = resident();
    let channels: Vec<_> = (0..CHANNELS)
        .map(|number| {
            let sender = scene.sender(CAPACITY, 0, number + 1);
            let receiver = scene.receiver(&sender.open());
            receive(receiver, &pay(sender, FAR).update())
        })
        .collect();
    let used = resident().saturating_sub(before) / CHANNELS;
    println!("bytes: memory of an open channel at its receiver some {used}");
    drop(channels);
}

/// The memory of this process, in bytes; 0 where it is not told.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * 4096
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = sizes, updates, first_update, openings
}
criterion_main!(benches);
