//! Several peers at once, good and bad, over loopback.

use super::{package, single, transaction};
use bitcoin::consensus::serialize;
use coinfuse_delivery::mempool::{
    Answer, Broadcaster, Mempool, Network, PeerConfig, Rejection, Submission, Transport, Trouble,
    Way,
};
use coinfuse_testkit::{BitcoinPeer, Misbehaviour};
use core::net::SocketAddr;
use core::time::Duration;

const SEED: [u8; 32] = [4; 32];
/// Long enough for an answer over loopback on a busy machine, and what a stalled peer costs a test.
const PATIENCE: Duration = Duration::from_millis(1500);

fn config(peers: &[&BitcoinPeer]) -> PeerConfig {
    let mut config = PeerConfig::new(peers.iter().map(|peer| peer.addr()).collect());
    config.submit_to = 1;
    config.observers = 1;
    config.confirm_within = 2 * PATIENCE;
    config.probe_within = PATIENCE;
    config.dial_timeout = PATIENCE;
    config.session.handshake = PATIENCE;
    config.session.request = PATIENCE;
    config.session.processing = PATIENCE;
    config
}

async fn broadcast(config: PeerConfig, submission: &Submission) -> Answer {
    let broadcaster = Broadcaster::new(Network::Regtest, config);
    broadcaster.broadcast(submission, SEED).await
}

/// Two peers that tell each other of transactions.
fn linked() -> (BitcoinPeer, BitcoinPeer) {
    let (one, other) = (BitcoinPeer::start().unwrap(), BitcoinPeer::start().unwrap());
    one.link(&other);
    (one, other)
}

fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn a_transaction_reaches_both_peers_encrypted_and_is_accepted() {
    let (one, other) = linked();
    let sent = transaction(1, 1);
    let answer = broadcast(config(&[&one, &other]), &single(&sent)).await;
    let txid = sent.compute_txid();
    assert_eq!(answer, Answer::Accepted(txid));
    assert!(one.has(txid) && other.has(txid));
    for peer in [&one, &other] {
        assert_eq!(peer.sealed_connections(), 1);
    }
}

#[tokio::test]
async fn a_package_reaches_both_peers() {
    let (one, other) = linked();
    let (parent, child, submission) = package(1);
    let answer = broadcast(config(&[&one, &other]), &submission).await;
    assert_eq!(answer, Answer::Accepted(child.compute_txid()));
    assert!(one.has(parent.compute_txid()) && other.has(parent.compute_txid()));
}

#[tokio::test]
async fn peers_without_encryption_are_spoken_to_without() {
    let one = BitcoinPeer::start_plain().unwrap();
    let other = BitcoinPeer::start_plain().unwrap();
    one.link(&other);
    let sent = transaction(1, 1);
    let answer = broadcast(config(&[&one, &other]), &single(&sent)).await;
    assert_eq!(answer, Answer::Accepted(sent.compute_txid()));
    for peer in [&one, &other] {
        assert_eq!((peer.connections(), peer.sealed_connections()), (2, 0));
    }
}

#[tokio::test]
async fn peers_without_encryption_are_of_no_use_to_who_insists_on_it() {
    let one = BitcoinPeer::start_plain().unwrap();
    let other = BitcoinPeer::start_plain().unwrap();
    let mut config = config(&[&one, &other]);
    config.transport = Transport::OnlyEncrypted;
    let sent = transaction(1, 1);
    let answer = broadcast(config, &single(&sent)).await;
    assert_eq!(answer, Rejection::Unavailable.into());
    assert!(one.greetings().is_empty() && other.greetings().is_empty());
}

#[tokio::test]
async fn peers_can_be_spoken_to_in_plain_from_the_start() {
    let (one, other) = linked();
    let mut config = config(&[&one, &other]);
    config.transport = Transport::Plain;
    let sent = transaction(1, 1);
    let answer = broadcast(config, &single(&sent)).await;
    assert_eq!(answer, Answer::Accepted(sent.compute_txid()));
    assert_eq!((one.connections(), one.sealed_connections()), (1, 0));
}

#[tokio::test]
async fn without_observers_a_peer_is_taken_at_its_word() {
    let peer = BitcoinPeer::start().unwrap();
    let mut config = config(&[&peer]);
    config.observers = 0;
    let sent = transaction(1, 1);
    let answer = broadcast(config, &single(&sent)).await;
    assert_eq!(answer, Answer::Accepted(sent.compute_txid()));
    assert!(peer.has(sent.compute_txid()));
}

