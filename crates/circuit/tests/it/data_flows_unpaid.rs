use crate::net::{Setup, hop, text};
use crate::the_wire_format_is_not_as_specified::lying_client;
use coinfuse_circuit::{
    Blocked, ClientEvent, CloseReason, Direction, MAX_BODY, OutOfCredit, RelayCircuit,
    RelayCircuitError,
};
use coinfuse_wire::{ByteCount, Msat};

/// 100,000 bytes are paid each way at each hop.
fn poor() -> Setup {
    Setup {
        balance: 200_000,
        upstream: 100_000,
        ..Setup::default()
    }
}

#[test]
fn downstream_pauses_when_the_credit_is_used_up_and_resumes_when_it_is_paid() {
    let mut net = poor().build();
    let sent = text(300_000);
    net.send_down(&sent, MAX_BODY);
    net.run();
    assert!(net.received.len() < 100_000);
    assert_eq!(net.pauses(2), 1, "the last hop said so, once");
    assert!(net.relays[2].machine().is_paused());
    net.assert_same_books();

    for at in 0..3 {
        net.pay(at, 0, 400_000);
    }
    net.run();
    assert!(net.received == sent, "not a byte was lost");
    assert!(!net.relays[2].machine().is_paused());
    assert_eq!(net.pauses(2), 1);
    net.assert_same_books();
}

#[test]
fn a_middle_hop_that_is_unpaid_holds_back_what_the_others_send() {
    let mut net = poor().build();
    for at in [0, 2] {
        net.pay(at, 0, 400_000);
    }
    net.run();
    let sent = text(300_000);
    net.send_down(&sent, MAX_BODY);
    net.run();
    assert_eq!([0, 1, 2].map(|at| net.pauses(at)), [0, 1, 0]);
    net.pay(1, 0, 400_000);
    net.run();
    assert!(net.received == sent);
    net.assert_same_books();
}

#[test]
fn too_small_a_payment_neither_resumes_nor_is_asked_for_twice() {
    let mut net = poor().build();
    net.send_down(&text(200_000), MAX_BODY);
    net.run();
    let before = net.received.len();
    net.pay(2, 0, 1);
    net.run();
    assert_eq!((net.received.len(), net.pauses(2)), (before, 1));
}

#[test]
fn the_client_stops_at_an_empty_upstream_pool_can_pay_meanwhile_and_resumes() {
    let mut net = poor().build();
    for at in [0, 2] {
        net.pay(at, 400_000, 0);
    }
    net.run();
    let sent = text(300_000);
    net.send_up(&sent, MAX_BODY);
    net.run();
    assert_eq!(net.blocked, Some(Blocked { hop: hop(1) }));
    assert!(net.last().stream.len() < 100_000);
    assert_eq!(net.last().error, None);
    net.pay(1, 400_000, 0);
    net.run();
    assert_eq!(net.blocked, None);
    assert!(net.last().stream == sent);
    net.assert_same_books();
}

#[test]
fn a_blocked_record_changes_nothing_at_any_hop() {
    let mut net = poor().build();
    net.send_up(&text(300_000), MAX_BODY);
    net.run();
    let before = [0, 1, 2].map(|at| *net.client.credit(hop(at)).unwrap());
    assert!(net.client.seal(net.now, &[&text(MAX_BODY)]).is_err());
    assert_eq!(
        before,
        [0, 1, 2].map(|at| *net.client.credit(hop(at)).unwrap())
    );
}

#[test]
fn a_client_that_sends_unpaid_is_closed_at_the_first_byte() {
    let (mut client, mut relay) = lying_client();
    // 10,000 bytes are paid: 18 records of 528 and one of 496, which no record is.
    for _ in 0..18 {
        relay.stream(&client.stream(b"paid")).unwrap();
    }
    let error = relay.stream(&client.stream(b"unpaid")).unwrap_err();
    assert_eq!(
        error,
        RelayCircuitError::Overrun(OutOfCredit {
            bytes: ByteCount::new(528),
            missing: Msat::new(19 * 528 - 10_000),
        })
    );
    assert_eq!(error.close_reason(), CloseReason::Overrun);
    let carried = relay.0.credit().up.carried();
    assert_eq!(
        carried,
        ByteCount::new(18 * 528),
        "the overrun is not carried"
    );
}

