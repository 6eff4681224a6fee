//! The history on disk.

use super::super::private_file;
use coinfuse_directory::History;
use coinfuse_wire::{Decode, Encode};
use std::fs;
use std::io;
use std::path::Path;

/// Reads what a client has written down of relays; nothing if there is no file.
///
/// # Errors
///
/// What the system says; [`io::ErrorKind::InvalidData`] for a file that is something else.
pub fn read_history(path: &Path) -> io::Result<History> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(History::new()),
        read => read?,
    };
    History::from_bytes(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// A history that cannot be read is begun anew: that costs the client its guards, and no money.
pub(super) fn load(path: &Path) -> History {
    read_history(path).unwrap_or_else(|error| {
        tracing::warn!(%error, "what was seen of relays cannot be read; beginning anew");
        History::new()
    })
}

pub(super) fn save(path: &Path, history: &History) -> io::Result<()> {
    private_file::replace(path, &history.to_bytes())
}
