//! Bytes in, typed values out; nothing later indexes a slice.

use thiserror::Error;

/// Why some bytes are not a value of the type that was asked for.
///
/// The sender of the bytes is at fault in every case; `what` names the field, so that a log line or
/// a fuzz report says where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ended before `what` was complete.
    #[error("{what}: {missing} more bytes are needed")]
    Truncated {
        /// The field being read.
        what: &'static str,
        /// How many bytes were missing, at least.
        missing: usize,
    },
    /// The value ended and bytes were left over.
    #[error("{count} bytes are left over")]
    Leftover {
        /// How many.
        count: usize,
    },
    /// A length or count is above the bound that the protocol gives.
    #[error("{what}: {got} is more than the {max} allowed")]
    TooLarge {
        /// The field being read.
        what: &'static str,
        /// The number that was read.
        got: u64,
        /// The largest number that is allowed.
        max: u64,
    },
    /// The bytes have the right length and no meaning.
    #[error("{what}: not a valid value")]
    Invalid {
        /// The field being read.
        what: &'static str,
    },
    /// A number or a sequence is not in its one canonical form.
    #[error("{what}: not in canonical form")]
    NotCanonical {
        /// The field being read.
        what: &'static str,
    },
    /// A field that must be there is not.
    #[error("{what}: missing")]
    Missing {
        /// The field that was expected.
        what: &'static str,
    },
    /// An even TLV type, a version or a message type that this code does not know.
    #[error("{what}: type {got} is not known here")]
    Unknown {
        /// The registry that was consulted.
        what: &'static str,
        /// The number that was read.
        got: u64,
    },
}

/// Takes a byte slice apart from its front.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

macro_rules! read_int {
    ($($name:ident: $t:ty),*) => {$(
        #[doc = concat!("Reads a big-endian `", stringify!($t), "`.")]
        pub fn $name(&mut self, what: &'static str) -> Result<$t, DecodeError> {
            Ok(<$t>::from_be_bytes(self.array(what)?))
        }
    )*};
}

impl<'a> Reader<'a> {
    /// A reader over all of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// True when every byte has been taken.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes exactly `len` bytes.
    pub fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(len) {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(head)
            }
            None => Err(DecodeError::Truncated {
                what,
                missing: len - self.rest.len(),
            }),
        }
    }

    /// Takes an array of a fixed size.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, rest)) => {
                self.rest = rest;
                Ok(*head)
            }
            None => Err(DecodeError::Truncated {
                what,
                missing: N - self.rest.len(),
            }),
        }
    }

    read_int!(u8: u8, u16: u16, u32: u32, u64: u64);

    /// Reads a canonical variable-length integer (the `BigSize` of Lightning's BOLT-1): one byte
    /// below 0xfd, then 0xfd + 2, 0xfe + 4 or 0xff + 8 big-endian bytes, shortest form only.
    pub fn varint(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let (value, min) = match self.u8(what)? {
            0xff => (self.u64(what)?, 0x1_0000_0000),
            0xfe => (self.u32(what)?.into(), 0x1_0000),
            0xfd => (self.u16(what)?.into(), 0xfd),
            small => (small.into(), 0),
        };
        if value < min {
            return Err(DecodeError::NotCanonical { what });
        }
        Ok(value)
    }

    /// Reads a count or length as a varint and refuses more than `max`, before anything is
    /// allocated for it.
    pub fn bounded(&mut self, max: usize, what: &'static str) -> Result<usize, DecodeError> {
        let got = self.varint(what)?;
        match usize::try_from(got) {
            Ok(n) if n <= max => Ok(n),
            _ => Err(DecodeError::TooLarge {
                what,
                got,
                max: max as u64,
            }),
        }
    }

    /// Reads a varint length of at most `max`, then that many bytes.
    pub fn bytes(&mut self, max: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.bounded(max, what)?;
        self.take(len, what)
    }

    /// Reads a varint length of at most `max`, then that many bytes of UTF-8.
    pub fn text(&mut self, max: usize, what: &'static str) -> Result<&'a str, DecodeError> {
        core::str::from_utf8(self.bytes(max, what)?).map_err(|_| DecodeError::Invalid { what })
    }

    /// Takes everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// Ends the reading: leftover bytes are an error.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(DecodeError::Leftover { count }),
        }
    }
}

