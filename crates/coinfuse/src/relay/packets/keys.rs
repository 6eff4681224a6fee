//! The keys that packets are made for: on disk, in force, and published.

use coinfuse_directory::{PacketKey, PacketOffer, PacketPrice};
use coinfuse_onion::{KeyRing, RingConfig};
use coinfuse_wire::UnixTime;
use core::time::Duration;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;
use tokio::sync::watch;
use zeroize::Zeroizing;

/// Why there are no keys for packets; for the operator to act on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PacketKeysError {
    /// The file cannot be read or written.
    #[error("the packet keys in {} cannot be used: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "{} does not hold packet keys: move it away to have new ones made, which loses the packets \
         on their way",
        .0.display()
    )]
    Damaged(PathBuf),
}

/// The ring on disk, for its owner only.
struct KeyFile(PathBuf);

impl KeyFile {
    /// The ring as it was last saved; `None` if it never was.
    fn load(&self, config: RingConfig) -> Result<Option<KeyRing>, PacketKeysError> {
        let bytes = match fs::read(&self.0) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.error(source)),
        };
        let ring = KeyRing::from_bytes(config, &bytes);
        ring.map(Some)
            .map_err(|_| PacketKeysError::Damaged(self.0.clone()))
    }

    /// Whole or not at all, and on disk when it returns.
    fn save(&self, ring: &KeyRing) -> io::Result<()> {
        let new = self.0.with_extension("new");
        let mut file = create_private(&new)?;
        file.write_all(&ring.to_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.0)?;
        sync_folder(&self.0)
    }

    fn error(&self, source: io::Error) -> PacketKeysError {
        PacketKeysError::File {
            path: self.0.clone(),
            source,
        }
    }
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A renamed file is there after a power cut only if its folder was synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent().filter(|_| cfg!(unix)) {
        Some(folder) if folder.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// What is published beside the key.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfferTerms {
    pub(super) price: PacketPrice,
    pub(super) max_delay: Duration,
}

/// The ring in force. A key is published only when it is on disk.
pub(super) struct Keys {
    pub(super) ring: KeyRing,
    file: KeyFile,
    terms: OfferTerms,
    published: watch::Sender<PacketOffer>,
    /// The ring has changed and could not be saved.
    unsaved: bool,
    /// No change before its time until then.
    next_change: UnixTime,
    /// Between two of those.
    pause: Duration,
}

impl Keys {
    /// Reads the ring, or makes one from `seed`, and brings it up to date.
    pub(super) fn open(
        path: &Path,
        config: RingConfig,
        terms: OfferTerms,
        now: UnixTime,
        seed: &[u8; 32],
    ) -> Result<(Self, watch::Receiver<PacketOffer>), PacketKeysError> {
        let file = KeyFile(path.to_owned());
        let (ring, changed) = match file.load(config)? {
            Some(mut ring) => {
                let changed = ring.advance(now, seed);
                (ring, changed)
            }
            None => (KeyRing::new(config, now, seed), true),
        };
        if changed {
            file.save(&ring).map_err(|source| file.error(source))?;
        }
        let (published, offer) = watch::channel(terms.offer(&ring));
        let keys = Self {
            ring,
            file,
            terms,
            published,
            unsaved: false,
            next_change: now,
            pause: config.epoch / 24,
        };
        Ok((keys, offer))
    }

    /// Changes keys when their time has come, and saves what could not be saved before. `seed` is
    /// random and for this call alone.
    pub(super) fn tend(&mut self, now: UnixTime, seed: &[u8; 32]) {
        if self.ring.advance(now, seed) {
            self.unsaved = true;
        }
        self.publish();
    }

    /// Changes the key because its replay filter is full; not more often than 24 times an epoch,
    /// or whoever can fill filters could end every key before packets for it arrive.
    pub(super) fn change_early(&mut self, now: UnixTime, seed: &[u8; 32]) {
        if now < self.next_change {
            return;
        }
        tracing::warn!("the replay filter for packets is full: the key is changed early");
        self.next_change = now.saturating_add(self.pause);
        self.ring.change(now, seed);
        self.unsaved = true;
        self.publish();
    }

