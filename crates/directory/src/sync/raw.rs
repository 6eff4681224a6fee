//! Descriptors on their way.

use crate::{Descriptor, UnverifiedDescriptor};
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use core::fmt;

/// The bytes of a descriptor, at most [`Descriptor::MAX_LEN`], that nobody has looked at yet: so one
/// that this code cannot read does not spoil the message that it came in.
///
/// On the wire: a varint length and the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct RawDescriptor(Box<[u8]>);

impl RawDescriptor {
    /// The longest encoding, in bytes.
    pub const MAX_LEN: usize = Descriptor::MAX_LEN + 3;

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the descriptor. It is still to be verified.
    pub fn read(&self) -> Result<UnverifiedDescriptor, DecodeError> {
        UnverifiedDescriptor::from_bytes(&self.0)
    }
}

impl From<&Descriptor> for RawDescriptor {
    fn from(descriptor: &Descriptor) -> Self {
        Self(descriptor.as_bytes().into())
    }
}

impl fmt::Debug for RawDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawDescriptor({} bytes)", self.0.len())
    }
}

impl Encode for RawDescriptor {
    fn encode(&self, out: &mut Writer) {
        out.bytes(&self.0);
    }
}

impl Decode for RawDescriptor {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bytes = reader.bytes(Descriptor::MAX_LEN, "descriptor")?;
        Ok(Self(bytes.into()))
    }
}
