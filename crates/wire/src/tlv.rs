//! Streams of type-length-value fields, as in Lightning's BOLT-1.
//!
//! A stream is a sequence of `varint type, varint length, value`. Types strictly increase, so a
//! field cannot come twice and there is one encoding. A reader that meets an even type it does not
//! know must refuse the message; an odd one it may pass over.

use crate::{Decode, DecodeError, Encode, Reader, Writer};

/// One field of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlvField<'a> {
    /// The type.
    pub kind: u64,
    /// The value, still encoded.
    pub value: &'a [u8],
}

impl TlvField<'_> {
    /// Decodes the value, which must be filled exactly.
    pub fn parse<T: Decode>(&self) -> Result<T, DecodeError> {
        T::from_bytes(self.value)
    }

    /// What to do with a field that is not known here: refuse an even type, pass over an odd one.
    pub fn unknown(&self, what: &'static str) -> Result<(), DecodeError> {
        if self.kind.is_multiple_of(2) {
            return Err(DecodeError::Unknown {
                what,
                got: self.kind,
            });
        }
        Ok(())
    }
}

/// Reads the fields of a stream, one after the other, until its reader is empty.
///
/// ```
/// use coinfuse_wire::{Reader, TlvStream};
///
/// let bytes = [1, 1, 0xaa, 3, 0];
/// let mut stream = TlvStream::new(Reader::new(&bytes));
/// while let Some(field) = stream.next_field()? {
///     match field.kind {
///         1 => assert_eq!(field.value, [0xaa]),
///         _ => field.unknown("example")?,
///     }
/// }
/// # Ok::<(), coinfuse_wire::DecodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct TlvStream<'a> {
    reader: Reader<'a>,
    last: Option<u64>,
}

impl<'a> TlvStream<'a> {
    /// A stream over all that `reader` has left.
    pub fn new(reader: Reader<'a>) -> Self {
        Self { reader, last: None }
    }

    /// The next field; `None` at the end.
    pub fn next_field(&mut self) -> Result<Option<TlvField<'a>>, DecodeError> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let kind = self.reader.varint("TLV type")?;
        if self.last.is_some_and(|last| kind <= last) {
            return Err(DecodeError::NotCanonical { what: "TLV order" });
        }
        self.last = Some(kind);
        let len = self.reader.varint("TLV value")?;
        let value = self
            .reader
            .take(usize::try_from(len).unwrap_or(usize::MAX), "TLV value")?;
        Ok(Some(TlvField { kind, value }))
    }
}

/// Writes a stream; the types must be given in increasing order.
#[derive(Debug, Default)]
pub struct TlvWriter {
    out: Writer,
    last: Option<u64>,
}

impl TlvWriter {
    /// An empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a field.
    ///
    /// # Panics
    ///
    /// If `kind` is not larger than the one before: that is a mistake in the calling code, not in
    /// anybody's input.
    pub fn field(&mut self, kind: u64, value: &[u8]) -> &mut Self {
        assert!(
            self.last.is_none_or(|last| last < kind),
            "TLV type {kind} is out of order"
        );
        self.last = Some(kind);
        self.out.varint(kind);
        self.out.bytes(value);
        self
    }

    /// Appends a field with an encoded value.
    pub fn value(&mut self, kind: u64, value: &impl Encode) -> &mut Self {
        self.field(kind, &value.to_bytes())
    }

    /// The bytes of the stream.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(bytes: &[u8]) -> Result<Vec<u64>, DecodeError> {
        let mut stream = TlvStream::new(Reader::new(bytes));
        let mut kinds = Vec::new();
        while let Some(field) = stream.next_field()? {
            kinds.push(field.kind);
        }
        Ok(kinds)
    }

    #[test]
    fn fields_come_in_increasing_order_and_once() {
        assert_eq!(kinds(&[1, 0, 2, 1, 9]), Ok(vec![1, 2]));
        let order = Err(DecodeError::NotCanonical { what: "TLV order" });
        assert_eq!(kinds(&[2, 0, 1, 0]), order);
        assert_eq!(kinds(&[2, 0, 2, 0]), order);
    }

    #[test]
    fn a_value_longer_than_the_stream_is_refused() {
        assert_eq!(
            kinds(&[1, 5, 0]),
            Err(DecodeError::Truncated {
                what: "TLV value",
                missing: 4
            })
        );
    }

    #[test]
    fn even_must_be_understood_and_odd_may_be_passed_over() {
        assert!(
            TlvField {
                kind: 7,
                value: &[]
            }
            .unknown("x")
            .is_ok()
        );
        assert_eq!(
            TlvField {
                kind: 8,
                value: &[]
            }
            .unknown("x"),
            Err(DecodeError::Unknown { what: "x", got: 8 })
        );
    }

    #[test]
    fn a_written_stream_reads_back() {
        let mut out = TlvWriter::new();
        out.field(1, &[7]).value(4, &crate::Msat::new(300));
        let bytes = out.into_bytes();
        let mut stream = TlvStream::new(Reader::new(&bytes));
        assert_eq!(
            stream.next_field(),
            Ok(Some(TlvField {
                kind: 1,
                value: &[7]
            }))
        );
        let price = stream.next_field().unwrap().unwrap();
        assert_eq!(price.parse::<crate::Msat>(), Ok(crate::Msat::new(300)));
        assert_eq!(stream.next_field(), Ok(None));
    }
}
