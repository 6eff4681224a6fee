//! The tables of the file and what is done to them inside one transaction.

use super::channel::{ChannelTotals, ChannelWrite};
use super::channel_tables::{Change, ChannelTables};
use super::types::{
    AccountKey, Balance, CollectedVoucher, LedgerError, Outcome, PacketTotals, Totals, VoucherKey,
};
use coinfuse_wire::{Msat, UnixTime};
use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};
use std::collections::BTreeMap;

/// Account to (credited, used), msat.
const ACCOUNTS: TableDefinition<'_, &[u8; 32], (u64, u64)> = TableDefinition::new("accounts");
/// Voucher to the account that has it.
const SPENT: TableDefinition<'_, &[u8; 32], &[u8; 32]> = TableDefinition::new("spent");
/// (locktime, voucher): the spent set in the order in which it may be forgotten.
const EXPIRY: TableDefinition<'_, (u64, &[u8; 32]), ()> = TableDefinition::new("expiry");
/// Voucher to (value in msat, locktime, bytes), until it has been redeemed.
const COLLECTED: TableDefinition<'_, &[u8; 32], (u64, u64, &[u8])> =
    TableDefinition::new("collected");
/// Name to sum; see [`Totals`].
const TOTALS: TableDefinition<'_, &str, u64> = TableDefinition::new("totals");

const CREDITED: &str = "credited";
const USED: &str = "used";
const REDEEMED: &str = "redeemed";
const VOUCHERS: &str = "vouchers";
const PACKETS: &str = "packets";
const PACKET_FEES: &str = "packet fees";
const OPENED: &str = "channels opened";
const UPDATES: &str = "channel updates";
const CLOSED: &str = "channels closed";
const PAID: &str = "channels paid";
const SETTLED: &str = "channels settled";
const FEES: &str = "channel fees";

type Result<T> = core::result::Result<T, redb::Error>;

/// Makes the tables of a new file, so that readers find them.
pub(super) fn create(db: &Database) -> Result<()> {
    let txn = db.begin_write()?;
    Tables::open(&txn)?.finish()?;
    Ok(txn.commit()?)
}

