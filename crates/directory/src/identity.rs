//! The key that a relay is known by.

use coinfuse_wire::RelayId;
use core::fmt;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use thiserror::Error;
use zeroize::Zeroizing;

/// Size of a signature, in bytes.
pub const SIGNATURE_LEN: usize = 64;

/// A relay's identity: the Ed25519 key that signs its descriptors, and nothing on any connection.
///
/// Wiped from memory when dropped; never printed.
pub struct Identity {
    key: SigningKey,
}

impl Identity {
    /// The identity that grows from a secret seed of 32 random bytes, which is also what to store.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self {
            key: SigningKey::from_bytes(&seed),
        }
    }

    /// What everybody else calls this relay.
    pub fn relay_id(&self) -> RelayId {
        RelayId::new(self.key.verifying_key().to_bytes())
    }

    /// Signs `message` for the one purpose that `domain` names; see [`verify_signature`].
    ///
    /// # Panics
    ///
    /// If `domain` is longer than 255 bytes: it is a constant of the calling code.
    pub fn sign(&self, domain: &'static str, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.key.sign(&signed_text(domain, message)).to_bytes()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.relay_id())
    }
}

/// A signature was not made by the relay it claims, or not over these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// Checks that `relay` signed `message` for the purpose `domain`.
///
/// What is signed is one byte length of the domain, the domain, the message: a signature made for
/// one purpose means nothing for another. Keys and signatures of small order are refused
/// (RFC 8032 with the strict checks that `ed25519-dalek` documents).
pub fn verify_signature(
    relay: &RelayId,
    domain: &'static str,
    message: &[u8],
    signature: &[u8; SIGNATURE_LEN],
) -> Result<(), BadSignature> {
    let key = VerifyingKey::from_bytes(relay.as_bytes()).map_err(|_| BadSignature)?;
    key.verify_strict(
        &signed_text(domain, message),
        &Signature::from_bytes(signature),
    )
    .map_err(|_| BadSignature)
}

fn signed_text(domain: &'static str, message: &[u8]) -> Vec<u8> {
    let len = u8::try_from(domain.len()).expect("a domain is a short constant");
    let mut text = Vec::with_capacity(1 + domain.len() + message.len());
    text.push(len);
    text.extend_from_slice(domain.as_bytes());
    text.extend_from_slice(message);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_relay_its_domain_and_its_message_only() {
        let (alice, bob) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
        let signature = alice.sign("one", b"text");
        let check = |relay: RelayId, domain, message: &[u8]| {
            verify_signature(&relay, domain, message, &signature)
        };
        assert_eq!(check(alice.relay_id(), "one", b"text"), Ok(()));
        assert_eq!(check(bob.relay_id(), "one", b"text"), Err(BadSignature));
        assert_eq!(check(alice.relay_id(), "two", b"text"), Err(BadSignature));
        assert_eq!(check(alice.relay_id(), "one", b"texts"), Err(BadSignature));
        // Bytes cannot wander between domain and message.
        assert_eq!(check(alice.relay_id(), "onet", b"ext"), Err(BadSignature));
    }

    #[test]
    fn an_identity_does_not_print_its_seed() {
        let printed = format!("{:?}", Identity::from_seed([0xab; 32]));
        assert!(
            !printed.contains("abab") && !printed.contains("171"),
            "{printed}"
        );
    }

    #[test]
    fn a_key_of_small_order_signs_nothing() {
        // The neutral element as key, R = neutral element, s = 0 "verifies" any message without
        // the strict check.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert_eq!(
            verify_signature(&RelayId::new(neutral), "d", b"m", &signature),
            Err(BadSignature)
        );
    }
}
