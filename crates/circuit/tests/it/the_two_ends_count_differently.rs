use crate::net::{Net, Setup, hop, text};
use crate::the_wire_format_is_not_as_specified::{lying_client, lying_relay};
use coinfuse_circuit::{
    ClientCircuitError, MAX_BODY, MeterMismatch, Reading, RelayCircuitError, ToClient, ToRelay,
};
use coinfuse_circuit::{CloseReason, Limits};
use coinfuse_wire::{ByteCount, Encode};

/// A reading each 20,000 bytes.
fn watchful() -> Limits {
    let mut limits = Limits::default();
    limits.reading_every = ByteCount::new(20_000);
    limits
}

fn exchange(net: &mut Net) {
    net.send_up(&text(200_000), 3000);
    net.send_down(&text(300_000), MAX_BODY);
    net.run();
}

#[test]
fn client_and_every_relay_have_the_same_books_when_nothing_moves() {
    let mut net = Setup::default().build();
    exchange(&mut net);
    net.assert_same_books();
    let used = net.relays[0].machine().credit().used();
    assert!(used.get() > 500_000, "a byte costs a msat");
}

#[test]
fn readings_of_an_honest_circuit_are_accepted() {
    let mut net = Setup {
        limits: watchful(),
        ..Setup::default()
    }
    .build();
    exchange(&mut net);
    assert_eq!(net.error, None);
    assert!(net.relays.iter().all(|relay| relay.error.is_none()));
    net.assert_same_books();
    // They were said: to the hops before, a reading is a record like any other.
    let bytes = |net: &mut Net, at: usize| net.relays[at].machine().credit().reading();
    let (first, last) = (bytes(&mut net, 0), bytes(&mut net, 2));
    let records_up = 200_000u64.div_ceil(3000);
    assert!(first.up.get() > last.up.get() + records_up * 34);
}

#[test]
fn outer_layers_are_metered_where_they_are_carried() {
    let mut net = Setup::default().build();
    net.send_up(&[1], 1);
    net.run();
    let up = |net: &mut Net, at: usize| net.relays[at].machine().credit().up.carried().get();
    assert_eq!([0, 1, 2].map(|at| up(&mut net, at)), [562, 545, 528]);
}

fn reading(up: u64, down: u64) -> Reading {
    Reading {
        up: ByteCount::new(up),
        down: ByteCount::new(down),
    }
}

#[test]
fn a_relay_that_claims_more_is_caught() {
    for (up, down) in [(0, 529), (0, 527), (1, 528)] {
        let (mut client, mut relay) = lying_relay();
        assert!(client.stream(&relay.stream(b"hello")).is_ok());
        let lie = relay.data_message(&ToClient::Meter(reading(up, down)).to_bytes());
        let error = client.stream(&lie).unwrap_err();
        let mismatch = MeterMismatch {
            ours: reading(0, 528),
            theirs: reading(up, down),
        };
        assert_eq!(
            error,
            ClientCircuitError::Meter {
                hop: hop(0),
                error: mismatch
            }
        );
    }
}

#[test]
fn a_relay_that_says_the_truth_is_not_caught() {
    let (mut client, mut relay) = lying_relay();
    client.stream(&relay.stream(b"hello")).unwrap();
    let truth = relay.data_message(&ToClient::Meter(reading(0, 528)).to_bytes());
    assert_eq!(client.stream(&truth), Ok(None));
}

#[test]
fn a_client_that_claims_less_is_caught() {
    for (up, down) in [(527, 0), (529, 0), (528, 1)] {
        let (mut client, mut relay) = lying_client();
        relay.stream(&client.stream(b"hello")).unwrap();
        let lie = client.data_message(&ToRelay::Meter(reading(up, down)).to_bytes());
        let error = relay.stream(&lie).unwrap_err();
        assert!(matches!(error, RelayCircuitError::Meter(_)), "{up} {down}");
        assert_eq!(error.close_reason(), CloseReason::MeterMismatch);
    }
}

#[test]
fn a_client_that_says_the_truth_is_not_caught() {
    let (mut client, mut relay) = lying_client();
    relay.stream(&client.stream(b"hello")).unwrap();
    let truth = client.data_message(&ToRelay::Meter(reading(528, 0)).to_bytes());
    assert!(relay.stream(&truth).is_ok());
}

#[test]
fn readings_come_to_an_end_even_if_they_are_wanted_for_every_byte() {
    let mut limits = Limits::default();
    limits.reading_every = ByteCount::ZERO;
    let mut net = Setup {
        limits,
        ..Setup::hops(2)
    }
    .build();
    net.send_up(&text(5000), 1000);
    net.send_down(&text(5000), 1000);
    net.run();
    assert_eq!((net.error, net.received.len()), (None, 5000));
    net.assert_same_books();
}
