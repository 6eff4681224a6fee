//! What the maker of a path tells each hop.

use coinfuse_wire::{
    Decode, DecodeError, Encode, Reader, RelayId, ServiceCode, TlvField, TlvStream, TlvWriter,
    Writer,
};
use core::fmt;
use core::time::Duration;
use thiserror::Error;

/// The length to which records of relays are padded. A record of the way there and one of the way
/// back are then the same to see; only a long instruction makes one longer.
pub const HOP_RECORD_LEN: usize = 224;

const PADDING: u64 = 1;
const ROLE: u64 = 2;
const NEXT_RELAY: u64 = 4;
const MAILBOX: u64 = 6;
const PAYMENT: u64 = 8;
const SERVICE: u64 = 10;
const INSTRUCTION: u64 = 12;
const DELAY: u64 = 14;

/// What one hop is to do and what it gets for it. A TLV stream; `docs/spec/onion.md` has the
/// registry of its types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HopRecord {
    /// What to do.
    pub role: Role,
    /// For what, and when.
    pub terms: Terms,
}

/// What a hop is there for.
#[derive(Clone, PartialEq, Eq)]
pub enum Role {
    /// Passes the packet on.
    Forward {
        /// To whom.
        next: NextHop,
    },
    /// Takes the message, the last hop of a question.
    Deliver {
        /// For which of its services.
        service: ServiceCode,
        /// What the service is to do with it.
        instruction: Vec<u8>,
    },
    /// Has its answer: whoever made the reply path.
    Answer,
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forward { next } => write!(f, "Forward({next:?})"),
            Self::Deliver { service, .. } => write!(f, "Deliver({service})"),
            Self::Answer => f.write_str("Answer"),
        }
    }
}

/// Where a packet goes. Both forms take 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// To another relay.
    Relay(RelayId),
    /// To somebody on a link of this relay, who asked it for this name: a client's reply.
    Mailbox([u8; 32]),
}

impl fmt::Debug for NextHop {
    /// Not which: that is the one thing that nobody else knows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relay(_) => "Relay([scrubbed])",
            Self::Mailbox(_) => "Mailbox([scrubbed])",
        })
    }
}

/// What a hop gets, and how long it waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// The hop's fee.
    pub payment: Option<PaymentBytes>,
    /// How long the hop holds the packet before it acts: whole milliseconds, to 2^32 - 1. What is
    /// below and above is cut off.
    pub delay: Duration,
}

impl Terms {
    /// To be paid with a voucher and not delayed.
    pub fn paid(payment: PaymentBytes) -> Self {
        Self {
            payment: Some(payment),
            delay: Duration::ZERO,
        }
    }
}

/// A voucher as it travels, 1 to 175 bytes. What is in it, this crate does not know.
#[derive(Clone, PartialEq, Eq)]
pub struct PaymentBytes(Vec<u8>);

/// A payment of no bytes, or of more than [`PaymentBytes::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a payment has 1 to 175 bytes, not {got}")]
pub struct PaymentLenError {
    /// How many there were.
    pub got: usize,
}

impl PaymentBytes {
    /// The longest payment in bytes: a voucher with its DLEQ proof.
    pub const MAX: usize = 175;

    /// An encoded voucher.
    pub fn new(bytes: Vec<u8>) -> Result<Self, PaymentLenError> {
        match bytes.len() {
            1..=Self::MAX => Ok(Self(bytes)),
            got => Err(PaymentLenError { got }),
        }
    }

    /// The encoded voucher.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for PaymentBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentBytes([scrubbed])")
    }
}

impl Role {
    fn code(&self) -> u8 {
        match self {
            Self::Forward { .. } => 1,
            Self::Deliver { .. } => 2,
            Self::Answer => 3,
        }
    }

    /// How long the record becomes: an answer is read by its maker alone.
    fn padded(&self) -> usize {
        match self {
            Self::Answer => 0,
            Self::Forward { .. } | Self::Deliver { .. } => HOP_RECORD_LEN,
        }
    }
}

impl HopRecord {
    fn write(&self, out: &mut TlvWriter) {
        out.field(ROLE, &[self.role.code()]);
        if let Role::Forward { next } = &self.role {
            match next {
                NextHop::Relay(id) => out.value(NEXT_RELAY, id),
                NextHop::Mailbox(name) => out.field(MAILBOX, name),
            };
        }
        if let Some(payment) = &self.terms.payment {
            out.field(PAYMENT, payment.as_bytes());
        }
        if let Role::Deliver {
            service,
            instruction,
        } = &self.role
        {
            out.value(SERVICE, service);
            if !instruction.is_empty() {
                out.field(INSTRUCTION, instruction);
            }
        }
        let delay = u32::try_from(self.terms.delay.as_millis()).unwrap_or(u32::MAX);
        if delay > 0 {
            out.field(DELAY, &delay.to_be_bytes());
        }
    }
}

