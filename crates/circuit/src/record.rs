//! Records: the sealed unit on a circuit.
//!
//! ```text
//! on a lane     length u16 | ciphertext                      length counts the ciphertext
//! plaintext     kind u8 | rest
//!   forward       rest is the ciphertext of a record for the next hop
//!   stream,
//!   control,
//!   padding       rest is  length u16 | body | zeros up to the size class
//! ```
//!
//! A relay opens one layer and passes the *same* record on: the plaintext of a forward record,
//! behind a length, is the next hop's record. So record boundaries survive from end to end, and a
//! [`Record`] has room in front and behind to be sealed, opened and forwarded where it lies.

use crate::cipher::{Cipher, NotAuthentic, RekeyPolicy, TAG_LEN};
use bytes::buf::{BufMut, Limit};
use bytes::{Buf, Bytes, BytesMut};
use coinfuse_wire::{HopIndex, Instant};
use thiserror::Error;

/// Plaintext sizes that a sender pads to, so that a length tells little. A record for hop *n* is
/// longer by what its layers add: 16 bytes for the last, 17 for each other one.
pub const SIZE_CLASSES: [usize; 4] = [512, 2048, 8192, 16_384];
/// The largest body of one record.
pub const MAX_BODY: usize = SIZE_CLASSES[3] - BODY_HEADER;
/// The longest ciphertext that a lane carries: the largest class under as many layers as the
/// longest path has.
pub const MAX_CIPHERTEXT: usize = SIZE_CLASSES[3] + HopIndex::MAX_HOPS * (TAG_LEN + 1);

const LEN: usize = 2;
const KIND: usize = 1;
/// Kind and length in front of a body.
const BODY_HEADER: usize = KIND + 2;
/// The bit of the kind byte that says: the next record is under the next key.
const REKEY: u8 = 0x80;

/// What a record is, to the hop that opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A record for the next hop.
    Forward = 0,
    /// Bytes of the HTTP/2 connection between the client and this hop.
    Stream = 1,
    /// A message for this hop.
    Control = 2,
    /// Nothing.
    Padding = 3,
}

/// Why a record is refused. Whoever sealed it is at fault, or somebody on the way; the circuit it
/// came on is closed and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// See [`NotAuthentic`].
    #[error(transparent)]
    NotAuthentic(#[from] NotAuthentic),
    /// A length that no record has.
    #[error("a record of {0} bytes is outside {min}..={MAX_CIPHERTEXT}", min = KIND + TAG_LEN)]
    Length(usize),
    /// The kind byte is not in the registry.
    #[error("record kind {0} is not known here")]
    Kind(u8),
    /// A body that is longer than its record.
    #[error("a record's body is longer than the record")]
    Body,
}

/// One record on its way through: length and ciphertext, with room around them.
#[derive(Debug)]
pub struct Record {
    /// One byte of headroom, the length, the ciphertext; capacity for a tag behind.
    buf: BytesMut,
}

/// What one layer of a record contained. Not printable: it is somebody's plaintext.
pub(crate) enum Opened {
    /// The record for the next hop.
    Forward(Record),
    /// Bytes of the stream.
    Stream(BytesMut),
    /// A message, still encoded.
    Control(BytesMut),
    /// Nothing.
    Padding,
}

const HEADROOM: usize = KIND;
const START: usize = HEADROOM + LEN;

impl Record {
    /// The length of the ciphertext, which is what is metered.
    pub fn ciphertext_len(&self) -> usize {
        self.buf.len() - START
    }

    /// The bytes to put on a lane.
    pub fn into_wire(mut self) -> Bytes {
        self.buf.advance(HEADROOM);
        self.buf.freeze()
    }

