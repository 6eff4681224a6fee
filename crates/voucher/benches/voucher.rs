//! What checking a voucher costs a relay, and making one a client.

use cashu::dhke::{blind_message, sign_message, unblind_message};
use cashu::{BlindSignature, CurrencyUnit, Id, KeySet, Keys, ProofDleq, SecretKey};
use coinfuse_voucher::{
    Denomination, Keyring, MintId, Policy, Unit, Verifier, Voucher, VoucherBlank, VoucherKey,
};
use coinfuse_wire::{Decode, Encode, UnixTime};
use criterion::{Criterion, criterion_group, criterion_main};
use std::collections::BTreeMap;
use std::hint::black_box;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const LATER: UnixTime = UnixTime::from_secs(1_810_000_000);

fn voucher(c: &mut Criterion) {
    let mint = MintId::new("https://mint.example", Unit::Msat).unwrap();
    let k = SecretKey::from_slice(&[7; 32]).unwrap();
    let keys = Keys::new(BTreeMap::from([(1024.into(), k.public_key())]));
    let keyset = KeySet {
        id: Id::v2_from_data(&keys, &CurrencyUnit::Msat, 0, None),
        unit: CurrencyUnit::Msat,
        active: Some(true),
        keys,
        input_fee_ppk: 0,
        final_expiry: None,
    };
    let relay = |keyring| {
        let key = VoucherKey::from_secret_bytes([9; 32]).unwrap();
        Verifier::new(key, keyring, Policy::default())
    };
    let mut keyring = Keyring::new();
    keyring
        .add_issuer(&mint, &keyset, &BTreeMap::from([(1024, k.clone())]))
        .unwrap();
    let issuer = relay(keyring);
    let mut keyring = Keyring::new();
    keyring.add(&mint, &keyset).unwrap();
    let other = relay(keyring);

    let coin = Denomination::from_units(1024).unwrap();
    let to = issuer.public_key();
    let make = || VoucherBlank::new(&to, &[1; 32], coin, keyset.id, LATER).unwrap();
    let blank = make();
    let (blinded, r) = blind_message(blank.secret().as_bytes(), None).unwrap();
    let signed = sign_message(&k, &blinded).unwrap();
    let signed = BlindSignature::new(1024.into(), signed, keyset.id, &blinded, &k).unwrap();
    let dleq = signed.dleq.unwrap();
    let signature = unblind_message(&signed.c, &r, &k.public_key()).unwrap();
    let long = blank.complete(signature, Some(ProofDleq::new(dleq.e, dleq.s, r)));
    let short = long.clone().without_dleq();
    let bytes = long.to_bytes();

    c.bench_function("make a blank", |b| b.iter(make));
    c.bench_function("decode, 175 bytes", |b| {
        b.iter(|| Voucher::from_bytes(black_box(&bytes)))
    });
    c.bench_function("verify as issuer", |b| {
        b.iter(|| issuer.verify(NOW, black_box(&short)).unwrap())
    });
    c.bench_function("verify by DLEQ", |b| {
        b.iter(|| other.verify(NOW, black_box(&long)).unwrap())
    });
}

criterion_group!(benches, voucher);
criterion_main!(benches);
