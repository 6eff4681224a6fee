//! One master seed on disk, and every key that is derived from it.
//!
//! A relay's operator has one file to guard and to back up; so has a user. Each purpose has its own
//! 32 bytes,
//!
//! ```text
//! HKDF-SHA256(salt = "coinfuse master seed v1", key = seed, info = label of the purpose)
//! ```
//!
//! so that to lose one derived key gives away none of the others.
//!
//! ```
//! use coinfuse::keys::{MasterSeed, Purpose};
//!
//! let folder = tempfile::tempdir()?;
//! let file = folder.path().join("seed");
//! let seed = MasterSeed::create(&file)?;
//! assert_eq!(MasterSeed::load(&file)?.derive(Purpose::Link), seed.derive(Purpose::Link));
//! assert_ne!(seed.derive(Purpose::Link), seed.derive(Purpose::Identity));
//! assert!(MasterSeed::create(&file).is_err(), "a seed is never overwritten");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::link::LinkSecret;
use core::fmt;
use hkdf::Hkdf;
use sha2::Sha256;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The 32 bytes from which all keys of a relay or of a client come. Wiped when dropped, never
/// printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterSeed([u8; 32]);

/// What a derived key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// The Ed25519 seed of a relay's identity. Label `identity`.
    Identity,
    /// The Ed25519 seed of the TLS key on links. Label `link`.
    Link,
    /// The X25519 secret that answers circuits' handshakes in an epoch. Label `onion/<epoch>`.
    Onion {
        /// Epochs count from 0.
        epoch: u32,
    },
    /// The secp256k1 secret that vouchers are locked to. Label `voucher`.
    ///
    /// One in 2^128 outputs is no valid scalar, which whoever uses it checks.
    Voucher,
    /// The seed of the mint inside a relay. Label `mint`.
    Mint,
    /// The seed of a client's Cashu wallet. Label `wallet`.
    Wallet,
    /// The seed of a client's vouchers, and of a relay's coins. Label `purse`.
    Purse,
    /// From which a client's accounts at relays are named. Label `accounts`.
    Accounts,
    /// The seed of the key that a relay has in discovery. Label `discovery`.
    Discovery,
}

impl Purpose {
    fn label(self) -> String {
        match self {
            Self::Identity => "identity".into(),
            Self::Link => "link".into(),
            Self::Onion { epoch } => format!("onion/{epoch}"),
            Self::Voucher => "voucher".into(),
            Self::Mint => "mint".into(),
            Self::Wallet => "wallet".into(),
            Self::Purse => "purse".into(),
            Self::Accounts => "accounts".into(),
            Self::Discovery => "discovery".into(),
        }
    }
}

/// Why there is no seed. The texts are for the operator and say what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is a file already; to overwrite it could destroy money.
    #[error("{} exists already and is not overwritten: move it away if you want a new key", .0.display())]
    Exists(PathBuf),
    /// There is no file.
    #[error("the key file {} does not exist: create it with `init`", .0.display())]
    Missing(PathBuf),
    /// Others on this machine can read or write it.
    #[error("others can read the key file {path} (mode {mode:o}): run `chmod 600 {path}`", path = .path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds something else.
    #[error("the key file {} must hold 64 hex digits or 32 raw bytes and nothing else", .0.display())]
    Malformed(PathBuf),
    /// The operating system failed.
    #[error("the key file {} cannot be used: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
}

impl MasterSeed {
    /// The seed with these bytes, which must be random.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Makes a new seed and writes it to `path`, as hex, readable by its owner only. It is on disk when
    /// this returns.
    ///
    /// # Errors
    ///
    /// [`KeyError::Exists`] rather than to overwrite anything.
    #[expect(clippy::disallowed_methods, reason = "this is where seeds come from")]
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let mut seed = Self([0; 32]);
        getrandom::fill(&mut seed.0).map_err(|_| KeyError::Random)?;
        let text = Zeroizing::new(format!("{}\n", hex::encode(seed.0)));
        write_new(path, text.as_bytes()).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyError::Exists(path.to_owned()),
            _ => KeyError::Io {
                path: path.to_owned(),
                source,
            },
        })?;
        Ok(seed)
    }

    /// Reads a seed that only its owner can read.
    ///
    /// # Errors
    ///
    /// All but [`KeyError::Exists`] and [`KeyError::Random`].
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        /// Room for 64 digits and the blanks around them.
        const MAX_BYTES: u64 = 128;

        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => KeyError::Missing(path.to_owned()),
            _ => KeyError::Io {
                path: path.to_owned(),
                source,
            },
        };
        let file = File::open(path).map_err(failed)?;
        refuse_if_open_to_others(&file, path)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES as usize));
        file.take(MAX_BYTES)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        parse(&bytes).ok_or_else(|| KeyError::Malformed(path.to_owned()))
    }

    /// The 32 bytes for a purpose.
    pub fn derive(&self, purpose: Purpose) -> Zeroizing<[u8; 32]> {
        let mut derived = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(b"coinfuse master seed v1"), &self.0)
            .expand(purpose.label().as_bytes(), &mut *derived)
            .expect("32 bytes are within the 8,160 that HKDF-SHA256 gives");
        derived
    }

    /// The link key, ready for a [`LinkEndpoint`](crate::link::LinkEndpoint).
    pub fn link_secret(&self) -> LinkSecret {
        LinkSecret::from_seed(*self.derive(Purpose::Link))
    }
}

