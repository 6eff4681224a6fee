//! The directory file, read again when it changes.

use crate::clock::Clock;
use coinfuse_directory::{Directory, DirectoryFile};
use core::time::Duration;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use thiserror::Error;
use tokio::time::sleep;

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
        "the directory file {} does not exist: put the relays' descriptors into it, one on each \
         line (a relay prints its own with `relay descriptor`)",
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
    relays: usize,
}

impl DirectoryWatch {
    /// Reads the file for the first time.
    pub(super) fn open(path: &Path, clock: Clock) -> Result<(Self, Directory), DirectoryError> {
        let mut watch = Self {
            path: path.to_owned(),
            clock,
            version: Version::default(),
            relays: 0,
        };
        let directory = watch.read()?;
        Ok((watch, directory))
    }

    /// The same for somebody who can begin without: a file that cannot be read is warned about,
    /// and read when it can be.
    pub(super) fn open_or_wait(path: &Path, clock: Clock) -> (Self, Directory) {
        let mut watch = Self {
            path: path.to_owned(),
            clock,
            version: Version::default(),
            relays: 0,
        };
        let directory = watch.read().unwrap_or_else(|error| {
            tracing::warn!("{error}");
            Directory::new()
        });
        (watch, directory)
    }

    pub(super) fn relays(&self) -> usize {
        self.relays
    }

    /// Tells of each new version. A version that cannot be read changes nothing.
    pub(super) async fn follow(mut self, tell: impl Fn(Directory)) {
        loop {
            sleep(EVERY).await;
            if self.look().is_none_or(|version| version == self.version) {
                continue;
            }
            match self.read() {
                Ok(directory) => {
                    tracing::info!(relays = self.relays, "the directory file was read again");
                    tell(directory);
                }
                Err(error) => tracing::warn!("{error}"),
            }
        }
    }

    fn look(&self) -> Option<Version> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        Some((metadata.modified().ok(), metadata.len()))
    }

    fn read(&mut self) -> Result<Directory, DirectoryError> {
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
        self.relays = file.directory.len();
        Ok(file.directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_says_what_belongs_into_it() {
        let missing = Path::new("/nowhere/directory.txt");
        let error = DirectoryWatch::open(missing, Clock::start()).err().unwrap();
        assert!(error.to_string().contains("`relay descriptor`"), "{error}");
    }

    #[test]
    fn bytes_that_are_no_text_cost_their_line_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.txt");
        std::fs::write(&path, b"\xff\xfe nonsense\n# nothing else\n").unwrap();
        let (watch, directory) = DirectoryWatch::open(&path, Clock::start()).unwrap();
        assert_eq!((watch.relays(), directory.len()), (0, 0));
    }
}
