//! Control messages, the bodies of control records.
//!
//! Each direction has messages of its own, and a machine parses only those that it may hear.
//! The first byte is the type; the rest has no leftover.

use crate::Suite;
use crate::lane::{CloseReason, ExtendRefusal};
use crate::session::MAX_HANDSHAKE;
use coinfuse_wire::{ByteCount, Decode, DecodeError, Encode, Msat, Reader, Writer};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The most addresses that a client may give for one hop.
pub const MAX_ADDRESSES: usize = 8;
/// The longest payment, in bytes.
pub const MAX_OFFER: usize = 8192;
/// The longest payment in a handshake, in bytes: strangers may send one.
pub const MAX_FIRST_OFFER: usize = 4096;
/// The most items of one payment, and so the most refusals.
pub const MAX_REFUSALS: usize = 64;

/// Where the next hop is: enough to make a link, and no more.
#[derive(Clone, PartialEq, Eq)]
pub struct NextHop {
    /// The Ed25519 key of the next hop's link certificate, from its descriptor.
    pub link_key: [u8; 32],
    /// Addresses to try, in this order; 1 to [`MAX_ADDRESSES`].
    pub addresses: Vec<SocketAddr>,
}

impl fmt::Debug for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NextHop([scrubbed])")
    }
}

impl Encode for NextHop {
    fn encode(&self, out: &mut Writer) {
        out.put(&self.link_key);
        out.varint(self.addresses.len() as u64);
        for address in &self.addresses {
            match address.ip() {
                IpAddr::V4(ip) => {
                    out.u8(4);
                    out.put(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    out.u8(6);
                    out.put(&ip.octets());
                }
            }
            out.u16(address.port());
        }
    }
}

impl Decode for NextHop {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let link_key = reader.array("link key")?;
        let count = reader.bounded(MAX_ADDRESSES, "addresses")?;
        if count == 0 {
            return Err(DecodeError::Missing { what: "addresses" });
        }
        let addresses = (0..count)
            .map(|_| address(reader))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            link_key,
            addresses,
        })
    }
}

fn address(reader: &mut Reader<'_>) -> Result<SocketAddr, DecodeError> {
    let ip: IpAddr = match reader.u8("address family")? {
        4 => Ipv4Addr::from(reader.array::<4>("IPv4 address")?).into(),
        6 => Ipv6Addr::from(reader.array::<16>("IPv6 address")?).into(),
        got => {
            return Err(DecodeError::Unknown {
                what: "address family",
                got: got.into(),
            });
        }
    };
    Ok(SocketAddr::new(ip, reader.u16("port")?))
}

/// A payment, whose contents this crate does not look into.
#[derive(Clone, PartialEq, Eq)]
pub struct Offer {
    /// How it is paid: one of the constants here, or one that is not known yet.
    pub method: u8,
    /// The payment itself, at most [`MAX_OFFER`] bytes.
    pub payment: Vec<u8>,
}

impl Offer {
    /// Ecash attached to one use, `coinfuse-voucher`.
    pub const VOUCHERS: u8 = 1;
    /// Opens a payment channel, `coinfuse-channel`; credits its first balance.
    pub const CHANNEL_OPEN: u8 = 2;
    /// A higher balance of an open channel; credits the difference.
    pub const CHANNEL_UPDATE: u8 = 3;
    /// The last balance of a channel, which the relay is to settle; credits the difference.
    pub const CHANNEL_CLOSE: u8 = 4;
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Offer {{ method: {}, payment: [scrubbed] }}",
            self.method
        )
    }
}

impl Encode for Offer {
    fn encode(&self, out: &mut Writer) {
        out.u8(self.method);
        out.bytes(&self.payment);
    }
}

impl Decode for Offer {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let method = reader.u8("payment method")?;
        Ok(Self {
            method,
            payment: reader.bytes(MAX_OFFER, "payment")?.to_vec(),
        })
    }
}

/// Names a payment within a circuit, so that its result can be told apart.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentNumber(pub u32);

impl PaymentNumber {
    /// The payment inside the handshake.
    pub const FIRST: Self = Self(0);
}

/// One item of a payment that was not taken, and why; the reasons are the payment method's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusedItem {
    /// The item's place in the payment, from 0.
    pub index: u8,
    /// The payment method's code for the reason.
    pub reason: u8,
}

/// What became of a payment. Sent when it is on disk: from then on the relay owes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayResult {
    /// Which payment.
    pub number: PaymentNumber,
    /// How much of it was credited.
    pub credited: Msat,
    /// The items that were not, at most [`MAX_REFUSALS`].
    pub refused: Vec<RefusedItem>,
}

impl Encode for PayResult {
    fn encode(&self, out: &mut Writer) {
        out.u32(self.number.0);
        out.value(&self.credited);
        out.varint(self.refused.len() as u64);
        for item in &self.refused {
            out.u8(item.index);
            out.u8(item.reason);
        }
    }
}

