//! Choosing relays.

use crate::{NOW, choose, directory, id, relay, seed};
use coinfuse_directory::{
    Descriptor, Directory, ExitNeed, MintOffer, MintUnit, Path, PathConstraints, Price,
    SelectError, Suite,
};
use coinfuse_wire::{ByteCount, HopIndex, Rate, RelayId, ServiceCode, UnixTime};
use proptest::prelude::*;
use std::collections::BTreeSet;

const WEB: ExitNeed = ExitNeed::Name { port: 443 };

fn exit(number: u16, policy: &str) -> Descriptor {
    relay(number, |body| {
        body.services.insert(ServiceCode::EXIT);
        body.exit_policy = policy.parse().unwrap();
    })
}

fn price(msat: u32) -> Price {
    Price {
        up: Rate::from_msat_per_mib(1),
        down: Rate::from_msat_per_mib(msat),
    }
}

fn ids(path: &Path) -> Vec<RelayId> {
    path.hops().iter().map(|relay| relay.relay).collect()
}

/// The relays that turn up as last hop over some seeds.
fn last_hops(directory: &Directory, constraints: &PathConstraints) -> BTreeSet<RelayId> {
    (0..50)
        .map(|n| {
            choose(directory, constraints, seed(n))
                .unwrap()
                .last()
                .relay
        })
        .collect()
}

#[test]
fn the_same_seed_gives_the_same_path_and_others_give_others() {
    let directory = directory((0..20).map(|number| relay(number, |_| {})));
    let path = |n| ids(&choose(&directory, &PathConstraints::new(3), seed(n)).unwrap());
    assert_eq!(path(1), path(1));
    let distinct: BTreeSet<_> = (0..50).map(path).collect();
    assert!(distinct.len() > 40, "{}", distinct.len());
}

#[test]
fn a_path_has_one_to_eight_hops() {
    let directory = directory((0..9).map(|number| relay(number, |_| {})));
    for hops in 1..=8 {
        let path = choose(&directory, &PathConstraints::new(hops), seed(1)).unwrap();
        assert_eq!(path.hops().len(), hops);
        assert_eq!(path.hop(HopIndex::new(0).unwrap()), Some(path.first()));
    }
    for got in [0, 9] {
        let none = choose(&directory, &PathConstraints::new(got), seed(1));
        assert_eq!(none, Err(SelectError::HopCount { got }));
    }
}

#[test]
fn the_last_hop_is_an_exit_that_opens_the_connection() {
    let directory = directory([
        relay(1, |_| {}),
        relay(2, |_| {}),
        exit(3, "accept *:80"),
        exit(4, "accept *:443"),
        exit(5, "reject 1.0.0.0/8:*, accept *:443"),
    ]);
    let last = |need| last_hops(&directory, &PathConstraints::new(3).exit_to(need));
    assert_eq!(last(WEB), BTreeSet::from([id(4), id(5)]));
    assert_eq!(
        last(ExitNeed::Address("1.1.1.1".parse().unwrap(), 443)),
        BTreeSet::from([id(4)])
    );
    let local = ExitNeed::Address("127.0.0.1".parse().unwrap(), 443);
    let Err(SelectError::NoLastHop(shortage)) =
        choose(&directory, &PathConstraints::new(3).exit_to(local), seed(1))
    else {
        panic!("no exit lists loopback");
    };
    assert_eq!(
        (shortage.needed, shortage.found, shortage.exit_policy),
        (1, 0, 3)
    );
}

#[test]
fn for_a_name_an_exit_to_most_of_the_internet_goes_before_one_to_a_few_networks() {
    let narrow = exit(1, "accept 127.0.0.1:443");
    let constraints = PathConstraints::new(1).exit_to(WEB);
    let both = directory([narrow.clone(), exit(2, "accept *:443")]);
    assert_eq!(last_hops(&both, &constraints), BTreeSet::from([id(2)]));
    assert_eq!(
        last_hops(&directory([narrow]), &constraints),
        BTreeSet::from([id(1)])
    );
}

#[test]
fn an_exit_is_not_used_up_in_the_middle() {
    // Relay 1 is the only exit: it must always end the path, and never stand before its end.
    let directory = directory([exit(1, "accept *:443"), relay(2, |_| {}), relay(3, |_| {})]);
    for n in 0..50 {
        let constraints = PathConstraints::new(3).exit_to(WEB);
        let path = choose(&directory, &constraints, seed(n)).unwrap();
        assert_eq!(path.last().relay, id(1));
    }
}

#[test]
fn the_last_hop_leaves_enough_operators_for_the_rest() {
    // Taking 1 as last hop would leave only relay 3: its operator runs 2 as well.
    let tagged = |number: u16, tag: &str, services: &[ServiceCode]| {
        relay(number, |body| {
            body.operator = Some(tag.parse().unwrap());
            body.services = services.iter().copied().collect();
        })
    };
    let directory = directory([
        tagged(1, "alice", &[ServiceCode::MEMPOOL]),
        tagged(2, "alice", &[ServiceCode::RELAY]),
        tagged(3, "bob", &[ServiceCode::RELAY]),
        tagged(4, "carol", &[ServiceCode::MEMPOOL]),
    ]);
    let constraints = PathConstraints::new(3).ending_in(ServiceCode::MEMPOOL);
    assert_eq!(last_hops(&directory, &constraints), BTreeSet::from([id(4)]));
}