    /// Opens this hop's layer.
    pub(crate) fn open(mut self, cipher: &mut Cipher, now: Instant) -> Result<Opened, RecordError> {
        cipher.open(&mut self.buf[START..])?;
        self.buf.truncate(self.buf.len() - TAG_LEN);
        let kind = self.buf[START];
        if kind & REKEY != 0 {
            cipher.rekey(now);
        }
        let kind = match kind & !REKEY {
            0 => return self.into_forward(),
            1 => Kind::Stream,
            2 => Kind::Control,
            3 => return Ok(Opened::Padding),
            other => return Err(RecordError::Kind(other)),
        };
        let body = self.into_body()?;
        Ok(if kind == Kind::Stream {
            Opened::Stream(body)
        } else {
            Opened::Control(body)
        })
    }

    /// The plaintext behind the kind byte becomes the ciphertext of the next hop's record; the
    /// bytes before it have become headroom and length.
    fn into_forward(mut self) -> Result<Opened, RecordError> {
        self.buf.advance(KIND);
        let len = self.ciphertext_len();
        check_len(len)?;
        self.buf[HEADROOM..START].copy_from_slice(&(len as u16).to_be_bytes());
        Ok(Opened::Forward(self))
    }

    fn into_body(mut self) -> Result<BytesMut, RecordError> {
        self.buf.advance(START + KIND);
        if self.buf.len() < 2 {
            return Err(RecordError::Body);
        }
        let len = usize::from(self.buf.get_u16());
        if len > self.buf.len() {
            return Err(RecordError::Body);
        }
        self.buf.truncate(len);
        Ok(self.buf)
    }

    /// Puts one more layer around, towards the client: the whole of this record becomes the
    /// plaintext of a forward record. What comes back has no headroom left: it goes on a lane.
    pub(crate) fn wrap(mut self, sealer: &mut Sealing<'_>) -> Bytes {
        // In place: the last byte of headroom and length becomes the kind, the rest the new length.
        let kind_at = START - KIND;
        self.buf[kind_at] = sealer.kind_byte(Kind::Forward);
        let tag = sealer.seal(&mut self.buf[kind_at..]);
        self.buf.extend_from_slice(&tag);
        let len = (self.buf.len() - kind_at) as u16;
        self.buf[..LEN].copy_from_slice(&len.to_be_bytes());
        self.buf.freeze()
    }
}

/// A cipher, and when it wants to be rekeyed.
pub(crate) struct Sealing<'a> {
    pub(crate) cipher: &'a mut Cipher,
    pub(crate) policy: &'a RekeyPolicy,
    pub(crate) now: Instant,
}

impl Sealing<'_> {
    fn kind_byte(&self, kind: Kind) -> u8 {
        let rekey = self.cipher.wants_rekey(self.now, self.policy);
        kind as u8 | if rekey { REKEY } else { 0 }
    }

    /// Seals a plaintext whose first byte came from [`Self::kind_byte`].
    fn seal(&mut self, plaintext: &mut [u8]) -> [u8; TAG_LEN] {
        let rekey = plaintext[0] & REKEY != 0;
        let tag = self.cipher.seal(plaintext);
        if rekey {
            self.cipher.rekey(self.now);
        }
        tag
    }
}

/// Builds a record with as many layers as `layers` yields, innermost first. The body comes in
/// parts, at most [`MAX_BODY`] together, so that the caller need not join them first.
pub(crate) fn build<'a>(
    kind: Kind,
    body: &[&[u8]],
    layers: impl ExactSizeIterator<Item = Sealing<'a>>,
) -> Bytes {
    let len = body_len(body);
    let count = layers.len();
    let class = class_for(len);
    // The innermost kind byte lies behind the length and one kind byte for each outer layer.
    let mut kind_at = LEN + (count - 1) * KIND;
    let mut buf = BytesMut::with_capacity(kind_at + class + count * TAG_LEN);
    buf.put_bytes(0, kind_at);
    for (depth, mut layer) in layers.enumerate() {
        if depth == 0 {
            buf.put_u8(layer.kind_byte(kind));
            buf.put_u16(len as u16);
            body.iter().for_each(|part| buf.put_slice(part));
            buf.put_bytes(0, class - BODY_HEADER - len);
        } else {
            kind_at -= KIND;
            buf[kind_at] = layer.kind_byte(Kind::Forward);
        }
        let tag = layer.seal(&mut buf[kind_at..]);
        buf.extend_from_slice(&tag);
    }
    let len = (buf.len() - LEN) as u16;
    buf[..LEN].copy_from_slice(&len.to_be_bytes());
    buf.freeze()
}

