//! Where a relay hands out the directory.

use super::fields::{decode_address, encode_address, list};
use super::keys::PeerKey;
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use core::net::SocketAddr;

/// Where a relay hands out the directory: a peer of the discovery network.
///
/// It is what lets anybody who knows the relay ask it, without looking its addresses up first. On
/// the wire: key (32 bytes), then the addresses as those of links are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceOffer {
    /// The key that the peer proves on each connection.
    pub key: PeerKey,
    /// Where it listens (TCP), the preferred one first; 1 to
    /// [`MAX_ADDRESSES`](Self::MAX_ADDRESSES).
    pub addresses: Vec<SocketAddr>,
}

impl SourceOffer {
    /// The most addresses.
    pub const MAX_ADDRESSES: usize = 4;
}

impl Encode for SourceOffer {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.key);
        self.addresses
            .iter()
            .for_each(|address| encode_address(address, out));
    }
}

impl Decode for SourceOffer {
    /// Takes all that is left.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "addresses of a source";
        let key = PeerKey::decode(reader)?;
        let addresses = list(reader.rest(), Self::MAX_ADDRESSES, WHAT, decode_address)?;
        if addresses.is_empty() {
            return Err(DecodeError::Missing { what: WHAT });
        }
        Ok(Self { key, addresses })
    }
}
