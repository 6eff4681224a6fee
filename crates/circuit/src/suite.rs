//! Cipher suites and onion keys.

use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use core::fmt;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// The Noise protocol of a session. The suite is part of the Noise protocol name, so a man in the
/// middle cannot talk two parties into another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Suite {
    /// `Noise_NK_25519_ChaChaPoly_BLAKE2s`, which every relay speaks.
    ChaChaPoly,
    /// `Noise_NK_25519_AESGCM_SHA256`, about four times faster where both ends have AES hardware.
    AesGcm,
}

impl Suite {
    /// All suites, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::ChaChaPoly, Self::AesGcm];

    /// The number on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::ChaChaPoly => 1,
            Self::AesGcm => 2,
        }
    }

    /// The suite with this number, if there is one.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::ChaChaPoly),
            2 => Some(Self::AesGcm),
            _ => None,
        }
    }

    /// The Noise protocol name (Noise, section 8).
    pub const fn protocol_name(self) -> &'static str {
        match self {
            Self::ChaChaPoly => "Noise_NK_25519_ChaChaPoly_BLAKE2s",
            Self::AesGcm => "Noise_NK_25519_AESGCM_SHA256",
        }
    }
}

impl Encode for Suite {
    fn encode(&self, out: &mut Writer) {
        out.u8(self.code());
    }
}

impl Decode for Suite {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = reader.u8("Suite")?;
        Self::from_code(code).ok_or(DecodeError::Unknown {
            what: "Suite",
            got: code.into(),
        })
    }
}

/// A relay's public X25519 key, which clients make sessions with.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OnionKey([u8; 32]);

impl OnionKey {
    /// From the 32 bytes in a descriptor.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for OnionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnionKey({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// The secret half of an [`OnionKey`]; wiped when dropped, never printed.
#[derive(Clone)]
pub struct OnionSecret(Zeroizing<[u8; 32]>);

impl OnionSecret {
    /// From 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key to publish.
    pub fn public(&self) -> OnionKey {
        OnionKey(PublicKey::from(&StaticSecret::from(*self.0)).to_bytes())
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for OnionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnionSecret([scrubbed])")
    }
}

/// 32 random bytes that a machine draws its own randomness from, because it has no source of its
/// own. Used once; wiped when dropped.
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// From 32 bytes that nobody else knows and that are never used again.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed([scrubbed])")
    }
}
