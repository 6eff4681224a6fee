//! What a record, a handshake and a payment cost the processor.
//!
//! Throughput is in bytes of the stream, not of the lane.

use coinfuse_circuit::*;
use coinfuse_wire::{ByteCount, Decode, Encode, Instant, Msat, Rate, RelayId, UnixTime};
use core::time::Duration;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::hint::black_box;

const NOW: Instant = Instant::ZERO;
const UNIX: UnixTime = UnixTime::from_secs(1_800_000_000);
const IDENTITY: [u8; 32] = [7; 32];
/// Bodies that fill the smallest and the largest class.
const BODIES: [(&str, usize); 2] = [("512 B", 509), ("16 KiB", MAX_BODY)];

fn relay_id() -> RelayId {
    let pair = Ed25519KeyPair::from_seed_unchecked(&IDENTITY).unwrap();
    RelayId::new(pair.public_key().as_ref().try_into().unwrap())
}

fn onion() -> OnionSecret {
    OnionSecret::new([9; 32])
}

fn price() -> Price {
    let rate = Rate::from_msat_per_mib(100);
    Price {
        up: rate,
        down: rate,
    }
}

fn plans(hops: usize, suite: Suite) -> Vec<HopPlan> {
    let plan = HopPlan {
        relay: relay_id(),
        onion_key: onion().public(),
        suite,
        link: NextHop {
            link_key: [0; 32],
            addresses: vec!["192.0.2.7:4433".parse().unwrap()],
        },
        ceiling: price(),
        account: AccountToken::new([1; 32]),
        upstream: Msat::new(1 << 49),
        offer: None,
    };
    vec![plan; hops]
}

fn start(hops: usize, suite: Suite) -> (ClientCircuit, Create) {
    let seed = || Seed::new([1; 32]);
    ClientCircuit::start(plans(hops, suite), TopUpPolicy::default(), limits(), seed).unwrap()
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.reading_every = ByteCount::MAX;
    limits
}

fn welcome() -> Welcome {
    Welcome {
        quote: Quote::sign(
            price(),
            UNIX.saturating_add(Duration::from_secs(60)),
            &IDENTITY,
        ),
        balance: Msat::new(1 << 50),
        provisional: Msat::ZERO,
        result: None,
        mints: vec![],
    }
}

fn answer(suite: Suite, handshake: &[u8], welcome: &Welcome) -> (RelayCircuit, Vec<u8>) {
    let seed = Seed::new([2; 32]);
    let code = suite.code();
    let incoming = IncomingCircuit::read(&relay_id(), &onion(), code, handshake, &seed).unwrap();
    incoming.welcome(welcome, limits(), NOW).unwrap()
}

fn record(wire: impl AsRef<[u8]>) -> Record {
    let (mut assembler, mut rest) = (Assembler::new(), wire.as_ref());
    loop {
        assembler.feed(&mut rest);
        if let Some(record) = assembler.take().unwrap() {
            return record;
        }
    }
}

/// A circuit that stands, and its relays.
fn circuit(hops: usize, suite: Suite) -> (ClientCircuit, Vec<RelayCircuit>) {
    let (mut client, create) = start(hops, suite);
    let (first, hello) = answer(suite, &create.handshake, &welcome());
    let mut relays = vec![first];
    client.created(NOW, UNIX, &hello).unwrap();
    while let Some(output) = client.poll_output() {
        if let ClientOutput::Transmit(wire) = output {
            extend(&mut client, &mut relays, record(wire), suite);
        }
    }
    assert!(client.is_ready());
    (client, relays)
}

