use crate::net::{Setup, hop};
use coinfuse_circuit::{ClientEvent, Suite};

#[test]
fn three_hops_stand_after_three_flights_of_the_client() {
    let net = Setup::hops(3).build();
    assert_eq!(net.flights, 3, "a create and two extensions");
    let ready = |event: &ClientEvent| matches!(event, ClientEvent::Ready);
    assert!(net.events.iter().any(ready));
}

#[test]
fn every_length_and_every_suite_stands_after_as_many_flights_as_hops() {
    for hops in 1..=8 {
        for suite in Suite::ALL {
            let suites = vec![suite; hops];
            let net = Setup {
                suites,
                ..Setup::default()
            }
            .build();
            assert_eq!(net.flights, hops);
        }
    }
}

#[test]
fn hops_are_ready_in_the_order_of_the_path() {
    let net = Setup::hops(4).build();
    let ready = net.events.iter().filter_map(|event| match event {
        ClientEvent::HopReady { hop, welcome } => {
            assert_eq!(welcome.mints, b"https://mint.example");
            Some(*hop)
        }
        _ => None,
    });
    assert!(ready.eq([0, 1, 2, 3].map(hop)));
}
