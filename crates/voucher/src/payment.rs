//! Vouchers in a message.

use crate::id::PaymentId;
use crate::voucher::Voucher;
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};

/// A payment has no vouchers or too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a payment has 1 to 16 vouchers, not {0}")]
pub struct PaymentSizeError(pub usize);

/// One to sixteen vouchers, presented together: a varint count, then their encodings. At most
/// [`Self::MAX_LEN`] bytes.
///
/// Each is judged by itself: a relay credits the good ones and refuses the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment(Vec<Voucher>);

impl Payment {
    /// The most vouchers in one payment: 16 powers of two span a factor of 65,536, more than a
    /// purse needs for one increment.
    pub const MAX_VOUCHERS: usize = 16;
    /// The longest encoding, in bytes.
    pub const MAX_LEN: usize = 1 + Self::MAX_VOUCHERS * Voucher::LONG_LEN;

    /// A payment of these vouchers, each without its tweak: payments are short.
    pub fn new(vouchers: Vec<Voucher>) -> Result<Self, PaymentSizeError> {
        match vouchers.len() {
            1..=Self::MAX_VOUCHERS => Ok(Self(
                vouchers.into_iter().map(Voucher::without_tweak).collect(),
            )),
            count => Err(PaymentSizeError(count)),
        }
    }

    /// The vouchers, in the order of the message.
    pub fn vouchers(&self) -> &[Voucher] {
        &self.0
    }

    /// The vouchers, in the order of the message.
    pub fn into_vouchers(self) -> Vec<Voucher> {
        self.0
    }

    /// A name for these bytes, for answers and logs.
    pub fn id(&self) -> PaymentId {
        PaymentId::of_encoding(&self.to_bytes())
    }
}

impl Encode for Payment {
    fn encode(&self, out: &mut Writer) {
        out.varint(self.0.len() as u64);
        self.0.iter().for_each(|voucher| out.value(voucher));
    }
}

impl Decode for Payment {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.bounded(Self::MAX_VOUCHERS, "payment")? {
            0 => Err(DecodeError::Missing { what: "payment" }),
            count => (0..count)
                .map(|_| Voucher::decode(reader))
                .collect::<Result<_, _>>()
                .map(Self),
        }
    }
}
