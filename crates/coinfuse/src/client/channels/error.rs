//! What can go wrong with a client's channels.

use coinfuse_channel::{KeysetError, MintFault, ParamsError};
use coinfuse_voucher::{CallError, PurseError};
use thiserror::Error;

/// The file of the channels cannot be read or written: the disk is full, or the file is damaged or
/// open in another process. What was to be written down has not been sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the file of the payment channels cannot be used: {0}")]
pub struct ChannelStoreError(String);

impl ChannelStoreError {
    pub(super) fn new(error: impl core::fmt::Display) -> Self {
        Self(error.to_string())
    }

    pub(super) fn closed() -> Self {
        Self::new("it is closed")
    }
}

/// Why a channel is not funded, or not taken back yet. Nothing is lost: what was begun is gone on
/// with later.
#[derive(Debug, Error)]
pub(super) enum ChannelError {
    /// No mint that the relay takes has enough; vouchers pay for less.
    #[error("there is too little money for a channel")]
    TooLittle,
    /// The relay's key is none.
    #[error("the relay's voucher key is no key")]
    RelayKey,
    /// The disk.
    #[error(transparent)]
    Store(#[from] ChannelStoreError),
    /// The purse, or its mint.
    #[error(transparent)]
    Purse(#[from] PurseError),
    /// The mint.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The mint's keyset carries no channels.
    #[error(transparent)]
    Keyset(#[from] KeysetError),
    /// The mint's keyset does not fit the capacity.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The mint's signatures are wrong.
    #[error(transparent)]
    Mint(#[from] MintFault),
}
