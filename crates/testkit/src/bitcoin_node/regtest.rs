//! A network of two nodes with coins that anybody can spend.

use std::ffi::OsString;
use std::io;

use bitcoin::absolute::LockTime;
use bitcoin::consensus::deserialize;
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, Block, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
};
use serde_json::{Value, json};

use super::BitcoinNode;

/// The script that needs nothing but an empty push to be satisfied: `OP_NOT` after the push of
/// nothing is true. Wrapped in P2WSH, so that transactions have a witness.
const SCRIPT: [u8; 1] = [0x91];
/// Enough for ten coinbases to be mature.
const BLOCKS: u64 = 110;
const COINS: usize = 8;

/// Two nodes that know each other, and coins that can be spent.
pub struct Regtest {
    /// The node that made the blocks.
    pub one: BitcoinNode,
    /// The other one.
    pub other: BitcoinNode,
    coins: Vec<(OutPoint, Amount)>,
}

impl Regtest {
    /// Starts the nodes, and makes blocks. Takes some seconds.
    ///
    /// # Errors
    ///
    /// The program does not start.
    ///
    /// # Panics
    ///
    /// If the nodes do not do what nodes do.
    pub async fn start(program: &OsString) -> io::Result<Self> {
        let one = BitcoinNode::start(program, &[]).await?;
        let other = BitcoinNode::start(program, &[&one]).await?;
        let address = Address::p2wsh(&script(), bitcoin::Network::Regtest).to_string();
        let params = json!([BLOCKS, address]);
        let blocks = one.call("generatetoaddress", params).await.expect("blocks");
        other.until("getblockcount", |count| *count == BLOCKS).await;
        let mut coins = Vec::new();
        for hash in blocks.as_array().expect("hashes").iter().take(COINS) {
            let raw = one.call("getblock", json!([hash, 0])).await;
            let raw = raw.as_ref().and_then(Value::as_str).expect("a block");
            let raw = hex::decode(raw).expect("hex");
            let coinbase = &deserialize::<Block>(&raw).expect("a block").txdata[0];
            let output = OutPoint::new(coinbase.compute_txid(), 0);
            coins.push((output, coinbase.output[0].value));
        }
        // Only then do nodes pass transactions on.
        for node in [&one, &other] {
            let done = |info: &Value| info["initialblockdownload"] == false;
            node.until("getblockchaininfo", done).await;
        }
        Ok(Self { one, other, coins })
    }

    /// A coin that was not spent yet, and what it is worth.
    ///
    /// # Panics
    ///
    /// If there is none left; there are 8 at the start.
    pub fn coin(&self) -> (OutPoint, Amount) {
        *self.coins.last().expect("a coin is left")
    }

    /// A transaction that spends a coin of its own, for a fee in sat.
    ///
    /// # Panics
    ///
    /// If no coin is left; there are 8 at the start.
    pub fn spend(&mut self, fee: u64) -> Transaction {
        let (coin, value) = self.coins.pop().expect("a coin is left");
        spend(coin, value, fee)
    }
}

/// A transaction that spends a coin of [`Regtest`], or an output of a transaction made here, for a
/// fee in sat.
pub fn spend(previous_output: OutPoint, value: Amount, fee: u64) -> Transaction {
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

fn script() -> ScriptBuf {
    ScriptBuf::from_bytes(SCRIPT.to_vec())
}