impl Decode for PayResult {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number = PaymentNumber(reader.u32("payment number")?);
        let credited = Msat::decode(reader)?;
        let count = reader.bounded(MAX_REFUSALS, "refused items")?;
        let refused = (0..count)
            .map(|_| {
                let index = reader.u8("item")?;
                Ok(RefusedItem {
                    index,
                    reason: reader.u8("refusal")?,
                })
            })
            .collect::<Result<_, DecodeError>>()?;
        Ok(Self {
            number,
            credited,
            refused,
        })
    }
}

/// What a sender of data counted, said in the data lane: everything before it is included.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Bytes of records that came from the client.
    pub up: ByteCount,
    /// Bytes of records that went to the client.
    pub down: ByteCount,
}

impl Encode for Reading {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.up);
        out.value(&self.down);
    }
}

impl Decode for Reading {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            up: ByteCount::decode(reader)?,
            down: ByteCount::decode(reader)?,
        })
    }
}

/// From a client to one of its hops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToRelay {
    /// Extend the circuit: make a link to `next` and pass on the handshake.
    Extend {
        /// Where to.
        next: NextHop,
        /// The suite of the session with the next hop.
        suite: Suite,
        /// The first message of the handshake with it, at most [`MAX_HANDSHAKE`] bytes.
        handshake: Vec<u8>,
    },
    /// Pay.
    Pay {
        /// Which payment this is.
        number: PaymentNumber,
        /// How much of what is credited goes to the upstream pool.
        upstream: Msat,
        /// The payment.
        offer: Offer,
    },
    /// Close the circuit here and beyond.
    Close(CloseReason),
    /// What the client counted (data lane only).
    Meter(Reading),
}

impl Encode for ToRelay {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Extend {
                next,
                suite,
                handshake,
            } => {
                out.u8(1);
                out.value(next);
                out.value(suite);
                out.bytes(handshake);
            }
            Self::Pay {
                number,
                upstream,
                offer,
            } => {
                out.u8(2);
                out.u32(number.0);
                out.value(upstream);
                out.value(offer);
            }
            Self::Close(reason) => {
                out.u8(3);
                out.u8(reason.code());
            }
            Self::Meter(reading) => {
                out.u8(4);
                out.value(reading);
            }
        }
    }
}

impl Decode for ToRelay {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8("message to a relay")? {
            1 => Self::Extend {
                next: NextHop::decode(reader)?,
                suite: Suite::decode(reader)?,
                handshake: reader.bytes(MAX_HANDSHAKE, "handshake")?.to_vec(),
            },
            2 => Self::Pay {
                number: PaymentNumber(reader.u32("payment number")?),
                upstream: Msat::decode(reader)?,
                offer: Offer::decode(reader)?,
            },
            3 => Self::Close(CloseReason::from_code(reader.u8("close reason")?)),
            4 => Self::Meter(Reading::decode(reader)?),
            got => {
                return Err(DecodeError::Unknown {
                    what: "message to a relay",
                    got: got.into(),
                });
            }
        })
    }
}

/// From a hop to its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToClient {
    /// The next hop's answer to the handshake, at most [`MAX_HANDSHAKE`] bytes.
    Extended(Vec<u8>),
    /// There is no next hop, because of this.
    ExtendFailed(ExtendRefusal),
    /// What became of a payment.
    PayResult(PayResult),
    /// The downstream pool is empty: data is held back until there is a payment.
    Paused,
    /// The circuit ends here, because of this.
    Closing(CloseReason),
    /// What the relay counted (data lane only).
    Meter(Reading),
}

impl Encode for ToClient {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Extended(handshake) => {
                out.u8(1);
                out.bytes(handshake);
            }
            Self::ExtendFailed(reason) => {
                out.u8(2);
                out.u8(reason.code());
            }
            Self::PayResult(result) => {
                out.u8(3);
                out.value(result);
            }
            Self::Paused => out.u8(4),
            Self::Closing(reason) => {
                out.u8(5);
                out.u8(reason.code());
            }
            Self::Meter(reading) => {
                out.u8(6);
                out.value(reading);
            }
        }
    }
}

impl Decode for ToClient {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8("message to a client")? {
            1 => Self::Extended(reader.bytes(MAX_HANDSHAKE, "handshake")?.to_vec()),
            2 => Self::ExtendFailed(ExtendRefusal::from_code(reader.u8("extend refusal")?)),
            3 => Self::PayResult(PayResult::decode(reader)?),
            4 => Self::Paused,
            5 => Self::Closing(CloseReason::from_code(reader.u8("close reason")?)),
            6 => Self::Meter(Reading::decode(reader)?),
            got => {
                return Err(DecodeError::Unknown {
                    what: "message to a client",
                    got: got.into(),
                });
            }
        })
    }
}
