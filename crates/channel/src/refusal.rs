//! Why a receiver does not take what a sender sent.

use crate::channel::ParamsError;
use crate::commitment::BalanceError;
use crate::keyset::AmountError;
use coinfuse_wire::UnixTime;
use thiserror::Error;

/// Why a receiver does not open a channel or take an update. The sender is at fault, unless it is
/// said otherwise; nothing that was paid before is lost.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The bytes are not a message.
    #[error("not a message of a channel: encode it as the specification says")]
    Malformed,
    /// The receiver takes no channels at this mint in this unit.
    #[error("mint or unit not accepted: fund the channel at one that the receiver lists")]
    UnknownMint,
    /// The receiver does not know this keyset of the mint.
    #[error("keyset not accepted: fund the channel with an active keyset of the mint")]
    UnknownKeyset,
    /// The terms contradict the keyset or themselves.
    #[error("terms that do not work out: {0}")]
    Terms(ParamsError),
    /// The receiver's key in the terms is not this receiver's.
    #[error("a channel to another receiver")]
    OtherReceiver,
    /// Less than the receiver keeps books for.
    #[error("a capacity of {got} where at least {least} is asked: open a larger channel")]
    CapacityTooSmall {
        /// What the terms say.
        got: u64,
        /// What is asked.
        least: u64,
    },
    /// More than the receiver wants to have at stake.
    #[error("a capacity of {got} where at most {most} is allowed: open a smaller channel")]
    CapacityTooLarge {
        /// What the terms say.
        got: u64,
        /// What is allowed.
        most: u64,
    },
    /// More funding proofs than the receiver checks.
    #[error("{got} funding proofs where {most} are allowed: fund with larger coins")]
    TooManyProofs {
        /// What the terms come to.
        got: u64,
        /// What is allowed.
        most: u64,
    },
    /// The receiver would not have time to be paid and to settle.
    #[error("the channel expires at {expiry:?}, which is too soon")]
    ExpiryTooSoon {
        /// What the terms say.
        expiry: UnixTime,
    },
    /// The receiver would have to keep books for too long.
    #[error("the channel expires at {expiry:?}, which is too far away")]
    ExpiryTooFar {
        /// What the terms say.
        expiry: UnixTime,
    },
    /// The mint may stop honouring the keyset before the receiver has settled.
    #[error("the keyset expires before the channel can be settled: fund with a newer one")]
    KeysetExpiring,
    /// The id is not the hash of the terms.
    #[error("the channel's id is not that of its terms")]
    WrongId,
    /// There are more or fewer funding proofs than the terms come to.
    #[error("{got} funding proofs where the terms come to {want}")]
    ProofCount {
        /// What was sent.
        got: usize,
        /// What the terms come to.
        want: usize,
    },
    /// A funding proof claims another amount than the one in its place.
    #[error("funding proof {0} has another amount, or is out of order")]
    ProofAmount(usize),
    /// A funding proof claims another secret: other keys, another lock, another nonce.
    #[error("funding proof {0} has another secret")]
    ProofSecret(usize),
    /// A funding proof claims another keyset.
    #[error("funding proof {0} is of another keyset")]
    ProofKeyset(usize),
    /// A funding proof was blinded otherwise than the parties agreed.
    #[error("funding proof {0} has another blinding factor")]
    ProofBlinding(usize),
    /// The mint did not sign a funding proof, or there is no proof that it did.
    #[error("funding proof {0} is not proven to be signed by the mint")]
    Dleq(usize),
    /// The sender did not sign this balance.
    #[error("the balance is not signed with the channel's key")]
    Signature,
    /// More than the channel holds.
    #[error("a balance of {balance} in a channel of {capacity}: open another channel")]
    OverCapacity {
        /// The balance.
        balance: u64,
        /// What the channel holds.
        capacity: u64,
    },
    /// Less than what was paid before.
    #[error("a balance of {balance} after {paid} was paid")]
    LowerBalance {
        /// The balance.
        balance: u64,
        /// What was paid.
        paid: u64,
    },
    /// The balance that was paid before: a message that came twice. Nobody is harmed.
    #[error("this balance was paid before")]
    Replay,
    /// The channel expires too soon for the receiver to settle: it buys nothing any more.
    #[error("the channel is about to expire: open another one")]
    Expired,
    /// The channel is being settled, or was.
    #[error("the channel is closed: open another one")]
    Closed,
    /// The receiver does not know this channel.
    #[error("no such channel: open it first")]
    UnknownChannel,
    /// The update names another channel than the one it came for.
    #[error("an update for another channel")]
    OtherChannel,
    /// The channel belongs to somebody else's account.
    #[error("the channel belongs to another account")]
    OtherAccount,
    /// The receiver has as many channels as it can keep; its own limit.
    #[error("too many channels: come again later, or pay otherwise")]
    TooManyChannels,
    /// The receiver cannot take it now, and is at fault itself: its storage, or the mint's keys
    /// are not there yet.
    #[error("not now: come again later, or pay otherwise")]
    Unavailable,
}

