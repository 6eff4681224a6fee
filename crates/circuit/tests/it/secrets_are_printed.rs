use crate::net::{Setup, coins};
use crate::the_wire_format_is_not_as_specified::lying_client;
use coinfuse_circuit::{AccountToken, Hello, NextHop, OnionSecret, Seed};
use coinfuse_wire::Msat;

#[test]
fn nothing_that_is_printed_tells_a_secret() {
    let token = AccountToken::new([0x5a; 32]);
    let hello = Hello {
        account: token,
        upstream: Msat::new(1),
        offer: Some(coins(&[0x5a5a_5a5a_5a5a_5a5a])),
    };
    let next = NextHop {
        link_key: [0x5a; 32],
        addresses: vec!["90.90.90.90:90".parse().unwrap()],
    };
    let (mut client, mut relay) = lying_client();
    let body = relay.stream(&client.stream(&[0x5a; 40])).unwrap();
    let printed = format!(
        "{token:?} {:?} {hello:?} {next:?} {:?} {:?} {body:?}",
        token.id(),
        OnionSecret::new([0x5a; 32]),
        Seed::new([0x5a; 32]),
    );
    assert_eq!(printed.matches("[scrubbed]").count(), 8);
    for shape in ["90", "5a", "ZZ"] {
        assert!(!printed.contains(shape), "{printed}");
    }
}

#[test]
fn a_whole_circuit_prints_neither_its_keys_nor_its_accounts() {
    let mut net = Setup::hops(2).build();
    let printed = format!("{:?} {:?}", net.client, net.relays[0].machine());
    assert!(!printed.contains("192.0.2.7"), "where the next hop is");
    assert!(
        !printed.contains("1, 1, 1, 1"),
        "bytes of an account or a seed"
    );
}
