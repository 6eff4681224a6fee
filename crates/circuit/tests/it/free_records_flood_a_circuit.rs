use crate::net::{Setup, Way, hop};
use crate::raw;
use crate::the_wire_format_is_not_as_specified::{HonestRelay, Liar, lying_client};
use coinfuse_circuit::{CloseReason, RelayCircuitError, RelayEvent, RelayOutput};
use coinfuse_wire::Instant;
use core::time::Duration;

fn padding(client: &mut Liar, relay: &mut HonestRelay, at: Instant) -> Option<RelayCircuitError> {
    let wire = client.control(&raw::plaintext(raw::PADDING, b""));
    let record = raw::from_wire(&wire);
    relay.0.control_from_client(at, record).err()
}

#[test]
fn more_control_records_than_the_burst_are_a_flood() {
    let (mut client, mut relay) = lying_client();
    for _ in 0..256 {
        assert_eq!(padding(&mut client, &mut relay, Instant::ZERO), None);
    }
    let error = padding(&mut client, &mut relay, Instant::ZERO).unwrap();
    assert_eq!(error, RelayCircuitError::Flood);
    assert_eq!(error.close_reason(), CloseReason::Protocol);
}

#[test]
fn control_records_at_the_allowed_rate_are_none() {
    let (mut client, mut relay) = lying_client();
    let mut now = Instant::ZERO;
    for _ in 0..1000 {
        assert_eq!(padding(&mut client, &mut relay, now), None);
        now = now + Duration::from_millis(5);
    }
}

#[test]
fn free_records_of_the_data_lane_count_too() {
    let (mut client, mut relay) = lying_client();
    let mut refused = None;
    for i in 0..257 {
        let wire = client.data(&raw::plaintext(raw::PADDING, b""));
        refused = relay.stream(&wire).err();
        assert_eq!(refused.is_some(), i == 256);
    }
    assert_eq!(refused, Some(RelayCircuitError::Flood));
}

#[test]
fn a_hop_does_not_carry_a_flood_of_free_records_from_beyond() {
    let mut net = Setup::hops(2).build();
    let now = net.now;
    for _ in 0..300 {
        net.relays[1].machine().close(now, CloseReason::Leaving);
    }
    net.pump();
    for record in net.links[1]
        .lane(Way::ControlDown)
        .bytes
        .clone()
        .chunks(530)
    {
        let record = raw::from_wire(record);
        net.relays[0].machine().control_from_next(now, record);
    }
    let (mut carried, mut closed) = (0, None);
    while let Some(output) = net.relays[0].machine().poll_output() {
        match output {
            RelayOutput::ToClient(_) => carried += 1,
            RelayOutput::Event(RelayEvent::Closed(reason)) => closed = Some(reason),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((carried, closed), (256, Some(CloseReason::Protocol)));
}

#[test]
fn an_idle_circuit_is_closed_when_its_time_is_over_and_not_before() {
    let mut net = Setup::default().build();
    let idle = net.relays[0].limits.idle;
    let relay = net.relays[0].machine();
    assert_eq!(relay.poll_timeout(), Instant::ZERO + idle);
    let just_before = Instant::ZERO + idle - Duration::from_millis(1);
    assert_eq!(relay.handle_timeout(just_before), None);
    assert_eq!(
        relay.handle_timeout(Instant::ZERO + idle),
        Some(CloseReason::Idle)
    );
}

#[test]
fn data_in_either_direction_keeps_a_circuit() {
    for down in [false, true] {
        let mut net = Setup::hops(1).build();
        net.now = net.now + Duration::from_secs(300);
        match down {
            true => net.send_down(b"hello", 5),
            false => net.send_up(b"hello", 5),
        }
        net.run();
        let (now, idle) = (net.now, net.relays[0].limits.idle);
        assert_eq!(net.relays[0].machine().poll_timeout(), now + idle);
    }
}

#[test]
fn a_close_reaches_both_ends() {
    let mut net = Setup::default().build();
    net.client.close(net.now, CloseReason::Done);
    net.run();
    assert_eq!(net.relays[0].closed, Some(CloseReason::Done));
    let now = net.now;
    net.relays[2].machine().close(now, CloseReason::Lifetime);
    net.run();
    assert_eq!(net.closed_because(), Some((hop(2), CloseReason::Lifetime)));
}
