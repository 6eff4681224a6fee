//! Against real nodes, if `BITCOIND_EXE` says where one is (`.ci/bitcoind` builds it).

use bitcoin::absolute::LockTime;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, Block, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
};
use coinfuse_delivery::mempool::{
    Answer, Broadcaster, Network, PeerConfig, Rejection, Rpc, RpcAuth, RpcConfig, Submission,
    Transport,
};
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SEED: [u8; 32] = [4; 32];
/// The script that needs nothing but an empty push to be satisfied: `OP_NOT` after the push of
/// nothing is true. Wrapped in P2WSH, so that transactions have a witness.
const SCRIPT: [u8; 1] = [0x91];

/// A node, with a folder of its own. It ends when this is dropped.
struct Node {
    process: Child,
    folder: TempDir,
    p2p: SocketAddr,
    rpc: SocketAddr,
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

impl Node {
    /// Starts one, connected to `others`. `None` if there is no program for it.
    async fn start(others: &[&Node]) -> Option<Self> {
        let Some(program) = std::env::var_os("BITCOIND_EXE") else {
            eprintln!("skipped: BITCOIND_EXE does not say where a bitcoind is");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let (p2p, rpc) = (free_port(), free_port());
        let mut command = Command::new(program);
        command
            .arg(format!("-datadir={}", folder.path().display()))
            .args([
                "-regtest",
                "-server",
                "-listen=1",
                "-dnsseed=0",
                "-fixedseeds=0",
            ])
            .args(["-fallbackfee=0.0001", "-printtoconsole=0", "-v2transport=1"])
            // The second node hears of a transaction at once, not after some seconds.
            .arg("-whitelist=in,out,noban@127.0.0.1")
            .arg(format!("-bind={p2p}"))
            .arg(format!("-rpcbind={rpc}"))
            .arg("-rpcallowip=127.0.0.1")
            .arg(format!("-rpcport={}", rpc.port()));
        for other in others {
            command.arg(format!("-addnode={}", other.p2p));
        }
        let process = command.stdout(Stdio::null()).spawn().unwrap();
        let node = Self {
            process,
            folder,
            p2p,
            rpc,
        };
        node.until("getblockcount", |_| true).await;
        Some(node)
    }

    fn cookie(&self) -> PathBuf {
        self.folder.path().join("regtest/.cookie")
    }

    fn client(&self) -> Rpc {
        Rpc::new(RpcConfig::new(self.rpc, RpcAuth::cookie(self.cookie())))
    }

    /// Calls again until the result is good; nodes have no other way to say that they are ready.
    async fn until(&self, method: &str, good: impl Fn(&Value) -> bool) {
        for _ in 0..600 {
            if self.call(method, json!([])).await.is_some_and(|v| good(&v)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{method} did not come to what was waited for within a minute");
    }

    /// A call by a client of the test's own.
    async fn call(&self, method: &str, params: Value) -> Option<Value> {
        use base64::Engine;
        let cookie = std::fs::read_to_string(self.cookie()).ok()?;
        let auth = base64::prelude::BASE64_STANDARD.encode(cookie);
        let body = json!({ "id": 0, "method": method, "params": params }).to_string();
        let len = body.len();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic {auth}\r\n\
             Content-Length: {len}\r\n\r\n{body}"
        );
        let mut stream = TcpStream::connect(self.rpc).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        let mut answer: Value = serde_json::from_str(body).ok()?;
        let result = answer["result"].take();
        (!result.is_null()).then_some(result)
    }

    async fn has(&self, submission: &Submission) -> bool {
        let mempool = self.call("getrawmempool", json!([])).await.unwrap();
        let txid = json!(submission.txid().to_string());
        mempool.as_array().unwrap().contains(&txid)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Two nodes that know each other, and coins that can be spent.
struct Regtest {
    one: Node,
    other: Node,
    coins: Vec<(OutPoint, Amount)>,
}

fn script() -> ScriptBuf {
    ScriptBuf::from_bytes(SCRIPT.to_vec())
}

impl Regtest {
    async fn start() -> Option<Self> {
        let one = Node::start(&[]).await?;
        let other = Node::start(&[&one]).await?;
        let address = Address::p2wsh(&script(), bitcoin::Network::Regtest).to_string();
        let params = json!([110, address]);
        let blocks = one.call("generatetoaddress", params).await.unwrap();
        other.until("getblockcount", |count| *count == 110).await;
        let mut coins = Vec::new();
        // The first ten are mature.
        for hash in blocks.as_array().unwrap().iter().take(8) {
            let raw = one.call("getblock", json!([hash, 0])).await.unwrap();
            let raw = hex::decode(raw.as_str().unwrap()).unwrap();
            let coinbase = &deserialize::<Block>(&raw).unwrap().txdata[0];
            let output = OutPoint::new(coinbase.compute_txid(), 0);
            coins.push((output, coinbase.output[0].value));
        }
        // Only then do nodes pass transactions on.
        for node in [&one, &other] {
            let done = |info: &Value| info["initialblockdownload"] == false;
            node.until("getblockchaininfo", done).await;
        }
        Some(Self { one, other, coins })
    }

    fn spend(&mut self, fee: u64) -> Transaction {
        let (coin, value) = self.coins.pop().unwrap();
        spend(coin, value, fee)
    }

    fn peers(&self, transport: Transport) -> Broadcaster {
        let mut config = PeerConfig::new(vec![self.one.p2p, self.other.p2p]);
        config.submit_to = 1;
        config.observers = 1;
        config.transport = transport;
        config.session.request = Duration::from_secs(8);
        config.probe_within = Duration::from_secs(3);
        Broadcaster::new(Network::Regtest, config)
    }
}

fn spend(previous_output: OutPoint, value: Amount, fee: u64) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::from_slice(&[&[][..], &SCRIPT]),
        }],
        output: vec![TxOut {
            value: value - Amount::from_sat(fee),
            script_pubkey: script().to_p2wsh(),
        }],
    }
}

fn single(transaction: &Transaction) -> Submission {
    Submission::single(&serialize(transaction)).unwrap()
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
    let Some(mut regtest) = Regtest::start().await else {
        return;
    };
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
    let broadcaster = regtest.peers(transport);
    let answer = broadcaster.broadcast(&submission, SEED).await;
    assert_eq!(answer, Answer::Accepted(submission.txid()), "{transport:?}");
    assert!(regtest.one.has(&submission).await && regtest.other.has(&submission).await);

    let again = broadcaster.broadcast(&submission, SEED).await;
    assert_eq!(again, Rejection::AlreadyKnown.into(), "{transport:?}");
}

async fn by_rpc(regtest: &mut Regtest) {
    let submission = single(&regtest.spend(1_000));
    let rpc = regtest.one.client();
    let answer = rpc.submit(&submission).await;
    assert_eq!(answer, Ok(Answer::Accepted(submission.txid())));
    assert!(regtest.one.has(&submission).await);
    let again = rpc.submit(&submission).await;
    assert_eq!(again, Ok(Rejection::AlreadyKnown.into()));
}

async fn a_package_by_rpc(regtest: &mut Regtest) {
    let submission = package(regtest, 1_000);
    let rpc = regtest.one.client();
    let answer = rpc.submit(&submission).await;
    assert_eq!(answer, Ok(Answer::Accepted(submission.txid())));
    assert!(regtest.one.has(&submission).await);
    let again = rpc.submit(&submission).await;
    assert_eq!(again, Ok(Rejection::AlreadyKnown.into()));
    let poor = package(regtest, 1);
    assert_eq!(rpc.submit(&poor).await, Ok(Rejection::FeeTooLow.into()));
}

async fn a_package_by_peers(regtest: &mut Regtest) {
    let submission = package(regtest, 1_000);
    let broadcaster = regtest.peers(Transport::PreferEncrypted);
    let answer = broadcaster.broadcast(&submission, SEED).await;
    assert_eq!(answer, Answer::Accepted(submission.txid()));
    assert!(regtest.one.has(&submission).await && regtest.other.has(&submission).await);
}

async fn refused_by_rpc(regtest: &mut Regtest) {
    let rpc = regtest.one.client();
    let (coin, value) = regtest.coins[0];
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
    wrong.input[0].witness = Witness::from_slice(&[&[1][..], &SCRIPT]);
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
    let (coin, value) = regtest.coins[0];
    let free = single(&spend(coin, value, 0));
    let mut config = PeerConfig::new(vec![regtest.one.p2p, regtest.other.p2p]);
    config.submit_to = 1;
    config.observers = 1;
    config.confirm_within = Duration::from_secs(10);
    config.probe_within = Duration::from_secs(2);
    let broadcaster = Broadcaster::new(Network::Regtest, config);
    let answer = broadcaster.broadcast(&free, SEED).await;
    assert_eq!(answer, Rejection::NotRelayed.into());
}
