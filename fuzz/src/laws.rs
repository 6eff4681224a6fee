//! The laws of [`Encode`] and [`Decode`].

use coinfuse_wire::{Decode, Encode};

/// There is one encoding: what decodes, encodes to the very bytes it came from. And no prefix of
/// it is a value, so a message that was cut short is never taken for another.
pub fn canonical<T: Encode + Decode>(bytes: &[u8]) {
    let Ok(value) = T::from_bytes(bytes) else {
        return;
    };
    assert_eq!(value.to_bytes(), bytes, "not the bytes it was decoded from");
}

/// As [`canonical`], for a value that passes over fields it does not know: its encoding is one
/// that decodes, to the same encoding, and is not longer than what came.
pub fn stable<T: Encode + Decode>(bytes: &[u8]) {
    let Ok(value) = T::from_bytes(bytes) else {
        return;
    };
    let encoded = value.to_bytes();
    assert!(encoded.len() <= bytes.len(), "grew");
    let again = T::from_bytes(&encoded).expect("an encoding decodes");
    assert_eq!(again.to_bytes(), encoded);
}

/// The first byte as a choice among `n`, and the rest.
pub fn choose(data: &[u8], n: u8) -> Option<(u8, &[u8])> {
    data.split_first().map(|(first, rest)| (first % n, rest))
}

/// The bytes as text, if they are text.
pub fn text(data: &[u8]) -> Option<&str> {
    core::str::from_utf8(data).ok()
}
