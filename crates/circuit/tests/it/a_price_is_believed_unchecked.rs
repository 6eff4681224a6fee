use crate::net::{Net, Setup, UNIX, hop, price};
use coinfuse_circuit::{
    ClientCircuitError, CreateRefusal, ExtendRefusal, HopPlan, OnionSecret, Price, Quote,
    QuoteError, SessionError, Suite,
};
use coinfuse_wire::{Rate, RelayId};
use core::time::Duration;

fn later(secs: u64) -> coinfuse_wire::UnixTime {
    UNIX.saturating_add(Duration::from_secs(secs))
}

/// A circuit of two hops, the second of which quotes this.
fn quoted(quote: impl FnOnce(&[u8; 32]) -> Quote) -> Option<ClientCircuitError> {
    let setup = Setup::hops(2);
    let mut relays = setup.relays();
    relays[1].quote = quote(&relays[1].identity.clone());
    let mut net = setup.start(relays, |_| {});
    net.run();
    net.error
}

/// A circuit whose plans were spoilt.
fn planned(hops: usize, spoil: impl FnOnce(&mut Vec<HopPlan>)) -> Net {
    let setup = Setup::hops(hops);
    let mut net = setup.start(setup.relays(), spoil);
    if net.refused.is_none() {
        net.run();
    }
    net
}

#[test]
fn a_price_above_the_ceiling_ends_the_building_in_either_direction() {
    let ceiling = price(1 << 20);
    let dearer = Rate::from_msat_per_mib((1 << 20) + 1);
    for price in [
        Price {
            up: dearer,
            ..ceiling
        },
        Price {
            down: dearer,
            ..ceiling
        },
    ] {
        let error = quoted(|identity| Quote::sign(price, later(60), identity));
        assert_eq!(
            error,
            Some(ClientCircuitError::TooExpensive { hop: hop(1), price })
        );
    }
    let cheap = quoted(|identity| Quote::sign(price(0), later(60), identity));
    assert_eq!(cheap, None);
}

#[test]
fn an_expired_quote_is_refused_from_its_last_second_on() {
    let expired = |by| QuoteError::Expired { expired: later(by) };
    let error = quoted(|identity| Quote::sign(price(1), later(0), identity));
    let expected = ClientCircuitError::Quote {
        hop: hop(1),
        error: expired(0),
    };
    assert_eq!(error, Some(expected));
    assert_eq!(
        quoted(|identity| Quote::sign(price(1), later(1), identity)),
        None
    );
}

#[test]
fn a_quote_that_another_signed_is_refused() {
    let expected = ClientCircuitError::Quote {
        hop: hop(1),
        error: QuoteError::Signature,
    };
    let by_another = quoted(|_| Quote::sign(price(1), later(60), &[1; 32]));
    assert_eq!(by_another, Some(expected));
    // A signature is for one price and one time.
    let altered = quoted(|identity| Quote {
        price: price(2),
        ..Quote::sign(price(1), later(60), identity)
    });
    assert_eq!(altered, Some(expected));
    let prolonged = quoted(|identity| Quote {
        expires: later(99),
        ..Quote::sign(price(1), later(60), identity)
    });
    assert_eq!(prolonged, Some(expected));
}

#[test]
fn a_handshake_for_another_onion_key_is_refused_as_such() {
    let other = OnionSecret::new([1; 32]).public();
    let first = planned(2, |plans| plans[0].onion_key = other);
    assert_eq!(first.refused, Some(CreateRefusal::NotAuthentic));
    let second = planned(2, |plans| plans[1].onion_key = other);
    assert_eq!(
        second.error,
        Some(ClientCircuitError::Extend {
            hop: hop(1),
            reason: ExtendRefusal::NotAuthentic
        })
    );
}

#[test]
fn a_handshake_for_another_relay_is_refused_even_under_the_same_onion_key() {
    let other = RelayId::new([1; 32]);
    let net = planned(1, |plans| plans[0].relay = other);
    assert_eq!(net.refused, Some(CreateRefusal::NotAuthentic));
}

#[test]
fn a_suite_is_part_of_the_handshake() {
    use coinfuse_circuit::{IncomingCircuit, Initiator, Seed};
    let relay = &Setup::hops(1).relays()[0];
    let seed = Seed::new([1; 32]);
    let key = relay.onion.public();
    let (_, message) = Initiator::start(Suite::ChaChaPoly, &relay.id(), &key, b"", &seed).unwrap();
    let read = |suite: u8| {
        IncomingCircuit::read(&relay.id(), &relay.onion, suite, &message, &seed).unwrap_err()
    };
    assert_eq!(read(Suite::AesGcm.code()), CreateRefusal::NotAuthentic);
    assert_eq!(
        read(Suite::ChaChaPoly.code()),
        CreateRefusal::Malformed,
        "authentic, and an empty hello"
    );
    for unknown in [0, 3, 255] {
        assert_eq!(read(unknown), CreateRefusal::UnknownSuite);
    }
}

#[test]
fn an_answer_that_was_altered_makes_no_session() {
    let setup = Setup::hops(1);
    let mut relays = setup.relays();
    let plan = crate::net::plan(&relays[0], Suite::AesGcm, &setup, 0);
    let seed = || coinfuse_circuit::Seed::new([1; 32]);
    let (mut client, create) =
        coinfuse_circuit::ClientCircuit::start(vec![plan], setup.policy, setup.limits, seed)
            .unwrap();
    let now = coinfuse_wire::Instant::ZERO;
    let header = [&[1, 0, 0, 0, 1, 2, 0, 0][..], &create.handshake].concat();
    let mut answer = relays[0].create(&header, now).unwrap();
    *answer.last_mut().unwrap() ^= 1;
    let expected = ClientCircuitError::Session {
        hop: hop(0),
        error: SessionError::NotAuthentic,
    };
    assert_eq!(client.created(now, UNIX, &answer), Err(expected));
}