impl Encode for HopRecord {
    fn encode(&self, out: &mut Writer) {
        let mut bare = TlvWriter::new();
        self.write(&mut bare);
        let bare = bare.into_bytes();
        // Type and length of the padding are two bytes, as it is shorter than 253.
        if let Some(padding) = self.role.padded().checked_sub(bare.len() + 2) {
            let mut field = TlvWriter::new();
            field.field(PADDING, &vec![0; padding]);
            out.put(&field.into_bytes());
        }
        out.put(&bare);
    }
}

/// The fields of a record, as far as they have come.
#[derive(Default)]
struct Fields {
    role: Option<u8>,
    relay: Option<RelayId>,
    mailbox: Option<[u8; 32]>,
    service: Option<ServiceCode>,
    instruction: Vec<u8>,
    terms: Terms,
}

impl Decode for HopRecord {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut fields = Fields::default();
        let mut stream = TlvStream::new(Reader::new(reader.rest()));
        while let Some(field) = stream.next_field()? {
            fields.take(field)?;
        }
        fields.finish()
    }
}

impl Fields {
    fn take(&mut self, field: TlvField<'_>) -> Result<(), DecodeError> {
        let mut value = Reader::new(field.value);
        match field.kind {
            PADDING => padding(value.rest())?,
            ROLE => self.role = Some(value.u8("role")?),
            NEXT_RELAY => self.relay = Some(RelayId::decode(&mut value)?),
            MAILBOX => self.mailbox = Some(value.array("mailbox")?),
            PAYMENT => self.terms.payment = Some(payment(value.rest())?),
            SERVICE => self.service = Some(ServiceCode::decode(&mut value)?),
            INSTRUCTION => self.instruction = instruction(value.rest())?,
            DELAY => self.terms.delay = delay(value.u32("delay")?)?,
            _ => {
                value.rest();
                field.unknown("hop record")?;
            }
        }
        value.finish()
    }

    /// The role says which fields must be there; the others must not.
    fn finish(self) -> Result<HopRecord, DecodeError> {
        let bare = self.service.is_none() && self.instruction.is_empty();
        let stays = self.relay.is_none() && self.mailbox.is_none();
        let role = match self.role.ok_or(DecodeError::Missing { what: "role" })? {
            1 if bare => Role::Forward {
                next: next(self.relay, self.mailbox)?,
            },
            2 if stays => Role::Deliver {
                service: self
                    .service
                    .ok_or(DecodeError::Missing { what: "service" })?,
                instruction: self.instruction,
            },
            3 if stays && bare => Role::Answer,
            1..=3 => return Err(DecodeError::Invalid { what: "hop record" }),
            got => {
                return Err(DecodeError::Unknown {
                    what: "role",
                    got: got.into(),
                });
            }
        };
        Ok(HopRecord {
            role,
            terms: self.terms,
        })
    }
}

fn next(relay: Option<RelayId>, mailbox: Option<[u8; 32]>) -> Result<NextHop, DecodeError> {
    match (relay, mailbox) {
        (Some(id), None) => Ok(NextHop::Relay(id)),
        (None, Some(name)) => Ok(NextHop::Mailbox(name)),
        (None, None) => Err(DecodeError::Missing { what: "next hop" }),
        (Some(_), Some(_)) => Err(DecodeError::Invalid { what: "next hop" }),
    }
}

fn padding(bytes: &[u8]) -> Result<(), DecodeError> {
    match bytes.iter().all(|byte| *byte == 0) {
        true => Ok(()),
        false => Err(DecodeError::NotCanonical { what: "padding" }),
    }
}

fn payment(bytes: &[u8]) -> Result<PaymentBytes, DecodeError> {
    PaymentBytes::new(bytes.to_vec()).map_err(|_| DecodeError::Invalid { what: "payment" })
}

fn instruction(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    match bytes.is_empty() {
        // Nothing is said by leaving the field out.
        true => Err(DecodeError::NotCanonical {
            what: "instruction",
        }),
        false => Ok(bytes.to_vec()),
    }
}

fn delay(millis: u32) -> Result<Duration, DecodeError> {
    match millis {
        0 => Err(DecodeError::NotCanonical { what: "delay" }),
        _ => Ok(Duration::from_millis(millis.into())),
    }
}
