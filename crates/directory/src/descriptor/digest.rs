//! Short names for descriptors.

use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use core::fmt;
use sha2::{Digest, Sha256};

/// The first 8 bytes of the SHA-256 of a descriptor's bytes: tells apart what one relay signed.
///
/// Only that relay could make two with the same digest, and would gain nothing by it: whoever has
/// one of them has a descriptor that it signed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DescriptorDigest([u8; 8]);

impl DescriptorDigest {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let hash = Sha256::digest(bytes);
        let (first, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
        Self(*first)
    }
}

impl fmt::Debug for DescriptorDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Encode for DescriptorDigest {
    fn encode(&self, out: &mut Writer) {
        out.put(&self.0);
    }
}

impl Decode for DescriptorDigest {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("descriptor digest").map(Self)
    }
}
