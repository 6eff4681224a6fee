//! What a client has spent over all its runs, so that its cap holds across restarts.

use crate::client::Client;
use coinfuse_wire::Msat;
use core::time::Duration;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::sleep;

/// A file with one number, msat in decimal. It is written each second in which something was
/// spent, which is what `kill -9` can make it forget.
pub(super) struct SpendingRecord {
    path: PathBuf,
    before: Msat,
    /// What the file says.
    written: AtomicU64,
}

impl SpendingRecord {
    /// Reads the file; none is nothing spent. One that holds no number is an error, since to take
    /// it for nothing would lift the cap.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let before = match fs::read_to_string(path) {
            Ok(text) => text.trim().parse().map_err(|_| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "expected a number of msat; write 0 to count from the beginning",
                )
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(Self {
            path: path.to_owned(),
            before: Msat::new(before),
            written: AtomicU64::new(before),
        })
    }

    /// What was spent in earlier runs.
    pub(super) fn before(&self) -> Msat {
        self.before
    }

    /// Notes what `client` spends, for ever.
    pub(super) async fn follow(&self, client: &Client) {
        loop {
            sleep(Duration::from_secs(1)).await;
            self.note(client.spent());
        }
    }

    /// Writes the sum down, if it has changed.
    pub(super) fn note(&self, spent: Msat) {
        let total = self.before.saturating_add(spent).get();
        if total == self.written.load(Ordering::Relaxed) {
            return;
        }
        match self.write(total) {
            Ok(()) => self.written.store(total, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "what was spent could not be written down"),
        }
    }

    /// Whole or not at all.
    fn write(&self, total: u64) -> io::Result<()> {
        let new = self.path.with_extension("new");
        fs::write(&new, format!("{total}\n"))?;
        fs::rename(&new, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_goes_on_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spent");
        let first = SpendingRecord::open(&path).unwrap();
        assert_eq!(first.before(), Msat::ZERO);
        first.note(Msat::new(70));
        first.note(Msat::new(75));
        let second = SpendingRecord::open(&path).unwrap();
        assert_eq!(second.before(), Msat::new(75));
        second.note(Msat::new(5));
        assert_eq!(SpendingRecord::open(&path).unwrap().before(), Msat::new(80));
    }

    #[test]
    fn a_file_that_is_no_number_does_not_lift_the_cap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spent");
        fs::write(&path, "much").unwrap();
        let error = SpendingRecord::open(&path).err().unwrap();
        assert!(
            error.to_string().contains("expected a number of msat"),
            "{error}"
        );
    }
}
