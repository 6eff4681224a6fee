//! The crate against the second implementation in `raw`, as client and as relay. What the second
//! one says need not be true, so these are also the liars of other modules.

use crate::net::{Relay, Setup, UNIX, plan, text};
use crate::raw;
use coinfuse_circuit::*;
use coinfuse_wire::{Encode, Instant, Msat};

/// The crate's client, before a raw relay.
pub(crate) struct HonestClient(pub(crate) ClientCircuit);

impl HonestClient {
    pub(crate) fn stream(&mut self, wire: &[u8]) -> Result<Option<Vec<u8>>, ClientCircuitError> {
        let body = self.0.open(Instant::ZERO, raw::from_wire(wire))?;
        Ok(body.map(|body| body.to_vec()))
    }

    pub(crate) fn control(&mut self, wire: &[u8]) -> Result<(), ClientCircuitError> {
        self.0.control(Instant::ZERO, UNIX, raw::from_wire(wire))
    }
}

/// The crate's relay, before a raw client.
pub(crate) struct HonestRelay(pub(crate) RelayCircuit);

impl HonestRelay {
    pub(crate) fn stream(&mut self, wire: &[u8]) -> Result<FromClient, RelayCircuitError> {
        self.0.data_from_client(Instant::ZERO, raw::from_wire(wire))
    }

    pub(crate) fn control(&mut self, wire: &[u8]) -> Result<(), RelayCircuitError> {
        self.0
            .control_from_client(Instant::ZERO, raw::from_wire(wire))
    }
}

/// A peer that says what it is told to.
pub(crate) struct Liar(pub(crate) raw::Session);

impl Liar {
    pub(crate) fn stream(&mut self, body: &[u8]) -> Vec<u8> {
        self.data(&raw::plaintext(raw::STREAM, body))
    }

    pub(crate) fn data_message(&mut self, body: &[u8]) -> Vec<u8> {
        self.data(&raw::plaintext(raw::CONTROL, body))
    }

    pub(crate) fn message(&mut self, body: &[u8]) -> Vec<u8> {
        self.control(&raw::plaintext(raw::CONTROL, body))
    }

    pub(crate) fn data(&mut self, plaintext: &[u8]) -> Vec<u8> {
        raw::wire(&self.0.data_out.seal(plaintext))
    }

    pub(crate) fn control(&mut self, plaintext: &[u8]) -> Vec<u8> {
        raw::wire(&self.0.control_out.seal(plaintext))
    }
}

fn welcome(relay: &Relay) -> Welcome {
    Welcome {
        quote: relay.quote.clone(),
        balance: Msat::new(20_000),
        provisional: Msat::ZERO,
        result: None,
        mints: vec![],
    }
}

fn setup() -> Setup {
    Setup {
        upstream: 10_000,
        ..Setup::hops(1)
    }
}

/// A client of the crate, with a raw relay as its only hop.
pub(crate) fn lying_relay() -> (HonestClient, Liar) {
    client_of(Suite::AesGcm)
}

fn client_of(suite: Suite) -> (HonestClient, Liar) {
    let setup = setup();
    let relay = Relay::new(0, setup.price, setup.limits);
    let plans = vec![plan(&relay, suite, &setup, 0)];
    let seed = || Seed::new([1; 32]);
    let (mut client, create) =
        ClientCircuit::start(plans, setup.policy, setup.limits, seed).unwrap();
    let (session, answer, hello) = raw::relay(
        suite,
        relay.id().as_bytes(),
        &[50; 32],
        &create.handshake,
        &welcome(&relay).to_bytes(),
    );
    // Type 0, 32 bytes: the account. Type 2, 3 bytes: 10,000 as a varint.
    let expected = [&[0, 32][..], &[0; 32], &[2, 3, 0xfd, 0x27, 0x10]].concat();
    assert_eq!(hello, expected);
    client.created(Instant::ZERO, UNIX, &answer).unwrap();
    (HonestClient(client), Liar(session))
}

/// A relay of the crate, with a raw client. A byte costs a msat and 10,000 are paid each way.
pub(crate) fn lying_client() -> (Liar, HonestRelay) {
    relay_of(Suite::AesGcm)
}

