//! One direction of one lane: an AEAD key, a counter, and when to change the key.
//!
//! The keys come out of a Noise handshake ([`crate::session`]); what is done with them is Noise's
//! `CipherState` (sections 5.1 and 4.2), over buffers that are sealed and opened where they lie:
//! a copy a layer would cost as much as the cipher does.

use crate::Suite;
use coinfuse_wire::Instant;
use core::time::Duration;
use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes that sealing adds.
pub const TAG_LEN: usize = 16;

/// When a sender changes its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RekeyPolicy {
    /// After so many records under one key. Default 65,536: a GiB of bulk records.
    pub records: u64,
    /// After this time under one key. Default one hour.
    pub age: Duration,
}

impl RekeyPolicy {
    /// No sender may seal more than this under one key, and no receiver opens more.
    pub const MAX_RECORDS: u64 = 1 << 20;
}

impl Default for RekeyPolicy {
    fn default() -> Self {
        Self {
            records: 1 << 16,
            age: Duration::from_secs(3600),
        }
    }
}

/// A record was not sealed by the other end of this session, or not in this place of the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a record does not authenticate: it was altered, replayed, reordered or lost on the way")]
pub struct NotAuthentic;

pub(crate) struct Cipher {
    suite: Suite,
    secret: Zeroizing<[u8; 32]>,
    key: LessSafeKey,
    /// Never restarts within a session, also not at a change of key (Noise, section 11.3).
    nonce: u64,
    under_this_key: u64,
    since: Instant,
}

impl Cipher {
    /// The cipher for one lane: each lane has a key of its own, because the lanes of a circuit are
    /// not ordered among each other.
    pub(crate) fn for_lane(suite: Suite, split: &[u8; 32], label: &[u8], now: Instant) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, split), label);
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(tag.as_ref());
        Self {
            suite,
            key: load(suite, &secret),
            secret,
            nonce: 0,
            under_this_key: 0,
            since: now,
        }
    }

    /// True when the record about to be sealed should be the last one under this key.
    pub(crate) fn wants_rekey(&self, now: Instant, policy: &RekeyPolicy) -> bool {
        self.under_this_key + 1 >= policy.records.min(RekeyPolicy::MAX_RECORDS)
            || now.saturating_since(self.since) >= policy.age
    }

    /// Encrypts `buf` where it lies and returns the tag that belongs behind it.
    pub(crate) fn seal(&mut self, buf: &mut [u8]) -> [u8; TAG_LEN] {
        let nonce = self.next_nonce();
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::empty(), buf)
            .expect("a record is far below the AEAD's length limit");
        let mut out = [0; TAG_LEN];
        out.copy_from_slice(tag.as_ref());
        out
    }

    /// Decrypts `buf`, ciphertext and tag, where it lies. The plaintext is its first
    /// `buf.len() - TAG_LEN` bytes.
    pub(crate) fn open(&mut self, buf: &mut [u8]) -> Result<(), NotAuthentic> {
        if self.under_this_key >= RekeyPolicy::MAX_RECORDS {
            return Err(NotAuthentic);
        }
        let nonce = self.next_nonce();
        match self.key.open_in_place(nonce, Aad::empty(), buf) {
            Ok(_) => Ok(()),
            Err(_) => Err(NotAuthentic),
        }
    }

    /// Noise's `REKEY(k)`: the first 32 bytes of `ENCRYPT(k, 2^64-1, "", zeros)` (section 4.2).
    pub(crate) fn rekey(&mut self, now: Instant) {
        let mut next = Zeroizing::new([0; 32]);
        let _unused_tag = self
            .key
            .seal_in_place_separate_tag(nonce(self.suite, u64::MAX), Aad::empty(), &mut *next)
            .expect("32 bytes are below the AEAD's length limit");
        self.key = load(self.suite, &next);
        self.secret = next;
        self.under_this_key = 0;
        self.since = now;
    }

    fn next_nonce(&mut self) -> Nonce {
        let nonce = nonce(self.suite, self.nonce);
        self.nonce += 1;
        self.under_this_key += 1;
        nonce
    }
}

impl core::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Cipher")
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

fn load(suite: Suite, secret: &[u8; 32]) -> LessSafeKey {
    let algorithm = match suite {
        Suite::ChaChaPoly => &CHACHA20_POLY1305,
        Suite::AesGcm => &AES_256_GCM,
    };
    LessSafeKey::new(UnboundKey::new(algorithm, secret).expect("both ciphers take 32-byte keys"))
}

/// Noise, section 12: 32 zero bits, then the counter; little-endian for ChaChaPoly, big-endian for
/// AESGCM.
fn nonce(suite: Suite, counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&match suite {
        Suite::ChaChaPoly => counter.to_le_bytes(),
        Suite::AesGcm => counter.to_be_bytes(),
    });
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(suite: Suite) -> (Cipher, Cipher) {
        let new = || Cipher::for_lane(suite, &[7; 32], b"test", Instant::ZERO);
        (new(), new())
    }

    fn seal(cipher: &mut Cipher, text: &[u8]) -> Vec<u8> {
        let mut buf = text.to_vec();
        let tag = cipher.seal(&mut buf);
        buf.extend_from_slice(&tag);
        buf
    }

    #[test]
    fn both_suites_open_what_they_sealed_and_nothing_else() {
        for suite in Suite::ALL {
            let (mut sender, mut receiver) = pair(suite);
            let first = seal(&mut sender, b"first");
            let second = seal(&mut sender, b"second");
            assert_eq!(
                receiver.open(&mut second.clone()),
                Err(NotAuthentic),
                "reordered"
            );
            let (_, mut receiver) = pair(suite);
            let mut buf = first.clone();
            receiver.open(&mut buf).unwrap();
            assert_eq!(&buf[..5], b"first");
            assert_eq!(
                receiver.open(&mut first.clone()),
                Err(NotAuthentic),
                "replayed"
            );
        }
    }

    #[test]
    fn a_change_of_key_is_noise_s_rekey() {
        // The same definition out of snow: a cipher state over the same key, rekeyed.
        for (suite, choice) in [
            (Suite::ChaChaPoly, snow::params::CipherChoice::ChaChaPoly),
            (Suite::AesGcm, snow::params::CipherChoice::AESGCM),
        ] {
            let (mut ours, _) = pair(suite);
            let resolver = snow::resolvers::RingResolver;
            let mut theirs =
                snow::resolvers::CryptoResolver::resolve_cipher(&resolver, &choice).unwrap();
            theirs.set(&ours.secret);
            theirs.rekey();
            ours.rekey(Instant::ZERO);
            let mut expected = [0; 5 + TAG_LEN];
            theirs.encrypt(0, &[], b"after", &mut expected);
            assert_eq!(seal(&mut ours, b"after"), expected);
        }
    }

    #[test]
    fn a_key_is_changed_by_count_and_by_age() {
        let policy = RekeyPolicy {
            records: 2,
            age: Duration::from_secs(60),
        };
        let (mut sender, _) = pair(Suite::AesGcm);
        assert!(!sender.wants_rekey(Instant::ZERO, &policy));
        assert!(sender.wants_rekey(Instant::ZERO + Duration::from_secs(60), &policy));
        seal(&mut sender, b"one");
        assert!(sender.wants_rekey(Instant::ZERO, &policy));
        sender.rekey(Instant::ZERO);
        assert!(!sender.wants_rekey(Instant::ZERO, &policy));
    }
}
