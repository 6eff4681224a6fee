//! ChaCha20-Poly1305 with keys that are used once, therefore without a nonce.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// Bytes that sealing adds.
pub(crate) const SEAL_LEN: usize = 16;

pub(crate) fn seal(key: &[u8; 32], plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() + SEAL_LEN);
    out.extend_from_slice(plain);
    cipher(key)
        .seal_in_place_append_tag(nonce(), Aad::empty(), &mut out)
        .expect("sealing fails above 256 GiB only");
    out
}

/// The plain bytes; `None` if they were not sealed with this key.
pub(crate) fn open(key: &[u8; 32], sealed: &[u8]) -> Option<Vec<u8>> {
    let mut out = sealed.to_vec();
    let plain = cipher(key)
        .open_in_place(nonce(), Aad::empty(), &mut out)
        .ok()?
        .len();
    out.truncate(plain);
    Some(out)
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("32 bytes are a key");
    LessSafeKey::new(key)
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}