fn relay_of(suite: Suite) -> (Liar, HonestRelay) {
    let setup = setup();
    let relay = Relay::new(0, setup.price, setup.limits);
    let hello = Hello {
        account: AccountToken::new([0; 32]),
        upstream: Msat::new(10_000),
        offer: None,
    };
    let (client, handshake) = raw::Client::start(
        suite,
        relay.id().as_bytes(),
        relay.onion.public().as_bytes(),
        &hello.to_bytes(),
    );
    let seed = Seed::new([2; 32]);
    let code = suite.code();
    let incoming =
        IncomingCircuit::read(&relay.id(), &relay.onion, code, &handshake, &seed).unwrap();
    let (machine, answer) = incoming
        .welcome(&welcome(&relay), setup.limits, Instant::ZERO)
        .unwrap();
    let (session, payload) = client.finish(&answer);
    assert_eq!(payload, welcome(&relay).to_bytes());
    (Liar(session), HonestRelay(machine))
}

#[test]
fn a_second_implementation_of_the_relay_talks_to_the_client() {
    for suite in Suite::ALL {
        let (mut client, mut relay) = client_of(suite);
        for size in [0, 509, 510, MAX_BODY] {
            let body = text(size);
            let wire = client.0.seal(Instant::ZERO, &[&body]);
            match wire {
                Ok(wire) => {
                    let plaintext = relay.0.data_in.open(&wire[2..]);
                    assert_eq!(plaintext, raw::plaintext(raw::STREAM, &body));
                }
                Err(blocked) => assert_eq!((size, blocked.hop.get()), (MAX_BODY, 0)),
            }
            let back = relay.stream(&body);
            assert_eq!(client.stream(&back), Ok(Some(body)));
        }
    }
}

#[test]
fn a_second_implementation_of_the_client_talks_to_the_relay() {
    for suite in Suite::ALL {
        let (mut client, mut relay) = relay_of(suite);
        for size in [0, 509, 510, 2000] {
            let body = text(size);
            match relay.stream(&client.stream(&body)).unwrap() {
                FromClient::Stream(got) => assert_eq!(got, body),
                other => panic!("{other:?}"),
            }
            let back = relay.0.stream_to_client(Instant::ZERO, &[&body]).unwrap();
            let plaintext = client.0.data_in.open(&back[2..]);
            assert_eq!(raw::body(&plaintext), body);
        }
    }
}

#[test]
fn the_key_changes_behind_a_marked_record() {
    for suite in Suite::ALL {
        let (mut client, mut relay) = relay_of(suite);
        for kind in [
            raw::STREAM | raw::REKEY,
            raw::STREAM,
            raw::PADDING | raw::REKEY,
        ] {
            let wire = client.data(&raw::plaintext(kind, b"hello"));
            relay.stream(&wire).unwrap();
        }
        relay.stream(&client.stream(b"after two changes")).unwrap();
    }
}

#[test]
fn messages_have_the_bytes_of_the_specification() {
    let (mut client, mut relay) = relay_of(Suite::ChaChaPoly);
    // Pay: type 2, number, upstream 5, method 1, a payment of one byte.
    let pay = [2, 0, 0, 0, 1, 5, 1, 1, 0xee];
    relay.control(&client.message(&pay)).unwrap();
    let Some(RelayOutput::Event(RelayEvent::Pay { number, offer, .. })) = relay.0.poll_output()
    else {
        panic!("no payment");
    };
    assert_eq!((number, offer.payment), (PaymentNumber(1), vec![0xee]));
    relay.0.pay_result(
        Instant::ZERO,
        PayResult {
            number,
            credited: Msat::new(300),
            refused: vec![RefusedItem {
                index: 0,
                reason: 7,
            }],
        },
    );
    let Some(RelayOutput::ToClient(wire)) = relay.0.poll_output() else {
        panic!("no answer");
    };
    let plaintext = client.0.control_in.open(&wire[2..]);
    assert_eq!(plaintext.len(), 512);
    let result = [3, 0, 0, 0, 1, 0xfd, 1, 44, 1, 0, 7];
    assert_eq!(raw::body(&plaintext), result);
}
