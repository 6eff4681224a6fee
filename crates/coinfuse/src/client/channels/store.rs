//! The file of the channels: rows that their machines write and read back.

use super::error::ChannelStoreError;
use super::owner::Owner;
use coinfuse_channel::{ChannelId, Row};
use coinfuse_wire::{Decode, Encode};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// The machines' rows: by channel and part.
const ROWS: TableDefinition<'static, (&[u8; 32], u8), &[u8]> = TableDefinition::new("rows");
/// Whose the channels are: by channel.
const OWNERS: TableDefinition<'static, &[u8; 32], &[u8]> = TableDefinition::new("owners");
/// Memory for cached pages, in bytes: a client has few channels.
const CACHE: usize = 1 << 20;

/// A channel as it was written down.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) id: ChannelId,
    pub(super) owner: Owner,
    pub(super) rows: Vec<(u8, Vec<u8>)>,
}

/// A handle to the file. Every write is on disk when it returns.
#[derive(Clone)]
pub(super) struct Store(Arc<RwLock<Option<Database>>>);

impl Store {
    /// Opens the file, readable for its owner only, or makes it.
    pub(super) async fn open(path: &Path) -> Result<Self, ChannelStoreError> {
        let path = path.to_owned();
        let open = move || {
            let file = open_private(&path).map_err(ChannelStoreError::new)?;
            let mut builder = redb::Builder::new();
            builder.set_cache_size(CACHE);
            let db = builder.create_file(file).map_err(ChannelStoreError::new)?;
            make_tables(&db).map_err(ChannelStoreError::new)?;
            Ok(Self(Arc::new(RwLock::new(Some(db)))))
        };
        blocking(open).await
    }

    /// Writes a row.
    pub(super) async fn write(&self, row: Row) -> Result<(), ChannelStoreError> {
        self.work(move |db| write(db, &row, None)).await
    }

    /// Writes the first row of a channel, and whose it is.
    pub(super) async fn create(&self, row: Row, owner: Owner) -> Result<(), ChannelStoreError> {
        self.work(move |db| write(db, &row, Some(&owner))).await
    }

    /// Forgets a channel.
    pub(super) async fn erase(&self, id: ChannelId) -> Result<(), ChannelStoreError> {
        self.work(move |db| erase(db, &id)).await
    }

    /// All channels, in the order of their names.
    pub(super) async fn load(&self) -> Result<Vec<Stored>, ChannelStoreError> {
        self.work(load).await
    }

    /// Releases the file when all that was asked before is done; nothing works afterwards.
    pub(super) async fn close(&self) {
        let store = Arc::clone(&self.0);
        let close = move || {
            drop(store.write().unwrap_or_else(PoisonError::into_inner).take());
            Ok(())
        };
        // The runtime is ending if this fails, and the file is released by that.
        let _ending = blocking(close).await;
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, ChannelStoreError> {
        let store = Arc::clone(&self.0);
        blocking(move || {
            let db = store.read().unwrap_or_else(PoisonError::into_inner);
            let db = db.as_ref().ok_or_else(ChannelStoreError::closed)?;
            work(db).map_err(ChannelStoreError::new)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ChannelStoreError> + Send + 'static,
) -> Result<T, ChannelStoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(ChannelStoreError::new(error)))
}

fn open_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn make_tables(db: &Database) -> Result<(), redb::Error> {
    let txn = db.begin_write()?;
    txn.open_table(ROWS)?;
    txn.open_table(OWNERS)?;
    Ok(txn.commit()?)
}

fn write(db: &Database, row: &Row, owner: Option<&Owner>) -> Result<(), redb::Error> {
    let id = row.channel.as_bytes();
    let txn = db.begin_write()?;
    txn.open_table(ROWS)?
        .insert((id, row.part), row.bytes.as_slice())?;
    if let Some(owner) = owner {
        txn.open_table(OWNERS)?
            .insert(id, owner.to_bytes().as_slice())?;
    }
    Ok(txn.commit()?)
}

fn erase(db: &Database, id: &ChannelId) -> Result<(), redb::Error> {
    let id = id.as_bytes();
    let txn = db.begin_write()?;
    txn.open_table(ROWS)?
        .retain_in((id, 0)..=(id, u8::MAX), |_, _| false)?;
    txn.open_table(OWNERS)?.remove(id)?;
    Ok(txn.commit()?)
}

fn load(db: &Database) -> Result<Vec<Stored>, redb::Error> {
    let txn = db.begin_read()?;
    let mut rows: BTreeMap<[u8; 32], Vec<(u8, Vec<u8>)>> = BTreeMap::new();
    for row in txn.open_table(ROWS)?.iter()? {
        let (key, bytes) = row?;
        let (id, part) = key.value();
        let parts = rows.entry(*id).or_default();
        parts.push((part, bytes.value().to_vec()));
    }
    let mut stored = Vec::new();
    for owner in txn.open_table(OWNERS)?.iter()? {
        let (id, owner) = owner?;
        let owner = Owner::from_bytes(owner.value());
        let owner = owner.map_err(|error| redb::Error::Corrupted(error.to_string()))?;
        stored.push(Stored {
            id: ChannelId::new(*id.value()),
            owner,
            rows: rows.remove(id.value()).unwrap_or_default(),
        });
    }
    Ok(stored)
}