#[test]
fn what_is_missing_is_counted_by_its_reason() {
    let mint = |url: &str, issuer| MintOffer {
        url: url.parse().unwrap(),
        unit: MintUnit::Msat,
        issuer,
    };
    let directory = directory([
        relay(1, |_| {}),
        relay(2, |body| body.price = price(500)),
        relay(3, |body| body.addresses.clear()),
        relay(4, |body| body.suites = vec![Suite::new(9)]),
        relay(5, |body| {
            body.price = price(50);
            body.mints = vec![mint("http://other.example", false)];
        }),
        relay(6, |body| {
            body.expires = UnixTime::from_secs(NOW.secs() + 10)
        }),
        relay(7, |_| {}),
    ]);
    let constraints = PathConstraints::new(3)
        .max_price(price(100))
        .pay_with([("http://mint.example".parse().unwrap(), MintUnit::Msat)])
        .suites([Suite::AES, Suite::CHACHA])
        .fresh_at(UnixTime::from_secs(NOW.secs() + 10))
        .exclude([id(7)]);
    let error = choose(&directory, &constraints, seed(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "not enough relays: 2 needed, 0 found, 1 excluded, 1 expired, 1 without an address, \
         1 with other suites only, 1 above the price ceiling, 1 taking no ecash of ours"
    );
}

#[test]
fn every_hop_can_be_paid() {
    let paid = |number, url: &str, unit, issuer| {
        relay(number, |body| {
            body.price = price(50);
            let url = url.parse().unwrap();
            body.mints = vec![MintOffer { url, unit, issuer }];
        })
    };
    let directory = directory([
        paid(1, "http://mint.example", MintUnit::Sat, false),
        paid(2, "http://own.example", MintUnit::Sat, true),
        paid(3, "http://other.example", MintUnit::Sat, false),
        relay(4, |_| {}), // carries for free
        // Our mint, and not our ecash.
        paid(5, "http://mint.example", MintUnit::Msat, false),
    ]);
    let mint = || "http://MINT.example/".parse().unwrap();
    let ours = || PathConstraints::new(1).pay_with([(mint(), MintUnit::Sat)]);
    assert_eq!(
        last_hops(&directory, &ours()),
        BTreeSet::from([id(1), id(4)])
    );
    assert_eq!(
        last_hops(&directory, &ours().issuers_allowed(true)),
        BTreeSet::from([id(1), id(2), id(4)])
    );
    assert_eq!(last_hops(&directory, &PathConstraints::new(1)).len(), 5);
}

#[test]
fn capacity_weighs_and_a_boast_is_capped() {
    let claiming = |number, capacity| relay(number, |body| body.capacity = Some(capacity));
    let share = |directory: &Directory, of: RelayId| {
        let constraints = PathConstraints::new(1);
        let seed = |n: u16| {
            let mut seed = [0; 32];
            seed[..2].copy_from_slice(&n.to_be_bytes());
            seed
        };
        let drawn = (0..1000).filter(|n| {
            choose(directory, &constraints, seed(*n))
                .unwrap()
                .last()
                .relay
                == of
        });
        drawn.count()
    };
    let fair = directory([
        claiming(1, ByteCount::from_mib(9)),
        claiming(2, ByteCount::from_mib(1)),
    ]);
    let drawn = share(&fair, id(1));
    assert!((850..950).contains(&drawn), "{drawn}");
    let boast = directory([
        claiming(1, ByteCount::MAX),
        claiming(2, ByteCount::from_mib(128)),
    ]);
    let drawn = share(&boast, id(1));
    assert!((430..570).contains(&drawn), "{drawn}");
    // And claiming nothing does not take a relay out.
    let modest = directory([claiming(1, ByteCount::ZERO), claiming(2, ByteCount::new(1))]);
    let drawn = share(&modest, id(1));
    assert!((430..570).contains(&drawn), "{drawn}");
}

#[test]
fn an_exit_need_does_not_print_where_to() {
    let need = ExitNeed::Address("192.0.2.99".parse().unwrap(), 4433);
    let printed = format!("{need:?} {:?}", PathConstraints::new(3).exit_to(need));
    assert!(
        !printed.contains("192.0.2.99") && !printed.contains("4433"),
        "{printed}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_path_never_repeats_a_relay_or_an_operator_and_is_found_if_there_is_one(
        operators in proptest::collection::vec(proptest::option::of(0u8..4), 1..10),
        exits in proptest::collection::vec(any::<bool>(), 10),
        hops in 1usize..=8,
        seed: [u8; 32],
    ) {
        let relays = operators.iter().zip(&exits).enumerate().map(|(number, (operator, exit))| {
            relay(number as u16, |body| {
                body.operator = operator.map(|tag| tag.to_string().parse().unwrap());
                if *exit {
                    body.services.insert(ServiceCode::EXIT);
                    body.exit_policy = "accept *:443".parse().unwrap();
                }
            })
        });
        let directory = directory(relays);
        // All are relays, so a path exists if there is an exit, and operators enough.
        let untagged = operators.iter().filter(|operator| operator.is_none()).count();
        let tags: BTreeSet<_> = operators.iter().flatten().collect();
        let exists = exits[..operators.len()].contains(&true) && untagged + tags.len() >= hops;

        let found = choose(&directory, &PathConstraints::new(hops).exit_to(WEB), seed);
        prop_assert_eq!(found.is_ok(), exists);
        if let Ok(path) = found {
            prop_assert_eq!(path.hops().len(), hops);
            prop_assert_eq!(ids(&path).into_iter().collect::<BTreeSet<_>>().len(), hops);
            let tags: Vec<_> = path.hops().iter().filter_map(|r| r.operator.as_ref()).collect();
            prop_assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), tags.len());
            prop_assert!(path.last().offers(ServiceCode::EXIT));
        }
    }
}
