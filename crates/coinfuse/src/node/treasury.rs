//! A relay's treasury from its configuration and its seed.

use super::client::{purse_config, unit};
use super::relay::{open_channels, open_ledger};
use super::{NodeError, RelayNode};
use crate::config::RelayConfig;
use crate::keys::{MasterSeed, Purpose};
use crate::relay::Channels;
use crate::treasury::{Treasury, TreasuryConfig, TreasuryError};
use coinfuse_directory::MintOffer;
use coinfuse_voucher::{Keyring, MintId, MintIdError, Policy, Verifier, VoucherKey};
use core::time::Duration;
use std::sync::{Arc, RwLock};
use thiserror::Error;

/// Why a relay's treasury does not start; for the operator to act on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenTreasuryError {
    /// A mint in the configuration cannot be one.
    #[error("{url} cannot be used as a mint: {source}")]
    Mint {
        /// As the configuration has it.
        url: String,
        /// Why.
        source: MintIdError,
    },
    /// The relay's files or its seed cannot be used.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The treasury does not open.
    #[error(transparent)]
    Treasury(#[from] TreasuryError),
}

/// Starts the treasury of a relay that runs: it redeems what the relay collects, at the mints that
/// it accepts, its own included, into the folder `coins` of its data folder.
///
/// # Errors
///
/// [`OpenTreasuryError`]: what is in the way.
pub async fn open_treasury(
    config: &RelayConfig,
    seed: &MasterSeed,
    node: &RelayNode,
) -> Result<Treasury, OpenTreasuryError> {
    let (verifier, channels) = (Arc::clone(node.verifier()), node.channels().clone());
    start(config, seed, verifier, channels).await
}

/// Starts the treasury of a relay that does not run, to look at what it has earned and to redeem
/// it. Vouchers of the relay's own mint have to wait, since that does not run either.
///
/// # Errors
///
/// [`OpenTreasuryError`], with [`LedgerError::InUse`](crate::store::LedgerError::InUse) inside if
/// the relay runs after all.
pub async fn open_treasury_alone(
    config: &RelayConfig,
    seed: &MasterSeed,
) -> Result<Treasury, OpenTreasuryError> {
    let ledger = open_ledger(config)?;
    let key = VoucherKey::from_secret_bytes(*seed.derive(Purpose::Voucher));
    let key = key.map_err(NodeError::from)?;
    let verifier = Verifier::new(key, Keyring::new(), Policy::default());
    let channels = open_channels(config, seed, mints(config)?, ledger)?;
    start(config, seed, Arc::new(RwLock::new(verifier)), channels).await
}

/// How the mint inside a relay is published; `None` if there is none.
pub fn own_offer(config: &RelayConfig) -> Option<MintOffer> {
    config.mint.as_ref().map(|mint| MintOffer {
        url: mint.url.clone(),
        unit: mint.unit,
        issuer: true,
    })
}

async fn start(
    config: &RelayConfig,
    seed: &MasterSeed,
    verifier: Arc<RwLock<Verifier>>,
    channels: Channels,
) -> Result<Treasury, OpenTreasuryError> {
    let mut purse = purse_config(config.data_dir.join("coins"), mints(config)?, seed);
    // A swap whose answer is late is finished by the next pass.
    purse.timeout = Duration::from_secs(10);
    Ok(Treasury::start(TreasuryConfig::new(purse), verifier, channels).await?)
}

/// The relay's own mint and those that it accepts.
fn mints(config: &RelayConfig) -> Result<Vec<MintId>, OpenTreasuryError> {
    let own = config.mint.iter().map(|mint| (&mint.url, mint.unit));
    let accepted = config.accept.iter().map(|mint| (&mint.url, mint.unit));
    let mints = own.chain(accepted).map(|(url, counts_in)| {
        MintId::new(url.as_str(), unit(counts_in)).map_err(|source| OpenTreasuryError::Mint {
            url: url.to_string(),
            source,
        })
    });
    mints.collect()
}
