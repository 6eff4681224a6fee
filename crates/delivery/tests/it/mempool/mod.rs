//! Handing transactions to the Bitcoin network.

mod answers;
mod machine;
mod node;
mod peers;
mod rpc;
mod submissions;

use bitcoin::consensus::serialize;
use bitcoin::{OutPoint, Transaction};
use coinfuse_delivery::mempool::Submission;
use coinfuse_testkit::bitcoin_peer::{spending, transaction};

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