/// Puts bytes together at the end of a vector.
#[derive(Debug, Default, Clone)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends raw bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    /// Appends a big-endian `u16`.
    pub fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    /// Appends a big-endian `u32`.
    pub fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    /// Appends a big-endian `u64`.
    pub fn u64(&mut self, value: u64) {
        self.put(&value.to_be_bytes());
    }

    /// Appends the shortest form of a variable-length integer; see [`Reader::varint`].
    pub fn varint(&mut self, value: u64) {
        match value {
            0..=0xfc => self.u8(value as u8),
            0xfd..=0xffff => {
                self.u8(0xfd);
                self.u16(value as u16);
            }
            0x1_0000..=0xffff_ffff => {
                self.u8(0xfe);
                self.u32(value as u32);
            }
            _ => {
                self.u8(0xff);
                self.u64(value);
            }
        }
    }

    /// Appends a varint length and the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.put(bytes);
    }

    /// Appends the encoding of `value`.
    pub fn value(&mut self, value: &impl Encode) {
        value.encode(self);
    }

    /// How many bytes have been written.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// True before anything has been written.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

/// A value with one encoding.
pub trait Encode {
    /// Appends the encoding to `out`.
    fn encode(&self, out: &mut Writer);

    /// The encoding by itself.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::new();
        self.encode(&mut out);
        out.into_bytes()
    }
}

/// A value that can be read back; the counterpart of [`Encode`].
pub trait Decode: Sized {
    /// Reads one value from the front of `reader`.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// Reads one value that fills `bytes` exactly.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn varints_have_one_form() {
        // The BigSize vectors of BOLT-1, appendix A.
        for (value, hex) in [
            (0u64, vec![0x00]),
            (252, vec![0xfc]),
            (253, vec![0xfd, 0x00, 0xfd]),
            (65_535, vec![0xfd, 0xff, 0xff]),
            (65_536, vec![0xfe, 0x00, 0x01, 0x00, 0x00]),
            (u64::from(u32::MAX), vec![0xfe, 0xff, 0xff, 0xff, 0xff]),
            (1 << 32, vec![0xff, 0, 0, 0, 1, 0, 0, 0, 0]),
            (u64::MAX, vec![0xff; 9]),
        ] {
            let mut out = Writer::new();
            out.varint(value);
            assert_eq!(out.into_bytes(), hex);
            assert_eq!(Reader::new(&hex).varint("v"), Ok(value));
        }
        for long in [
            &[0xfd, 0x00, 0xfc][..],
            &[0xfe, 0x00, 0x00, 0xff, 0xff],
            &[0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(
                Reader::new(long).varint("v"),
                Err(DecodeError::NotCanonical { what: "v" })
            );
        }
    }

    #[test]
    fn a_length_above_its_bound_is_refused_before_reading_on() {
        assert_eq!(
            Reader::new(&[0xfe, 0xff, 0xff, 0xff, 0xff]).bytes(64, "name"),
            Err(DecodeError::TooLarge {
                what: "name",
                got: 0xffff_ffff,
                max: 64
            })
        );
    }

    #[test]
    fn truncation_names_the_field_and_what_is_missing() {
        assert_eq!(
            Reader::new(&[1, 2, 3]).u64("expiry"),
            Err(DecodeError::Truncated {
                what: "expiry",
                missing: 5
            })
        );
    }

    proptest! {
        #[test]
        fn varint_round_trips(value: u64) {
            let mut out = Writer::new();
            out.varint(value);
            let bytes = out.into_bytes();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint("v").unwrap(), value);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn a_varint_that_reads_writes_back_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader::new(&bytes);
            if let Ok(value) = reader.varint("v") {
                let used = bytes.len() - reader.remaining();
                let mut out = Writer::new();
                out.varint(value);
                prop_assert_eq!(out.into_bytes(), bytes[..used].to_vec());
            }
        }
    }
}
