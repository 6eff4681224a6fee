//! What a directory of 10,000 relays costs: to verify, to choose from, to compare and to fetch.

use coinfuse_directory::sync::{Answer, BucketSet, Difference, Listings, Request, Summary};
use coinfuse_directory::{
    Audit, AuditConfig, Descriptor, DescriptorBody, Directory, ExitNeed, History, Identity,
    LinkKey, MintOffer, MintUnit, OnionKey, PathConstraints, Price, RelayKeys,
    UnverifiedDescriptor, View, VoucherKey, select_path,
};
use coinfuse_wire::{ByteCount, Encode, Instant, Rate, ServiceCode, UnixTime};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::OnceLock;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const RELAYS: u32 = 10_000;

fn seed(number: u32) -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    seed
}

/// A relay as they are: it costs money, takes two mints' ecash, and every third is an exit.
fn relay(number: u32) -> Descriptor {
    let identity = Identity::from_seed(seed(number));
    let keys = RelayKeys {
        link: LinkKey::new(seed(number)),
        onion: OnionKey::new(seed(number)),
        voucher: VoucherKey::new([2; 33]),
    };
    let mut body = DescriptorBody::new(&identity, keys, NOW);
    let [_, a, b, c] = (number * 6).to_be_bytes();
    body.addresses = vec![([60 + a, b, c, 1], 4433).into()];
    body.price = Price {
        up: Rate::from_msat_per_mib(100),
        down: Rate::from_msat_per_mib(100 + number % 100),
    };
    let mint = |url: String, issuer| MintOffer {
        url: url.parse().expect("a mint's address"),
        unit: MintUnit::Msat,
        issuer,
    };
    body.mints = vec![
        mint("https://mint.example/Bitcoin".into(), false),
        mint(format!("https://mint.relay{number}.example"), true),
    ];
    body.capacity = Some(ByteCount::from_mib(1 + u64::from(number % 20)));
    body.operator = Some(
        format!("operator{}.example", number / 2)
            .parse()
            .expect("a tag"),
    );
    if number.is_multiple_of(3) {
        body.services.insert(ServiceCode::EXIT);
        body.exit_policy = "reject *:25, accept *:*".parse().expect("a policy");
    }
    body.sign(&identity).expect("in bounds")
}

fn directory() -> &'static Directory {
    static DIRECTORY: OnceLock<Directory> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let before = resident_kib();
        let mut directory = Directory::new();
        directory.extend((0..RELAYS).map(relay));
        let memory = resident_kib().zip(before).map(|(now, before)| now - before);
        println!("memory of {RELAYS} relays: {memory:?} KiB");
        directory
    })
}

/// Resident memory of this process, where the system tells.
fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn constraints() -> PathConstraints {
    let ceiling = Rate::from_msat_per_mib(180);
    PathConstraints::new(3)
        .exit_to(ExitNeed::Name { port: 443 })
        .max_price(Price {
            up: ceiling,
            down: ceiling,
        })
        .pay_with([(
            "https://mint.example/Bitcoin"
                .parse()
                .expect("a mint's address"),
            MintUnit::Msat,
        )])
        .fresh_at(NOW)
}

fn descriptors(c: &mut Criterion) {
    let bytes = relay(3).as_bytes().to_vec();
    println!("a descriptor: {} bytes", bytes.len());
    c.bench_function("read and verify a descriptor", |b| {
        b.iter(|| {
            let read = UnverifiedDescriptor::from_bytes(black_box(&bytes)).expect("one of ours");
            read.verify(NOW).expect("one of ours")
        });
    });
}

fn paths(c: &mut Criterion) {
    let directory = directory();
    let constraints = constraints();
    let mut number = 0;
    let mut next = || {
        number += 1;
        seed(number)
    };
    let fresh = History::new();
    c.bench_function("a path among 10,000, new client", |b| {
        b.iter(|| select_path(directory, &constraints, &fresh, next()).expect("a path"));
    });
    let mut known = History::new();
    for one in directory.iter().take(History::MAX_RELAYS) {
        known.measured(&one.relay, ByteCount::from_mib(3), NOW);
        known.succeeded(&one.relay, NOW);
    }
    known.tend_guards(directory, &constraints, NOW, seed(1));
    c.bench_function("a path among 10,000, full history and guards", |b| {
        b.iter(|| select_path(directory, &constraints, &known, next()).expect("a path"));
    });
    c.bench_function("tend guards among 10,000", |b| {
        b.iter(|| History::new().tend_guards(directory, &constraints, NOW, next()));
    });
}

/// The network that is worst to search: every relay before the exits is a neighbour of the guards, and
/// no two of them may share a path.
fn no_paths(c: &mut Criterion) {
    let crowded = (0..RELAYS).map(|number| {
        let identity = Identity::from_seed(seed(number));
        let mut body = relay(number).body().clone();
        if !number.is_multiple_of(3) {
            let [_, _, a, b] = number.to_be_bytes();
            body.addresses = vec![([50, 60, a, b], 4433).into()];
        } else {
            body.services.remove(&ServiceCode::RELAY);
        }
        body.sign(&identity).expect("in bounds")
    });
    let mut directory = Directory::new();
    directory.extend(crowded);
    let (fresh, mut guarded) = (History::new(), History::new());
    guarded.tend_guards(&directory, &constraints(), NOW, seed(1));
    for (name, history) in [("new client", fresh), ("guards", guarded)] {
        let mut number = 0;
        c.bench_function(&format!("no path among 10,000, {name}"), |b| {
            b.iter(|| {
                number += 1;
                select_path(&directory, &constraints(), &history, seed(number)).expect_err("none")
            });
        });
    }
}

fn comparing(c: &mut Criterion) {
    let directory = directory();
    print_first_fetch(directory);
    c.bench_function("summary of 10,000", |b| b.iter(|| Summary::of(directory)));
    let listings = Listings::of(directory, &BucketSet::ALL);
    c.bench_function("difference of 10,000", |b| {
        b.iter(|| Difference::between(directory, &listings));
    });
    let mut audit = Audit::new(AuditConfig::default());
    let view = View {
        ours: directory,
        differing: BucketSet::ALL,
        listings: &listings,
    };
    c.bench_function("audit of 10,000", |b| {
        b.iter(|| audit.heard(&"source", &view, Instant::ZERO));
    });
}

fn print_first_fetch(directory: &Directory) {
    let answered = |request: &Request| {
        let answer = directory.answer(request).expect("not a publication");
        answer.to_bytes().len() + request.to_bytes().len()
    };
    let lists = answered(&Request::Summary) + answered(&Request::Listings(BucketSet::ALL));
    let ids: Vec<_> = directory.iter().map(|one| one.relay).collect();
    let batches = ids.chunks(Request::MAX_IDS);
    let requests = batches.map(|ids| Request::Descriptors(ids.iter().copied().collect()));
    let descriptors: usize = requests.map(|request| answered(&request)).sum();
    println!("first fetch of {RELAYS}: {lists} bytes of lists, {descriptors} of descriptors");
    assert!(matches!(
        directory.answer(&Request::Summary),
        Some(Answer::Summary(_))
    ));
}

criterion_group!(benches, descriptors, paths, comparing);
criterion_group! {
    name = futile;
    config = Criterion::default().sample_size(10);
    targets = no_paths
}
criterion_main!(benches, futile);
