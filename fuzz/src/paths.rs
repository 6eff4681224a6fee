//! The choice of paths, and what it goes by.

use crate::NOW;
use crate::laws::canonical;
use coinfuse_directory::{
    Descriptor, DescriptorBody, Directory, ExitNeed, History, Identity, LinkKey, OnionKey, Path,
    PathConstraints, Price, RelayKeys, SelectError, VoucherKey, select_path,
};
use coinfuse_wire::{ByteCount, Rate, Reader, RelayId, ServiceCode};
use core::net::IpAddr;
use std::collections::BTreeSet;

/// A history has one form on disk.
pub fn directory_history(data: &[u8]) {
    canonical::<History>(data);
}

/// A path is as was asked for, and where there is one, one is found.
pub fn directory_paths(data: &[u8]) {
    let mut reader = Reader::new(data);
    let Some(wish) = Wish::read(&mut reader) else {
        return;
    };
    let directory = network(&mut reader);
    let constraints = wish.constraints();
    let history = history(&mut reader, &directory, &constraints);
    let choose = || select_path(&directory, &constraints, &history, [7; 32]);
    let chosen = choose();
    assert_eq!(chosen, choose(), "the same seed gives the same path");
    let guards: BTreeSet<_> = history.guards().iter().map(|guard| guard.relay).collect();
    match chosen {
        Ok(path) => wish.check(&path, &guards),
        Err(SelectError::HopCount { .. }) => panic!("one to three hops were asked for"),
        Err(_) => assert!(!wish.can_be_met(&directory, &guards)),
    }
}

/// What is asked of a path, so that it can be checked in another way.
struct Wish {
    hops: usize,
    exit: bool,
    ceiling: u8,
    total: u8,
}

impl Wish {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let [flags, ceiling, total] = reader.array("wish").ok()?;
        Some(Self {
            hops: 1 + usize::from(flags % 3),
            exit: flags & 4 != 0,
            ceiling,
            total,
        })
    }

    fn constraints(&self) -> PathConstraints {
        let constraints = PathConstraints::new(self.hops)
            .fresh_at(NOW)
            .max_price(price(self.ceiling))
            .max_total_price(price(self.total));
        match self.exit {
            true => constraints.exit_to(ExitNeed::Name { port: 443 }),
            false => constraints,
        }
    }

    fn check(&self, path: &Path, guards: &BTreeSet<RelayId>) {
        let hops: Vec<&Descriptor> = path.hops().iter().map(|hop| &**hop).collect();
        assert_eq!(hops.len(), self.hops);
        assert!(self.is_met_by(&hops, guards));
    }

    /// Whether any of all sequences of relays will do.
    fn can_be_met(&self, directory: &Directory, guards: &BTreeSet<RelayId>) -> bool {
        let relays: Vec<&Descriptor> = directory.iter().map(|one| &**one).collect();
        let mut paths = vec![Vec::new()];
        for _ in 0..self.hops {
            let longer = |path: &Vec<_>| {
                let path = path.clone();
                let relays = relays.iter().copied();
                relays.map(move |next| [&path[..], &[next]].concat())
            };
            paths = paths.iter().flat_map(longer).collect();
        }
        paths.iter().any(|path| self.is_met_by(path, guards))
    }

    fn is_met_by(&self, hops: &[&Descriptor], guards: &BTreeSet<RelayId>) -> bool {
        let Some((last, before)) = hops.split_last() else {
            return false;
        };
        let ends = !self.exit || last.exit_policy.may_allow_port(443);
        let carry = before.iter().all(|hop| hop.offers(ServiceCode::RELAY));
        let enters = before.is_empty() || guards.is_empty() || guards.contains(&hops[0].relay);
        let cost = |hop: &&&Descriptor| hop.price.up.msat_per_mib();
        let each = hops.iter().all(|hop| cost(&hop) <= self.ceiling.into());
        let total = hops.iter().map(|hop| cost(&hop)).sum::<u32>() <= self.total.into();
        ends && carry && enters && each && total && strangers(hops)
    }
}

/// No two of them belong together.
fn strangers(hops: &[&Descriptor]) -> bool {
    let pairs = (1..hops.len()).flat_map(|n| hops[..n].iter().map(move |other| (hops[n], other)));
    let mut pairs = pairs;
    pairs.all(|(one, other)| {
        let tags = one.operator.is_none() || one.operator != other.operator;
        one.relay != other.relay && tags && subnet(one) != subnet(other) && !one.is_family_of(other)
    })
}

/// The relays here have one IPv4 address each, on the Internet.
fn subnet(relay: &Descriptor) -> [u8; 2] {
    let Some(IpAddr::V4(ip)) = relay.addresses.first().map(|address| address.ip()) else {
        panic!("every relay has an address");
    };
    let [a, b, ..] = ip.octets();
    [a, b]
}

fn price(msat: u8) -> Price {
    let rate = Rate::from_msat_per_mib(msat.into());
    Price {
        up: rate,
        down: rate,
    }
}

/// At most eight relays, of four bytes each.
fn network(reader: &mut Reader<'_>) -> Directory {
    let count = reader.u8("count").unwrap_or(0) % 9;
    let mut directory = Directory::new();
    for number in 0..count {
        let Ok([flags, place, cost, family]) = reader.array("relay") else {
            break;
        };
        directory.extend([relay(number, flags, place, cost, family)]);
    }
    directory
}

fn identity(number: u8) -> Identity {
    Identity::from_seed([number; 32])
}

fn relay(number: u8, flags: u8, place: u8, cost: u8, family: u8) -> Descriptor {
    let identity_of = identity;
    let identity = identity(number);
    let keys = RelayKeys {
        link: LinkKey::new([1; 32]),
        onion: OnionKey::new([2; 32]),
        voucher: VoucherKey::new([2; 33]),
    };
    let mut body = DescriptorBody::new(&identity, keys, NOW);
    body.addresses = vec![([9, place % 16, number, 1], 4433).into()];
    body.price = price(cost);
    body.capacity = (flags & 1 != 0).then(|| ByteCount::new(u64::from(flags) << (cost % 57)));
    if flags & 2 != 0 {
        body.services.insert(ServiceCode::EXIT);
        body.exit_policy = "accept *:443".parse().expect("a policy");
    }
    if flags & 4 != 0 {
        body.services.remove(&ServiceCode::RELAY);
    }
    if flags & 8 != 0 {
        let tag = ["a", "b", "c", "d"][usize::from(flags >> 6)];
        body.operator = Some(tag.parse().expect("a tag"));
    }
    let named = (0..8).filter(|other| family & (1 << other) != 0);
    body.family = named.map(|other| identity_of(other).relay_id()).collect();
    body.sign(&identity).expect("in bounds")
}

/// Up to 32 things that happened, and guards if the first byte says so.
fn history(
    reader: &mut Reader<'_>,
    directory: &Directory,
    constraints: &PathConstraints,
) -> History {
    let mut history = History::new();
    let guarded = reader.u8("guards").is_ok_and(|flag| flag & 1 != 0);
    for _ in 0..32 {
        let Ok([number, what]) = reader.array("event") else {
            break;
        };
        let relay = identity(number % 8).relay_id();
        match what {
            0..=63 => history.succeeded(&relay, NOW),
            64..=127 => history.failed(&relay, NOW),
            _ => history.measured(&relay, ByteCount::new(1 << (what % 64)), NOW),
        }
    }
    if guarded {
        history.tend_guards(directory, constraints, NOW, [9; 32]);
    }
    history
}
