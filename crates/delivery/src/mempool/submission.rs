//! What a sender submits, parsed and checked.

use super::Rejection;
use bitcoin::consensus::encode;
use bitcoin::{Amount, OutPoint, Transaction, Txid, Weight, Wtxid};
use coinfuse_wire::{DecodeError, Reader, Writer};
use core::fmt;
use std::collections::HashSet;
use thiserror::Error;

/// The most that a transaction may weigh to be relayed (Bitcoin Core, `policy.h`).
const STANDARD_WEIGHT: Weight = Weight::from_wu(400_000);
/// The most that a package may weigh (`MAX_PACKAGE_WEIGHT`).
const PACKAGE_WEIGHT: Weight = Weight::from_wu(404_000);
/// Without its witness a transaction of 64 bytes could pass for two hashes of a Merkle tree:
/// smaller ones than this are not relayed (`MIN_STANDARD_TX_NONWITNESS_SIZE`).
const MIN_BASE_SIZE: usize = 65;
/// A byte weighs at least one unit, so that no more bytes than this can be light enough.
const MAX_TX_BYTES: usize = STANDARD_WEIGHT.to_wu() as usize;

const SINGLE: u8 = 1;
const PACKAGE: u8 = 2;

/// One transaction, or a package of one parent and one child that pays for it: checked as far as
/// can be without the chain.
///
/// On the wire: one byte 1 and the transaction, or one byte 2, the length of the parent as `u32`,
/// the parent, and the child; transactions as Bitcoin serialises them, with their witnesses.
///
/// ```
/// use coinfuse_delivery::mempool::{Rejection, Submission, SubmissionError};
///
/// let nonsense = Submission::decode(&[1, 2, 3]).unwrap_err();
/// assert!(matches!(nonsense, SubmissionError::Transaction { .. }));
/// assert_eq!(nonsense.class(), Rejection::Malformed);
/// ```
///
/// Prints as `[scrubbed]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Submission {
    /// Parent first. One or two.
    transactions: Vec<Checked>,
}

/// A transaction with what is asked of it again and again.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    transaction: Transaction,
    bytes: Vec<u8>,
    txid: Txid,
    wtxid: Wtxid,
}

/// Which transaction of a submission is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The only one, or the child of a package.
    Child,
    /// The parent of a package.
    Parent,
}

/// Why a submission is not handed to anybody. The sender is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubmissionError {
    /// Neither kind of submission, or cut off.
    #[error("not a submission: {0}")]
    Frame(#[from] DecodeError),
    /// Bytes that are not one transaction in its only encoding; bytes after it count as well.
    #[error("{part}: not a transaction")]
    Transaction {
        /// Which one.
        part: Part,
    },
    /// More bytes than can be light enough. Was not parsed.
    #[error("{part}: {got} bytes, where {most} can be light enough")]
    TooLong {
        /// Which one.
        part: Part,
        /// How many came.
        got: usize,
        /// How many may.
        most: usize,
    },
    /// Heavier than what nodes relay.
    #[error("{part}: {got} weight units where {most} are relayed")]
    TooHeavy {
        /// Which one.
        part: Part,
        /// What it weighs.
        got: u64,
        /// What it may.
        most: u64,
    },
    /// Parent and child are heavier together than what nodes take.
    #[error("the package weighs {got} units where {most} are taken")]
    PackageTooHeavy {
        /// What it weighs.
        got: u64,
        /// What it may.
        most: u64,
    },
    /// Smaller than what nodes relay.
    #[error("{part}: {got} bytes without witness, where at least {least} are relayed")]
    TooSmall {
        /// Which one.
        part: Part,
        /// How many it has.
        got: usize,
        /// How many it must have.
        least: usize,
    },
    /// Only blocks hold coinbase transactions.
    #[error("{part}: a coinbase, which only a block can hold")]
    Coinbase {
        /// Which one.
        part: Part,
    },
    /// Nothing is spent, or nothing is paid.
    #[error("{part}: no input or no output")]
    Empty {
        /// Which one.
        part: Part,
    },
    /// An output is spent twice.
    #[error("{part}: spends an output twice")]
    SpendsTwice {
        /// Which one.
        part: Part,
    },
    /// More bitcoin than there are.
    #[error("{part}: pays more than there is")]
    Amount {
        /// Which one.
        part: Part,
    },
    /// The child spends no output of the parent.
    #[error("the second transaction spends no output of the first")]
    NotAChild,
    /// The child spends an output that the parent does not have.
    #[error("the child spends output {0} of its parent, which has fewer")]
    NoSuchOutput(u32),
    /// Both spend the same output.
    #[error("parent and child spend the same output")]
    Conflict,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Child => "transaction",
            Self::Parent => "parent",
        })
    }
}

impl SubmissionError {
    /// What the sender is told.
    pub fn class(&self) -> Rejection {
        match self {
            Self::TooLong { .. } | Self::TooHeavy { .. } | Self::PackageTooHeavy { .. } => {
                Rejection::TooHeavy
            }
            Self::NotAChild | Self::NoSuchOutput(_) | Self::Conflict => Rejection::Package,
            _ => Rejection::Malformed,
        }
    }
}

impl Submission {
    /// No submission is longer, in bytes.
    pub const MAX_LEN: usize = 1 + 4 + 2 * MAX_TX_BYTES;

    /// Reads and checks a submission. Lengths are judged before anything is parsed.
    pub fn decode(bytes: &[u8]) -> Result<Self, SubmissionError> {
        let mut reader = Reader::new(bytes);
        match reader.u8("kind of submission")? {
            SINGLE => Self::single(reader.rest()),
            PACKAGE => {
                let len = reader.u32("length of the parent")?;
                let parent = reader.take(usize::try_from(len).unwrap_or(usize::MAX), "parent")?;
                Self::package(parent, reader.rest())
            }
            other => Err(DecodeError::Unknown {
                what: "kind of submission",
                got: other.into(),
            }
            .into()),
        }
    }

