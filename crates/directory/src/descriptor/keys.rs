//! The public keys that a descriptor carries; types, so that none is taken for another.

use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use core::fmt;

macro_rules! public_key {
    ($(#[$doc:meta])* $name:ident, $len:literal, $could_be:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// From the bytes of the key.
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes of the key.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            /// The first four bytes: enough to tell keys apart.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "("))?;
                self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str("..)")
            }
        }

        impl Encode for $name {
            fn encode(&self, out: &mut Writer) {
                out.put(&self.0);
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let bytes = reader.array(stringify!($name))?;
                match $could_be(&bytes) {
                    true => Ok(Self(bytes)),
                    false => Err(DecodeError::Invalid { what: stringify!($name) }),
                }
            }
        }
    };
}

public_key!(
    /// The Ed25519 key of the self-signed TLS certificate that a relay shows on its links.
    LinkKey,
    32,
    anything
);
public_key!(
    /// The X25519 key that a relay answers handshakes with.
    OnionKey,
    32,
    anything
);
public_key!(
    /// The Ed25519 key that a relay proves where it hands out the directory. Not its identity.
    PeerKey,
    32,
    anything
);
public_key!(
    /// The secp256k1 key that vouchers for a relay are locked to, compressed.
    ///
    /// One that is read is a point on the curve.
    VoucherKey,
    33,
    is_point
);

public_key!(
    /// The secp256k1 key for one-shot packets, compressed. A relay changes it each epoch.
    ///
    /// One that is read is a point on the curve.
    PacketKey,
    33,
    is_point
);

public_key!(
    /// The name of a hidden service for a period, which only those who know the service can derive.
    BlindedId,
    32,
    anything
);

/// Ed25519 and X25519 refuse a bad key to whoever uses it, and then it is its relay that fails.
fn anything(_: &[u8; 32]) -> bool {
    true
}

/// Nobody can pay a relay without such a key: a client that drew it as a guard would fail on every
/// path.
fn is_point(bytes: &[u8; 33]) -> bool {
    secp256k1::PublicKey::from_slice(bytes).is_ok()
}

/// The keys of a relay, beside its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayKeys {
    /// Shown in TLS on links.
    pub link: LinkKey,
    /// Answers handshakes of circuits.
    pub onion: OnionKey,
    /// Vouchers are locked to it.
    pub voucher: VoucherKey,
}
