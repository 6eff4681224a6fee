//! What buying vouchers for three hops takes, against a mint on loopback; and the same without the
//! mint's part.

use coinfuse_mint::{Backend, EmbeddedMint, LoopbackLightning, MintConfig};
use coinfuse_voucher::{MintId, Order, Purse, PurseConfig, Unit, VoucherKey};
use coinfuse_wire::{Msat, RelayId, UnixTime};
use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

fn purse(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (purse, mint, _running) = runtime.block_on(async {
        let lightning = LoopbackLightning::new();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = MintConfig::new(
            dir.path().join("mint.sqlite"),
            [1; 32],
            coinfuse_mint::Unit::Msat,
        );
        let running =
            EmbeddedMint::start(config, Backend::Loopback(lightning.clone()), listener).await;
        let running = running.unwrap();
        let mint = MintId::new(running.url(), Unit::Msat).unwrap();
        let mut config = PurseConfig::new(dir.path().join("purse"), vec![mint.clone()], [2; 32]);
        config.rate_limit = false;
        let purse = Purse::open(&config).await.unwrap();
        let invoice = purse.fund(&mint, Msat::from_sat(10_000_000)).await.unwrap();
        let payer = lightning.wallet(Msat::from_sat(10_000_000)).await.unwrap();
        payer.pay(&invoice.bolt11).await.unwrap();
        purse
            .await_funding(&invoice, Duration::from_secs(20))
            .await
            .unwrap();
        (purse, mint, running)
    });
    let orders: Vec<_> = (1..=3u8)
        .map(|n| Order {
            relay: RelayId::new([n; 32]),
            voucher_key: VoucherKey::from_secret_bytes([n; 32]).unwrap().public_key(),
            mint: mint.clone(),
            issuer: false,
            account: [n; 32],
            amount: Msat::new(4096),
        })
        .collect();
    c.bench_function("buy for three hops at one mint", |b| {
        b.iter(|| runtime.block_on(purse.buy(NOW, &orders)).unwrap())
    });
    c.bench_function("buy for one hop", |b| {
        b.iter(|| runtime.block_on(purse.buy(NOW, &orders[..1])).unwrap())
    });
}

criterion_group!(benches, purse);
criterion_main!(benches);
