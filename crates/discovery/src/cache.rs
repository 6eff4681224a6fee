//! The directory on disk.

use coinfuse_directory::{Descriptor, Directory, Snapshot};
use coinfuse_wire::{Decode, Encode, UnixTime};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// No file is read beyond this.
const MAX_LEN: u64 = (Snapshot::MAX_DESCRIPTORS * Descriptor::MAX_LEN) as u64;

/// Reads the directory that was kept, and checks each descriptor. A file that is not there, or
/// damaged, is an empty directory: all of it can be had again.
pub(crate) fn load(path: &Path, now: UnixTime) -> Vec<Arc<Descriptor>> {
    match read(path) {
        Ok(snapshot) => snapshot.verified(now).map(Arc::new).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            tracing::warn!(%error, "the kept directory cannot be used; fetching it anew");
            Vec::new()
        }
    }
}

fn read(path: &Path) -> io::Result<Snapshot> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_LEN).read_to_end(&mut bytes)?;
    Snapshot::from_bytes(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes the directory. The file is replaced when all of the new one is on disk, so that a crash
/// leaves one of both.
pub(crate) fn save(path: &Path, directory: &Directory) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(&Snapshot::of(directory).to_bytes())?;
    file.sync_all()?;
    fs::rename(&part, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{NOW, relay};

    #[test]
    fn what_was_kept_is_there_again_and_damage_is_survived() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory");
        assert!(load(&path, NOW).is_empty());

        let mut directory = Directory::new();
        directory.extend((0..20).map(|number| relay(number, |_| {})));
        save(&path, &directory).unwrap();
        save(&path, &directory).unwrap();
        assert_eq!(load(&path, NOW).len(), 20);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(load(&path, NOW).len(), 19);
        fs::write(&path, &bytes[..middle]).unwrap();
        assert!(load(&path, NOW).is_empty());
    }
}
