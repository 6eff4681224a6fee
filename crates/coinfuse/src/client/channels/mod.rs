//! The payment channels of a client: funded beside a circuit that vouchers have started, paid
//! through while it runs, closed at its end, and what is left of them taken back.
//!
//! ```text
//! fund ── Planned ──> Sender ── pay, close ──> Closing ── reclaim ──> gone
//!            └─ restart, silent mint: reclaim ─┘
//! ```
//!
//! A state is only reached when it is on disk, and nothing is sent before that. Whoever calls the
//! asynchronous functions here lets them run to their end: a state that is being saved is lost to
//! this process, though not to the next, if the future is dropped.

mod account;
mod config;
mod error;
mod file;
mod fund;
mod owner;
mod pause;
mod pay;
mod reclaim;
mod report;
mod restart;
mod store;
#[cfg(test)]
mod tests;

pub use config::ChannelConfig;
pub use error::ChannelStoreError;
pub use file::ChannelFile;
pub use report::{ChannelReport, ChannelStage, HopChannels};

pub(super) use pay::{ChannelPayment, Next};
pub(super) use reclaim::tend;

use super::budget::Budget;
use crate::clock::{Clock, random};
use account::{Account, Live};
use coinfuse_channel::ChannelId;
use coinfuse_circuit::{AccountToken, TopUpPolicy};
use coinfuse_voucher::Purse;
use core::time::Duration;
use pause::Pauses;
use reclaim::Waiting;
use report::Board;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Store;

/// The channels of one client.
pub(super) struct Channels {
    config: ChannelConfig,
    policy: TopUpPolicy,
    store: Store,
    purse: Purse,
    budget: Arc<Budget>,
    clock: Clock,
    accounts: Mutex<HashMap<AccountToken, Arc<Account>>>,
    /// Channels whose next step is a mint's.
    waiting: Mutex<HashMap<ChannelId, Waiting>>,
    /// Held by whoever asks mints about them.
    reclaiming: tokio::sync::Mutex<()>,
    pauses: Pauses,
    board: Board,
}

impl Channels {
    /// Opens the file, and finds the channels of earlier runs. Does not use the network.
    pub(super) async fn open(
        config: ChannelConfig,
        policy: TopUpPolicy,
        purse: Purse,
        budget: Arc<Budget>,
        clock: Clock,
    ) -> Result<Arc<Self>, ChannelStoreError> {
        let store = Store::open(&config.file).await?;
        let channels = Arc::new(Self {
            config,
            policy,
            store,
            purse,
            budget,
            clock,
            accounts: Mutex::default(),
            waiting: Mutex::default(),
            reclaiming: tokio::sync::Mutex::default(),
            pauses: Pauses::default(),
            board: Board::default(),
        });
        channels.load().await?;
        Ok(channels)
    }

    /// The channels, for a user.
    pub(super) fn report(&self) -> Vec<ChannelReport> {
        self.board.channels()
    }

    /// What the channels of one account have done.
    pub(super) fn hop(&self, account: &AccountToken) -> HopChannels {
        self.board.hop(account)
    }

    /// How long to wait before a circuit's hop is given a channel.
    pub(super) fn jitter(&self) -> Duration {
        below(self.config.jitter)
    }

    /// Releases the file; nothing works afterwards.
    pub(super) async fn shut(&self) {
        self.store.close().await;
    }

    fn account(&self, token: &AccountToken) -> Arc<Account> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(accounts.entry(*token).or_default())
    }

    fn all_accounts(&self) -> Vec<Arc<Account>> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.values().cloned().collect()
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<ChannelId, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down that a channel pays no more; from then on what is left of it is looked for.
    async fn close(&self, live: Live) -> Result<(), ChannelStoreError> {
        let Live { sender, owner, .. } = live;
        let closing = self.saved(sender.close()).await?;
        self.board.stage(&closing.id(), ChannelStage::Closing);
        self.wait(Waiting::closing(closing, owner));
        Ok(())
    }

    /// The state behind a step, once it is on disk.
    async fn saved<S>(&self, step: coinfuse_channel::Unsaved<S>) -> Result<S, ChannelStoreError> {
        let saved = step.save_async(|row| self.store.write(row)).await;
        saved.map_err(|failed| {
            // What was written, if anything, is found again at the next start.
            tracing::error!(error = %failed.error, "a payment channel could not be written down");
            failed.error
        })
    }
}

/// At random, less than `most`.
fn below(most: Duration) -> Duration {
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    let draw = u64::from_le_bytes(random());
    Duration::from_millis(draw.checked_rem(most).unwrap_or_default())
}
