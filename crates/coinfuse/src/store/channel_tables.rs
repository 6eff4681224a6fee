//! The channels' tables and what is done to them inside one transaction.

use super::channel::{
    ChannelRecord, ChannelStage, ChannelWrite, Settlement, StageKind, StoredChannel,
};
use super::types::{AccountKey, ChannelKey, LedgerError};
use coinfuse_wire::{Msat, UnixTime};
use core::ops::Bound;
use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};

/// (channel, part) to what the channel's machine wrote.
const ROWS: TableDefinition<'_, (&[u8; 32], u8), &[u8]> = TableDefinition::new("channel rows");
/// Channel to its [`Row`].
const RECORDS: TableDefinition<'_, &[u8; 32], Row<'_>> = TableDefinition::new("channels");
/// (stage, expiry, channel): every channel, in the order in which settling and forgetting go.
const BY_EXPIRY: TableDefinition<'_, Place<'_>, ()> = TableDefinition::new("channel expiry");

/// (account, credited in msat, expiry, stage, received in msat, fees in msat)
type Row<'a> = (&'a [u8; 32], u64, u64, u8, u64, u64);
/// See [`BY_EXPIRY`].
type Place<'a> = (u8, u64, &'a [u8; 32]);
type Result<T> = core::result::Result<T, redb::Error>;

/// The channels' tables, open for writing in one transaction.
pub(super) struct ChannelTables<'t> {
    rows: Table<'t, (&'static [u8; 32], u8), &'static [u8]>,
    records: Table<'t, &'static [u8; 32], Row<'static>>,
    by_expiry: Table<'t, Place<'static>, ()>,
}

/// What a write was worth.
pub(super) struct Change {
    /// The channel is new.
    pub(super) opened: bool,
    /// What its account is to be credited.
    pub(super) credit: Msat,
    /// The channel was settled by it.
    pub(super) settled: Option<Settlement>,
}

impl<'t> ChannelTables<'t> {
    pub(super) fn open(txn: &'t WriteTransaction) -> Result<Self> {
        Ok(Self {
            rows: txn.open_table(ROWS)?,
            records: txn.open_table(RECORDS)?,
            by_expiry: txn.open_table(BY_EXPIRY)?,
        })
    }

    /// Applies one transition; a refused one leaves everything as it was.
    pub(super) fn write(
        &mut self,
        write: &ChannelWrite,
    ) -> Result<core::result::Result<Change, LedgerError>> {
        let before = read_record(&self.records, &write.channel)?;
        let after = match advance(before.as_ref(), write) {
            Ok(after) => after,
            Err(refused) => return Ok(Err(refused)),
        };
        let key = write.channel.as_bytes();
        self.rows
            .insert((key, write.part), write.bytes.as_slice())?;
        self.put(before.as_ref(), &after)?;
        Ok(Ok(Change::between(before.as_ref(), &after)))
    }

    /// Touches only the tables in which something changes.
    fn put(&mut self, before: Option<&ChannelRecord>, after: &ChannelRecord) -> Result<()> {
        if before == Some(after) {
            return Ok(());
        }
        self.records.insert(after.channel.as_bytes(), row(after))?;
        if before.map(place) != Some(place(after)) {
            if let Some(before) = before {
                self.by_expiry.remove(place(before))?;
            }
            self.by_expiry.insert(place(after), ())?;
        }
        Ok(())
    }

    /// Forgets up to `limit` settled channels that expired before `before`, oldest first.
    pub(super) fn forget(&mut self, before: UnixTime, limit: usize) -> Result<usize> {
        let old = places(
            &self.by_expiry,
            StageKind::Settled,
            Some(before),
            None,
            limit,
        )?;
        for (expiry, channel) in &old {
            let key = channel.as_bytes();
            self.by_expiry
                .remove((StageKind::Settled as u8, expiry.secs(), key))?;
            self.records.remove(key)?;
            self.rows
                .retain_in((key, 0)..=(key, u8::MAX), |_, _| false)?;
        }
        Ok(old.len())
    }
}

impl Change {
    fn between(before: Option<&ChannelRecord>, after: &ChannelRecord) -> Self {
        let paid = before.map_or(Msat::ZERO, |before| before.credited);
        let was_settled = before.is_some_and(|before| before.stage.kind() == StageKind::Settled);
        Self {
            opened: before.is_none(),
            credit: after.credited.saturating_sub(paid),
            settled: match after.stage {
                ChannelStage::Settled(settlement) if !was_settled => Some(settlement),
                _ => None,
            },
        }
    }
}

