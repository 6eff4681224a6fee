//! The session without a socket: the test is the peer, and the clock is a variable.

use super::{package, single, transaction};
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::p2p::message::{NetworkMessage, RawNetworkMessage};
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::p2p::message_network::VersionMessage;
use bitcoin::p2p::{Magic, ServiceFlags};
use bitcoin::{Transaction, Wtxid};
use coinfuse_delivery::mempool::p2p::{Connection, Event, PeerFailure, Role, SessionConfig};
use coinfuse_delivery::mempool::{Network, Submission};
use coinfuse_wire::Instant;
use core::time::Duration;
use proptest::prelude::*;
use std::sync::Arc;

const SEED: [u8; 32] = [9; 32];

struct Talk {
    connection: Connection,
    now: Instant,
}

impl Talk {
    fn new(role: Role) -> Self {
        let now = Instant::ZERO;
        let config = SessionConfig::default();
        let connection = Connection::plain(Network::Regtest, role, config, SEED, now);
        Self { connection, now }
    }

    fn submit(submission: &Submission) -> Self {
        Self::new(Role::Submit(Arc::new(submission.clone())))
    }

    fn hear(&mut self, message: NetworkMessage) {
        let raw = RawNetworkMessage::new(Magic::REGTEST, message);
        self.connection.receive(self.now, &serialize(&raw));
    }

    /// What the connection says.
    fn said(&mut self) -> Vec<NetworkMessage> {
        let mut bytes = self.connection.poll_transmit().unwrap_or_default();
        let mut said = Vec::new();
        while !bytes.is_empty() {
            let len = u32::from_le_bytes(bytes[16..20].try_into().unwrap()) as usize;
            let rest = bytes.split_off(24 + len);
            let raw: RawNetworkMessage = deserialize(&bytes).unwrap();
            said.push(raw.into_payload());
            bytes = rest;
        }
        said
    }

    fn event(&mut self) -> Option<Event> {
        self.connection.poll_event()
    }

    /// Lets the time pass until something is due, and says how much that was.
    fn wait(&mut self) -> Duration {
        let due = self.connection.poll_timeout().unwrap();
        let waited = due.saturating_since(self.now);
        self.now = due;
        self.connection.handle_timeout(due);
        waited
    }

    fn greet(&mut self) {
        let ours = version_of(&mut self.said());
        let services = ServiceFlags::NETWORK | ServiceFlags::WITNESS;
        let relay = true;
        self.hear(NetworkMessage::Version(VersionMessage {
            services,
            relay,
            ..ours
        }));
        self.hear(NetworkMessage::WtxidRelay);
        self.hear(NetworkMessage::Verack);
        assert_eq!(self.event(), Some(Event::Ready));
    }
}

fn version_of(said: &mut Vec<NetworkMessage>) -> VersionMessage {
    match said.remove(0) {
        NetworkMessage::Version(version) => version,
        other => panic!("version comes first, not {other:?}"),
    }
}

fn witness_item(transaction: &Transaction) -> Inventory {
    Inventory::WitnessTransaction(transaction.compute_txid())
}

#[test]
fn one_transaction_is_handed_over_as_core_broadcasts_privately() {
    let sent = transaction(1, 1);
    let mut talk = Talk::submit(&single(&sent));
    talk.greet();
    let item = Inventory::Transaction(sent.compute_txid());
    let inv = NetworkMessage::Inv(vec![item]);
    assert_eq!(talk.said(), [NetworkMessage::Verack, inv]);

    talk.hear(NetworkMessage::GetData(vec![witness_item(&sent)]));
    let said = talk.said();
    let [NetworkMessage::Tx(got), NetworkMessage::Ping(nonce)] = &said[..] else {
        panic!("tx and ping, not {said:?}");
    };
    assert_eq!(*got, sent);
    assert_eq!(talk.event(), None, "the peer may not have looked at it");
    talk.hear(NetworkMessage::Pong(*nonce));
    assert_eq!(talk.event(), Some(Event::Delivered));
}

