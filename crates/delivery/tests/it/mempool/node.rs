//! Against real nodes, if `BITCOIND_EXE` says where one is (`.ci/bitcoind` builds it).

use super::single;
use bitcoin::absolute::LockTime;
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, Transaction, Txid, Witness};
use coinfuse_delivery::mempool::{
    Answer, Broadcaster, Network, PeerConfig, Rejection, Rpc, RpcAuth, RpcConfig, Submission,
    Transport,
};
use coinfuse_testkit::bitcoin_node::{BitcoinNode, Regtest, program, spend};
use core::time::Duration;

const SEED: [u8; 32] = [4; 32];

fn client(node: &BitcoinNode) -> Rpc {
    Rpc::new(RpcConfig::new(node.rpc(), RpcAuth::cookie(node.cookie())))
}

fn config(regtest: &Regtest) -> PeerConfig {
    let mut config = PeerConfig::new(vec![regtest.one.p2p(), regtest.other.p2p()]);
    config.submit_to = 1;
    config.observers = 1;
    config
}

fn peers(regtest: &Regtest, transport: Transport) -> Broadcaster {
    let mut config = config(regtest);
    config.transport = transport;
    config.session.request = Duration::from_secs(8);
    config.probe_within = Duration::from_secs(3);
    Broadcaster::new(Network::Regtest, config)
}

async fn both_have(regtest: &Regtest, submission: &Submission) -> bool {
    let txid = submission.txid();
    regtest.one.has(txid).await && regtest.other.has(txid).await
}

/// A parent that pays too little to be relayed, and a child that pays for both.
fn package(regtest: &mut Regtest, fee: u64) -> Submission {
    let mut parent = regtest.spend(0);
    // Version 3 is what nodes relay without a fee, if a child pays (BIP 431).
    parent.version = Version::non_standard(3);
    let coin = OutPoint::new(parent.compute_txid(), 0);
    let mut child = spend(coin, parent.output[0].value, fee);
    child.version = Version::non_standard(3);
    Submission::package(&serialize(&parent), &serialize(&child)).unwrap()
}

/// One network for all, since it takes a while to start.
#[tokio::test]
async fn real_nodes_take_transactions_by_each_way() {
    let Some(program) = program() else {
        eprintln!("skipped: BITCOIND_EXE does not say where a bitcoind is");
        return;
    };
    let mut regtest = Regtest::start(&program).await.expect("two nodes");
    by_peers(&mut regtest, Transport::OnlyEncrypted).await;
    by_peers(&mut regtest, Transport::Plain).await;
    by_rpc(&mut regtest).await;
    a_package_by_rpc(&mut regtest).await;
    a_package_by_peers(&mut regtest).await;
    refused_by_rpc(&mut regtest).await;
    refused_by_peers(&mut regtest).await;
}

async fn by_peers(regtest: &mut Regtest, transport: Transport) {
    let submission = single(&regtest.spend(1_000));
    let broadcaster = peers(regtest, transport);
    let answer = broadcaster.broadcast(&submission, SEED).await;
    assert_eq!(answer, Answer::Accepted(submission.txid()), "{transport:?}");
    assert!(both_have(regtest, &submission).await);

    let again = broadcaster.broadcast(&submission, SEED).await;
    assert_eq!(again, Rejection::AlreadyKnown.into(), "{transport:?}");
}

async fn by_rpc(regtest: &mut Regtest) {
    let submission = single(&regtest.spend(1_000));
    let rpc = client(&regtest.one);
    let answer = rpc.submit(&submission).await;
    assert_eq!(answer, Ok(Answer::Accepted(submission.txid())));
    assert!(regtest.one.has(submission.txid()).await);
    let again = rpc.submit(&submission).await;
    assert_eq!(again, Ok(Rejection::AlreadyKnown.into()));
}

async fn a_package_by_rpc(regtest: &mut Regtest) {
    let submission = package(regtest, 1_000);
    let rpc = client(&regtest.one);
    let answer = rpc.submit(&submission).await;
    assert_eq!(answer, Ok(Answer::Accepted(submission.txid())));
    assert!(regtest.one.has(submission.txid()).await);
    let again = rpc.submit(&submission).await;
    assert_eq!(again, Ok(Rejection::AlreadyKnown.into()));
    let poor = package(regtest, 1);
    assert_eq!(rpc.submit(&poor).await, Ok(Rejection::FeeTooLow.into()));
}

async fn a_package_by_peers(regtest: &mut Regtest) {
    let submission = package(regtest, 1_000);
    let broadcaster = peers(regtest, Transport::PreferEncrypted);
    let answer = broadcaster.broadcast(&submission, SEED).await;
    assert_eq!(answer, Answer::Accepted(submission.txid()));
    assert!(both_have(regtest, &submission).await);
}

async fn refused_by_rpc(regtest: &mut Regtest) {
    let rpc = client(&regtest.one);
    let (coin, value) = regtest.coin();
    let refused = |transaction: Transaction| {
        let rpc = rpc.clone();
        async move { rpc.submit(&single(&transaction)).await.unwrap() }
    };
    let free = spend(coin, value, 0);
    assert_eq!(refused(free).await, Rejection::FeeTooLow.into());
    let mut early = spend(coin, value, 1_000);
    early.lock_time = LockTime::from_consensus(1_000);
    assert_eq!(refused(early).await, Rejection::NotFinal.into());
    let mut wrong = spend(coin, value, 1_000);
    let script = wrong.input[0].witness.last().unwrap().to_vec();
    wrong.input[0].witness = Witness::from_slice(&[vec![1], script]);
    assert_eq!(refused(wrong).await, Rejection::Invalid.into());
    let mut rich = spend(coin, value, 1_000);
    rich.output[0].value = value + Amount::ONE_SAT;
    assert_eq!(refused(rich).await, Rejection::Invalid.into());
    let mut dust = spend(coin, value, 1_000);
    dust.output[0].value = Amount::ONE_SAT;
    assert_eq!(refused(dust).await, Rejection::Policy.into());
    let nowhere = OutPoint::new(Txid::all_zeros(), 1);
    let orphan = spend(nowhere, value, 1_000);
    assert_eq!(refused(orphan).await, Rejection::MissingInputs.into());
}

/// Peers do not say why: what they do not pass on is not relayed.
async fn refused_by_peers(regtest: &mut Regtest) {
    let (coin, value) = regtest.coin();
    let free = single(&spend(coin, value, 0));
    let mut config = config(regtest);
    config.confirm_within = Duration::from_secs(10);
    config.probe_within = Duration::from_secs(2);
    let broadcaster = Broadcaster::new(Network::Regtest, config);
    let answer = broadcaster.broadcast(&free, SEED).await;
    assert_eq!(answer, Rejection::NotRelayed.into());
}
