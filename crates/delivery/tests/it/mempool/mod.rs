//! Handing transactions to the Bitcoin network.

mod answers;
mod machine;
mod node;
mod peers;
mod rpc;
mod submissions;

use bitcoin::absolute::LockTime;
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, WitnessProgram,
    WitnessVersion,
};
use coinfuse_delivery::mempool::Submission;

/// A transaction that spends an output made up from `number`, and has `outputs` outputs. Its
/// witness is nonsense, which only a node with a chain could tell.
fn transaction(number: u8, outputs: usize) -> Transaction {
    spending(
        OutPoint::new(Txid::from_byte_array([number; 32]), 0),
        outputs,
    )
}

fn spending(previous_output: OutPoint, outputs: usize) -> Transaction {
    let program = WitnessProgram::new(WitnessVersion::V1, &[2; 32]).unwrap();
    let output = TxOut {
        value: Amount::from_sat(10_000),
        script_pubkey: ScriptBuf::new_witness_program(&program),
    };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::from_slice(&[[3; 64]]),
        }],
        output: vec![output; outputs],
    }
}

fn child_of(parent: &Transaction) -> Transaction {
    spending(OutPoint::new(parent.compute_txid(), 0), 1)
}

fn single(transaction: &Transaction) -> Submission {
    Submission::single(&serialize(transaction)).unwrap()
}

/// A parent, its child, and both as a submission.
fn package(number: u8) -> (Transaction, Transaction, Submission) {
    let parent = transaction(number, 2);
    let child = child_of(&parent);
    let submission = Submission::package(&serialize(&parent), &serialize(&child)).unwrap();
    (parent, child, submission)
}
