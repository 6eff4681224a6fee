//! The bytes of an answer.

use super::transaction;
use bitcoin::consensus::serialize;
use coinfuse_delivery::mempool::{Answer, Network, Rejection};
use coinfuse_wire::{Decode, DecodeError, Encode};

#[test]
fn accepted_is_a_zero_and_the_txid() {
    let txid = transaction(1, 1).compute_txid();
    let bytes = Answer::Accepted(txid).to_bytes();
    assert_eq!(bytes, [&[0][..], &serialize(&txid)].concat());
    assert_eq!(Answer::from_bytes(&bytes), Ok(Answer::Accepted(txid)));
}

#[test]
fn the_codes_of_the_classes_never_change() {
    let codes = [
        (1, Rejection::Malformed),
        (2, Rejection::TooHeavy),
        (3, Rejection::Package),
        (4, Rejection::AlreadyKnown),
        (5, Rejection::MissingInputs),
        (6, Rejection::Conflict),
        (7, Rejection::FeeTooLow),
        (8, Rejection::NotFinal),
        (9, Rejection::Policy),
        (10, Rejection::Invalid),
        (11, Rejection::NotRelayed),
        (12, Rejection::Unavailable),
        (13, Rejection::Unconfirmed),
        (14, Rejection::Busy),
    ];
    assert_eq!(codes.map(|(_, class)| class), Rejection::ALL);
    for (code, class) in codes {
        let answer = Answer::Rejected(class);
        assert_eq!(answer.to_bytes(), [code]);
        assert_eq!(Answer::from_bytes(&[code]), Ok(answer));
    }
}

#[test]
fn a_class_of_the_future_is_named_as_such() {
    let error = Answer::from_bytes(&[99]).unwrap_err();
    assert!(matches!(error, DecodeError::Unknown { got: 99, .. }));
}

#[test]
fn bytes_after_an_answer_are_refused() {
    let leftover = DecodeError::Leftover { count: 1 };
    assert_eq!(Answer::from_bytes(&[4, 0]), Err(leftover));
}

#[test]
fn the_networks_are_those_of_the_library() {
    use bitcoin::p2p::Magic;
    let magics = [
        Magic::BITCOIN,
        Magic::SIGNET,
        Magic::TESTNET4,
        Magic::REGTEST,
    ];
    assert_eq!(
        Network::ALL.map(Network::magic),
        magics.map(Magic::to_bytes)
    );
    assert_eq!(
        Network::ALL.map(Network::p2p_port),
        [8333, 38333, 48333, 18444]
    );
    assert_eq!(
        Network::ALL.map(Network::rpc_port),
        [8332, 38332, 48332, 18443]
    );
    for network in Network::ALL {
        assert_eq!(network.to_string().parse(), Ok(network));
    }
    assert!("testnet3".parse::<Network>().is_err());
}
