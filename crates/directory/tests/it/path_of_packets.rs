//! Choosing relays for one-shot packets.

use crate::{NOW, choose, directory, id, relay};
use coinfuse_directory::{
    Descriptor, DescriptorBody, Directory, MintOffer, MintUnit, PacketKey, PacketNeed, PacketOffer,
    PacketPrice, PathConstraints, SelectError,
};
use coinfuse_wire::{Msat, PacketSize, Rate, RelayId, ServiceCode, UnixTime};
use std::collections::BTreeSet;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const MEMPOOL: ServiceCode = ServiceCode::MEMPOOL;

fn price(small: u64, service: u64) -> PacketPrice {
    PacketPrice {
        small: Msat::new(small),
        large: Msat::new(8 * small),
        service: Msat::new(service),
        delay: Msat::new(1),
    }
}

/// A relay that takes packets at this price, after `change`.
fn taking(
    number: u16,
    price: PacketPrice,
    change: impl FnOnce(&mut DescriptorBody, &mut PacketOffer),
) -> Descriptor {
    let mut offer = PacketOffer {
        key: PacketKey::new([2; 33]),
        good_until: NOW.saturating_add(6 * HOUR),
        price,
        max_delay: Duration::from_secs(10),
    };
    relay(number, |body| {
        change(body, &mut offer);
        body.packets = Some(offer);
    })
}

fn need() -> PacketNeed {
    PacketNeed {
        size: PacketSize::Small,
        delay: Duration::ZERO,
        until: NOW.saturating_add(HOUR),
        ceiling: price(16, 100),
    }
}

/// The relays that turn up in each place of paths over `hops` relays.
fn places(directory: &Directory, constraints: &PathConstraints) -> Vec<BTreeSet<RelayId>> {
    let mut places: Vec<BTreeSet<RelayId>> = Vec::new();
    for n in 0..60 {
        let path = choose(directory, constraints, [n; 32]).unwrap();
        places.resize_with(path.hops().len(), BTreeSet::new);
        for (place, hop) in places.iter_mut().zip(path.hops()) {
            place.insert(hop.relay);
        }
    }
    places
}

#[test]
fn only_relays_that_take_packets_at_the_price_and_long_enough_are_chosen() {
    let directory = directory([
        taking(1, price(16, 0), |_, _| {}),
        taking(2, price(1, 0), |_, _| {}),
        taking(3, price(17, 0), |_, _| {}),
        taking(4, price(1, 0), |_, offer| {
            offer.good_until = UnixTime::from_secs(NOW.secs() + 3599);
        }),
        relay(5, |_| {}),
    ]);
    let constraints = PathConstraints::new(2).for_packets(need());
    let both = BTreeSet::from([id(1), id(2)]);
    assert_eq!(places(&directory, &constraints), [both.clone(), both]);

    let error = choose(
        &directory,
        &PathConstraints::new(3).for_packets(need()),
        [1; 32],
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "not enough relays: 2 needed, 1 found, 1 taking no packets, 1 changing the key for packets \
         too soon, 1 above the price ceiling"
    );
}

#[test]
fn only_the_last_hop_is_paid_for_its_service() {
    let with_service = |number, asks| {
        taking(number, price(16, asks), |body, _| {
            body.services.insert(MEMPOOL);
        })
    };
    // The second one's service is too dear, and it still forwards.
    let directory = directory([
        with_service(1, 100),
        with_service(2, 101),
        taking(3, price(16, 101), |_, _| {}),
    ]);
    let constraints = PathConstraints::new(2)
        .ending_in(MEMPOOL)
        .for_packets(need());
    assert_eq!(
        places(&directory, &constraints),
        [BTreeSet::from([id(2), id(3)]), BTreeSet::from([id(1)])]
    );
    let none = constraints.exclude([id(1)]);
    let Err(SelectError::NoLastHop(shortage)) = choose(&directory, &none, [1; 32]) else {
        panic!("relay 2 asks too much");
    };
    assert_eq!((shortage.excluded, shortage.price), (1, 1));
}

#[test]
fn a_path_ends_where_it_is_to_end() {
    let directory = directory((1..=5).map(|number| taking(number, price(1, 0), |_, _| {})));
    let constraints = PathConstraints::new(3)
        .for_packets(need())
        .ending_at([id(4)])
        .exclude([id(2)]);
    let others = BTreeSet::from([id(1), id(3), id(5)]);
    assert_eq!(
        places(&directory, &constraints),
        [others.clone(), others, BTreeSet::from([id(4)])]
    );
    let nowhere = PathConstraints::new(3).ending_at([id(6)]);
    assert!(matches!(
        choose(&directory, &nowhere, [1; 32]),
        Err(SelectError::NoLastHop(_))
    ));
}

#[test]
fn a_delay_is_part_of_the_fee_as_far_as_it_is_offered() {
    let mut need = need();
    need.delay = Duration::from_secs(20);
    need.ceiling.delay = Msat::ZERO;
    let patient = |number, longest| {
        taking(number, price(16, 0), |_, offer| {
            offer.max_delay = Duration::from_secs(longest);
        })
    };
    // The first asks 10 more for as much as it offers, the second does not wait at all.
    let directory = directory([patient(1, 10), patient(2, 0)]);
    let alone = |need| places(&directory, &PathConstraints::new(1).for_packets(need));
    assert_eq!(alone(need), [BTreeSet::from([id(2)])]);
    need.ceiling.delay = Msat::new(1);
    assert_eq!(alone(need), [BTreeSet::from([id(1), id(2)])]);
}

#[test]
fn what_must_be_paid_is_the_packet_and_not_the_bytes_of_circuits() {
    let url = || "http://mint.example".parse().unwrap();
    let foreign = |number, circuits, packets| {
        taking(number, price(packets, 0), |body, _| {
            body.price.up = Rate::from_msat_per_mib(circuits);
            body.mints = vec![MintOffer {
                url: "http://other.example".parse().unwrap(),
                unit: MintUnit::Msat,
                issuer: false,
            }];
        })
    };
    let directory = directory([foreign(1, 50, 0), foreign(2, 0, 16)]);
    let constraints = PathConstraints::new(1).pay_with([(url(), MintUnit::Msat)]);
    assert_eq!(
        places(&directory, &constraints),
        [BTreeSet::from([id(2)])],
        "a circuit"
    );
    let constraints = constraints.for_packets(need());
    assert_eq!(
        places(&directory, &constraints),
        [BTreeSet::from([id(1)])],
        "a packet"
    );
}
