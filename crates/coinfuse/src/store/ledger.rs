//! The handle that the relay's tasks hold.

use super::channel::{ChannelRecord, ChannelWrite, StageKind, StoredChannel};
use super::hold::{Front, Reservation, Shared};
use super::queue::{Command, Queue, Reply};
use super::types::{
    AccountKey, Balance, ChannelKey, CollectedVoucher, Credit, LedgerError, Totals, VoucherKey,
};
use super::{channel_tables, tables, worker};
use coinfuse_wire::{Msat, UnixTime};
use redb::{Builder, Database};
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Semaphore;

/// The ledger's knobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerConfig {
    /// Commands that wait or are being written; a caller beyond that waits. Default 1024.
    pub queue: usize,
    /// Recorded use reaches the disk within this time, and a crash loses at most this much of it.
    /// Default 1 s.
    pub flush_after: Duration,
    /// Recorded use of this many accounts reaches the disk sooner. Default 65,536, about 4 MiB.
    pub max_uses: usize,
    /// Memory for cached pages of the file, in bytes. Default 64 MiB.
    pub cache: usize,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self {
            queue: 1024,
            flush_after: Duration::from_secs(1),
            max_uses: 1 << 16,
            cache: 64 << 20,
        }
    }
}

/// A handle to the ledger; clones share it. See the [module](super) for how to drive it.
///
/// When the last handle is dropped, all that was asked is written and the file is released.
#[derive(Debug, Clone)]
pub struct Ledger(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl core::fmt::Debug for Handle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Ledger")
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(thread) = self.thread.take() {
            // It panicked if this fails, and has said so.
            let _ = thread.join();
        }
    }
}

impl Ledger {
    /// Opens the ledger in the file at `path`, or makes it, readable for its owner only.
    ///
    /// Blocks: after a crash the file is checked, which takes seconds for a large one.
    ///
    /// # Errors
    ///
    /// [`LedgerError::InUse`] if another process has it open, [`LedgerError::Storage`] if the file
    /// cannot be opened or is damaged.
    pub fn open(path: &Path, config: LedgerConfig) -> Result<Self, LedgerError> {
        let file = open_private(path).map_err(LedgerError::storage)?;
        let db = Builder::new()
            .set_cache_size(config.cache)
            .create_file(file);
        Self::start(db.map_err(LedgerError::storage)?, config)
    }