#[test]
fn the_greeting_says_nothing_of_who_greets() {
    let mut talk = Talk::submit(&single(&transaction(1, 1)));
    let version = version_of(&mut talk.said());
    assert_eq!(version.services, ServiceFlags::NONE);
    assert_eq!((version.timestamp, version.start_height), (0, 0));
    assert_eq!(version.user_agent, "/pynode:0.0.1/");
    for address in [version.sender, version.receiver] {
        assert_eq!((address.address, address.port), ([0; 8], 0));
    }
    assert!(!version.relay);
}

#[test]
fn an_observer_asks_to_be_told_of_transactions() {
    let mut talk = Talk::new(Role::observe(&single(&transaction(1, 1))));
    assert!(version_of(&mut talk.said()).relay);
}

#[test]
fn both_parts_of_a_package_are_handed_over() {
    let (parent, child, submission) = package(1);
    let mut talk = Talk::submit(&submission);
    talk.greet();
    let items = vec![
        Inventory::WTx(parent.compute_wtxid()),
        Inventory::WTx(child.compute_wtxid()),
    ];
    let said = talk.said();
    assert_eq!(said.last(), Some(&NetworkMessage::Inv(items.clone())));
    assert!(said.contains(&NetworkMessage::WtxidRelay));
    assert!(said.contains(&NetworkMessage::SendAddrV2));

    // One after the other, as a peer does that finds out which is the parent.
    for (item, transaction) in [(items[1], child), (witness_item(&parent), parent.clone())] {
        talk.hear(NetworkMessage::GetData(vec![item]));
        let said = talk.said();
        let [NetworkMessage::Tx(got), NetworkMessage::Ping(nonce)] = &said[..] else {
            panic!("tx and ping, not {said:?}");
        };
        assert_eq!(*got, transaction);
        assert_eq!(talk.event(), None);
        talk.hear(NetworkMessage::Pong(*nonce));
    }
    assert_eq!(talk.event(), Some(Event::Delivered));
}

fn sent(said: &[NetworkMessage]) -> Vec<&Transaction> {
    said.iter()
        .filter_map(|message| match message {
            NetworkMessage::Tx(transaction) => Some(transaction),
            _ => None,
        })
        .collect()
}

#[test]
fn a_child_goes_before_its_parent_which_pays_too_little_alone() {
    let (parent, child, submission) = package(1);
    let mut talk = Talk::submit(&submission);
    talk.greet();
    talk.said();
    let both = vec![witness_item(&parent), witness_item(&child)];
    talk.hear(NetworkMessage::GetData(both));
    assert_eq!(sent(&talk.said()), [&child, &parent]);
}

#[test]
fn a_parent_that_went_before_its_child_is_handed_over_once_more() {
    let (parent, child, submission) = package(1);
    let mut talk = Talk::submit(&submission);
    talk.greet();
    talk.said();
    for transaction in [&parent, &child, &parent] {
        assert_eq!(talk.event(), None);
        talk.hear(NetworkMessage::GetData(vec![witness_item(transaction)]));
        let said = talk.said();
        assert_eq!(sent(&said), [transaction]);
        let Some(NetworkMessage::Ping(nonce)) = said.last() else {
            panic!("a ping follows");
        };
        talk.hear(NetworkMessage::Pong(*nonce));
    }
    assert_eq!(talk.event(), Some(Event::Delivered));
}

#[test]
fn a_peer_that_has_the_parent_asks_for_the_child_only() {
    let (_, child, submission) = package(1);
    let mut talk = Talk::submit(&submission);
    talk.greet();
    talk.said();
    talk.hear(NetworkMessage::GetData(vec![witness_item(&child)]));
    let Some(NetworkMessage::Ping(nonce)) = talk.said().pop() else {
        panic!("a ping follows");
    };
    talk.hear(NetworkMessage::Pong(nonce));
    assert_eq!(talk.event(), None, "it may yet ask for the parent");
    talk.wait();
    assert_eq!(talk.event(), Some(Event::Delivered));
}

