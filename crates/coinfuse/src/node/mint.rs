//! A relay's own mint, in the same process.

use super::OwnMint;
use cashu::SecretKey;
use coinfuse_directory::{MintOffer, MintUnit, MintUrlError};
use coinfuse_mint::{EmbeddedMint, MintError};
use coinfuse_voucher::{Keyring, KeyringError, MintId, MintIdError, Unit};
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a relay cannot use the mint inside it.
#[derive(Debug, Error)]
pub enum OwnMintError {
    /// The mint failed.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// Its address cannot be published.
    #[error(transparent)]
    Url(#[from] MintUrlError),
    /// Its address names no mint.
    #[error(transparent)]
    Id(#[from] MintIdError),
    /// Its keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyringError),
}

/// The mint as its relay sees it: how it is published, and its keys, with which its coins are
/// checked without asking anybody.
///
/// # Errors
///
/// [`OwnMintError`], when the mint's database or its address is at fault.
pub async fn own_mint(mint: &EmbeddedMint) -> Result<OwnMint, OwnMintError> {
    let (unit, offered) = match mint.unit() {
        coinfuse_mint::Unit::Msat => (Unit::Msat, MintUnit::Msat),
        _ => (Unit::Sat, MintUnit::Sat),
    };
    let offer = MintOffer {
        url: mint.url().parse()?,
        unit: offered,
        issuer: true,
    };
    let id = MintId::new(mint.url(), unit)?;
    let issuer_keys = mint.issuer_keys().await?;
    let mut keyring = Keyring::new();
    let keysets = mint.cdk().pubkeys().keysets;
    for keyset in &keysets {
        let secrets: BTreeMap<_, _> = issuer_keys
            .secret_keys(keyset.id)
            .map(|(amount, key)| (amount, SecretKey::from(key)))
            .collect();
        keyring.add_issuer(&id, keyset, &secrets)?;
    }
    Ok(OwnMint {
        offer,
        keyring,
        keysets,
    })
}
