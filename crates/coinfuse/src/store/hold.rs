//! Vouchers in flight: seen by a circuit, not yet on disk.

use super::queue::{Command, Queue, Reply};
use super::tables;
use super::types::{AccountKey, CollectedVoucher, Credit, LedgerError, Outlook, VoucherKey};
use coinfuse_wire::Msat;
use core::fmt;
use redb::Database;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// The side of the ledger that answers at once.
pub(super) struct Front(Mutex<State>);

struct State {
    /// `None` once the ledger is closed.
    db: Option<Arc<Database>>,
    in_flight: HashMap<VoucherKey, AccountKey>,
}

impl Front {
    pub(super) fn new(db: Arc<Database>) -> Self {
        Self(Mutex::new(State {
            db: Some(db),
            in_flight: HashMap::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the file.
    pub(super) fn close(&self) {
        self.lock().db = None;
    }

    /// Runs `read` on the database.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let db = self.lock().db.clone().ok_or(LedgerError::Closed)?;
        read(&db)
    }

    /// Judges each voucher and holds the fresh ones. The lock is kept over the look into the file:
    /// a hold ends only after its commit is visible there, so nothing falls between the two.
    fn hold(
        &self,
        account: AccountKey,
        vouchers: &[CollectedVoucher],
    ) -> Result<Vec<Outlook>, LedgerError> {
        let mut state = self.lock();
        let db = state.db.clone().ok_or(LedgerError::Closed)?;
        let owners = tables::owners(&db, vouchers.iter().map(|voucher| &voucher.key))?;
        let judge = |(voucher, owner): (&CollectedVoucher, Option<AccountKey>)| match owner {
            Some(owner) if owner == account => Outlook::AlreadyCredited,
            Some(_) => Outlook::Spent,
            None => match state.in_flight.entry(voucher.key) {
                Entry::Vacant(free) => {
                    free.insert(account);
                    Outlook::Fresh
                }
                Entry::Occupied(holder) if *holder.get() == account => Outlook::Pending,
                Entry::Occupied(_) => Outlook::Spent,
            },
        };
        Ok(vouchers.iter().zip(owners).map(judge).collect())
    }

    fn release(&self, keys: impl Iterator<Item = VoucherKey>) {
        let mut state = self.lock();
        for key in keys {
            state.in_flight.remove(&key);
        }
    }
}

/// What the handles and the storage thread share.
pub(super) struct Shared {
    pub(super) front: Front,
    pub(super) queue: Queue,
    /// Has no places and is closed when the storage thread has let go of the file.
    pub(super) ended: Semaphore,
}

impl Shared {
    /// Instead of *closed*: what it was closed by, if it was by a failure.
    pub(super) fn explain(&self, error: LedgerError) -> LedgerError {
        match error {
            LedgerError::Closed => self.queue.failure(),
            other => other,
        }
    }
}

/// Vouchers that are held for one account until they are committed or this is dropped.
///
/// Dropping it credits nothing and frees the vouchers for another attempt.
#[must_use = "a reservation credits nothing until it is committed"]
pub struct Reservation {
    shared: Arc<Shared>,
    account: AccountKey,
    vouchers: Vec<CollectedVoucher>,
    outlook: Vec<Outlook>,
}

impl Reservation {
    pub(super) fn new(
        shared: Arc<Shared>,
        account: AccountKey,
        vouchers: Vec<CollectedVoucher>,
    ) -> Result<Self, LedgerError> {
        let outlook = shared
            .front
            .hold(account, &vouchers)
            .map_err(|e| shared.explain(e))?;
        Ok(Self {
            shared,
            account,
            vouchers,
            outlook,
        })
    }

    /// What is known of each voucher so far, in the order in which they were given.
    pub fn outlook(&self) -> &[Outlook] {
        &self.outlook
    }

    /// What each voucher is worth, in the order in which they were given.
    pub fn values(&self) -> Vec<Msat> {
        self.vouchers.iter().map(|voucher| voucher.value).collect()
    }

    /// What the fresh vouchers are worth: the most that may be served ahead of the commit.
    pub fn fresh(&self) -> Msat {
        let fresh = |(voucher, outlook): (&CollectedVoucher, &Outlook)| {
            (*outlook == Outlook::Fresh).then_some(voucher.value)
        };
        self.vouchers
            .iter()
            .zip(&self.outlook)
            .filter_map(fresh)
            .sum()
    }

    /// Credits the vouchers; resolves when that is on disk.
    ///
    /// Once it was polled it is carried out even if the caller goes away. Each voucher is
    /// judged again by what is on disk then, so the outcomes are final.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Storage`] or [`LedgerError::Closed`]: nothing was acknowledged, and the
    /// client should present the vouchers again later.
    pub async fn commit(self) -> Result<Credit, LedgerError> {
        let shared = Arc::clone(&self.shared);
        let (reply, answer) = Reply::new();
        shared
            .queue
            .push(Command::Credit {
                reservation: self,
                reply,
            })
            .await?;
        answer.await.map_err(|_| shared.queue.failure())
    }

    pub(super) fn account(&self) -> &AccountKey {
        &self.account
    }

    pub(super) fn vouchers(&self) -> impl Iterator<Item = (&CollectedVoucher, Outlook)> {
        self.vouchers.iter().zip(self.outlook.iter().copied())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let fresh = self
            .vouchers()
            .filter(|(_, outlook)| *outlook == Outlook::Fresh);
        self.shared
            .front
            .release(fresh.map(|(voucher, _)| voucher.key));
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("outlook", &self.outlook)
            .finish_non_exhaustive()
    }
}