    pub(super) fn start(db: Database, config: LedgerConfig) -> Result<Self, LedgerError> {
        tables::create(&db).map_err(LedgerError::storage)?;
        let db = Arc::new(db);
        let shared = Arc::new(Shared {
            front: Front::new(Arc::clone(&db)),
            queue: Queue::new(config.queue, config.max_uses, config.flush_after),
            ended: Semaphore::new(0),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("coinfuse-ledger".into())
            .spawn(move || worker::run(db, &theirs))
            .map_err(LedgerError::storage)?;
        Ok(Self(Arc::new(Handle {
            shared,
            thread: Some(thread),
        })))
    }

    /// Looks at once whether `vouchers` are new and holds those that are for `account`.
    ///
    /// Reads the file (normally its cached pages) and does not wait for the queue.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Closed`] or [`LedgerError::Storage`].
    pub fn reserve(
        &self,
        account: AccountKey,
        vouchers: Vec<CollectedVoucher>,
    ) -> Result<Reservation, LedgerError> {
        Reservation::new(Arc::clone(&self.0.shared), account, vouchers)
    }

    /// Credits `vouchers` to `account`: [`Self::reserve`] and [`Reservation::commit`] in one.
    ///
    /// # Errors
    ///
    /// As these two.
    pub async fn credit(
        &self,
        account: AccountKey,
        vouchers: Vec<CollectedVoucher>,
    ) -> Result<Credit, LedgerError> {
        self.reserve(account, vouchers)?.commit().await
    }

    /// Takes vouchers that pay for one-shot packets, one each: true for those that nobody had shown
    /// before, which are durably this relay's when it is told. A packet whose voucher came before,
    /// for whatever it was, is not paid.
    ///
    /// The look into the file (normally its cached pages) is on the calling thread: not for one
    /// that moves data. Once it was polled it is carried out even if the caller goes away.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Closed`] or [`LedgerError::Storage`]: nothing was acknowledged, and it is
    /// unknown until a restart which vouchers were taken.
    pub async fn collect(&self, vouchers: Vec<CollectedVoucher>) -> Result<Vec<bool>, LedgerError> {
        let reservation = self.reserve(AccountKey::PACKETS, vouchers)?;
        self.ask(|reply| Command::Collect { reservation, reply })
            .await
    }

    /// Stores one transition of a channel and credits its account with what the channel has paid
    /// more than before, in one transaction; resolves with the account when that is on disk.
    ///
    /// Once it was polled it is carried out even if the caller goes away. Writing the same again
    /// changes nothing. The ledger does not judge rows: whoever drives the channel's machine writes
    /// its transitions one after the other.
    ///
    /// # Errors
    ///
    /// [`LedgerError::OtherAccount`] or [`LedgerError::ChannelSettled`]: nothing was written.
    /// [`LedgerError::Closed`] or [`LedgerError::Storage`]: nothing was acknowledged, and it is
    /// unknown until a restart whether it was written; write the same again then.
    pub async fn write_channel(&self, write: ChannelWrite) -> Result<Balance, LedgerError> {
        self.ask(|reply| Command::Channel { write, reply }).await?
    }

    /// A channel as committed, or `None` for one that the ledger does not know or has forgotten.
    ///
    /// Reads the file (normally its cached pages) and does not wait for the queue.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Closed`] or [`LedgerError::Storage`].
    pub fn channel(&self, channel: &ChannelKey) -> Result<Option<StoredChannel>, LedgerError> {
        self.read(|db| channel_tables::channel(db, channel))
    }

    /// Up to `limit` channels of one stage as committed, those that expire first at the front:
    /// those that expire before `before`, or all. For the page after that give the last one of
    /// this page as `after`; it may have changed or gone meanwhile.
    ///
    /// Reads the file and costs as much as what it returns, however many channels there are.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Closed`] or [`LedgerError::Storage`].
    pub fn channels(
        &self,
        stage: StageKind,
        before: Option<UnixTime>,
        after: Option<&ChannelRecord>,
        limit: usize,
    ) -> Result<Vec<ChannelRecord>, LedgerError> {
        self.read(|db| channel_tables::channels(db, stage, before, after, limit))
    }

    /// Forgets up to `limit` settled channels that expired before `before`, and says how many.
    /// Safe only when such channels are refused for their expiry: an update of one that is
    /// forgotten would be credited anew.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Closed`] or [`LedgerError::Storage`].
    pub async fn forget_channels(
        &self,
        before: UnixTime,
        limit: usize,
    ) -> Result<usize, LedgerError> {
        self.ask(|reply| Command::ForgetChannels {
            before,
            limit,
            reply,
        })
        .await
    }

    /// The account as committed, with all use recorded so far; a new one is empty.
    ///
    /// Reads the file (normally its cached pages) and does not wait for the queue.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Closed`] or [`LedgerError::Storage`].
    pub fn load(&self, account: &AccountKey) -> Result<Balance, LedgerError> {
        let noted = self.0.shared.queue.noted_use(account);
        let mut balance = self.read(|db| tables::balance(db, account))?;
        balance.used = balance.used.max(noted);
        Ok(balance)
    }

    /// Records what `account` has used since it began. Never waits; it is on disk within
    /// [`LedgerConfig::flush_after`] or with the next commit. A smaller figure than one before
    /// changes nothing.
    pub fn record_use(&self, account: AccountKey, used: Msat) {
        self.0.shared.queue.note_use(account, used);
    }

    /// Up to `limit` vouchers that wait to be redeemed. Reads the file: not for a thread that
    /// moves data.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Closed`] or [`LedgerError::Storage`].
    pub fn collected(&self, limit: usize) -> Result<Vec<CollectedVoucher>, LedgerError> {
        self.read(|db| tables::collected(db, limit))
    }

    /// Notes that vouchers have been redeemed; they stay in the spent set. Doing it twice changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Closed`] or [`LedgerError::Storage`]: ask the mint before redeeming again.
    pub async fn mark_redeemed(&self, keys: Vec<VoucherKey>) -> Result<(), LedgerError> {
        self.ask(|reply| Command::Redeemed { keys, reply }).await
    }

    /// Forgets up to `limit` spent vouchers whose locktime is before `before`, and says how many.
    /// Safe only when such vouchers are refused for their locktime.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Closed`] or [`LedgerError::Storage`].
    pub async fn prune(&self, before: UnixTime, limit: usize) -> Result<usize, LedgerError> {
        self.ask(|reply| Command::Prune {
            before,
            limit,
            reply,
        })
        .await
    }

    /// The sums over all accounts as committed. Reads the file.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Closed`] or [`LedgerError::Storage`].
    pub fn totals(&self) -> Result<Totals, LedgerError> {
        self.read(tables::totals)
    }

    /// Resolves when all that was recorded and asked before is on disk.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Closed`] or [`LedgerError::Storage`].
    pub async fn flush(&self) -> Result<(), LedgerError> {
        self.ask(|reply| Command::Flush { reply }).await
    }

    /// Writes all that waits and lets go of the file: this handle and all others refuse work
    /// from now on.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Closed`] if it was closed before, [`LedgerError::Storage`].
    pub async fn close(&self) -> Result<(), LedgerError> {
        let flushed = self.flush().await;
        self.0.shared.queue.close();
        // An error is what is waited for: the semaphore never has a place to give.
        let _ = self.0.shared.ended.acquire().await;
        flushed
    }

    #[cfg(test)]
    pub(super) fn free_places(&self) -> usize {
        self.0.shared.queue.free_places()
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let shared = &self.0.shared;
        shared
            .front
            .read(read)
            .map_err(|error| shared.explain(error))
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, LedgerError> {
        let (reply, answer) = Reply::new();
        self.0.shared.queue.push(command(reply)).await?;
        answer.await.map_err(|_| self.0.shared.queue.failure())
    }
}

fn open_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
