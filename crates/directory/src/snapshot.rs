//! A directory as it is kept on disk.

use crate::sync::RawDescriptor;
use crate::{Descriptor, Directory};
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, UnixTime, Writer};

/// What a snapshot starts with; the last byte is the version.
const MAGIC: &[u8; 8] = b"CFDIR\0\0\x01";

/// A directory as bytes, for a file: so that a client which starts again knows the network at once.
///
/// The bytes are `CFDIR`, two zero bytes, the version 1, a varint count, and each descriptor with its
/// varint length. Nothing in them is believed for having been stored: [`verified`](Self::verified)
/// checks every signature, some 50 us each.
///
/// ```
/// # use coinfuse_directory::{DescriptorBody, Identity, LinkKey, OnionKey, RelayKeys, VoucherKey};
/// # let keys = RelayKeys {
/// #     link: LinkKey::new([1; 32]),
/// #     onion: OnionKey::new([2; 32]),
/// #     voucher: VoucherKey::new([2; 33]),
/// # };
/// use coinfuse_directory::{Directory, Snapshot};
/// use coinfuse_wire::{Decode, Encode, UnixTime};
///
/// # let now = UnixTime::from_secs(1_800_000_000);
/// # let identity = Identity::from_seed([7; 32]);
/// # let relay = DescriptorBody::new(&identity, keys, now).sign(&identity)?;
/// let mut directory = Directory::new();
/// directory.insert(relay)?;
/// let bytes = Snapshot::of(&directory).to_bytes();
///
/// let mut again = Directory::new();
/// again.extend(Snapshot::from_bytes(&bytes)?.verified(now));
/// assert_eq!(again.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    descriptors: Vec<RawDescriptor>,
}

impl Snapshot {
    /// The most descriptors.
    pub const MAX_DESCRIPTORS: usize = 100_000;

    /// The snapshot of a directory; of its first [`MAX_DESCRIPTORS`](Self::MAX_DESCRIPTORS) relays,
    /// if somebody let it grow larger.
    pub fn of(directory: &Directory) -> Self {
        let first = directory.iter().take(Self::MAX_DESCRIPTORS);
        Self {
            descriptors: first.map(|one| (&**one).into()).collect(),
        }
    }

    /// The descriptors, as they were stored.
    pub fn descriptors(&self) -> &[RawDescriptor] {
        &self.descriptors
    }

    /// The descriptors that can be read and hold at `now`, checked one by one as they are taken.
    pub fn verified(&self, now: UnixTime) -> impl Iterator<Item = Descriptor> {
        self.descriptors
            .iter()
            .filter_map(move |raw| raw.read().ok()?.verify(now).ok())
    }
}

impl Encode for Snapshot {
    fn encode(&self, out: &mut Writer) {
        out.put(MAGIC);
        out.varint(self.descriptors.len() as u64);
        self.descriptors.iter().for_each(|one| out.value(one));
    }
}

impl Decode for Snapshot {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "directory snapshot";
        if reader.array::<8>(WHAT)? != *MAGIC {
            return Err(DecodeError::Invalid { what: WHAT });
        }
        let count = reader.bounded(Self::MAX_DESCRIPTORS, WHAT)?;
        let descriptors = (0..count).map(|_| RawDescriptor::decode(reader));
        Ok(Self {
            descriptors: descriptors.collect::<Result<_, _>>()?,
        })
    }
}