/// The length of a body in parts.
///
/// # Panics
///
/// If it is above [`MAX_BODY`]: that is a mistake in the calling code, not in anybody's input.
pub(crate) fn body_len(body: &[&[u8]]) -> usize {
    let len = body.iter().map(|part| part.len()).sum();
    assert!(
        len <= MAX_BODY,
        "a record's body has at most {MAX_BODY} bytes"
    );
    len
}

/// The length of the ciphertext that [`build`] makes under `layers` layers.
pub(crate) fn ciphertext_len(body: usize, layers: usize) -> usize {
    class_for(body) + TAG_LEN + (layers - 1) * (KIND + TAG_LEN)
}

fn class_for(body: usize) -> usize {
    let plain = body + BODY_HEADER;
    SIZE_CLASSES
        .into_iter()
        .find(|class| plain <= *class)
        .unwrap_or(SIZE_CLASSES[3])
}

fn check_len(len: usize) -> Result<(), RecordError> {
    if (KIND + TAG_LEN..=MAX_CIPHERTEXT).contains(&len) {
        Ok(())
    } else {
        Err(RecordError::Length(len))
    }
}

/// Cuts the bytes of a lane into records, each in a buffer of its own with room around it.
///
/// Read into [`buffer`](Self::buffer), then call [`take`](Self::take) until it says `None`: the
/// bytes read may end one record and hold the length of the next. The buffer never asks for
/// more than the rest of one record and the length of the next, so nothing is copied twice and an
/// idle lane holds no memory worth naming.
#[derive(Debug)]
pub struct Assembler {
    buf: BytesMut,
    /// The length of the record under way, once known.
    len: Option<usize>,
}

impl Default for Assembler {
    fn default() -> Self {
        Self {
            buf: empty(),
            len: None,
        }
    }
}

impl Assembler {
    /// At the start of a lane.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the next bytes of the lane belong. Not empty after [`take`](Self::take) said `None`;
    /// before, it may be, which a reader must not mistake for the lane's end.
    pub fn buffer(&mut self) -> Limit<&mut BytesMut> {
        let wanted = match self.len {
            None => START.saturating_sub(self.buf.len()),
            Some(len) => {
                let missing = (START + len).saturating_sub(self.buf.len());
                self.buf.reserve(missing + TAG_LEN);
                (START + len + LEN).saturating_sub(self.buf.len())
            }
        };
        (&mut self.buf).limit(wanted)
    }

    /// The record, if it is complete. [`buffer`](Self::buffer) must be asked anew after each call.
    pub fn take(&mut self) -> Result<Option<Record>, RecordError> {
        let len = match self.len {
            Some(len) => len,
            None if self.buf.len() < START => return Ok(None),
            None => {
                let len = usize::from(u16::from_be_bytes([self.buf[1], self.buf[2]]));
                check_len(len)?;
                *self.len.insert(len)
            }
        };
        if self.buf.len() < START + len {
            return Ok(None);
        }
        let mut next = empty();
        next.extend_from_slice(&self.buf[START + len..]);
        let mut buf = core::mem::replace(&mut self.buf, next);
        buf.truncate(START + len);
        self.len = None;
        Ok(Some(Record { buf }))
    }

    /// True between records: the lane may end here.
    pub fn is_between_records(&self) -> bool {
        self.buf.len() == HEADROOM
    }

    /// Copies from `chunk` what belongs to the record under way; for callers that have the bytes
    /// already.
    pub fn feed(&mut self, chunk: &mut impl Buf) {
        let mut buffer = self.buffer();
        let n = buffer.remaining_mut().min(chunk.remaining());
        buffer.put(chunk.take(n));
    }
}

fn empty() -> BytesMut {
    let mut buf = BytesMut::with_capacity(START + LEN);
    buf.put_bytes(0, HEADROOM);
    buf
}
