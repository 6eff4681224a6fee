//! Why a mint does not start or answer.

use thiserror::Error;

/// A fault of an [`EmbeddedMint`](crate::EmbeddedMint). The operator must act in every case.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MintError {
    /// The database file cannot be opened, read or written.
    #[error("the mint's database: {0}")]
    Database(#[from] cdk_common::database::Error),
    /// The mint itself refuses: its settings, its keys or its Lightning backend.
    #[error("the mint: {0}")]
    Mint(#[from] cdk::Error),
    /// The HTTP routes could not be set up.
    #[error("the mint's HTTP routes: {0}")]
    Routes(String),
    /// The listener is not usable.
    #[error("the mint's listener: {0}")]
    Listener(#[from] std::io::Error),
    /// The seed gives no valid master key (probability 2^-127): choose another.
    #[error("the mint's seed gives no key")]
    Seed,
    /// The database has no active keyset, or none for the configured unit.
    #[error("the mint has no active keyset")]
    NoKeyset,
}