/// Every table, open for writing in one transaction.
pub(super) struct Tables<'t> {
    accounts: Table<'t, &'static [u8; 32], (u64, u64)>,
    spent: Table<'t, &'static [u8; 32], &'static [u8; 32]>,
    expiry: Table<'t, (u64, &'static [u8; 32]), ()>,
    collected: Table<'t, &'static [u8; 32], (u64, u64, &'static [u8])>,
    channels: ChannelTables<'t>,
    totals: Table<'t, &'static str, u64>,
    /// What this transaction adds to the totals: one write per name instead of one per command.
    sums: BTreeMap<&'static str, u64>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(txn: &'t WriteTransaction) -> Result<Self> {
        Ok(Self {
            accounts: txn.open_table(ACCOUNTS)?,
            spent: txn.open_table(SPENT)?,
            expiry: txn.open_table(EXPIRY)?,
            collected: txn.open_table(COLLECTED)?,
            channels: ChannelTables::open(txn)?,
            totals: txn.open_table(TOTALS)?,
            sums: BTreeMap::new(),
        })
    }

    /// Writes what was kept back. To be called before the transaction is committed.
    pub(super) fn finish(mut self) -> Result<()> {
        for (name, more) in self.sums {
            let sum = self.totals.get(name)?.map_or(0, |row| row.value());
            self.totals.insert(name, sum.saturating_add(more))?;
        }
        Ok(())
    }

    /// Takes one voucher for `account`, unless somebody has it.
    pub(super) fn take(
        &mut self,
        account: &AccountKey,
        voucher: &CollectedVoucher,
    ) -> Result<Outcome> {
        let key = voucher.key.as_bytes();
        if let Some(owner) = self.spent.get(key)? {
            let same = owner.value() == account.as_bytes();
            return Ok(if same {
                Outcome::AlreadyCredited
            } else {
                Outcome::Spent
            });
        }
        self.spent.insert(key, account.as_bytes())?;
        self.expiry.insert((voucher.locktime.secs(), key), ())?;
        let row = (
            voucher.value.get(),
            voucher.locktime.secs(),
            voucher.bytes.as_slice(),
        );
        self.collected.insert(key, row)?;
        self.add(VOUCHERS, 1);
        Ok(Outcome::Credited)
    }

    /// Takes one voucher for a packet, unless anybody has it; true if it was taken now.
    pub(super) fn collect(&mut self, voucher: &CollectedVoucher) -> Result<bool> {
        let taken = self.take(&AccountKey::PACKETS, voucher)? == Outcome::Credited;
        if taken {
            for name in [CREDITED, USED, PACKET_FEES] {
                self.add(name, voucher.value.get());
            }
            self.add(PACKETS, 1);
        }
        Ok(taken)
    }

    /// Adds what vouchers are worth to an account's credit.
    pub(super) fn credit(&mut self, account: &AccountKey, value: Msat) -> Result<Balance> {
        self.add(CREDITED, value.get());
        self.raise_credit(account, value)
    }

    /// Applies a channel's transition and credits its account, or says why not.
    pub(super) fn write_channel(
        &mut self,
        write: &ChannelWrite,
    ) -> Result<core::result::Result<Balance, LedgerError>> {
        match self.channels.write(write)? {
            Ok(change) => {
                self.count(&change);
                self.raise_credit(&write.account, change.credit).map(Ok)
            }
            Err(refused) => Ok(Err(refused)),
        }
    }

    fn count(&mut self, change: &Change) {
        self.add(OPENED, change.opened.into());
        self.add(UPDATES, (!change.credit.is_zero()).into());
        self.add(PAID, change.credit.get());
        if let Some(settlement) = change.settled {
            self.add(CLOSED, 1);
            self.add(SETTLED, settlement.received.get());
            self.add(FEES, settlement.fees.get());
        }
    }

    /// Forgets up to `limit` settled channels that expired before `before`, oldest first.
    pub(super) fn forget_channels(&mut self, before: UnixTime, limit: usize) -> Result<usize> {
        self.channels.forget(before, limit)
    }

    /// Adds to an account's credit; a new account begins here.
    fn raise_credit(&mut self, account: &AccountKey, value: Msat) -> Result<Balance> {
        let mut balance = self.balance(account)?;
        if !value.is_zero() {
            balance.credited = balance.credited.saturating_add(value);
            self.put(account, &balance)?;
        }
        Ok(balance)
    }

    /// Raises what an account has used to `used`; a smaller number is old news.
    pub(super) fn raise_use(&mut self, account: &AccountKey, used: Msat) -> Result<()> {
        let mut balance = self.balance(account)?;
        if let Some(more) = used
            .checked_sub(balance.used)
            .filter(|more| !more.is_zero())
        {
            balance.used = used;
            self.put(account, &balance)?;
            self.add(USED, more.get());
        }
        Ok(())
    }

    /// Notes that a voucher has been redeemed. Doing it twice changes nothing.
    pub(super) fn redeemed(&mut self, key: &VoucherKey) -> Result<()> {
        let value = self
            .collected
            .remove(key.as_bytes())?
            .map(|row| row.value().0);
        if let Some(value) = value {
            self.add(REDEEMED, value);
        }
        Ok(())
    }

    /// Forgets up to `limit` spent vouchers whose lock ended before `before`, oldest first. One
    /// that was never redeemed stays in the collected table.
    pub(super) fn prune(&mut self, before: UnixTime, limit: usize) -> Result<usize> {
        let mut old = Vec::new();
        for row in self.expiry.range(..(before.secs(), &[0; 32]))?.take(limit) {
            let entry = row?.0;
            let (locktime, key) = entry.value();
            old.push((locktime, *key));
        }
        for (locktime, key) in &old {
            self.expiry.remove((*locktime, key))?;
            self.spent.remove(key)?;
        }
        Ok(old.len())
    }

    fn balance(&self, account: &AccountKey) -> Result<Balance> {
        read_balance(&self.accounts, account)
    }

    fn put(&mut self, account: &AccountKey, balance: &Balance) -> Result<()> {
        let row = (balance.credited.get(), balance.used.get());
        self.accounts.insert(account.as_bytes(), row)?;
        Ok(())
    }

    fn add(&mut self, name: &'static str, more: u64) {
        if more > 0 {
            let sum = self.sums.entry(name).or_default();
            *sum = sum.saturating_add(more);
        }
    }
}

