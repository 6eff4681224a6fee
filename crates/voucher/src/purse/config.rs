//! Where a purse lives and whom it talks to.

use crate::unit::MintId;
use cdk::wallet::MintConnector;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Makes the connection to a mint: through a proxy, through circuits, or with faults for a test.
pub type Connector = Arc<dyn Fn(&MintId) -> Arc<dyn MintConnector + Send + Sync> + Send + Sync>;

/// Where a purse or redeemer lives and whom it talks to.
#[derive(Clone)]
pub struct PurseConfig {
    /// The folder of its two files, `purse.redb` and `wallet.sqlite`; made if it is not there. One
    /// process at a time.
    pub dir: PathBuf,
    /// The only mints it will ever talk to.
    pub mints: Vec<MintId>,
    /// From which all secrets follow: 32 random bytes, kept as carefully as money.
    pub seed: Zeroizing<[u8; 32]>,
    /// How long vouchers stay locked to their relay; rounded up to a whole day, so that the
    /// locktime does not tell the time of purchase. Default: 30 days.
    pub lock_for: Duration,
    /// How long a mint may take to answer a call. Default: 30 s.
    pub timeout: Duration,
    /// Keep to the pace that public mints expect (`cdk`'s rate limit). Default: true; off for a mint
    /// of one's own and in tests. Without effect where `connector` is given.
    pub rate_limit: bool,
    /// How to reach a mint; `None` for HTTP from this machine, which shows its address to the mint.
    pub connector: Option<Connector>,
}

impl PurseConfig {
    /// The defaults, for these mints.
    pub fn new(dir: impl Into<PathBuf>, mints: Vec<MintId>, seed: [u8; 32]) -> Self {
        Self {
            dir: dir.into(),
            mints,
            seed: Zeroizing::new(seed),
            lock_for: Duration::from_secs(30 * 24 * 3600),
            timeout: Duration::from_secs(30),
            rate_limit: true,
            connector: None,
        }
    }
}

impl core::fmt::Debug for PurseConfig {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PurseConfig")
            .field("mints", &self.mints)
            .field("lock_for", &self.lock_for)
            .field("timeout", &self.timeout)
            .field("rate_limit", &self.rate_limit)
            .finish_non_exhaustive()
    }
}
