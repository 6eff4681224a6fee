//! The directory file, read again when it changes.

use crate::clock::Clock;
use coinfuse_directory::{Directory, DirectoryFile};
use core::time::Duration;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use thiserror::Error;
use tokio::time::{Instant, sleep_until};

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(2);
/// The longest file that is read: 20,000 relays at 5.5 KiB a line.
const MAX_BYTES: u64 = 128 << 20;

/// Why there is no directory; for the user to act on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// There is no file.
    #[error(
        "nothing says who the relays are: name a peer to ask under `bootstrap` (`relay peers` prints \
         what to write), or put the relays' descriptors into the directory file {}, one on each line \
         (`relay descriptor` prints them)",
        .0.display()
    )]
    Missing(PathBuf),
    /// It is longer than any directory is.
    #[error("the directory file {} is longer than {MAX_BYTES} bytes", .0.display())]
    TooLong(PathBuf),
    /// It cannot be read.
    #[error("the directory file {} cannot be read: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Which version of the file was read.
type Version = (Option<SystemTime>, u64);

pub(super) struct DirectoryWatch {
    path: PathBuf,
    clock: Clock,
    version: Version,
    next_look: Instant,
}

impl DirectoryWatch {
    /// Has not read anything yet.
    pub(super) fn new(path: &Path, clock: Clock) -> Self {
        Self {
            path: path.to_owned(),
            clock,
            version: Version::default(),
            next_look: Instant::now() + EVERY,
        }
    }

    /// Waits for a new version that can be read. To be dropped and called again loses nothing.
    pub(super) async fn changed(&mut self) -> Directory {
        loop {
            sleep_until(self.next_look).await;
            self.next_look = Instant::now() + EVERY;
            if self.look().is_none_or(|version| version == self.version) {
                continue;
            }
            match self.read() {
                Ok(directory) => {
                    tracing::info!(relays = directory.len(), "the directory file was read");
                    return directory;
                }
                Err(error) => tracing::warn!("{error}"),
            }
        }
    }

    fn look(&self) -> Option<Version> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        Some((metadata.modified().ok(), metadata.len()))
    }

    /// Reads the file as it is now. Lines that are no good are warned about, one by one.
    pub(super) fn read(&mut self) -> Result<Directory, DirectoryError> {
        // Before reading: what changes meanwhile is read once more.
        let version = self.look().unwrap_or_default();
        if version.1 > MAX_BYTES {
            return Err(DirectoryError::TooLong(self.path.clone()));
        }
        let text = std::fs::read(&self.path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => DirectoryError::Missing(self.path.clone()),
            _ => DirectoryError::Read {
                path: self.path.clone(),
                source,
            },
        })?;
        self.version = version;
        // What is not UTF-8 spoils its line and no other.
        let file = DirectoryFile::parse(&String::from_utf8_lossy(&text), self.clock.unix());
        for problem in &file.problems {
            tracing::warn!("{}, {problem}", self.path.display());
        }
        Ok(file.directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_says_what_belongs_into_it() {
        let missing = Path::new("/nowhere/directory.txt");
        let error = DirectoryWatch::new(missing, Clock::start()).read();
        let words = error.unwrap_err().to_string();
        assert!(words.contains("`relay descriptor`"), "{words}");
    }

    #[test]
    fn bytes_that_are_no_text_cost_their_line_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.txt");
        std::fs::write(&path, b"\xff\xfe nonsense\n# nothing else\n").unwrap();
        let directory = DirectoryWatch::new(&path, Clock::start()).read().unwrap();
        assert!(directory.is_empty());
    }
}
