//! The history on disk.

use super::super::private_file;
use coinfuse_directory::History;
use coinfuse_wire::{Decode, Encode};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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

/// The history in a file, and the file if it may be written. A history that is none is put aside and
/// begun anew: that costs the client its guards, and no money.
pub(super) fn load(path: PathBuf) -> (History, Option<PathBuf>) {
    let error = match read_history(&path) {
        Ok(history) => return (history, Some(path)),
        Err(error) => error,
    };
    let aside = path.with_extension("unreadable");
    let moved = match error.kind() {
        io::ErrorKind::InvalidData => fs::rename(&path, &aside),
        // Whatever it is that cannot be read now, it may be read later.
        _ => Err(io::ErrorKind::Other.into()),
    };
    match moved {
        Ok(()) => {
            tracing::warn!(
                %error, "what was seen of relays cannot be read; it is kept beside, and begun anew"
            );
            (History::new(), Some(path))
        }
        Err(_) => {
            tracing::warn!(
                %error, "what was seen of relays cannot be read, and is not written in this run"
            );
            (History::new(), None)
        }
    }
}

pub(super) fn save(path: &Path, history: &History) -> io::Result<()> {
    private_file::replace(path, &history.to_bytes())
}