fn read_balance(
    accounts: &impl ReadableTable<&'static [u8; 32], (u64, u64)>,
    account: &AccountKey,
) -> Result<Balance> {
    let row = accounts
        .get(account.as_bytes())?
        .map_or((0, 0), |row| row.value());
    Ok(Balance {
        credited: Msat::new(row.0),
        used: Msat::new(row.1),
    })
}

/// An account as it was last committed; a new one is empty.
pub(super) fn balance(
    db: &Database,
    account: &AccountKey,
) -> core::result::Result<Balance, LedgerError> {
    let read = || read_balance(&db.begin_read()?.open_table(ACCOUNTS)?, account);
    read().map_err(LedgerError::storage)
}

/// Who has each voucher, as last committed.
pub(super) fn owners<'k>(
    db: &Database,
    keys: impl Iterator<Item = &'k VoucherKey>,
) -> core::result::Result<Vec<Option<AccountKey>>, LedgerError> {
    let read = || -> Result<Vec<_>> {
        let spent = db.begin_read()?.open_table(SPENT)?;
        keys.map(|key| {
            let owner = ReadableTable::get(&spent, key.as_bytes())?;
            Ok(owner.map(|owner| AccountKey::new(*owner.value())))
        })
        .collect()
    };
    read().map_err(LedgerError::storage)
}

/// Up to `limit` vouchers that wait to be redeemed.
pub(super) fn collected(
    db: &Database,
    limit: usize,
) -> core::result::Result<Vec<CollectedVoucher>, LedgerError> {
    let read = || -> Result<Vec<_>> {
        let table = db.begin_read()?.open_table(COLLECTED)?;
        let rows = ReadableTable::iter(&table)?;
        rows.take(limit)
            .map(|row| {
                let (key, row) = row?;
                let (value, locktime, bytes) = row.value();
                Ok(CollectedVoucher {
                    key: VoucherKey::new(*key.value()),
                    value: Msat::new(value),
                    locktime: UnixTime::from_secs(locktime),
                    bytes: bytes.to_vec(),
                })
            })
            .collect()
    };
    read().map_err(LedgerError::storage)
}

/// The sums as last committed.
pub(super) fn totals(db: &Database) -> core::result::Result<Totals, LedgerError> {
    let read = || -> Result<Totals> {
        let table = db.begin_read()?.open_table(TOTALS)?;
        let sum = |name| -> Result<u64> {
            Ok(ReadableTable::get(&table, name)?.map_or(0, |row| row.value()))
        };
        Ok(Totals {
            credited: Msat::new(sum(CREDITED)?),
            used: Msat::new(sum(USED)?),
            redeemed: Msat::new(sum(REDEEMED)?),
            vouchers: sum(VOUCHERS)?,
            packets: PacketTotals {
                taken: sum(PACKETS)?,
                fees: Msat::new(sum(PACKET_FEES)?),
            },
            channels: ChannelTotals {
                opened: sum(OPENED)?,
                updates: sum(UPDATES)?,
                closed: sum(CLOSED)?,
                paid: Msat::new(sum(PAID)?),
                settled: Msat::new(sum(SETTLED)?),
                fees: Msat::new(sum(FEES)?),
            },
        })
    };
    read().map_err(LedgerError::storage)
}
