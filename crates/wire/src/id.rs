//! Names of relays, of what they offer, and of places in a path.

use crate::{Decode, DecodeError, Encode, Reader, Writer};
use core::fmt;
use core::str::FromStr;

/// A relay's identity: its Ed25519 public key, 32 bytes; written as 64 lowercase hex digits.
///
/// Holding one says nothing about its being a point on the curve: that is checked where a
/// signature is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayId([u8; 32]);

impl RelayId {
    /// From the bytes of the identity key.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the identity key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for RelayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RelayId {
    /// The first four bytes: enough to tell relays apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayId(")?;
        self.0[..4]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("..)")
    }
}

impl FromStr for RelayId {
    type Err = DecodeError;

    fn from_str(text: &str) -> Result<Self, DecodeError> {
        const WHAT: &str = "RelayId";
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(DecodeError::Invalid { what: WHAT });
        }
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(DecodeError::Invalid { what: WHAT }),
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

impl Encode for RelayId {
    fn encode(&self, out: &mut Writer) {
        out.put(&self.0);
    }
}

impl Decode for RelayId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("RelayId").map(Self)
    }
}

/// What a node offers, from the registry in `docs/spec/service-codes.md`.
///
/// Unknown codes are kept, so that an old client can pass on what a new relay says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceCode(u16);

impl ServiceCode {
    /// Extends circuits to other relays.
    pub const RELAY: Self = Self(1);
    /// Joins a client's circuit with a hidden service's.
    pub const RENDEZVOUS: Self = Self(2);
    /// Takes introductions for hidden services.
    pub const INTRODUCTION: Self = Self(3);
    /// Opens TCP connections for streams, within its exit policy.
    pub const EXIT: Self = Self(4);
    /// Hands Bitcoin transactions to the Bitcoin network.
    pub const MEMPOOL: Self = Self(5);

    /// From the number in the registry.
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// The number in the registry.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The name in the registry, if this code is known here.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::RELAY => Some("relay"),
            Self::RENDEZVOUS => Some("rendezvous"),
            Self::INTRODUCTION => Some("introduction"),
            Self::EXIT => Some("exit"),
            Self::MEMPOOL => Some("mempool"),
            _ => None,
        }
    }
}

impl fmt::Display for ServiceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "service-{}", self.0),
        }
    }
}

impl fmt::Debug for ServiceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceCode({self})")
    }
}

impl Encode for ServiceCode {
    fn encode(&self, out: &mut Writer) {
        out.u16(self.0);
    }
}

impl Decode for ServiceCode {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u16("ServiceCode").map(Self)
    }
}

/// The place of a relay in a path, counted from the client: the first hop is 0.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HopIndex(u8);

impl HopIndex {
    /// The longest path that the circuit protocol allows.
    pub const MAX_HOPS: usize = 8;

    /// The hop at `index`, if a path can be that long.
    pub const fn new(index: usize) -> Option<Self> {
        if index < Self::MAX_HOPS {
            Some(Self(index as u8))
        } else {
            None
        }
    }

    /// The index, from 0.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for HopIndex {
    /// Counts from 1, as people do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hop {}", self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_id_is_64_lowercase_hex_digits() {
        let id = RelayId::new(core::array::from_fn(|i| i as u8 * 7));
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "00", &id.to_string().to_uppercase(), &format!("{id}00")] {
            assert!(bad.parse::<RelayId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_service_codes_survive() {
        let code = ServiceCode::from_bytes(&[0x12, 0x34]).unwrap();
        assert_eq!(
            (code.name(), code.to_string()),
            (None, "service-4660".into())
        );
        assert_eq!(code.to_bytes(), [0x12, 0x34]);
    }
}
