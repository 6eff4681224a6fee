//! The public keys that a descriptor carries; types, so that none is taken for another.

use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use core::fmt;

macro_rules! public_key {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
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
                reader.array(stringify!($name)).map(Self)
            }
        }
    };
}

public_key!(
    /// The Ed25519 key of the self-signed TLS certificate that a relay shows on its links.
    LinkKey,
    32
);
public_key!(
    /// The X25519 key that a relay answers handshakes with.
    OnionKey,
    32
);
public_key!(
    /// The Ed25519 key that a relay proves where it hands out the directory. Not its identity.
    PeerKey,
    32
);
public_key!(
    /// The secp256k1 key that vouchers for a relay are locked to, compressed.
    ///
    /// That it is a point on the curve is checked where a voucher is made.
    VoucherKey,
    33
);

public_key!(
    /// The secp256k1 key for one-shot packets, compressed. A relay changes it each epoch.
    ///
    /// That it is a point on the curve is checked where a packet is made.
    PacketKey,
    33
);

public_key!(
    /// The name of a hidden service for a period, which only those who know the service can derive.
    BlindedId,
    32
);

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
