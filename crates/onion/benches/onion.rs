//! What a packet costs the processor: to build, to peel at one hop, and to refuse.
//!
//! The check of the voucher is not in it: see the bench `relay`.

mod cpu;

use coinfuse_onion::{
    Destination, LARGE, NextHop, OnionSecret, Packet, PaymentBytes, Question, ReplyPath, SMALL,
    Terms, Via,
};
use coinfuse_wire::{RelayId, ServiceCode};
use cpu::CpuTime;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::hint::black_box;

fn secret(n: usize) -> OnionSecret {
    OnionSecret::from_seed(&[n as u8; 32])
}

fn terms() -> Terms {
    Terms::paid(PaymentBytes::new(vec![7; 79]).unwrap())
}

fn via(n: usize) -> Via {
    Via {
        key: secret(n).public_key(),
        next: NextHop::Relay(RelayId::new([n as u8; 32])),
        terms: terms(),
    }
}

fn build<const N: usize>(via: &[Via], to: &Destination, seed: &[u8; 32]) -> Packet<N> {
    let question = Question {
        via,
        to,
        message: &[0xaa; 400],
        reply: None,
    };
    question.build(seed).unwrap()
}

fn path(hops: usize) -> (Vec<Via>, Destination) {
    let to = Destination {
        key: secret(hops - 1).public_key(),
        service: ServiceCode::MEMPOOL,
        instruction: vec![],
        terms: terms(),
    };
    ((0..hops - 1).map(via).collect(), to)
}

fn building(c: &mut Criterion<CpuTime>) {
    for hops in [3, 5] {
        let (via, to) = path(hops);
        c.bench_function(&format!("build/4 KiB/{hops} hops"), |b| {
            b.iter(|| build::<SMALL>(&via, &to, black_box(&[1; 32])))
        });
        c.bench_function(&format!("build/32 KiB/{hops} hops"), |b| {
            b.iter(|| build::<LARGE>(&via, &to, black_box(&[1; 32])))
        });
    }
    let (via, _) = path(4);
    let lay = || ReplyPath::new(black_box(&[1; 32]), RelayId::new([0; 32]), &via).unwrap();
    c.bench_function("reply path/lay over 3 relays", |b| b.iter(lay));
    c.bench_function("reply path/answer in 4 KiB", |b| {
        let answer = |(path, _): (ReplyPath, _)| path.answer::<SMALL>(&[2; 32], &[0xaa; 64]);
        b.iter_batched(lay, answer, BatchSize::SmallInput)
    });
}

/// Bytes in, a task out, as a relay does it.
fn peeling<const N: usize>(c: &mut Criterion<CpuTime>, size: &str) {
    let (via, to) = path(3);
    let (mine, other) = (secret(0), secret(1));
    let bytes = build::<N>(&via, &to, &[1; 32]).to_bytes();
    let parse = || Packet::<N>::from_bytes(black_box(&bytes)).unwrap();
    c.bench_function(&format!("peel/{size}"), |b| {
        b.iter(|| mine.open(parse()).unwrap())
    });
    c.bench_function(&format!("refuse/{size}"), |b| {
        b.iter(|| other.open(parse()).unwrap_err())
    });
}

fn both_sizes(c: &mut Criterion<CpuTime>) {
    peeling::<SMALL>(c, "4 KiB");
    peeling::<LARGE>(c, "32 KiB");
}

criterion_group!(name = benches; config = cpu::criterion(); targets = building, both_sizes);
criterion_main!(benches);
