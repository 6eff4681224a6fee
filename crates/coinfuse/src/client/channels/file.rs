//! The channels of a client that does not run.

use super::{ChannelConfig, ChannelReport, ChannelStoreError, Channels};
use crate::client::budget::Budget;
use crate::clock::Clock;
use coinfuse_circuit::TopUpPolicy;
use coinfuse_voucher::Purse;
use coinfuse_wire::Msat;
use std::sync::Arc;

/// The payment channels in a file whose client does not run: to look at, and to take back what is
/// left of those that are closed or have expired. The others wait for the client.
pub struct ChannelFile(Arc<Channels>);

impl core::fmt::Debug for ChannelFile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ChannelFile")
    }
}

impl ChannelFile {
    /// Opens the file, or makes it. `purse` is the client's. Does not use the network.
    ///
    /// # Errors
    ///
    /// [`ChannelStoreError`], also if the client runs.
    pub async fn open(config: ChannelConfig, purse: Purse) -> Result<Self, ChannelStoreError> {
        let nothing = Arc::new(Budget::new(Msat::ZERO));
        let policy = TopUpPolicy::default();
        let opened = Channels::open(config, policy, purse, nothing, Clock::start());
        Ok(Self(opened.await?))
    }

    /// The channels that are not finished.
    pub fn channels(&self) -> Vec<ChannelReport> {
        self.0.report()
    }

    /// Asks the mints for what is left; what came back.
    pub async fn reclaim(&self) -> Msat {
        self.0.reclaim(true).await
    }
}
