//! Relays that are kept apart, and bounds on the whole path.

use crate::{NOW, choose, directory, id, relay, seed};
use coinfuse_directory::{Descriptor, Directory, PathConstraints, Price, SelectError};
use coinfuse_wire::{Rate, RelayId};
use std::collections::BTreeSet;

fn at(number: u16, addresses: &[&str]) -> Descriptor {
    relay(number, |body| {
        body.addresses = addresses.iter().map(|at| at.parse().unwrap()).collect();
    })
}

fn costing(number: u16, up: u32, down: u32) -> Descriptor {
    relay(number, |body| {
        body.price = Price {
            up: Rate::from_msat_per_mib(up),
            down: Rate::from_msat_per_mib(down),
        };
    })
}

/// The sets of relays that turn up in paths.
fn paths(directory: &Directory, constraints: &PathConstraints) -> BTreeSet<BTreeSet<RelayId>> {
    (0..60)
        .filter_map(|n| choose(directory, constraints, seed(n)).ok())
        .map(|path| path.hops().iter().map(|hop| hop.relay).collect())
        .collect()
}

fn pairs(directory: &Directory) -> BTreeSet<BTreeSet<RelayId>> {
    paths(directory, &PathConstraints::new(2))
}

#[test]
fn neighbours_on_the_internet_are_kept_apart() {
    let together =
        |one: &[&str], other: &[&str]| !pairs(&directory([at(1, one), at(2, other)])).is_empty();
    assert!(!together(&["1.2.3.4:1"], &["1.2.200.4:1"]));
    assert!(together(&["1.2.3.4:1"], &["1.3.3.4:1"]));
    assert!(!together(&["[2a00:1:2::1]:1"], &["[2a00:1:ffff::1]:1"]));
    assert!(together(&["[2a00:1::1]:1"], &["[2a00:2::1]:1"]));
    // Any of the addresses.
    assert!(!together(
        &["9.9.9.9:1", "1.2.3.4:1"],
        &["[2a00:1::1]:1", "1.2.9.9:1"]
    ));
    // One's own network is no neighbourhood.
    for home in ["127.0.0.1:1", "10.0.0.1:1", "192.168.1.1:1", "[fd00::1]:1"] {
        assert!(together(&[home], &[home]), "{home}");
    }
}

#[test]
fn a_family_that_both_admit_is_kept_apart() {
    let naming = |number: u16, family: &[u16]| {
        relay(number, |body| {
            body.family = family.iter().map(|n| id(*n)).collect()
        })
    };
    let together = |one, other| !pairs(&directory([naming(1, one), naming(2, other)])).is_empty();
    assert!(!together(&[2], &[1]));
    assert!(together(&[2], &[]));
    assert!(together(&[], &[1]));
}

#[test]
fn a_way_is_found_where_hardly_any_relays_can_share_one() {
    // Two subnets of five relays each, and one relay beside them: a path of three takes it always.
    let crowd = (0..10).map(|n| at(n, &[&format!("1.{}.0.1:{}", n % 2, n + 1)]));
    let directory = directory(crowd.chain([at(10, &["9.9.9.9:1"])]));
    for n in 0..60 {
        let path = choose(&directory, &PathConstraints::new(3), seed(n)).unwrap();
        assert!(path.hops().iter().any(|hop| hop.relay == id(10)));
    }
    let Err(SelectError::NotEnoughRelays(shortage)) =
        choose(&directory, &PathConstraints::new(4), seed(1))
    else {
        panic!("there are three subnets");
    };
    assert_eq!((shortage.needed, shortage.found), (3, 2));
}

#[test]
fn countries_that_are_avoided_are() {
    let in_country = |number: u16, country: &str| {
        relay(number, |body| body.country = Some(country.parse().unwrap()))
    };
    let directory = directory([
        in_country(1, "NL"),
        in_country(2, "IS"),
        in_country(3, "XX"),
        relay(4, |_| {}),
    ]);
    let avoided = ["XX", "NL"].map(|country| country.parse().unwrap());
    let constraints = PathConstraints::new(2).exclude_countries(avoided);
    assert_eq!(
        paths(&directory, &constraints),
        BTreeSet::from([[id(2), id(4)].into()])
    );
    let error = choose(
        &directory,
        &PathConstraints::new(3).exclude_countries(avoided),
        seed(1),
    );
    let Err(SelectError::NotEnoughRelays(shortage)) = error else {
        panic!("two are left");
    };
    assert_eq!(shortage.excluded, 2);
}

#[test]
fn on_the_public_network_addresses_are_global() {
    let directory = directory([
        at(1, &["10.0.0.1:1"]),
        at(2, &["127.0.0.1:1"]),
        at(3, &["9.9.9.9:1", "10.0.0.1:1"]),
        at(4, &["[2a00:1::1]:1"]),
    ]);
    let public = PathConstraints::new(2).private_addresses(false);
    assert_eq!(
        paths(&directory, &public),
        BTreeSet::from([[id(3), id(4)].into()])
    );
    let all = paths(&directory, &PathConstraints::new(2).private_addresses(true));
    assert_eq!(all.len(), 6);
}

#[test]
fn all_hops_together_stay_below_the_ceiling() {
    let directory = directory([
        costing(1, 10, 10),
        costing(2, 10, 10),
        costing(3, 20, 10),
        costing(4, 10, 70),
        costing(5, 90, 1),
    ]);
    let ceiling = |up, down| Price {
        up: Rate::from_msat_per_mib(up),
        down: Rate::from_msat_per_mib(down),
    };
    let within = |up, down| {
        let constraints = PathConstraints::new(3).max_total_price(ceiling(up, down));
        paths(&directory, &constraints)
    };
    let set = |numbers: [u16; 3]| BTreeSet::from(numbers.map(id));
    assert!(within(29, 1000).is_empty() && within(1000, 20).is_empty());
    assert_eq!(within(40, 30), BTreeSet::from([set([1, 2, 3])]));
    assert_eq!(
        within(40, 90),
        BTreeSet::from([
            set([1, 2, 3]),
            set([1, 2, 4]),
            set([1, 3, 4]),
            set([2, 3, 4])
        ])
    );
    assert_eq!(within(1000, 1000).len(), 10);
}

#[test]
fn a_crowd_in_one_subnet_is_drawn_once() {
    let crowd = (0..200).map(|n| at(n, &[&format!("1.2.{}.1:1", n)]));
    let others = (200..203).map(|n| at(n, &[&format!("{}.2.0.1:1", n - 150)]));
    let directory = directory(crowd.chain(others));
    for n in 0..60 {
        let path = choose(&directory, &PathConstraints::new(4).fresh_at(NOW), seed(n)).unwrap();
        let crowded = path
            .hops()
            .iter()
            .filter(|hop| hop.addresses[0].ip().to_string().starts_with("1.2."));
        assert!(crowded.count() <= 1);
    }
}