    /// Checks one serialised transaction.
    pub fn single(transaction: &[u8]) -> Result<Self, SubmissionError> {
        Ok(Self {
            transactions: vec![Checked::read(transaction, Part::Child)?],
        })
    }

    /// Checks two serialised transactions, of which the second spends from the first.
    pub fn package(parent: &[u8], child: &[u8]) -> Result<Self, SubmissionError> {
        let parent = Checked::read(parent, Part::Parent)?;
        let child = Checked::read(child, Part::Child)?;
        check_topology(&parent, &child)?;
        Ok(Self {
            transactions: vec![parent, child],
        })
    }

    /// The submission as it goes over the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        if let [parent, child] = &self.transactions[..] {
            out.u8(PACKAGE);
            let len = u32::try_from(parent.bytes.len()).expect("checked against MAX_TX_BYTES");
            out.u32(len);
            out.put(&parent.bytes);
            out.put(&child.bytes);
        } else {
            out.u8(SINGLE);
            out.put(&self.last().bytes);
        }
        out.into_bytes()
    }

    /// The id by which the submission is known: the transaction's, or the child's.
    pub fn txid(&self) -> Txid {
        self.last().txid
    }

    /// The id that covers the witness too, of the transaction or the child.
    pub fn wtxid(&self) -> Wtxid {
        self.last().wtxid
    }

    /// Whether there is a parent.
    pub fn is_package(&self) -> bool {
        self.transactions.len() > 1
    }

    /// Parent first.
    pub(crate) fn transactions(&self) -> &[Checked] {
        &self.transactions
    }

    pub(crate) fn last(&self) -> &Checked {
        self.transactions.last().expect("one or two transactions")
    }
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Submission([scrubbed])")
    }
}

impl Checked {
    fn read(bytes: &[u8], part: Part) -> Result<Self, SubmissionError> {
        if bytes.len() > MAX_TX_BYTES {
            return Err(SubmissionError::TooLong {
                part,
                got: bytes.len(),
                most: MAX_TX_BYTES,
            });
        }
        let parsed = encode::deserialize::<Transaction>(bytes).ok();
        // Another encoding of the same transaction would be paid for and then travel as this one.
        let canonical = parsed.filter(|parsed| encode::serialize(parsed) == bytes);
        let transaction = canonical.ok_or(SubmissionError::Transaction { part })?;
        check_size(&transaction, part)?;
        check_inputs(&transaction, part)?;
        check_amounts(&transaction, part)?;
        Ok(Self {
            txid: transaction.compute_txid(),
            wtxid: transaction.compute_wtxid(),
            bytes: bytes.to_vec(),
            transaction,
        })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn txid(&self) -> Txid {
        self.txid
    }

    pub(crate) fn wtxid(&self) -> Wtxid {
        self.wtxid
    }

    fn spends(&self) -> impl Iterator<Item = OutPoint> {
        self.transaction
            .input
            .iter()
            .map(|input| input.previous_output)
    }
}

fn check_size(transaction: &Transaction, part: Part) -> Result<(), SubmissionError> {
    let weight = transaction.weight();
    if weight > STANDARD_WEIGHT {
        return Err(SubmissionError::TooHeavy {
            part,
            got: weight.to_wu(),
            most: STANDARD_WEIGHT.to_wu(),
        });
    }
    if transaction.base_size() < MIN_BASE_SIZE {
        return Err(SubmissionError::TooSmall {
            part,
            got: transaction.base_size(),
            least: MIN_BASE_SIZE,
        });
    }
    Ok(())
}

/// What Bitcoin Core's `CheckTransaction` asks of inputs.
fn check_inputs(transaction: &Transaction, part: Part) -> Result<(), SubmissionError> {
    if transaction.input.is_empty() || transaction.output.is_empty() {
        return Err(SubmissionError::Empty { part });
    }
    let mut spent = HashSet::with_capacity(transaction.input.len());
    for input in &transaction.input {
        if input.previous_output.is_null() {
            return Err(SubmissionError::Coinbase { part });
        }
        if !spent.insert(input.previous_output) {
            return Err(SubmissionError::SpendsTwice { part });
        }
    }
    Ok(())
}

fn check_amounts(transaction: &Transaction, part: Part) -> Result<(), SubmissionError> {
    let total = transaction
        .output
        .iter()
        .try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.value));
    match total {
        Some(total) if total <= Amount::MAX_MONEY => Ok(()),
        _ => Err(SubmissionError::Amount { part }),
    }
}

fn check_topology(parent: &Checked, child: &Checked) -> Result<(), SubmissionError> {
    let weight = parent.transaction.weight() + child.transaction.weight();
    if weight > PACKAGE_WEIGHT {
        return Err(SubmissionError::PackageTooHeavy {
            got: weight.to_wu(),
            most: PACKAGE_WEIGHT.to_wu(),
        });
    }
    let outputs = parent.transaction.output.len();
    let of_parent: Vec<u32> = child
        .spends()
        .filter(|spent| spent.txid == parent.txid)
        .map(|spent| spent.vout)
        .collect();
    if of_parent.is_empty() {
        return Err(SubmissionError::NotAChild);
    }
    if let Some(missing) = of_parent.into_iter().find(|vout| *vout as usize >= outputs) {
        return Err(SubmissionError::NoSuchOutput(missing));
    }
    let spent: HashSet<OutPoint> = parent.spends().collect();
    if child.spends().any(|output| spent.contains(&output)) {
        return Err(SubmissionError::Conflict);
    }
    Ok(())
}
