//! What a session's handshake carries: the client's [`Hello`] and the relay's [`Welcome`].
//!
//! Both are TLV streams. One round trip makes a session, names the account that pays for it and,
//! if the client likes, pays the first time.

use crate::control::{MAX_FIRST_OFFER, Offer, PayResult};
use crate::{MAX_MINTS_LEN, Quote};
use coinfuse_wire::{Decode, DecodeError, Encode, Msat, Reader, TlvStream, TlvWriter, Writer};
use core::fmt;
use ring::digest;

/// Names an account at a relay: 32 random bytes that the client chose. Whoever holds it can spend
/// the account's credit, so it travels inside sessions only and is never printed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountToken([u8; 32]);

impl AccountToken {
    /// From 32 random bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What a relay stores: SHA-256 of a domain and the token, so that a stolen ledger opens no
    /// account.
    pub fn id(&self) -> AccountId {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"coinfuse/1 account");
        context.update(&self.0);
        let mut id = [0; 32];
        id.copy_from_slice(context.finish().as_ref());
        AccountId(id)
    }
}

impl fmt::Debug for AccountToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountToken([scrubbed])")
    }
}

/// The hash of an [`AccountToken`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId([u8; 32]);

impl AccountId {
    /// From the 32 bytes of the hash.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountId([scrubbed])")
    }
}

/// The client's part of the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The account that pays for this session.
    pub account: AccountToken,
    /// How much of the account's balance, the first payment included, goes to the upstream pool;
    /// the rest goes downstream.
    pub upstream: Msat,
    /// The first payment, if any; at most [`MAX_FIRST_OFFER`] bytes.
    pub offer: Option<Offer>,
}

mod hello {
    pub(super) const ACCOUNT: u64 = 0;
    pub(super) const UPSTREAM: u64 = 2;
    pub(super) const OFFER: u64 = 4;
}

impl Encode for Hello {
    fn encode(&self, out: &mut Writer) {
        let mut tlv = TlvWriter::new();
        tlv.field(hello::ACCOUNT, self.account.as_bytes());
        tlv.value(hello::UPSTREAM, &self.upstream);
        if let Some(offer) = &self.offer {
            tlv.value(hello::OFFER, offer);
        }
        out.put(&tlv.into_bytes());
    }
}

impl Decode for Hello {
    /// Reads all that is left.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "hello";
        let (mut account, mut upstream, mut offer) = (None, None, None);
        let mut stream = TlvStream::new(Reader::new(reader.rest()));
        while let Some(field) = stream.next_field()? {
            match field.kind {
                hello::ACCOUNT => account = Some(exact(field.value, "account token")?),
                hello::UPSTREAM => upstream = Some(field.parse()?),
                hello::OFFER => offer = Some(first_offer(field.parse()?)?),
                _ => field.unknown(WHAT)?,
            }
        }
        Ok(Self {
            account: AccountToken(account.ok_or(DecodeError::Missing {
                what: "account token",
            })?),
            upstream: upstream.ok_or(DecodeError::Missing {
                what: "upstream share",
            })?,
            offer,
        })
    }
}

/// The relay's part of the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The price, for the lifetime of this circuit.
    pub quote: Quote,
    /// What the account holds, durably, the first payment not included.
    pub balance: Msat,
    /// What the first payment adds at once, before the relay has it on disk.
    pub provisional: Msat,
    /// What was wrong with the first payment, if anything was.
    pub result: Option<PayResult>,
    /// The mints whose ecash the relay takes, encoded as in its descriptor.
    pub mints: Vec<u8>,
}

mod welcome {
    pub(super) const QUOTE: u64 = 0;
    pub(super) const BALANCE: u64 = 2;
    pub(super) const PROVISIONAL: u64 = 4;
    pub(super) const RESULT: u64 = 5;
    pub(super) const MINTS: u64 = 7;
}

impl Encode for Welcome {
    fn encode(&self, out: &mut Writer) {
        let mut tlv = TlvWriter::new();
        tlv.value(welcome::QUOTE, &self.quote);
        tlv.value(welcome::BALANCE, &self.balance);
        tlv.value(welcome::PROVISIONAL, &self.provisional);
        if let Some(result) = &self.result {
            tlv.value(welcome::RESULT, result);
        }
        if !self.mints.is_empty() {
            tlv.field(welcome::MINTS, &self.mints);
        }
        out.put(&tlv.into_bytes());
    }
}

impl Decode for Welcome {
    /// Reads all that is left.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (mut quote, mut balance, mut provisional) = (None, None, None);
        let (mut result, mut mints) = (None, Vec::new());
        let mut stream = TlvStream::new(Reader::new(reader.rest()));
        while let Some(field) = stream.next_field()? {
            match field.kind {
                welcome::QUOTE => quote = Some(field.parse()?),
                welcome::BALANCE => balance = Some(field.parse()?),
                welcome::PROVISIONAL => provisional = Some(field.parse()?),
                welcome::RESULT => result = Some(field.parse()?),
                welcome::MINTS if field.value.is_empty() => {
                    return Err(DecodeError::NotCanonical { what: "mints" });
                }
                welcome::MINTS if field.value.len() <= MAX_MINTS_LEN => {
                    mints = field.value.to_vec();
                }
                welcome::MINTS => {
                    return Err(DecodeError::TooLarge {
                        what: "mints",
                        got: field.value.len() as u64,
                        max: MAX_MINTS_LEN as u64,
                    });
                }
                // Unknown odd fields would be lost on re-encoding, which no caller does.
                _ => field.unknown("welcome")?,
            }
        }
        Ok(Self {
            quote: quote.ok_or(DecodeError::Missing { what: "quote" })?,
            balance: balance.ok_or(DecodeError::Missing { what: "balance" })?,
            provisional: provisional.ok_or(DecodeError::Missing {
                what: "provisional credit",
            })?,
            result,
            mints,
        })
    }
}

fn first_offer(offer: Offer) -> Result<Offer, DecodeError> {
    match offer.payment.len() {
        len if len > MAX_FIRST_OFFER => Err(DecodeError::TooLarge {
            what: "first payment",
            got: len as u64,
            max: MAX_FIRST_OFFER as u64,
        }),
        _ => Ok(offer),
    }
}

fn exact<const N: usize>(value: &[u8], what: &'static str) -> Result<[u8; N], DecodeError> {
    value.try_into().map_err(|_| DecodeError::Invalid { what })
}