impl Refusal {
    /// The byte that stands for it on the wire.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Malformed => 1,
            Self::UnknownMint => 2,
            Self::UnknownKeyset => 3,
            Self::Terms(_) => 4,
            Self::OtherReceiver => 5,
            Self::CapacityTooSmall { .. } => 6,
            Self::CapacityTooLarge { .. } => 7,
            Self::TooManyProofs { .. } => 8,
            Self::ExpiryTooSoon { .. } => 9,
            Self::ExpiryTooFar { .. } => 10,
            Self::KeysetExpiring => 11,
            Self::WrongId => 12,
            Self::ProofCount { .. } => 13,
            Self::ProofAmount(_) => 14,
            Self::ProofSecret(_) => 15,
            Self::ProofKeyset(_) => 16,
            Self::ProofBlinding(_) => 17,
            Self::Dleq(_) => 18,
            Self::Signature => 19,
            Self::OverCapacity { .. } => 20,
            Self::LowerBalance { .. } => 21,
            Self::Replay => 22,
            Self::Expired => 23,
            Self::Closed => 24,
            Self::UnknownChannel => 25,
            Self::OtherChannel => 26,
            Self::OtherAccount => 27,
            Self::TooManyChannels => 28,
            Self::Unavailable => 29,
        }
    }
}

impl From<ParamsError> for Refusal {
    fn from(error: ParamsError) -> Self {
        match error {
            ParamsError::Capacity { capacity, most } => Self::CapacityTooLarge {
                got: capacity,
                most,
            },
            ParamsError::Amount(AmountError::TooManyOutputs { outputs, .. }) => {
                Self::TooManyProofs {
                    got: outputs,
                    most: crate::MAX_OUTPUTS,
                }
            }
            ParamsError::Key => Self::OtherReceiver,
            ParamsError::Keyset(_) => Self::UnknownKeyset,
            other => Self::Terms(other),
        }
    }
}

impl From<BalanceError> for Refusal {
    fn from(error: BalanceError) -> Self {
        match error {
            BalanceError::OverCapacity { balance, capacity } => {
                Self::OverCapacity { balance, capacity }
            }
            BalanceError::Terms(error) => error.into(),
        }
    }
}

/// What a sender learns of a [`Refusal`]: its code, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusalCode(pub u8);

/// What a sender does after a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing: what the message was for has happened.
    Nothing,
    /// Send it again later.
    Retry,
    /// Send the opening message first.
    Open,
    /// Give the channel up and take back what is left; open another one, or pay otherwise.
    Replace,
}

impl RefusalCode {
    /// What to do about it.
    pub const fn remedy(self) -> Remedy {
        match self.0 {
            22 => Remedy::Nothing,
            28 | 29 => Remedy::Retry,
            25 => Remedy::Open,
            _ => Remedy::Replace,
        }
    }
}
