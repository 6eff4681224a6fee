//! How packets lie on a link between neighbours.
//!
//! A *packet lane* is a stream in both directions, opened by whoever dialled the link. Towards the
//! dialled relay go packets, and what the relay must know of who sends them; back come the packets
//! for the mailboxes that were asked for. A frame is a kind byte and a body of a length that follows
//! from it, so a reader knows what to expect after one byte.

use coinfuse_wire::{Decode, DecodeError, Encode, PacketSize, Reader, RelayId, Writer};
use core::fmt;

/// The label under which the link's keying material is exported (RFC 5705) for [`Introduction`].
pub const INTRODUCTION_LABEL: &[u8] = b"coinfuse packet lane v1";

/// One frame of a packet lane.
///
/// | kind | body | direction |
/// |---|---|---|
/// | 1 | a small packet, 4096 bytes | both |
/// | 2 | a large packet, 32768 bytes | both |
/// | 3 | a mailbox's name, 32 bytes | to the relay |
/// | 4 | an introduction: relay (32), signature (64) | to the relay, first |
#[derive(Clone, PartialEq, Eq)]
pub enum Frame {
    /// A packet; not looked into.
    Packet(PacketSize, Vec<u8>),
    /// "Bring me what comes for this name, as long as this lane is open." A name is 32 random
    /// bytes.
    Mailbox([u8; 32]),
    /// "I am this relay."
    Introduction(Introduction),
}

/// Which relay opened a lane.
///
/// A client stays anonymous and sends none. A relay says who it is so that its neighbours do not
/// send packets back to where they came from, and allow it more than they allow anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// The relay.
    pub relay: RelayId,
    /// Ed25519, by the relay's identity, over 32 bytes that are exported from the link under
    /// [`INTRODUCTION_LABEL`]: an introduction holds on its own link and on no other.
    pub signature: [u8; 64],
}

/// What the first byte of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// [`Frame::Packet`].
    Packet(PacketSize),
    /// [`Frame::Mailbox`].
    Mailbox,
    /// [`Frame::Introduction`].
    Introduction,
}

impl FrameKind {
    /// The longest body, in bytes.
    pub const MAX_BODY: usize = PacketSize::Large.len();

    /// The kind with this number.
    pub const fn from_byte(byte: u8) -> Result<Self, DecodeError> {
        match byte {
            1 => Ok(Self::Packet(PacketSize::Small)),
            2 => Ok(Self::Packet(PacketSize::Large)),
            3 => Ok(Self::Mailbox),
            4 => Ok(Self::Introduction),
            got => Err(DecodeError::Unknown {
                what: "frame",
                got: got as u64,
            }),
        }
    }

    /// The number on the wire.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Packet(PacketSize::Small) => 1,
            Self::Packet(PacketSize::Large) => 2,
            Self::Mailbox => 3,
            Self::Introduction => 4,
        }
    }

    /// Bytes after the first.
    pub const fn body_len(self) -> usize {
        match self {
            Self::Packet(size) => size.len(),
            Self::Mailbox => 32,
            Self::Introduction => 32 + 64,
        }
    }
}

impl Frame {
    /// Its kind.
    pub const fn kind(&self) -> FrameKind {
        match self {
            Self::Packet(size, _) => FrameKind::Packet(*size),
            Self::Mailbox(_) => FrameKind::Mailbox,
            Self::Introduction(_) => FrameKind::Introduction,
        }
    }

    /// The frame of a kind with its body, of [`FrameKind::body_len`] bytes.
    pub fn from_body(kind: FrameKind, body: Vec<u8>) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&body);
        let frame = match kind {
            FrameKind::Packet(size) => {
                reader.take(size.len(), "packet")?;
                reader.finish()?;
                return Ok(Self::Packet(size, body));
            }
            FrameKind::Mailbox => Self::Mailbox(reader.array("mailbox")?),
            FrameKind::Introduction => Self::Introduction(Introduction {
                relay: RelayId::decode(&mut reader)?,
                signature: reader.array("signature")?,
            }),
        };
        reader.finish()?;
        Ok(frame)
    }
}

impl Encode for Frame {
    fn encode(&self, out: &mut Writer) {
        out.u8(self.kind().byte());
        match self {
            Self::Packet(_, bytes) => out.put(bytes),
            Self::Mailbox(name) => out.put(name),
            Self::Introduction(introduction) => {
                out.value(&introduction.relay);
                out.put(&introduction.signature);
            }
        }
    }
}

impl Decode for Frame {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = FrameKind::from_byte(reader.u8("frame")?)?;
        Self::from_body(kind, reader.take(kind.body_len(), "frame")?.to_vec())
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({:?})", self.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_their_encoding() {
        let introduction = Introduction {
            relay: RelayId::new([7; 32]),
            signature: [9; 64],
        };
        for frame in [
            Frame::Packet(PacketSize::Small, vec![1; 4096]),
            Frame::Packet(PacketSize::Large, vec![1; 32768]),
            Frame::Mailbox([5; 32]),
            Frame::Introduction(introduction),
        ] {
            let bytes = frame.to_bytes();
            assert_eq!(bytes.len(), 1 + frame.kind().body_len());
            assert!(bytes.len() <= 1 + FrameKind::MAX_BODY);
            assert_eq!(FrameKind::from_byte(bytes[0]), Ok(frame.kind()));
            assert_eq!(Frame::from_bytes(&bytes), Ok(frame));
            for cut in [0, 1, bytes.len() - 1] {
                assert!(Frame::from_bytes(&bytes[..cut]).is_err());
            }
        }
    }

    #[test]
    fn other_kinds_are_refused() {
        for byte in (0..=u8::MAX).filter(|byte| !(1..=4).contains(byte)) {
            assert!(FrameKind::from_byte(byte).is_err());
        }
    }
}
