//! Relays that take packets, one of them with a mempool, and a wallet that sends some.

use crate::process::{BROADCAST, PATIENCE};
use crate::town::{Town, edit};
use bitcoin::Transaction;
use bitcoin::consensus::encode::serialize_hex;
use coinfuse_testkit::BitcoinPeer;
use serde_json::Value;
use std::path::Path;
use std::process::{Output, Stdio};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Three for the way there, two more for the way back.
pub(crate) const RELAYS: usize = 5;
/// The relay with the mempool.
pub(crate) const LAST: usize = RELAYS - 1;

/// Two peers that tell each other of transactions.
pub(crate) fn peers() -> [BitcoinPeer; 2] {
    let peers = [(); 2].map(|()| BitcoinPeer::start().expect("a peer"));
    peers[0].link(&peers[1]);
    peers
}

/// The section of a relay that hands transactions to them.
pub(crate) fn to_peers(peers: &[BitcoinPeer; 2]) -> String {
    format!(
        "[mempool]\nnetwork = \"regtest\"\npeers = [\"{}\", \"{}\"]\nsubmit_to = 1\n\
         observers = 1\nmean_delay_secs = 0\nconfirm_within_secs = 2\n",
        peers[0].addr(),
        peers[1].addr()
    )
}

impl Town {
    /// Relays that know each other, the last one with this section, and a client that knows them.
    pub(crate) async fn with_mempool(section: &str) -> Self {
        let mut town = Self::empty().await;
        for number in 0..RELAYS {
            let mut sections = town.accept();
            if number == LAST {
                sections += section;
            }
            town.init_relay(number, &sections).await;
            let file = town.relay_dir(number).join("relay.toml");
            // So that there is everything to look for what must not be in a log.
            edit(&file, &[("log = \"info\"", "log = \"trace\"")], "");
            town.start_relay(number).await;
        }
        town.all_know_each_other().await;
        town.init_client(&[town.mint.url()]).await;
        town
    }

    /// `broadcast`, with arguments beside the client's file.
    pub(crate) async fn broadcast(&self, arguments: &[&str]) -> Output {
        broadcast(&self.client_dir(), arguments, "").await
    }

    /// What all relays together were paid for packets, and how many they took.
    pub(crate) async fn paid_for_packets(&self) -> (u64, u64) {
        let (mut fees, mut taken) = (0, 0);
        for number in 0..self.relays.len() {
            let packets = self.earnings(number).await["packets"].take();
            fees += packets["fees_msat"].as_u64().expect("an amount");
            taken += packets["taken"].as_u64().expect("a number");
        }
        (fees, taken)
    }
}

/// `broadcast` with the client's file in `dir`, as it runs.
pub(crate) fn start(dir: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(BROADCAST);
    command
        .arg("--config")
        .arg(dir.join("client.toml"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command.spawn().expect("it starts")
}

/// The same to its end, with a text for it to read.
pub(crate) async fn broadcast(dir: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = start(dir, arguments);
    let mut stdin = child.stdin.take().expect("it was piped");
    // It may have ended without reading.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let ended = timeout(PATIENCE, child.wait_with_output()).await;
    ended.expect("it ends").expect("what it printed")
}

/// What it printed for a script.
pub(crate) fn answer(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

/// What it complained about, and its exit status.
pub(crate) fn complaint(output: &Output) -> (Option<i32>, String) {
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), words)
}

pub(crate) fn hex(transaction: &Transaction) -> String {
    serialize_hex(transaction)
}
