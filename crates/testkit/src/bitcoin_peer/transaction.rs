//! Transactions that look right to whoever has no chain.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, WitnessProgram,
    WitnessVersion,
};

/// A transaction that spends an output made up from `number`, and has `outputs` outputs. Its
/// witness is nonsense, which only a node with a chain could tell.
pub fn transaction(number: u8, outputs: usize) -> Transaction {
    let nowhere = Txid::from_byte_array([number; 32]);
    spending(OutPoint::new(nowhere, 0), outputs)
}

/// The same, but it spends a given output.
pub fn spending(previous_output: OutPoint, outputs: usize) -> Transaction {
    let program = WitnessProgram::new(WitnessVersion::V1, &[2; 32]).expect("32 bytes");
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