#[tokio::test]
async fn with_an_observer_missing_nobody_is_taken_at_its_word() {
    let peer = BitcoinPeer::start().unwrap();
    let sent = transaction(1, 1);
    let answer = broadcast(config(&[&peer]), &single(&sent)).await;
    assert_eq!(answer, Rejection::Unconfirmed.into());
    assert!(peer.has(sent.compute_txid()), "handed over all the same");
}

#[tokio::test]
async fn a_transaction_that_all_peers_know_is_known_already() {
    let (one, other) = linked();
    let sent = transaction(1, 1);
    one.insert(sent.clone());
    assert!(other.has(sent.compute_txid()));
    let answer = broadcast(config(&[&one, &other]), &single(&sent)).await;
    assert_eq!(answer, Rejection::AlreadyKnown.into());
}

#[tokio::test]
async fn a_transaction_that_no_peer_asks_for_is_not_relayed() {
    let (one, other) = linked();
    for peer in [&one, &other] {
        peer.misbehave(Misbehaviour::NeverAsks);
    }
    let sent = transaction(1, 1);
    let answer = broadcast(config(&[&one, &other]), &single(&sent)).await;
    assert_eq!(answer, Rejection::NotRelayed.into());
}

#[tokio::test]
async fn a_peer_that_swallows_transactions_does_not_make_them_accepted() {
    let (one, other) = linked();
    for peer in [&one, &other] {
        peer.misbehave(Misbehaviour::Swallows);
    }
    let sent = transaction(1, 1);
    let answer = broadcast(config(&[&one, &other]), &single(&sent)).await;
    assert_eq!(answer, Rejection::NotRelayed.into());
    let received = one.transactions_received() + other.transactions_received();
    assert_eq!(received, 1);
}

#[tokio::test]
async fn an_observer_that_announces_other_transactions_confirms_nothing() {
    let one = BitcoinPeer::start().unwrap();
    let other = BitcoinPeer::start().unwrap();
    for peer in [&one, &other] {
        peer.misbehave(Misbehaviour::AnnouncesOthers);
    }
    let sent = transaction(1, 1);
    let answer = broadcast(config(&[&one, &other]), &single(&sent)).await;
    assert_eq!(answer, Rejection::NotRelayed.into());
}

async fn beside_a_good_pair(misbehaviour: Misbehaviour, place: usize) {
    let bad = BitcoinPeer::start().unwrap();
    bad.misbehave(misbehaviour);
    let (one, other) = linked();
    // What is wrong with it does not keep it from hearing what others say.
    bad.link(&one);
    let mut config = config(&[&bad, &one, &other]);
    config.peers.rotate_right(place);
    config.confirm_within = 40 * PATIENCE;
    let sent = transaction(1, 1);
    let answer = broadcast(config, &single(&sent)).await;
    let accepted = Answer::Accepted(sent.compute_txid());
    assert_eq!(answer, accepted, "{misbehaviour:?} in place {place}");
}

