//! What a hop finds when it has peeled: a record from the maker of the path, and, at the last hop,
//! a message from the maker of the packet.

use crate::key::Shared;
use crate::record::HopRecord;
use crate::reply::ReplyPath;
use crate::seal;
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, TlvStream, TlvWriter, Writer};
use thiserror::Error;

const SEALED: u64 = 2;
const MESSAGE: u64 = 4;
const REPLY: u64 = 6;

/// A payload. On the way there both parts are the client's; on the way back the records are the
/// client's and the message is the answering relay's, who cannot read the records.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Payload {
    /// The [`HopRecord`], sealed.
    pub(crate) sealed: Vec<u8>,
    /// Empty except at the last hop.
    pub(crate) message: Vec<u8>,
    /// Where the answer goes.
    pub(crate) reply: Option<ReplyPath>,
}

/// Why what a hop has peeled is of no use. The maker of the packet is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// The payload or the record is not as `docs/spec/onion.md` has it.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The record was sealed for another hop, or by somebody else than the path's maker.
    #[error("the hop record is not authentic")]
    Seal,
    /// The packet ends where it is to be forwarded, or goes on where it is to end, or carries a
    /// message where nobody is to read it.
    #[error("the record does not fit its place in the packet")]
    Place,
}

impl Payload {
    pub(crate) fn record(record: &HopRecord, shared: &Shared) -> Self {
        Self {
            sealed: seal::seal(&shared.key(b"record"), &record.to_bytes()),
            ..Self::default()
        }
    }

    pub(crate) fn open(&self, shared: &Shared) -> Result<HopRecord, PayloadError> {
        let plain = seal::open(&shared.key(b"record"), &self.sealed).ok_or(PayloadError::Seal)?;
        Ok(HopRecord::from_bytes(&plain)?)
    }

    /// Whether there is nothing for a reader of messages.
    pub(crate) fn is_bare(&self) -> bool {
        self.message.is_empty() && self.reply.is_none()
    }
}

impl Encode for Payload {
    fn encode(&self, out: &mut Writer) {
        let mut stream = TlvWriter::new();
        stream.field(SEALED, &self.sealed);
        if !self.message.is_empty() {
            stream.field(MESSAGE, &self.message);
        }
        if let Some(reply) = &self.reply {
            stream.value(REPLY, reply);
        }
        out.put(&stream.into_bytes());
    }
}

impl Decode for Payload {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut payload = Self::default();
        let mut stream = TlvStream::new(Reader::new(reader.rest()));
        while let Some(field) = stream.next_field()? {
            match field.kind {
                SEALED => payload.sealed = field.value.to_vec(),
                // Nothing is said by leaving the field out.
                MESSAGE if field.value.is_empty() => {
                    return Err(DecodeError::NotCanonical { what: "message" });
                }
                MESSAGE => payload.message = field.value.to_vec(),
                REPLY => payload.reply = Some(field.parse()?),
                _ => field.unknown("payload")?,
            }
        }
        match payload.sealed.is_empty() {
            true => Err(DecodeError::Missing { what: "hop record" }),
            false => Ok(payload),
        }
    }
}
