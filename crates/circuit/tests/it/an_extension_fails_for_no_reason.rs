use crate::net::{Setup, hop};
use crate::the_wire_format_is_not_as_specified::{lying_client, lying_relay};
use coinfuse_circuit::{
    ClientCircuit, ClientCircuitError, CreateRefusal, ExtendRefusal, Limits, NextHop,
    RelayCircuitError, RelayEvent, RelayOutput, Seed, Suite, ToClient, ToRelay, TopUpPolicy,
};
use coinfuse_wire::{Encode, Instant};

const REASONS: [ExtendRefusal; 9] = [
    ExtendRefusal::NotOffered,
    ExtendRefusal::AddressRefused,
    ExtendRefusal::TimedOut,
    ExtendRefusal::Unreachable,
    ExtendRefusal::AlreadyExtended,
    ExtendRefusal::NotAuthentic,
    ExtendRefusal::Busy,
    ExtendRefusal::Refused,
    ExtendRefusal::Other(200),
];

#[test]
fn the_client_learns_which_hop_is_missing_and_why() {
    let setup = Setup::hops(3);
    for reason in REASONS {
        for at in 0..2 {
            let mut relays = setup.relays();
            relays[at].refuses_extension = Some(reason);
            let mut net = setup.start(relays, |_| {});
            net.run();
            let missing = hop(at + 1);
            assert_eq!(
                net.error,
                Some(ClientCircuitError::Extend {
                    hop: missing,
                    reason
                })
            );
        }
    }
}

#[test]
fn a_next_hops_refusal_is_passed_on_without_telling_too_much() {
    for (refusal, told) in [
        (CreateRefusal::NotAuthentic, ExtendRefusal::NotAuthentic),
        (CreateRefusal::Busy, ExtendRefusal::Busy),
        (CreateRefusal::Leaving, ExtendRefusal::Busy),
        (CreateRefusal::Malformed, ExtendRefusal::Refused),
        (CreateRefusal::UnknownSuite, ExtendRefusal::Refused),
        (CreateRefusal::NumberInUse, ExtendRefusal::Refused),
        (CreateRefusal::Other(99), ExtendRefusal::Refused),
    ] {
        assert_eq!(refusal.as_extend_refusal(), told);
    }
}

fn extend() -> Vec<u8> {
    ToRelay::Extend {
        next: NextHop {
            link_key: [1; 32],
            addresses: vec!["192.0.2.7:4433".parse().unwrap()],
        },
        suite: Suite::AesGcm,
        handshake: vec![0; 48],
    }
    .to_bytes()
}

#[test]
fn a_second_extension_is_refused_while_the_first_is_under_way_and_after() {
    let (mut client, mut relay) = lying_client();
    relay.control(&client.message(&extend())).unwrap();
    assert!(matches!(
        relay.0.poll_output(),
        Some(RelayOutput::Event(RelayEvent::Extend { .. }))
    ));
    for _ in 0..2 {
        relay.control(&client.message(&extend())).unwrap();
        let Some(RelayOutput::ToClient(wire)) = relay.0.poll_output() else {
            panic!("no answer");
        };
        let answer = client.0.control_in.open(&wire[2..]);
        assert_eq!(
            crate::raw::body(&answer),
            [2, 5],
            "failed: already extended"
        );
        relay.0.extended(Instant::ZERO, vec![]);
        let Some(RelayOutput::ToClient(wire)) = relay.0.poll_output() else {
            panic!("no answer");
        };
        client.0.control_in.open(&wire[2..]);
    }
}

#[test]
fn after_a_failure_another_hop_may_be_tried() {
    let (mut client, mut relay) = lying_client();
    for _ in 0..2 {
        relay.control(&client.message(&extend())).unwrap();
        assert!(matches!(
            relay.0.poll_output(),
            Some(RelayOutput::Event(RelayEvent::Extend { .. }))
        ));
        relay
            .0
            .extend_failed(Instant::ZERO, ExtendRefusal::TimedOut);
        assert!(matches!(
            relay.0.poll_output(),
            Some(RelayOutput::ToClient(_))
        ));
    }
}

#[test]
fn nothing_is_forwarded_to_a_hop_that_is_not_there() {
    let forward = crate::raw::plaintext(crate::raw::FORWARD, &[0; 100]);
    let (mut client, mut relay) = lying_client();
    let error = relay.control(&client.control(&forward)).unwrap_err();
    assert_eq!(error, RelayCircuitError::NoNextHop);
    let (mut client, mut relay) = lying_client();
    let error = relay.stream(&client.data(&forward)).unwrap_err();
    assert_eq!(error, RelayCircuitError::NoNextHop);
    let carried = relay.0.credit().up.carried();
    assert!(carried.is_zero(), "nothing was carried");
}

#[test]
fn an_answer_to_no_question_is_not_believed() {
    for message in [
        ToClient::Extended(vec![0; 48]),
        ToClient::ExtendFailed(ExtendRefusal::Busy),
        ToClient::Meter(Default::default()),
    ] {
        let (mut client, mut relay) = lying_relay();
        let wire = relay.message(&message.to_bytes());
        let error = client.control(&wire).unwrap_err();
        assert!(matches!(error, ClientCircuitError::Message { hop: h, .. } if h == hop(0)));
    }
}

#[test]
fn a_second_answer_to_the_first_handshake_is_not_believed() {
    let mut net = Setup::hops(1).build();
    let error = net.client.created(net.now, crate::net::UNIX, &[0; 48]);
    assert!(matches!(error, Err(ClientCircuitError::Message { .. })));
}

#[test]
fn a_record_from_beyond_the_last_hop_is_not_believed() {
    let forward = crate::raw::plaintext(crate::raw::FORWARD, &[0; 100]);
    let (mut client, mut relay) = lying_relay();
    assert!(client.stream(&relay.data(&forward)).is_err());
    assert!(client.control(&relay.control(&forward)).is_err());
}

#[test]
fn a_path_has_one_to_eight_hops() {
    let setup = Setup::hops(9);
    let relays = setup.relays();
    let plans: Vec<_> = (0..9)
        .map(|i| crate::net::plan(&relays[i as usize], Suite::AesGcm, &setup, i))
        .collect();
    let start = |plans| {
        let seed = || Seed::new([1; 32]);
        let circuit = ClientCircuit::start(plans, TopUpPolicy::default(), Limits::default(), seed);
        circuit.map(|_| ()).unwrap_err()
    };
    assert_eq!(start(vec![]), ClientCircuitError::PathLength(0));
    assert_eq!(start(plans), ClientCircuitError::PathLength(9));
}
