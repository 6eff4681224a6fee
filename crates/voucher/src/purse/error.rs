//! What can go wrong with money, and who must act.

use super::mould::BadMint;
use super::plan::PlanError;
use super::store::StoreError;
use crate::unit::MintId;
use coinfuse_wire::Msat;

/// Why a purse or a redeemer could not do what it was asked to. None of them loses money of the
/// purse: what is unfinished is on disk, and [`Purse::recover`](crate::Purse::recover) goes on with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PurseError {
    /// The disk does not take what must be written before money is spent. Nothing was sent.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The mint's wallet database failed.
    #[error("the wallet's database cannot be used")]
    Database(#[source] cdk::cdk_database::Error),
    /// The mint is not on the list that the purse was opened with.
    #[error("{0} is not a mint of this purse: add it to the configuration")]
    UnknownMint(MintId),
    /// There is not enough money at this mint: fund it, or move money across.
    #[error("{mint} holds {have} and {need} are needed: fund it")]
    TooLittle {
        /// The mint.
        mint: MintId,
        /// What can be spent there.
        have: Msat,
        /// What the purchase costs, fees included.
        need: Msat,
    },
    /// The amount is zero, does not fit, or needs more coins than a swap may have; or, where it
    /// has to be exact, is not a whole number of the mint's units.
    #[error("this amount cannot be had at {0} in one go")]
    Amount(MintId),
    /// The mint refuses. The money is back in the purse.
    #[error("{mint} refuses")]
    Refused {
        /// The mint.
        mint: MintId,
        /// Its reason.
        #[source]
        source: Box<cdk::Error>,
    },
    /// The mint cannot be reached, and it is not known whether a swap that was sent has happened.
    /// Call `recover` later.
    #[error("{mint} does not answer; what is unfinished is kept and goes on with recover()")]
    Unfinished {
        /// The mint.
        mint: MintId,
        /// What went wrong last.
        #[source]
        source: Box<cdk::Error>,
    },
    /// The mint does not sign with the keyset of these outputs, or no longer. The money is back in
    /// the purse: make the outputs anew with [`Purse::keyset`](crate::Purse::keyset), refreshed.
    #[error("{0} does not sign with the keyset of these outputs: make them anew")]
    Keyset(MintId),
    /// The tag stands for other outputs: choose another, or forget those.
    #[error("the tag stands for other outputs")]
    Tag,
    /// The mint says that these coins are spent: by an earlier call, or by somebody else.
    #[error("the coins are spent at {0}")]
    Spent(MintId),
    /// There is nothing to swap, or what there is does not fit into a swap: several keysets, an
    /// amount that the keyset does not have, an output twice, more than some 500, a secret that
    /// is too long.
    #[error("these coins or outputs do not fit into a swap at {0}")]
    Unfit(MintId),
    /// The text is not a Cashu token (NUT-00) of one mint that counts in msat or sat.
    #[error("this is not a Cashu token of one mint that counts in msat or sat")]
    NotAToken,
    /// This purse has not handed the token out, or has forgotten it: receive it.
    #[error("this token was not handed out here, or is forgotten: receive it")]
    UnknownToken,
    /// The caller's own function did not sign the swap, or changed more than its witnesses. Nothing
    /// was sent.
    #[error("the swap was not signed")]
    NotSigned(#[source] Box<dyn core::error::Error + Send + Sync>),
    /// The mint breaks the protocol: take no more of its coins.
    #[error("{mint} breaks the protocol")]
    BadMint {
        /// The mint.
        mint: MintId,
        /// How.
        #[source]
        source: BadMint,
    },
    /// The task was ended from outside; as after a crash, `recover` goes on with what it left.
    #[error("the runtime was shut down while money was moving")]
    Stopped,
}

pub(crate) fn unfinished(mint: &MintId, source: cdk::Error) -> PurseError {
    PurseError::Unfinished {
        mint: mint.clone(),
        source: Box::new(source),
    }
}

pub(crate) fn bad_mint(mint: &MintId, source: BadMint) -> PurseError {
    PurseError::BadMint {
        mint: mint.clone(),
        source,
    }
}

impl PlanError {
    /// What the caller is told; it is not told of [`Self::Busy`], which is looked at again.
    pub(crate) fn at(self, mint: &MintId) -> PurseError {
        let value = |units| mint.unit().value(units).unwrap_or(Msat::MAX);
        match self {
            Self::Amount | Self::TooMany | Self::Busy => PurseError::Amount(mint.clone()),
            Self::TooLittle { have, need } => PurseError::TooLittle {
                mint: mint.clone(),
                have: value(have),
                need: value(need),
            },
        }
    }
}
