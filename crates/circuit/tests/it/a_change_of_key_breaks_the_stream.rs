use crate::net::{Setup, text};
use coinfuse_circuit::{Limits, MAX_BODY, RekeyPolicy, Suite};
use core::time::Duration;

fn limits(records: u64, age: Duration) -> Limits {
    let mut limits = Limits::default();
    limits.rekey = RekeyPolicy { records, age };
    limits.control_burst = 10_000;
    limits
}

fn goes_on(limits: Limits, step: Duration) {
    let mut net = Setup {
        suites: vec![Suite::AesGcm, Suite::ChaChaPoly, Suite::AesGcm],
        limits,
        ..Setup::default()
    }
    .build();
    let mut expected = Vec::new();
    for round in 0..60 {
        net.now = net.now + step;
        let body = text(round * 7 % MAX_BODY);
        net.to_send.push_back(body.clone());
        net.last().to_client.push_back(body.clone());
        net.pay(round % 3, 1, 1);
        net.run();
        assert_eq!(net.error, None, "round {round}");
        expected.extend(body);
    }
    assert!(net.last().stream == expected && net.received == expected);
    net.assert_same_books();
}

#[test]
fn keys_that_change_with_every_record_and_every_few_records() {
    for records in [0, 1, 2, 7] {
        goes_on(limits(records, Duration::from_secs(3600)), Duration::ZERO);
    }
}

#[test]
fn keys_that_change_by_age() {
    goes_on(
        limits(1 << 16, Duration::from_secs(60)),
        Duration::from_secs(25),
    );
}

#[test]
fn ends_need_not_agree_when_to_change() {
    let setup = Setup {
        limits: limits(3, Duration::from_secs(3600)),
        ..Setup::default()
    };
    let mut relays = setup.relays();
    for (relay, records) in relays.iter_mut().zip([1, 5, 11]) {
        relay.limits = limits(records, Duration::from_secs(3600));
    }
    let mut net = setup.start(relays, |_| {});
    let sent = text(50_000);
    net.run();
    net.send_up(&sent, 900);
    net.send_down(&sent, 900);
    net.run();
    assert!(net.last().stream == sent && net.received == sent);
}
