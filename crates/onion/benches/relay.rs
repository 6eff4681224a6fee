//! What a paid packet costs a relay's processor, from its bytes to what is to be done with it: the
//! point, the HMAC, the layer, the record, the voucher in it (of the relay's own mint), and the
//! bytes for the next relay. The spent set is not in it: `cargo bench -p coinfuse` has that.

mod cpu;

use cashu::dhke::{blind_message, sign_message, unblind_message};
use cashu::{CurrencyUnit, Id, KeySet, Keys, SecretKey};
use coinfuse_onion::{
    Destination, KeyRing, NextHop, OnionSecret, Packet, PaymentBytes, Question, RingConfig, Task,
    Terms, Via,
};
use coinfuse_voucher::{
    Denomination, Keyring, MintId, Policy, Unit, Verifier, Voucher, VoucherBlank, VoucherKey,
};
use coinfuse_wire::{Decode, Encode, RelayId, ServiceCode, UnixTime};
use cpu::CpuTime;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::collections::BTreeMap;
use std::hint::black_box;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const LATER: UnixTime = UnixTime::from_secs(1_810_000_000);
/// Different packets and coins, as what they cost depends on what is drawn.
const PACKETS: u8 = 64;

/// A relay that is its own mint, with coins of 1024 msat.
struct Relay {
    ring: KeyRing,
    verifier: Verifier,
    mint_key: SecretKey,
    keyset: Id,
}

impl Relay {
    fn new() -> Self {
        let mint_key = SecretKey::from_slice(&[7; 32]).unwrap();
        let keys = Keys::new(BTreeMap::from([(1024.into(), mint_key.public_key())]));
        let keyset = KeySet {
            id: Id::v2_from_data(&keys, &CurrencyUnit::Msat, 0, None),
            unit: CurrencyUnit::Msat,
            active: Some(true),
            keys,
            input_fee_ppk: 0,
            final_expiry: None,
        };
        let mint = MintId::new("https://mint.example", Unit::Msat).unwrap();
        let secrets = BTreeMap::from([(1024, mint_key.clone())]);
        let mut keyring = Keyring::new();
        keyring.add_issuer(&mint, &keyset, &secrets).unwrap();
        let key = VoucherKey::from_secret_bytes([9; 32]).unwrap();
        Self {
            ring: KeyRing::new(RingConfig::default(), NOW, &[1; 32]),
            verifier: Verifier::new(key, keyring, Policy::default()),
            mint_key,
            keyset: keyset.id,
        }
    }

    fn voucher(&self, number: u8) -> PaymentBytes {
        let coin = Denomination::from_units(1024).unwrap();
        let to = self.verifier.public_key();
        let blank = VoucherBlank::new(&to, &[number; 32], coin, self.keyset, LATER).unwrap();
        let (blinded, r) = blind_message(blank.secret().as_bytes(), None).unwrap();
        let signed = sign_message(&self.mint_key, &blinded).unwrap();
        let signature = unblind_message(&signed, &r, &self.mint_key.public_key()).unwrap();
        PaymentBytes::new(blank.complete_with_tweak(signature).to_bytes()).unwrap()
    }

    /// A packet that this relay passes on to another one.
    fn packet<const N: usize>(&self, number: u8) -> Vec<u8> {
        let terms = Terms::paid(self.voucher(number));
        let via = Via {
            key: self.ring.public_key(),
            next: NextHop::Relay(RelayId::new([2; 32])),
            terms: terms.clone(),
        };
        let to = Destination {
            key: OnionSecret::from_seed(&[2; 32]).public_key(),
            service: ServiceCode::MEMPOOL,
            instruction: vec![],
            terms,
        };
        let question = Question {
            via: &[via],
            to: &to,
            message: &[0xaa; 400],
            reply: None,
        };
        let packet: Packet<N> = question.build(&[number; 32]).unwrap();
        packet.to_bytes()
    }

    /// What goes to the next relay.
    fn serve<const N: usize>(&self, bytes: &[u8]) -> Vec<u8> {
        let packet = Packet::<N>::from_bytes(bytes).unwrap();
        let opened = self.ring.open(NOW, packet).unwrap();
        assert!(!self.ring.seen(&opened.tag));
        let voucher = Voucher::from_bytes(opened.payment.unwrap().as_bytes()).unwrap();
        self.verifier.verify(NOW, &voucher).unwrap();
        match opened.task {
            Task::Forward { packet, .. } => packet.to_bytes(),
            Task::Deliver(_) => unreachable!("it goes on"),
        }
    }
}

fn serving<const N: usize>(c: &mut Criterion<CpuTime>, relay: &Relay, size: &str) {
    let packets: Vec<_> = (0..PACKETS)
        .map(|number| relay.packet::<N>(number))
        .collect();
    let mut next = packets.iter().cycle();
    let mut group = c.benchmark_group("peel and check the voucher");
    group.throughput(Throughput::Elements(1));
    group.bench_function(size, |b| {
        b.iter(|| relay.serve::<N>(black_box(next.next().unwrap())))
    });
}

fn both_sizes(c: &mut Criterion<CpuTime>) {
    let relay = Relay::new();
    serving::<{ coinfuse_onion::SMALL }>(c, &relay, "4 KiB");
    serving::<{ coinfuse_onion::LARGE }>(c, &relay, "32 KiB");
}

criterion_group!(name = benches; config = cpu::criterion(); targets = both_sizes);
criterion_main!(benches);