impl fmt::Debug for MasterSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterSeed([scrubbed])")
    }
}

fn parse(bytes: &[u8]) -> Option<MasterSeed> {
    if let Ok(raw) = bytes.try_into() {
        return Some(MasterSeed(raw));
    }
    let mut seed = MasterSeed([0; 32]);
    hex::decode_to_slice(bytes.trim_ascii(), &mut seed.0).ok()?;
    Some(seed)
}

/// Writes a file that did not exist, and sees it onto the disk.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    // Without this the file's name could be lost with the power. Not every system can do it.
    let _ = File::open(parent.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
    Ok(())
}

#[cfg(unix)]
fn refuse_if_open_to_others(file: &File, path: &Path) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|source| KeyError::Io {
        path: path.to_owned(),
        source,
    })?;
    let mode = metadata.permissions().mode() & 0o777;
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(KeyError::TooOpen {
            path: path.to_owned(),
            mode,
        }),
    }
}

#[cfg(not(unix))]
fn refuse_if_open_to_others(_: &File, _: &Path) -> Result<(), KeyError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[cfg(unix)]
    use std::os::unix::fs::PermissionsExt;

    /// Keys that change silently are money lost: these values, made with another program, stand for
    /// ever.
    #[test]
    fn derived_keys_are_pinned() {
        let seed = MasterSeed::new([7; 32]);
        let derived = |purpose| hex::encode(*seed.derive(purpose));
        let all = [
            (
                Purpose::Identity,
                "6ec5d51ff835b2edfc2f58b6803874eae2ccb3677ffae8dca269c613ed28e3e4",
            ),
            (
                Purpose::Link,
                "f5df5e015d7e700eb80437b1141db9976805a51df513ebd157b62c2a3403d3e1",
            ),
            (
                Purpose::Onion { epoch: 0 },
                "2e35f0bcafbfc8a3d72d592ec1325e25fc5c331a91332b5b204c206f1156d661",
            ),
            (
                Purpose::Onion { epoch: 1 },
                "082bd8eab4777b94f6528f6b185e2304a37e254b8cfe8e70e82da7fca9d0f75c",
            ),
            (
                Purpose::Voucher,
                "804d71f3cab6d2fba04353aee11c3a47bbc9e07987bff0222b793b3dde705075",
            ),
            (
                Purpose::Mint,
                "ec51924e79e1aadef98c8204a7816b7ff32b6e39b74da36d57d14c22b2df5963",
            ),
            (
                Purpose::Wallet,
                "cc575be3f766320e548e2d4033c4b457de899140b276e72462aa099d69cbac3a",
            ),
            (
                Purpose::Purse,
                "106dbe391e78df3511ce30f8080a5f85e2d6098b81ca30d93839368fe9e167b3",
            ),
            (
                Purpose::Accounts,
                "41c05db74ba001c3cb9e76e21e492fa098e914033f9aeefaa80794d912694dbc",
            ),
            (
                Purpose::Discovery,
                "f0ccba7fc42c2c86092143b7e12c145fc90f53e614037ebe850157b4dea086a4",
            ),
        ];
        for (purpose, expected) in all {
            assert_eq!(derived(purpose), expected, "{purpose:?}");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(
            format!("{:?}", MasterSeed::new([1; 32])),
            "MasterSeed([scrubbed])"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_is_for_its_owner_and_one_open_to_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seed");
        MasterSeed::create(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );

        for mode in [0o640, 0o604, 0o620, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = MasterSeed::load(&path).unwrap_err();
            assert!(matches!(error, KeyError::TooOpen { mode: found, .. } if found == mode));
            assert!(error.to_string().contains("run `chmod 600 "), "{error}");
        }
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_is_invented() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seed");
        assert!(matches!(MasterSeed::load(&path), Err(KeyError::Missing(_))));
        MasterSeed::create(&path).unwrap();
        let before = fs::read(&path).unwrap();
        assert!(matches!(
            MasterSeed::create(&path),
            Err(KeyError::Exists(_))
        ));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn hex_and_raw_bytes_are_read_and_nothing_else() {
        let hex = "0707070707070707070707070707070707070707070707070707070707070707";
        for good in [hex.as_bytes(), format!(" {hex}\r\n").as_bytes(), &[7; 32]] {
            assert_eq!(parse(good).unwrap().0, [7; 32]);
        }
        for bad in [
            &b""[..],
            &[7; 31],
            &[7; 33],
            &hex.as_bytes()[1..],
            b"not a key",
        ] {
            assert!(parse(bad).is_none(), "{bad:?}");
        }
    }
}
