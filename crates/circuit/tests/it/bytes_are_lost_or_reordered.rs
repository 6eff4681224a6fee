use crate::net::{Setup, text};
use coinfuse_circuit::{MAX_BODY, Suite};

fn mixed(hops: usize) -> Vec<Suite> {
    (0..hops).map(|i| Suite::ALL[i % 2]).collect()
}

#[test]
fn bytes_arrive_both_ways_over_any_path() {
    for hops in 1..=8 {
        for suites in [
            vec![Suite::ChaChaPoly; hops],
            vec![Suite::AesGcm; hops],
            mixed(hops),
        ] {
            let mut net = Setup {
                suites,
                cuts: hops as u64 + 77,
                ..Setup::default()
            }
            .build();
            let (up, down) = (text(60_000), text(90_001));
            net.send_up(&up, 5000);
            net.send_down(&down, MAX_BODY);
            net.run();
            assert!(net.last().stream == up, "{hops} hops upstream");
            assert!(net.received == down, "{hops} hops downstream");
        }
    }
}

#[test]
fn every_size_of_a_body_arrives() {
    let mut net = Setup::default().build();
    let sizes = [
        0, 1, 508, 509, 510, 2044, 2045, 2046, 8189, 8190, 16_380, MAX_BODY,
    ];
    for size in sizes {
        let body = text(size);
        net.to_send.push_back(body.clone());
        net.last().to_client.push_back(body.clone());
        net.run();
        assert_eq!(net.error, None);
        assert_eq!(core::mem::take(&mut net.last().stream), body, "{size} up");
        assert_eq!(core::mem::take(&mut net.received), body, "{size} down");
    }
}

#[test]
#[should_panic = "a record's body has at most 16381 bytes"]
fn a_body_that_is_too_long_is_the_callers_mistake() {
    let mut net = Setup::hops(1).build();
    let _ = net.client.seal(net.now, &[&text(MAX_BODY + 1)]);
}

#[test]
fn control_overtakes_data() {
    let mut net = Setup::default().build();
    net.send_up(&text(100_000), MAX_BODY);
    net.pump();
    net.pay(2, 0, 5);
    net.pump();
    // Only control lanes move.
    while let Some(lane) = net.busy().into_iter().find(|(_, way)| {
        matches!(
            way,
            crate::net::Way::ControlUp | crate::net::Way::ControlDown
        )
    }) {
        net.deliver(lane, 700);
        net.pump();
    }
    assert!(net.last().stream.is_empty(), "data is still on its way");
    let paid = |event: &coinfuse_circuit::ClientEvent| {
        matches!(event, coinfuse_circuit::ClientEvent::Paid { .. })
    };
    assert!(net.events.iter().any(paid));
}