#[test]
fn a_peer_that_does_not_greet_is_left_after_ten_seconds() {
    let mut talk = Talk::submit(&single(&transaction(1, 1)));
    assert_eq!(talk.wait(), Duration::from_secs(10));
    let failure = PeerFailure::HandshakeTimeout;
    assert_eq!(talk.event(), Some(Event::Failed(failure)));
    assert_eq!(talk.connection.poll_timeout(), None);
}

#[test]
fn a_peer_that_does_not_ask_is_left_after_thirty_seconds() {
    let mut talk = Talk::submit(&single(&transaction(1, 1)));
    talk.greet();
    assert_eq!(talk.wait(), Duration::from_secs(30));
    assert_eq!(talk.event(), Some(Event::NotAsked));
}

#[test]
fn a_peer_that_does_not_answer_the_ping_is_left_after_twenty_seconds() {
    let sent = transaction(1, 1);
    let mut talk = Talk::submit(&single(&sent));
    talk.greet();
    talk.hear(NetworkMessage::GetData(vec![witness_item(&sent)]));
    talk.hear(NetworkMessage::Pong(0));
    assert_eq!(talk.wait(), Duration::from_secs(20));
    let failure = PeerFailure::Stalled;
    assert_eq!(talk.event(), Some(Event::Failed(failure)));
}

#[test]
fn a_transaction_is_handed_over_once_however_often_it_is_asked_for() {
    let it = transaction(1, 1);
    let mut talk = Talk::submit(&single(&it));
    talk.greet();
    talk.said();
    let wanted = vec![witness_item(&it); 50];
    talk.hear(NetworkMessage::GetData(wanted.clone()));
    talk.hear(NetworkMessage::GetData(wanted));
    assert_eq!(sent(&talk.said()).len(), 1);
}

#[test]
fn what_was_not_announced_is_not_handed_over() {
    let mut talk = Talk::submit(&single(&transaction(1, 1)));
    talk.greet();
    talk.said();
    let other = transaction(2, 1);
    talk.hear(NetworkMessage::GetData(vec![witness_item(&other)]));
    assert_eq!(talk.said(), []);
}

#[test]
fn an_announcement_of_the_transaction_is_seen_and_others_are_not() {
    let sent = transaction(1, 1);
    let mut talk = Talk::new(Role::observe(&single(&sent)));
    talk.greet();
    let other = Inventory::WTx(Wtxid::from_byte_array([1; 32]));
    talk.hear(NetworkMessage::Inv(vec![other]));
    assert_eq!(talk.event(), None);
    let it = Inventory::WTx(sent.compute_wtxid());
    talk.hear(NetworkMessage::Inv(vec![other, it]));
    assert_eq!(talk.event(), Some(Event::Seen));
}

#[test]
fn an_observer_that_is_asked_outright_has_to_show_the_transaction_itself() {
    let sent = transaction(1, 1);
    let mut talk = Talk::new(Role::observe(&single(&sent)));
    talk.greet();
    talk.said();
    talk.connection.probe();
    let item = Inventory::WTx(sent.compute_wtxid());
    assert_eq!(talk.said(), [NetworkMessage::GetData(vec![item])]);
    let mut stripped = sent.clone();
    stripped.input[0].witness.clear();
    talk.hear(NetworkMessage::Tx(stripped));
    assert_eq!(talk.event(), None);
    talk.hear(NetworkMessage::Tx(sent));
    assert_eq!(talk.event(), Some(Event::Seen));
}

