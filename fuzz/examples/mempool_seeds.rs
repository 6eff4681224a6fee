//! Writes the seeds of the mempool's targets anew:
//! `cargo run --no-default-features --example mempool_seeds`.

use bitcoin::absolute::LockTime;
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::p2p::address::Address;
use bitcoin::p2p::message::{NetworkMessage, RawNetworkMessage};
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::p2p::message_network::VersionMessage;
use bitcoin::p2p::{Magic, ServiceFlags};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use coinfuse_delivery::mempool::Submission;
use std::io;
use std::path::Path;

fn save(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let folder = seeds.join(target);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), bytes)
}

fn spending(previous_output: OutPoint) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::from_slice(&[[3; 64]]),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(10_000),
            script_pubkey: ScriptBuf::from_bytes(vec![0x51; 34]),
        }],
    }
}

fn version() -> NetworkMessage {
    let nowhere = Address {
        services: ServiceFlags::NONE,
        address: [0; 8],
        port: 0,
    };
    NetworkMessage::Version(VersionMessage {
        version: 70_016,
        services: ServiceFlags::NETWORK | ServiceFlags::WITNESS,
        timestamp: 0,
        receiver: nowhere.clone(),
        sender: nowhere,
        nonce: 1,
        user_agent: "/peer/".to_owned(),
        start_height: 0,
        relay: true,
    })
}

/// What a peer says, after the byte that chooses the role.
fn talk(choice: u8, rest: Vec<NetworkMessage>) -> Vec<u8> {
    let mut bytes = vec![choice];
    let greeting = [
        version(),
        NetworkMessage::WtxidRelay,
        NetworkMessage::Verack,
    ];
    for message in greeting.into_iter().chain(rest) {
        let raw = RawNetworkMessage::new(Magic::REGTEST, message);
        bytes.extend(serialize(&raw));
    }
    bytes
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parent = spending(OutPoint::new(Txid::from_byte_array([1; 32]), 0));
    let child = spending(OutPoint::new(parent.compute_txid(), 0));
    let single = Submission::single(&serialize(&parent))?;
    let package = Submission::package(&serialize(&parent), &serialize(&child))?;
    save("mempool_submission", "single", &single.encode())?;
    save("mempool_submission", "package", &package.encode())?;

    let item = Inventory::WTx(child.compute_wtxid());
    let of_parent = Inventory::WitnessTransaction(parent.compute_txid());
    let asks = vec![
        NetworkMessage::Ping(1),
        NetworkMessage::GetData(vec![item, of_parent]),
    ];
    save("mempool_session", "asks", &talk(4, asks))?;
    let announces = vec![NetworkMessage::Inv(vec![item])];
    save("mempool_session", "announces", &talk(5, announces))?;
    let shows = vec![NetworkMessage::Tx(child)];
    save("mempool_session", "shows", &talk(1, shows))?;
    Ok(())
}
