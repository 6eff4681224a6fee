//! Which circuit uses which account.
//!
//! An account's credit is with one circuit at a time. A client whose connection was lost comes back
//! on a new circuit before the relay has noticed; the new one takes over, with all that is left.
//!
//! It takes over with its first record, not with its handshake: whoever carried a handshake before
//! can send it again, and only the client itself can go on from the answer.

use super::cell::Cell;
use crate::store::{AccountKey, Ledger, LedgerError};
use coinfuse_circuit::{AccountId, CloseReason};
use coinfuse_wire::Msat;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The accounts in use.
#[derive(Clone)]
pub(super) struct Accounts {
    ledger: Ledger,
    users: Arc<Mutex<HashMap<AccountId, Weak<Cell>>>>,
}

/// An account's credit, with one circuit.
pub(super) struct Lease {
    ledger: Ledger,
    id: AccountId,
    account: AccountKey,
    /// What was used before this circuit.
    base: Msat,
    recorded: Msat,
}

impl Accounts {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            users: Arc::default(),
        }
    }

    /// What is left on an account now, and the right to ask for it with [`Self::take_over`].
    pub(super) fn lease(&self, account: AccountId) -> Result<(Lease, Msat), LedgerError> {
        let user = self.users().get(&account).and_then(Weak::upgrade);
        if let Some(cell) = user {
            cell.record_use();
        }
        let key = AccountKey::new(*account.as_bytes());
        let balance = self.ledger.load(&key)?;
        let lease = Lease {
            ledger: self.ledger.clone(),
            id: account,
            account: key,
            base: balance.used,
            recorded: balance.used,
        };
        Ok((lease, balance.available()))
    }

    /// Gives an account to `cell`, which has shown that it is its client's; the circuit that used
    /// it ends. False if something was used up since the lease began: then the credit that `cell`
    /// was welcomed with is not there, and its client has to come again.
    pub(super) fn take_over(&self, account: AccountId, base: Msat, cell: &Arc<Cell>) -> bool {
        let before = self.users().insert(account, Arc::downgrade(cell));
        if let Some(before) = before.and_then(|cell| cell.upgrade()) {
            before.close(CloseReason::AccountMoved);
        }
        let key = AccountKey::new(*account.as_bytes());
        self.ledger
            .load(&key)
            .is_ok_and(|balance| balance.used == base)
    }

    /// Tells the ledger what every circuit has used; forgets those that are gone.
    pub(super) fn record_all(&self) {
        let cells: Vec<_> = {
            let mut users = self.users();
            users.retain(|_, cell| cell.strong_count() > 0);
            users.values().filter_map(Weak::upgrade).collect()
        };
        cells.iter().for_each(|cell| cell.record_use());
    }

    fn users(&self) -> MutexGuard<'_, HashMap<AccountId, Weak<Cell>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    pub(super) fn account(&self) -> AccountId {
        self.id
    }

    /// What was used of the account before this circuit.
    pub(super) fn base(&self) -> Msat {
        self.base
    }

    /// Notes what the circuit has used since it began.
    pub(super) fn record(&mut self, used: Msat) {
        let total = self.base.saturating_add(used);
        if total > self.recorded {
            self.recorded = total;
            self.ledger.record_use(self.account, total);
        }
    }
}
