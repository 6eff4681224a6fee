//! The relays.

use crate::seeds::{Numbers, seed};
use coinfuse_directory::{
    Descriptor, DescriptorBody, Directory, ExitNeed, Identity, LinkKey, Load, OnionKey,
    PathConstraints, Price, RelayKeys, VoucherKey,
};
use coinfuse_wire::{ByteCount, Rate, RelayId, ServiceCode, UnixTime};
use std::collections::HashMap;

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const MIB: f64 = (1 << 20) as f64;

/// What is true, beside what the directory says.
pub(crate) struct World {
    pub(crate) directory: Directory,
    pub(crate) relays: Vec<Relay>,
    index: HashMap<RelayId, usize>,
    sequence: u64,
}

pub(crate) struct Relay {
    pub(crate) identity: Identity,
    pub(crate) body: DescriptorBody,
    /// Bytes per second.
    pub(crate) capacity: u64,
    /// Of the capacity, smoothed.
    pub(crate) used: f64,
}

impl Relay {
    pub(crate) fn id(&self) -> RelayId {
        self.body.relay
    }

    fn sign(&self) -> Descriptor {
        self.body.sign(&self.identity).expect("in bounds")
    }
}

impl World {
    /// Relays that tell the truth about themselves.
    pub(crate) fn new(count: u32) -> Self {
        let mut numbers = Numbers::new(1);
        let relays: Vec<_> = (0..count).map(|n| honest(n, &mut numbers)).collect();
        Self::of(relays)
    }

    pub(crate) fn of(relays: Vec<Relay>) -> Self {
        let mut directory = Directory::with_limit(relays.len());
        directory.extend(relays.iter().map(Relay::sign));
        let index = (0..).zip(&relays).map(|(at, relay)| (relay.id(), at));
        Self {
            directory,
            index: index.collect(),
            relays,
            sequence: NOW.secs(),
        }
    }

    /// Publishes anew the descriptors that `change` changes.
    pub(crate) fn publish(&mut self, mut change: impl FnMut(&mut Relay) -> bool) {
        self.sequence += 1;
        for relay in &mut self.relays {
            if change(relay) {
                relay.body.sequence = self.sequence;
                self.directory.insert(relay.sign()).expect("there is room");
            }
        }
    }

    pub(crate) fn index(&self, relay: &RelayId) -> usize {
        self.index[relay]
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.relays.iter().map(|relay| relay.capacity).sum()
    }

    pub(crate) fn describe(&self) -> String {
        let exits = self
            .relays
            .iter()
            .filter(|one| one.body.offers(ServiceCode::EXIT));
        let (count, capacity) =
            exits.fold((0, 0), |(count, sum), one| (count + 1, sum + one.capacity));
        let mut sorted: Vec<_> = self.relays.iter().map(|one| one.capacity).collect();
        sorted.sort_unstable();
        let top: u64 = sorted.iter().rev().take(sorted.len() / 10).sum();
        format!(
            "Capacity {:.0} GiB/s, median relay {:.1} MiB/s, the largest tenth has {:.0} % of it; {count} exits \
             have {:.0} %.",
            self.capacity() as f64 / MIB / 1024.0,
            sorted[sorted.len() / 2] as f64 / MIB,
            percent(top, self.capacity()),
            percent(capacity, self.capacity()),
        )
    }
}

pub(crate) fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// What clients ask of a path: three hops, an exit, and not the dearest relays.
pub(crate) fn constraints() -> PathConstraints {
    let ceiling = Rate::from_msat_per_mib(140);
    PathConstraints::new(3)
        .exit_to(ExitNeed::Name { port: 443 })
        .max_price(Price {
            up: ceiling,
            down: ceiling,
        })
        .private_addresses(false)
        .fresh_at(NOW)
}

/// Many small relays and few large ones, a third of them exits; half of them in a hundred crowded
/// subnets, and two of five run by one of 300 operators.
fn honest(number: u32, numbers: &mut Numbers) -> Relay {
    // A Pareto distribution from 1 MiB/s on, cut off at 1 Gbit/s.
    let capacity = (MIB * numbers.unit().powf(-1.0 / 1.1)).min(120.0 * MIB) as u64;
    let mut relay = relay(number, capacity);
    let body = &mut relay.body;
    let subnet = match numbers.below(2) {
        0 => numbers.below(100),
        _ => 100 + numbers.below(20_000),
    };
    body.addresses = vec![
        (
            [20 + (subnet >> 8) as u8, subnet as u8, number as u8, 1],
            4433,
        )
            .into(),
    ];
    if numbers.below(5) < 2 {
        let tag = format!("operator{}", numbers.below(300));
        body.operator = Some(tag.parse().expect("a tag"));
    }
    if numbers.below(3) == 0 {
        body.services.insert(ServiceCode::EXIT);
        body.exit_policy = "accept *:80, accept *:443".parse().expect("a policy");
    }
    let price = Rate::from_msat_per_mib(50 + numbers.below(90) as u32);
    body.price = Price {
        up: price,
        down: price,
    };
    relay
}

/// A relay with the capacity that it claims, and little else.
pub(crate) fn relay(number: u32, capacity: u64) -> Relay {
    let identity = Identity::from_seed(seed(2, number.into(), 0));
    let keys = RelayKeys {
        link: LinkKey::new([1; 32]),
        onion: OnionKey::new([2; 32]),
        voucher: VoucherKey::new([2; 33]),
    };
    let mut body = DescriptorBody::new(&identity, keys, NOW);
    body.capacity = Some(ByteCount::new(capacity));
    body.load = Some(Load::Low);
    Relay {
        identity,
        body,
        capacity,
        used: 0.0,
    }
}
