//! The packet as it lies on the wire.

use crate::key::OnionKey;
use coinfuse_wire::Reader;
use core::fmt;
use thiserror::Error;

/// The region of a packet that fits 4 KiB.
pub const SMALL: usize = 4096 - OVERHEAD;

/// The region of a packet that fits 32 KiB.
pub const LARGE: usize = 32 * 1024 - OVERHEAD;

/// Bytes of a packet that are not its region: version, ephemeral key and HMAC.
pub const OVERHEAD: usize = 1 + OnionKey::LEN + 32;

/// The only version so far, that of BOLT-4.
const VERSION: u8 = 0;

/// A packet with a region of `N` bytes, on its way to the holder of one key.
///
/// | bytes | field |
/// |---|---|
/// | 1 | version, 0 |
/// | 33 | ephemeral key, a compressed point |
/// | `N` | region: the layers of all hops to come |
/// | 32 | HMAC-SHA256 of the region and the associated data |
///
/// Having one says that size, version and point are right, and nothing about the HMAC.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet<const N: usize> {
    pub(crate) ephemeral: OnionKey,
    pub(crate) region: Box<[u8; N]>,
    pub(crate) hmac: [u8; 32],
}

/// A packet of the small size, 4 KiB.
pub type SmallPacket = Packet<SMALL>;

/// A packet of the large size, 32 KiB.
pub type LargePacket = Packet<LARGE>;

/// Why some bytes are not a packet. Whoever handed them over is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PacketError {
    /// The number of bytes is not that of the packet.
    #[error("{got} bytes are not a packet of {want}")]
    Size {
        /// Bytes that came.
        got: usize,
        /// Bytes of a packet of this size.
        want: usize,
    },
    /// The version is not known here.
    #[error("packet version {got}")]
    Version {
        /// The version byte.
        got: u8,
    },
    /// The ephemeral key is not a point on the curve.
    #[error("the ephemeral key is not a point")]
    Key,
}

impl<const N: usize> Packet<N> {
    /// Bytes of the whole packet.
    pub const LEN: usize = N + OVERHEAD;

    /// Checks size, version and point, in this order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PacketError> {
        let size = PacketError::Size {
            got: bytes.len(),
            want: Self::LEN,
        };
        if bytes.len() != Self::LEN {
            return Err(size);
        }
        let mut reader = Reader::new(bytes);
        let version = reader.u8("version").map_err(|_| size)?;
        if version != VERSION {
            return Err(PacketError::Version { got: version });
        }
        let key = reader.array("key").map_err(|_| size)?;
        let mut region = zeros();
        region.copy_from_slice(reader.take(N, "region").map_err(|_| size)?);
        Ok(Self {
            ephemeral: OnionKey::from_bytes(&key).map_err(|_| PacketError::Key)?,
            region,
            hmac: reader.array("hmac").map_err(|_| size)?,
        })
    }

    /// The bytes for the wire, [`Packet::LEN`] of them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::LEN);
        out.push(VERSION);
        out.extend_from_slice(&self.ephemeral.to_bytes());
        out.extend_from_slice(&*self.region);
        out.extend_from_slice(&self.hmac);
        out
    }
}

impl<const N: usize> fmt::Debug for Packet<N> {
    /// The size and no more: two log lines must not show the same packet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packet({} bytes)", Self::LEN)
    }
}

/// `N` zero bytes, which were never on the stack.
pub(crate) fn zeros<const N: usize>() -> Box<[u8; N]> {
    vec![0; N]
        .into_boxed_slice()
        .try_into()
        .unwrap_or_else(|_| unreachable!("a vector of N bytes has N bytes"))
}