/// The channel after `write`, or why that cannot be.
fn advance(
    before: Option<&ChannelRecord>,
    write: &ChannelWrite,
) -> core::result::Result<ChannelRecord, LedgerError> {
    let mut after = ChannelRecord {
        channel: write.channel,
        account: write.account,
        credited: write.credited,
        expiry: write.expiry,
        stage: write.stage,
    };
    let Some(before) = before else {
        return Ok(after);
    };
    if before.account != write.account {
        return Err(LedgerError::OtherAccount);
    }
    after.credited = write.credited.max(before.credited);
    if before.stage.kind() == StageKind::Settled {
        // Its money has been counted; more than that would be credited for nothing.
        if write.stage.kind() != StageKind::Settled || after.credited != before.credited {
            return Err(LedgerError::ChannelSettled);
        }
        after.stage = before.stage;
    }
    Ok(after)
}

fn place(record: &ChannelRecord) -> Place<'_> {
    let stage = record.stage.kind() as u8;
    (stage, record.expiry.secs(), record.channel.as_bytes())
}

fn row(record: &ChannelRecord) -> Row<'_> {
    let settlement = match record.stage {
        ChannelStage::Settled(settlement) => settlement,
        ChannelStage::Open | ChannelStage::Closing => Settlement::default(),
    };
    (
        record.account.as_bytes(),
        record.credited.get(),
        record.expiry.secs(),
        record.stage.kind() as u8,
        settlement.received.get(),
        settlement.fees.get(),
    )
}

fn record(channel: &ChannelKey, row: Row<'_>) -> Result<ChannelRecord> {
    let (account, credited, expiry, stage, received, fees) = row;
    let stage = match stage {
        0 => ChannelStage::Open,
        1 => ChannelStage::Closing,
        2 => ChannelStage::Settled(Settlement {
            received: Msat::new(received),
            fees: Msat::new(fees),
        }),
        other => return Err(damaged(format!("a channel in stage {other}"))),
    };
    Ok(ChannelRecord {
        channel: *channel,
        account: AccountKey::new(*account),
        credited: Msat::new(credited),
        expiry: UnixTime::from_secs(expiry),
        stage,
    })
}

fn damaged(what: String) -> redb::Error {
    redb::Error::Corrupted(what)
}

fn read_record(
    records: &impl ReadableTable<&'static [u8; 32], Row<'static>>,
    channel: &ChannelKey,
) -> Result<Option<ChannelRecord>> {
    let row = records.get(channel.as_bytes())?;
    row.map(|row| record(channel, row.value())).transpose()
}

/// Up to `limit` entries of one stage, those that expire first at the front.
fn places(
    table: &impl ReadableTable<Place<'static>, ()>,
    stage: StageKind,
    before: Option<UnixTime>,
    after: Option<&ChannelRecord>,
    limit: usize,
) -> Result<Vec<(UnixTime, ChannelKey)>> {
    let stage = stage as u8;
    let start = match after {
        Some(last) => (stage, last.expiry.secs(), last.channel.as_bytes()),
        None => (stage, 0, &[0; 32]),
    };
    let end = match before {
        Some(before) => (stage, before.secs(), &[0; 32]),
        None => (stage + 1, 0, &[0; 32]),
    };
    let from = match after {
        Some(_) => Bound::Excluded(start),
        None => Bound::Included(start),
    };
    let range = table.range::<Place<'_>>((from, Bound::Excluded(end)))?;
    range
        .take(limit)
        .map(|entry| {
            let key = entry?.0;
            let (_, expiry, channel) = key.value();
            Ok((UnixTime::from_secs(expiry), ChannelKey::new(*channel)))
        })
        .collect()
}

/// One channel as last committed.
pub(super) fn channel(
    db: &Database,
    channel: &ChannelKey,
) -> core::result::Result<Option<StoredChannel>, LedgerError> {
    let read = || -> Result<_> {
        let txn = db.begin_read()?;
        let Some(record) = read_record(&txn.open_table(RECORDS)?, channel)? else {
            return Ok(None);
        };
        let (first, last) = ((channel.as_bytes(), 0), (channel.as_bytes(), u8::MAX));
        let table = txn.open_table(ROWS)?;
        let rows = ReadableTable::range(&table, first..=last)?.map(|row| {
            let (key, bytes) = row?;
            Ok((key.value().1, bytes.value().to_vec()))
        });
        let rows = rows.collect::<Result<_>>()?;
        Ok(Some(StoredChannel { record, rows }))
    };
    read().map_err(LedgerError::storage)
}

/// Up to `limit` channels of one stage as last committed, those that expire first at the front.
pub(super) fn channels(
    db: &Database,
    stage: StageKind,
    before: Option<UnixTime>,
    after: Option<&ChannelRecord>,
    limit: usize,
) -> core::result::Result<Vec<ChannelRecord>, LedgerError> {
    let read = || -> Result<Vec<_>> {
        let txn = db.begin_read()?;
        let records = txn.open_table(RECORDS)?;
        let found = places(&txn.open_table(BY_EXPIRY)?, stage, before, after, limit)?;
        let look_up = |(_, channel): &(UnixTime, ChannelKey)| {
            read_record(&records, channel)?
                .ok_or_else(|| damaged("an expiry of no channel".to_owned()))
        };
        found.iter().map(look_up).collect()
    };
    read().map_err(LedgerError::storage)
}