/// Carries an extension to the last relay and its answer back.
fn extend(
    client: &mut ClientCircuit,
    relays: &mut Vec<RelayCircuit>,
    mut up: Record,
    suite: Suite,
) {
    for at in 0..relays.len() {
        relays[at].control_from_client(NOW, up).unwrap();
        match relays[at].poll_output().unwrap() {
            RelayOutput::ToNext(wire) => up = record(wire),
            RelayOutput::Event(RelayEvent::Extend { handshake, .. }) => {
                let (next, hello) = answer(suite, &handshake, &welcome());
                relays[at].extended(NOW, hello);
                relays.push(next);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let last = relays.len() - 2;
    for at in (0..=last).rev() {
        let Some(RelayOutput::ToClient(wire)) = relays[at].poll_output() else {
            panic!("no answer");
        };
        match at.checked_sub(1) {
            Some(before) => relays[before].control_from_next(NOW, record(wire)),
            None => client.control(NOW, UNIX, record(wire)).unwrap(),
        }
    }
}

fn records(c: &mut Criterion, suite: Suite) {
    let mut group = c.benchmark_group(format!("{suite:?}"));
    for (name, len) in BODIES {
        let body = vec![7; len];
        group.throughput(Throughput::Bytes(len as u64));
        for hops in [1, 3] {
            let (mut client, _) = circuit(hops, suite);
            group.bench_function(format!("client seals, {hops} hops, {name}"), |b| {
                b.iter(|| client.seal(NOW, &[black_box(&body)]).unwrap());
            });
        }

        let (mut client, mut relays) = circuit(3, suite);
        group.bench_function(format!("relay opens and forwards, {name}"), |b| {
            b.iter_batched(
                || record(client.seal(NOW, &[&body]).unwrap()),
                |record| match relays[0].data_from_client(NOW, record).unwrap() {
                    FromClient::Forward(record) => record.into_wire(),
                    other => panic!("{other:?}"),
                },
                BatchSize::SmallInput,
            );
        });

        let (_client, mut relays) = circuit(2, suite);
        let (first, last) = relays.split_at_mut(1);
        group.bench_function(format!("relay wraps, {name}"), |b| {
            b.iter_batched(
                || record(last[0].stream_to_client(NOW, &[&body]).unwrap()),
                |record| first[0].data_from_next(NOW, record).unwrap(),
                BatchSize::SmallInput,
            );
        });

        let (mut client, mut relays) = circuit(3, suite);
        group.bench_function(format!("client opens, 3 hops, {name}"), |b| {
            b.iter_batched(
                || {
                    let wire = relays[2].stream_to_client(NOW, &[&body]).unwrap();
                    let wire = relays[1].data_from_next(NOW, record(wire)).unwrap();
                    record(relays[0].data_from_next(NOW, record(wire)).unwrap())
                },
                |record| client.open(NOW, record).unwrap(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn handshake(c: &mut Criterion) {
    let mut group = c.benchmark_group("handshake");
    let welcome = welcome();
    for suite in Suite::ALL {
        group.bench_function(format!("client starts, {suite:?}"), |b| {
            b.iter(|| start(1, suite));
        });
        let (_, create) = start(1, suite);
        group.bench_function(format!("relay reads and answers, {suite:?}"), |b| {
            b.iter(|| answer(suite, &create.handshake, &welcome));
        });
        group.bench_function(format!("client finishes, {suite:?}"), |b| {
            let (_, hello) = answer(suite, &create.handshake, &welcome);
            b.iter_batched(
                || start(1, suite).0,
                |mut client| client.created(NOW, UNIX, &hello).unwrap(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn small_things(c: &mut Criterion) {
    let mut pool = Pool::new(Rate::from_msat_per_mib(100));
    pool.add(Msat::MAX);
    c.bench_function("a pool carries a record", |b| {
        b.iter(|| pool.carry(black_box(ByteCount::new(16_400))));
    });
    let pay = ToRelay::Pay {
        number: PaymentNumber(1),
        upstream: Msat::new(4096),
        offer: Offer {
            method: Offer::VOUCHERS,
            payment: vec![7; 176],
        },
    }
    .to_bytes();
    c.bench_function("a payment is decoded", |b| {
        b.iter(|| ToRelay::from_bytes(black_box(&pay)).unwrap());
    });
}

fn all(c: &mut Criterion) {
    for suite in Suite::ALL {
        records(c, suite);
    }
    handshake(c);
    small_things(c);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(20);
    targets = all
}
criterion_main!(benches);
