//! Descriptors as text: one line each, and files of such lines.

use crate::descriptor::UnverifiedDescriptor;
use crate::{Descriptor, DescriptorError, Directory, DirectoryFull, Inserted};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use coinfuse_wire::{DecodeError, UnixTime};
use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// What the line of a descriptor starts with; the unpadded base64url of its bytes follows.
pub const LINE_PREFIX: &str = "coinfuse-relay1:";

/// Why a line is not a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TextError {
    /// It starts with something else.
    #[error("expected a line that starts with {LINE_PREFIX:?}")]
    Prefix,
    /// What follows is not unpadded base64url.
    #[error("what follows {LINE_PREFIX:?} is not unpadded base64url")]
    Base64,
    /// The bytes are not a descriptor.
    #[error("not a descriptor: {0}")]
    Descriptor(#[from] DecodeError),
}

impl fmt::Display for UnverifiedDescriptor {
    /// The one-line form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(f, self.as_bytes())
    }
}

impl fmt::Display for Descriptor {
    /// The one-line form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(f, self.as_bytes())
    }
}

fn write_line(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    write!(f, "{LINE_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

impl FromStr for UnverifiedDescriptor {
    type Err = TextError;

    /// Reads the one-line form.
    fn from_str(line: &str) -> Result<Self, TextError> {
        let code = line.strip_prefix(LINE_PREFIX).ok_or(TextError::Prefix)?;
        // Refuse by length before decoding: a line can be as long as a file.
        let most = Descriptor::MAX_LEN as u64;
        let got = code.len() as u64 * 3 / 4;
        if got > most {
            return Err(DecodeError::TooLarge {
                what: "descriptor",
                got,
                max: most,
            }
            .into());
        }
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(code)
            .map_err(|_| TextError::Base64)?;
        Ok(Self::from_bytes(&bytes)?)
    }
}

/// Why a line of a directory file gave no relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LineError {
    /// It is not a descriptor.
    #[error(transparent)]
    Text(#[from] TextError),
    /// It is one that cannot be believed now.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// The directory holds as many relays as it may.
    #[error(transparent)]
    Full(#[from] DirectoryFull),
}

/// A line that gave no relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct LineProblem {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: LineError,
}

/// A directory file, read: what is good in it, and what is not.
///
/// A file is lines in the form of [`LINE_PREFIX`]; blank lines and lines that start with `#` are
/// passed over. One bad line costs one relay, not the file. Of several descriptors of one relay
/// the one with the highest sequence number counts.
///
/// ```
/// # use coinfuse_directory::{DescriptorBody, Identity, LinkKey, OnionKey, RelayKeys, VoucherKey};
/// # let keys = RelayKeys {
/// #     link: LinkKey::new([1; 32]),
/// #     onion: OnionKey::new([2; 32]),
/// #     voucher: VoucherKey::new([2; 33]),
/// # };
/// use coinfuse_directory::DirectoryFile;
/// use coinfuse_wire::UnixTime;
///
/// let now = UnixTime::from_secs(1_800_000_000);
/// let identity = Identity::from_seed([7; 32]);
/// let relay = DescriptorBody::new(&identity, keys, now).sign(&identity)?;
///
/// let file = DirectoryFile::parse(&format!("# my relays\n\n{relay}\nnonsense\n"), now);
/// assert!(file.directory.get(&identity.relay_id()).is_some());
/// assert_eq!(file.problems[0].line, 4);
/// # Ok::<(), coinfuse_directory::BuildError>(())
/// ```
#[derive(Debug, Clone)]
pub struct DirectoryFile {
    /// The relays whose descriptors hold.
    pub directory: Directory,
    /// The lines that gave none, in order.
    pub problems: Vec<LineProblem>,
}

impl DirectoryFile {
    /// Reads a file and checks its descriptors at `now`.
    pub fn parse(text: &str, now: UnixTime) -> Self {
        let mut file = Self {
            directory: Directory::new(),
            problems: Vec::new(),
        };
        // Some editors put a byte order mark in front.
        let text = text.trim_start_matches('\u{feff}');
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Err(reason) = file.take_line(line, now) {
                file.problems.push(LineProblem {
                    line: index + 1,
                    reason,
                });
            }
        }
        file
    }

    fn take_line(&mut self, line: &str, now: UnixTime) -> Result<Inserted, LineError> {
        let descriptor = line.parse::<UnverifiedDescriptor>()?.verify(now)?;
        Ok(self.directory.insert(descriptor)?)
    }
}