#[test]
fn a_peer_that_takes_no_transactions_or_drops_witnesses_is_left() {
    let full = ServiceFlags::NETWORK | ServiceFlags::WITNESS;
    let cases = [
        (70_016, ServiceFlags::NETWORK, true, PeerFailure::NoRelay),
        (70_016, full, false, PeerFailure::NoRelay),
        (70_015, full, true, PeerFailure::TooOld),
    ];
    for (version, services, relay, failure) in cases {
        let mut talk = Talk::submit(&single(&transaction(1, 1)));
        let ours = version_of(&mut talk.said());
        talk.hear(NetworkMessage::Version(VersionMessage {
            version,
            services,
            relay,
            ..ours
        }));
        assert_eq!(talk.event(), Some(Event::Failed(failure)));
    }
}

#[test]
fn bytes_come_in_pieces_of_any_size() {
    let sent = transaction(1, 1);
    let mut talk = Talk::submit(&single(&sent));
    talk.greet();
    talk.said();
    let wanted = NetworkMessage::GetData(vec![witness_item(&sent)]);
    for byte in serialize(&RawNetworkMessage::new(Magic::REGTEST, wanted)) {
        assert_eq!(talk.said(), []);
        talk.connection.receive(talk.now, &[byte]);
    }
    assert_eq!(talk.said().len(), 2);
}

#[test]
fn the_magic_of_another_network_is_noticed() {
    let mut talk = Talk::submit(&single(&transaction(1, 1)));
    let raw = RawNetworkMessage::new(Magic::BITCOIN, NetworkMessage::Verack);
    talk.connection.receive(talk.now, &serialize(&raw));
    let failure = PeerFailure::OtherProtocol;
    assert_eq!(talk.event(), Some(Event::Failed(failure)));
}

#[test]
fn a_wrong_checksum_is_noticed() {
    let mut talk = Talk::submit(&single(&transaction(1, 1)));
    let raw = RawNetworkMessage::new(Magic::REGTEST, NetworkMessage::Ping(1));
    let mut bytes = serialize(&raw);
    bytes[20] ^= 1;
    talk.connection.receive(talk.now, &bytes);
    let failure = PeerFailure::Malformed;
    assert_eq!(talk.event(), Some(Event::Failed(failure)));
}

#[test]
fn a_peer_that_never_stops_talking_is_left() {
    let mut talk = Talk::new(Role::observe(&single(&transaction(1, 1))));
    talk.greet();
    for _ in 0..20_000 {
        talk.hear(NetworkMessage::Ping(1));
        talk.said();
    }
    assert_eq!(talk.event(), Some(Event::Failed(PeerFailure::Flood)));
}

#[test]
fn a_second_greeting_is_out_of_order() {
    let mut talk = Talk::submit(&single(&transaction(1, 1)));
    talk.greet();
    talk.hear(NetworkMessage::Verack);
    let failure = PeerFailure::OutOfOrder;
    assert_eq!(talk.event(), Some(Event::Failed(failure)));
}

#[test]
fn a_payload_that_is_too_long_is_refused_before_it_comes() {
    let mut talk = Talk::submit(&single(&transaction(1, 1)));
    let mut header = Magic::REGTEST.to_bytes().to_vec();
    header.extend_from_slice(b"version\0\0\0\0\0");
    header.extend_from_slice(&1_800_004_u32.to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    talk.connection.receive(talk.now, &header);
    let failure = PeerFailure::TooLong;
    assert_eq!(talk.event(), Some(Event::Failed(failure)));
}

proptest! {
    #[test]
    fn whatever_a_peer_says_is_no_accident_of_ours(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        ready: bool,
    ) {
        let mut talk = Talk::submit(&single(&transaction(1, 1)));
        if ready {
            talk.greet();
        }
        talk.connection.receive(talk.now, &bytes);
        let framed = Magic::REGTEST.to_bytes();
        talk.connection.receive(talk.now, &[&framed[..], &bytes].concat());
        talk.connection.poll_transmit();
        // However that went, it ends.
        while talk.connection.poll_timeout().is_some() {
            talk.wait();
        }
        prop_assert!(talk.event().is_some_and(Event::is_last));
    }
}
