//! The disk: one redb file, one thread that writes it, changes grouped into commits.

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use std::path::Path;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Jobs that may wait for the disk before callers have to.
const QUEUE: usize = 256;
/// Jobs that share a commit at most.
const GROUP: usize = 64;

/// The purse could not be read or written: the disk is full, the file is damaged or already open.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the purse's file cannot be used: {0}")]
pub struct StoreError(String);

impl StoreError {
    fn from_redb(error: impl Into<redb::Error>) -> Self {
        match error.into() {
            redb::Error::DatabaseAlreadyOpen => Self("another process has it open".into()),
            other => Self(other.to_string()),
        }
    }

    fn closed() -> Self {
        Self("its thread has ended".into())
    }

    pub(crate) fn damaged(what: impl std::fmt::Display) -> Self {
        Self(what.to_string())
    }
}

/// The tables; all map bytes to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// Coins to spend: by `Y`.
    Coins,
    /// Coins on their way to the `cdk` wallet, which may have them already: by `Y`.
    Lent,
    /// Vouchers that are not settled: by voucher id.
    Vouchers,
    /// Swaps that have been or are about to be sent: by number.
    Swaps,
    /// Signatures on the outputs of callers: by tag.
    Signed,
    /// Coins that were handed out as tokens: by the number of their swap.
    Tokens,
    /// Counters, by name.
    Meta,
}

impl Table {
    const ALL: [Self; 7] = [
        Self::Coins,
        Self::Lent,
        Self::Vouchers,
        Self::Swaps,
        Self::Signed,
        Self::Tokens,
        Self::Meta,
    ];

    const fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(match self {
            Self::Coins => "coins",
            Self::Lent => "lent",
            Self::Vouchers => "vouchers",
            Self::Swaps => "swaps",
            Self::Signed => "signed",
            Self::Tokens => "tokens",
            Self::Meta => "meta",
        })
    }
}

/// One row to put (`Some`) or to remove (`None`).
pub(crate) struct Change {
    table: Table,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

impl Change {
    pub(crate) fn put(table: Table, key: &[u8], value: Vec<u8>) -> Self {
        Self {
            table,
            key: key.to_vec(),
            value: Some(value),
        }
    }

    pub(crate) fn remove(table: Table, key: &[u8]) -> Self {
        Self {
            table,
            key: key.to_vec(),
            value: None,
        }
    }
}

type Answer = Result<(), StoreError>;
type Job = (Vec<Change>, oneshot::Sender<Answer>);

/// A commit that is on its way to the disk. What can be found out again from the mint need not
/// wait for it.
pub(crate) struct Written(oneshot::Receiver<Answer>);

impl Written {
    pub(crate) async fn wait(self) -> Answer {
        self.0.await.map_err(|_| StoreError::closed())?
    }
}

/// One row as it was read.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// The file and its thread. Dropping it waits until everything is written.
pub(crate) struct Store {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the file, and reads all of it: a purse is small.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<(Table, Row)>), StoreError> {
        let database = Database::create(path).map_err(StoreError::from_redb)?;
        let rows = read_all(&database)?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("coinfuse-purse".into())
            .spawn(move || write_all(&database, queue))
            .map_err(|error| StoreError(error.to_string()))?;
        Ok((
            Self {
                jobs: Some(jobs),
                thread: Some(thread),
            },
            rows,
        ))
    }

    /// Hands the changes of one commit to the thread, after all that were given before. The answer
    /// comes when they are on disk. If one commit fails, so does every later one.
    pub(crate) async fn write(&self, changes: Vec<Change>) -> Result<Written, StoreError> {
        let (done, answer) = oneshot::channel();
        self.send((changes, done)).await?;
        Ok(Written(answer))
    }

    #[cfg(test)]
    async fn commit(&self, changes: Vec<Change>) -> Answer {
        self.write(changes).await?.wait().await
    }

    async fn send(&self, job: Job) -> Answer {
        let jobs = self.jobs.as_ref().ok_or_else(StoreError::closed)?;
        jobs.send(job).await.map_err(|_| StoreError::closed())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read_all(database: &Database) -> Result<Vec<(Table, Row)>, StoreError> {
    let mut rows = Vec::new();
    let reading = database.begin_read().map_err(StoreError::from_redb)?;
    for table in Table::ALL {
        match reading.open_table(table.definition()) {
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(StoreError::from_redb(error)),
            Ok(open) => {
                for row in open.iter().map_err(StoreError::from_redb)? {
                    let (key, value) = row.map_err(StoreError::from_redb)?;
                    rows.push((table, (key.value().to_vec(), value.value().to_vec())));
                }
            }
        }
    }
    Ok(rows)
}

fn write_all(database: &Database, mut queue: mpsc::Receiver<Job>) {
    let mut health: Answer = Ok(());
    let mut group = Vec::with_capacity(GROUP);
    while queue.blocking_recv_many(&mut group, GROUP) > 0 {
        if health.is_ok() {
            health = write_group(database, &group);
        }
        for (_, done) in group.drain(..) {
            // Nobody may be waiting.
            let _ = done.send(health.clone());
        }
    }
}

fn write_group(database: &Database, group: &[Job]) -> Answer {
    let writing = database.begin_write().map_err(StoreError::from_redb)?;
    for change in group.iter().flat_map(|(changes, _)| changes) {
        let mut table = writing
            .open_table(change.table.definition())
            .map_err(StoreError::from_redb)?;
        match &change.value {
            Some(value) => table.insert(&*change.key, &**value).map(|_| ()),
            None => table.remove(&*change.key).map(|_| ()),
        }
        .map_err(StoreError::from_redb)?;
    }
    writing.commit().map_err(StoreError::from_redb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_written_is_there_after_reopening_also_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("purse.redb");
        let (store, rows) = Store::open(&path).unwrap();
        assert!(rows.is_empty());
        store
            .commit(vec![Change::put(Table::Coins, b"a", b"1".to_vec())])
            .await
            .unwrap();
        store
            .write(vec![Change::put(Table::Meta, b"b", b"2".to_vec())])
            .await
            .unwrap();
        store
            .write(vec![Change::remove(Table::Coins, b"a")])
            .await
            .unwrap();
        drop(store);

        let (_store, rows) = Store::open(&path).unwrap();
        assert_eq!(rows, [(Table::Meta, (b"b".to_vec(), b"2".to_vec()))]);
    }
}
