//! The key by which a relay is known on its links.

use coinfuse_directory::LinkKey;
use core::fmt;
use ed25519_dalek::SigningKey;
use hkdf::Hkdf;
use ring::hmac;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The seed of a relay's link key, 32 bytes. Wiped when dropped, and never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct LinkSecret([u8; 32]);

impl LinkSecret {
    /// The secret with this Ed25519 seed. The same seed gives the same key and the same certificate.
    pub const fn from_seed(seed: [u8; 32]) -> Self {
        Self(seed)
    }

    /// The public key that goes into the descriptor.
    pub fn key(&self) -> LinkKey {
        LinkKey::new(SigningKey::from_bytes(&self.0).verifying_key().to_bytes())
    }

    /// The private key in PKCS#8 v1 (RFC 8410, section 7), as TLS libraries want it.
    pub(super) fn to_pkcs8(&self) -> Pkcs8 {
        // SEQUENCE { INTEGER 0, SEQUENCE { OID 1.3.101.112 }, OCTET STRING { OCTET STRING seed } }
        const HEADER: [u8; 16] = [
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ];
        let mut der = [0; 48];
        der[..16].copy_from_slice(&HEADER);
        der[16..].copy_from_slice(&self.0);
        Pkcs8(der)
    }

    /// What the tokens of stateless resets are made with (RFC 9000, section 10.3.2).
    pub(super) fn reset_key(&self) -> hmac::Key {
        self.derive(b"stateless reset")
    }

    /// What connection IDs are made with.
    pub(super) fn id_key(&self) -> hmac::Key {
        self.derive(b"connection ID")
    }

    fn derive(&self, label: &[u8]) -> hmac::Key {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(b"coinfuse link secret v1"), &self.0)
            .expand(label, &mut *key)
            .expect("32 bytes are within the 8,160 that HKDF-SHA256 gives");
        hmac::Key::new(hmac::HMAC_SHA256, &*key)
    }
}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSecret([scrubbed])")
    }
}

/// A private key in DER, wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Pkcs8([u8; 48]);

impl Pkcs8 {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_that_of_rfc_8032_test_1() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let secret = LinkSecret::from_seed(hex::decode(seed).unwrap().try_into().unwrap());
        assert_eq!(hex::encode(secret.key().as_bytes()), key);
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = LinkSecret::from_seed([0xab; 32]);
        assert_eq!(format!("{secret:?}"), "LinkSecret([scrubbed])");
        assert_eq!(
            format!("{:?}", LinkKey::new([0xcd; 32])),
            "LinkKey(cdcdcdcd..)"
        );
    }
}