#[test]
fn a_client_that_was_credited_more_than_the_relay_knows_is_told_overrun() {
    let mut net = poor().build();
    let now = net.now;
    // A client that makes up the money: here, by the word of a relay that took it back.
    let number = net.pay(0, 50_000, 0);
    net.relays[0].disk_is_stuck = true;
    net.relays[0].serves_ahead = false;
    net.run();
    let result = coinfuse_circuit::PayResult {
        number,
        credited: Msat::new(50_000),
        refused: vec![],
    };
    net.relays[0].machine().pay_result(now, result);
    net.run();
    for at in [1, 2] {
        net.pay(at, 400_000, 0);
    }
    net.run();
    net.send_up(&text(300_000), MAX_BODY);
    net.run();
    assert!(matches!(
        net.relays[0].error,
        Some(RelayCircuitError::Overrun(_))
    ));
    assert_eq!(net.closed_because(), Some((hop(0), CloseReason::Overrun)));
}

#[test]
fn a_relay_does_not_send_what_is_not_paid() {
    let mut net = poor().build();
    let now = net.now;
    let relay = net.relays[2].machine();
    let mut sent = 0;
    while relay.stream_to_client(now, &[&text(5000)]).is_ok() {
        sent += RelayCircuit::stream_len(5000).get();
    }
    assert_eq!(relay.credit().down.carried().get(), sent);
    assert_eq!(sent, 100_000 / 8208 * 8208);
}

#[test]
fn topping_up_keeps_a_long_transfer_going() {
    let mut setup = poor();
    setup.pays = true;
    setup.policy.low_water = ByteCount::new(50_000);
    setup.policy.increment_down = ByteCount::new(100_000);
    setup.policy.increment_up = ByteCount::new(40_000);
    let mut net = setup.build();
    let (up, down) = (text(1_000_000), text(2_000_000));
    net.send_up(&up, MAX_BODY);
    net.send_down(&down, MAX_BODY);
    net.run();
    assert_eq!((net.blocked, net.error), (None, None));
    assert!(net.last().stream == up && net.received == down);
    net.assert_same_books();
}

#[test]
fn a_tiny_low_water_mark_does_not_stall_for_ever() {
    let mut setup = poor();
    setup.pays = true;
    setup.policy.low_water = ByteCount::ZERO;
    setup.policy.increment_up = ByteCount::new(1);
    setup.policy.increment_down = ByteCount::new(1);
    let mut net = setup.build();
    let (up, down) = (text(200_000), text(200_000));
    net.send_up(&up, MAX_BODY);
    net.send_down(&down, MAX_BODY);
    net.run();
    assert!(net.last().stream == up && net.received == down);
}

#[test]
fn a_declined_top_up_is_asked_for_again_when_the_hop_pauses() {
    let mut setup = poor();
    setup.policy.low_water = ByteCount::new(20_000);
    let mut net = setup.build();
    let wish = |event: &ClientEvent| match event {
        ClientEvent::TopUp { hop, direction, .. } => Some((*hop, *direction)),
        _ => None,
    };
    net.send_down(&text(200_000), MAX_BODY);
    net.pump();
    let at = (0, crate::net::Way::ControlDown);
    // Data arrives, wishes are declined; the news of the pause is late.
    while let Some(lane) = net.busy().into_iter().find(|lane| *lane != at) {
        net.deliver(lane, 20_000);
        net.pump();
        for (hop, direction) in net.events.iter().filter_map(wish) {
            net.client.decline(hop, direction);
        }
        net.events.clear();
    }
    net.run();
    assert_eq!(net.pauses(2), 1);
    let asked = (hop(2), Direction::Down);
    assert!(net.events.iter().filter_map(wish).any(|wish| wish == asked));
}
