//! What a sender is told.

use bitcoin::Txid;
use bitcoin::hashes::Hash;
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use thiserror::Error;

/// What becomes of a submission, and all that the sender is told.
///
/// On the wire: one byte, 0 for accepted and a [`Rejection::code`] otherwise; after 0 follow the
/// 32 bytes of the transaction id, in the order in which they are hashed (not reversed as in hex).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The Bitcoin network has the transaction (of a package: the child, and the parent with it).
    Accepted(Txid),
    /// It has not, or not through this relay.
    Rejected(Rejection),
}

/// The class of reasons for which a transaction is not accepted. The codes are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[repr(u8)]
#[non_exhaustive]
pub enum Rejection {
    /// The bytes are not a submission, or hold a transaction that can be in no mempool.
    #[error("not a transaction that can be broadcast")]
    Malformed = 1,
    /// Heavier than what is relayed.
    #[error("the transaction is too heavy")]
    TooHeavy = 2,
    /// Not one parent and one child of it.
    #[error("the package is not one parent and one child of it")]
    Package = 3,
    /// In the mempool, or in the chain, before it was submitted.
    #[error("the transaction is known already")]
    AlreadyKnown = 4,
    /// It spends an output that does not exist, or that the chain saw spent.
    #[error("an input does not exist or is spent")]
    MissingInputs = 5,
    /// Another transaction in the mempool spends the same and is not replaced.
    #[error("it conflicts with a transaction in the mempool")]
    Conflict = 6,
    /// The fee is too low to be relayed now, or to replace what it would.
    #[error("the fee is too low")]
    FeeTooLow = 7,
    /// A lock time or a maturity has not come.
    #[error("it is not final yet")]
    NotFinal = 8,
    /// Valid perhaps, but not what nodes relay.
    #[error("nodes do not relay such a transaction")]
    Policy = 9,
    /// A signature, a script or a sum is wrong.
    #[error("the transaction is invalid")]
    Invalid = 10,
    /// It was offered to peers, and within the time allowed nobody passed it on. They may have
    /// known it already, or refused it: today's P2P protocol has no message that tells.
    #[error("no node relayed it")]
    NotRelayed = 11,
    /// No node could be reached. Nothing was handed over.
    #[error("no node could be reached")]
    Unavailable = 12,
    /// Handed to a node that did not say what became of it.
    #[error("handed over, and nobody could be asked what became of it")]
    Unconfirmed = 13,
    /// This relay has as many submissions at work as it allows itself.
    #[error("too many submissions at once")]
    Busy = 14,
}

/// What a sender can do about a [`Rejection`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Nothing needs to be done: look for the transaction on the network.
    Look,
    /// Make another transaction; this one will not be taken anywhere.
    Change,
    /// Pay more.
    RaiseFee,
    /// Submit the same transaction later.
    Wait,
    /// Submit the same transaction at another relay. Harmless if this one had it after all.
    OtherRelay,
}

impl Rejection {
    /// All classes, in the order of their codes.
    pub const ALL: [Self; 14] = [
        Self::Malformed,
        Self::TooHeavy,
        Self::Package,
        Self::AlreadyKnown,
        Self::MissingInputs,
        Self::Conflict,
        Self::FeeTooLow,
        Self::NotFinal,
        Self::Policy,
        Self::Invalid,
        Self::NotRelayed,
        Self::Unavailable,
        Self::Unconfirmed,
        Self::Busy,
    ];

    /// The number on the wire; never 0.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The class with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.code() == code)
    }

    /// What to do about it.
    pub const fn remedy(self) -> Remedy {
        match self {
            Self::AlreadyKnown => Remedy::Look,
            Self::FeeTooLow => Remedy::RaiseFee,
            // What is missing may be a parent on its way.
            Self::NotFinal | Self::MissingInputs => Remedy::Wait,
            Self::NotRelayed | Self::Unavailable | Self::Unconfirmed | Self::Busy => {
                Remedy::OtherRelay
            }
            _ => Remedy::Change,
        }
    }
}

impl From<Rejection> for Answer {
    fn from(class: Rejection) -> Self {
        Self::Rejected(class)
    }
}

impl Encode for Answer {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Accepted(txid) => {
                out.u8(0);
                out.put(txid.as_byte_array());
            }
            Self::Rejected(class) => out.u8(class.code()),
        }
    }
}

impl Decode for Answer {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = reader.u8("class of the answer")?;
        if code == 0 {
            return Ok(Self::Accepted(Txid::from_byte_array(reader.array("txid")?)));
        }
        let unknown = DecodeError::Unknown {
            what: "class of the answer",
            got: code.into(),
        };
        Rejection::from_code(code)
            .map(Self::Rejected)
            .ok_or(unknown)
    }
}