/// What these peers do makes them useless; a good pair stands beside them.
#[tokio::test]
async fn bad_peers_are_left_for_good_ones() {
    let useless = [
        Misbehaviour::Silent,
        Misbehaviour::HangsUpAtAnnouncement,
        Misbehaviour::HangsUpAfterTransaction,
        Misbehaviour::StallsAfterTransaction,
        Misbehaviour::WrongPong,
        Misbehaviour::OutOfOrder,
        Misbehaviour::Garbage,
        Misbehaviour::TooLong,
        Misbehaviour::Flood,
        Misbehaviour::NoRelay,
    ];
    let mut tasks = tokio::task::JoinSet::new();
    for misbehaviour in useless {
        // So that it is met as an observer, to be handed the transaction, and last.
        for place in 0..3 {
            tasks.spawn(beside_a_good_pair(misbehaviour, place));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

/// And with nobody else there, the answer says so, in time.
#[tokio::test]
async fn bad_peers_alone_are_nobody() {
    let useless = [
        Misbehaviour::Silent,
        Misbehaviour::HangsUpAtAnnouncement,
        Misbehaviour::HangsUpAfterTransaction,
        Misbehaviour::StallsAfterTransaction,
        Misbehaviour::WrongPong,
        Misbehaviour::OutOfOrder,
        Misbehaviour::Garbage,
        Misbehaviour::TooLong,
        Misbehaviour::Flood,
        Misbehaviour::NoRelay,
    ];
    let mut tasks = tokio::task::JoinSet::new();
    for misbehaviour in useless {
        for transport in [Transport::Plain, Transport::OnlyEncrypted] {
            tasks.spawn(async move {
                let bad = BitcoinPeer::start().unwrap();
                bad.misbehave(misbehaviour);
                let mut config = config(&[&bad]);
                config.transport = transport;
                config.observers = 0;
                let answer = broadcast(config, &single(&transaction(1, 1))).await;
                let unavailable = Answer::Rejected(Rejection::Unavailable);
                assert_eq!(answer, unavailable, "{misbehaviour:?}, {transport:?}");
            });
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn a_peer_that_asks_a_hundred_times_gets_the_transaction_once() {
    let peer = BitcoinPeer::start().unwrap();
    peer.misbehave(Misbehaviour::AsksAgain);
    let mut config = config(&[&peer]);
    config.observers = 0;
    let sent = transaction(1, 1);
    let answer = broadcast(config, &single(&sent)).await;
    assert_eq!(answer, Answer::Accepted(sent.compute_txid()));
    assert_eq!(peer.transactions_received(), 1);
}

#[tokio::test]
async fn peers_that_are_not_there_are_passed_over() {
    let (one, other) = linked();
    let mut config = config(&[&one, &other]);
    config.peers.extend([nobody(), nobody(), nobody()]);
    let sent = transaction(1, 1);
    let answer = broadcast(config, &single(&sent)).await;
    assert_eq!(answer, Answer::Accepted(sent.compute_txid()));
}

#[tokio::test]
async fn without_any_peer_nothing_is_handed_over() {
    let mut config = config(&[]);
    let sent = single(&transaction(1, 1));
    assert_eq!(
        broadcast(config.clone(), &sent).await,
        Rejection::Unavailable.into()
    );
    config.peers = vec![nobody(), nobody(), nobody()];
    assert_eq!(
        broadcast(config, &sent).await,
        Rejection::Unavailable.into()
    );
}

#[tokio::test]
async fn the_operator_is_told_that_no_peer_is_there() {
    let mut config = config(&[]);
    config.peers = vec![nobody(), nobody()];
    let (told, mut tell) = tokio::sync::mpsc::unbounded_channel();
    let way = Way::Peers(Broadcaster::new(Network::Regtest, config));
    let mempool = Mempool::new(way, 1).on_trouble(move |why| told.send(why).unwrap());
    let request = single(&transaction(1, 1)).encode();
    let answer = mempool.deliver(&request, Duration::ZERO, SEED).await;
    assert_eq!(answer, Rejection::Unavailable.into());
    assert_eq!(tell.try_recv(), Ok(Trouble::NoPeer));
}

#[tokio::test]
async fn two_submissions_bear_no_mark_of_one_sender() {
    let peer = BitcoinPeer::start().unwrap();
    let mut config = config(&[&peer]);
    config.observers = 0;
    let broadcaster = Broadcaster::new(Network::Regtest, config);
    for number in [1, 2] {
        let sent = single(&transaction(number, 1));
        broadcaster.broadcast(&sent, [number; 32]).await;
    }
    let mut greetings = peer.greetings();
    assert_eq!(greetings.len(), 2);
    assert_ne!(greetings[0].nonce, greetings[1].nonce);
    greetings[0].nonce = greetings[1].nonce;
    assert_eq!(greetings[0], greetings[1]);
}

#[tokio::test]
async fn a_request_is_answered_with_a_class_and_nothing_is_sent() {
    let peer = BitcoinPeer::start().unwrap();
    let mut config = config(&[&peer]);
    config.observers = 0;
    let mempool = Mempool::new(Way::Peers(Broadcaster::new(Network::Regtest, config)), 1);
    let a_day = Duration::from_secs(86_400);
    let answer = mempool.deliver(&[1, 2, 3], a_day, SEED).await;
    assert_eq!(answer, Rejection::Malformed.into());
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn more_requests_than_places_are_turned_away() {
    let peer = BitcoinPeer::start().unwrap();
    let mut config = config(&[&peer]);
    config.observers = 0;
    let mempool = Mempool::new(Way::Peers(Broadcaster::new(Network::Regtest, config)), 1);
    let sent = transaction(1, 1);
    let request = [&[1][..], &serialize(&sent)].concat();
    let (first, second) = tokio::join!(
        mempool.deliver(&request, Duration::ZERO, SEED),
        mempool.deliver(&request, Duration::ZERO, SEED),
    );
    assert_eq!(first, Answer::Accepted(sent.compute_txid()));
    assert_eq!(second, Rejection::Busy.into());
}