    /// Until it is saved the key before stays published; it is good for an overlap.
    fn publish(&mut self) {
        if !self.unsaved {
            return;
        }
        match self.file.save(&self.ring) {
            Ok(()) => {
                self.unsaved = false;
                let offer = self.terms.offer(&self.ring);
                if self.published.send_replace(offer).key != offer.key {
                    tracing::info!("the key for packets has changed: publish the descriptor anew");
                }
            }
            Err(error) => tracing::error!(%error, "a new packet key could not be saved"),
        }
    }
}

impl OfferTerms {
    fn offer(&self, ring: &KeyRing) -> PacketOffer {
        PacketOffer {
            key: PacketKey::new(ring.public_key().to_bytes()),
            good_until: ring.good_until(),
            price: self.price,
            max_delay: self.max_delay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: OfferTerms = OfferTerms {
        price: PacketPrice {
            small: coinfuse_wire::Msat::new(1),
            large: coinfuse_wire::Msat::new(2),
            service: coinfuse_wire::Msat::new(3),
            delay: coinfuse_wire::Msat::new(4),
        },
        max_delay: Duration::from_secs(5),
    };

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(1_000_000 + secs)
    }

    fn config() -> RingConfig {
        RingConfig {
            epoch: Duration::from_secs(2400),
            overlap: Duration::from_secs(60),
            tags: 4,
        }
    }

    fn open(path: &Path, now: UnixTime, seed: u8) -> (Keys, watch::Receiver<PacketOffer>) {
        Keys::open(path, config(), TERMS, now, &[seed; 32]).unwrap()
    }

    #[test]
    fn a_key_survives_a_restart_and_changes_when_its_epoch_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packet-keys");
        let (_, first) = open(&path, at(0), 1);
        let first = *first.borrow();
        assert_eq!(
            (first.price, first.max_delay),
            (TERMS.price, TERMS.max_delay)
        );
        assert_eq!(first.good_until, at(2460));

        let (mut keys, offer) = open(&path, at(2399), 2);
        assert_eq!(*offer.borrow(), first);
        keys.tend(at(2400), &[3; 32]);
        let second = *offer.borrow();
        assert_ne!(second.key, first.key);
        let (_, reopened) = open(&path, at(2401), 4);
        assert_eq!(*reopened.borrow(), second);
    }

    #[test]
    fn an_old_key_is_gone_from_the_disk_after_its_overlap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packet-keys");
        let (mut keys, _) = open(&path, at(0), 1);
        keys.tend(at(2400), &[2; 32]);
        let two = fs::read(&path).unwrap().len();
        keys.tend(at(2460), &[3; 32]);
        assert!(fs::read(&path).unwrap().len() < two);
    }

    #[test]
    fn a_key_that_cannot_be_saved_is_not_published_until_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packet-keys");
        let (mut keys, offer) = open(&path, at(0), 1);
        let first = *offer.borrow();
        // In the way of the file that is written first.
        let new = path.with_extension("new");
        fs::create_dir(&new).unwrap();
        keys.tend(at(2400), &[2; 32]);
        assert_eq!(*offer.borrow(), first);
        fs::remove_dir(&new).unwrap();
        keys.tend(at(2401), &[3; 32]);
        assert_ne!(*offer.borrow(), first);
    }

    #[test]
    fn a_full_filter_changes_the_key_but_not_all_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packet-keys");
        let (mut keys, offer) = open(&path, at(0), 1);
        let mut known = vec![offer.borrow().key];
        for (secs, changes) in [(1, true), (100, false), (101, true)] {
            keys.change_early(at(secs), &[100 + secs as u8; 32]);
            let key = offer.borrow().key;
            assert_eq!(!known.contains(&key), changes, "after {secs} s");
            known.push(key);
        }
    }

    #[test]
    fn a_damaged_file_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packet-keys");
        fs::write(&path, b"nonsense").unwrap();
        let error = Keys::open(&path, config(), TERMS, at(0), &[1; 32])
            .err()
            .unwrap();
        assert!(error.to_string().contains("move it away"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packet-keys");
        open(&path, at(0), 1);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
