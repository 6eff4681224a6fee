//! What travels: the opening of a channel, and its updates.
//!
//! | message | bytes |
//! |---|---|
//! | [`Update`] | channel id (32), signature (64), balance (0 to 8, big-endian, no leading zeros): at most 104 |
//! | [`Open`] | terms, one (C, e, s) per funding proof, signature, balance |
//!
//! The secrets of the funding proofs do not travel: both parties derive them. The JSON of the public
//! draft, where they do, is in [`crate::json`].

use crate::channel::MAX_MINT_LEN;
use crate::keyset::{MAX_OUTPUTS, MAX_UNIT_LEN};
use crate::params::{ChannelId, Params};
use bitcoin::secp256k1::schnorr::Signature;
use cashu::secret::Secret;
use cashu::{Amount, CurrencyUnit, Id, PublicKey, SecretKey};
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, UnixTime, Writer};
use core::fmt;
use core::str::FromStr;

/// The sender's word for a balance: all that the receiver was ever paid through the channel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// Which channel.
    pub channel: ChannelId,
    /// What the receiver gets when the channel is settled with this.
    pub balance: Amount,
    /// The sender's signature of the commitment to it.
    pub signature: Signature,
}

impl Update {
    /// The longest one, in bytes.
    pub const MAX_LEN: usize = 104;
}

impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Update({:?}, {})", self.channel, self.balance)
    }
}

impl Encode for Update {
    fn encode(&self, out: &mut Writer) {
        out.put(self.channel.as_bytes());
        put_signed(out, self.balance, &self.signature);
    }
}

impl Decode for Update {
    /// Reads all that is left.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let channel = ChannelId::new(reader.array("channel id")?);
        let (balance, signature) = read_signed(reader)?;
        Ok(Self {
            channel,
            balance,
            signature,
        })
    }
}

/// What the sender says of a funding proof beyond what the receiver derives; the receiver insists
/// that it is the same.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    /// The proof's amount.
    pub amount: Amount,
    /// The proof's keyset.
    pub keyset: Id,
    /// The proof's secret.
    pub secret: Secret,
    /// The blinding factor.
    pub blinding: SecretKey,
}

/// A funding proof: the mint's signature and the proof that it is one (NUT-12).
#[derive(Clone, PartialEq, Eq)]
pub struct FundingProof {
    /// The unblinded signature.
    pub c: PublicKey,
    /// The challenge of the DLEQ proof.
    pub e: SecretKey,
    /// The answer to it.
    pub s: SecretKey,
    /// Given in JSON; `None` in the binary form.
    pub claim: Option<Claim>,
}

/// Opens a channel, with a first balance, which may be zero.
#[derive(Clone, PartialEq, Eq)]
pub struct Open {
    /// The terms.
    pub params: Params,
    /// The funding proofs, smallest first.
    pub proofs: Vec<FundingProof>,
    /// The first balance.
    pub update: Update,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("params", &self.params)
            .field("proofs", &self.proofs.len())
            .field("update", &self.update)
            .finish()
    }
}

impl Encode for Open {
    /// Without the claims.
    fn encode(&self, out: &mut Writer) {
        out.put(self.update.channel.as_bytes());
        out.value(&self.params);
        out.varint(self.proofs.len() as u64);
        self.proofs.iter().for_each(|proof| out.value(proof));
        put_signed(out, self.update.balance, &self.update.signature);
    }
}

impl Decode for Open {
    /// Reads all that is left.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let channel = ChannelId::new(reader.array("channel id")?);
        let params = Params::decode(reader)?;
        let proofs = read_list(reader, "funding proofs")?;
        let (balance, signature) = read_signed(reader)?;
        Ok(Self {
            params,
            proofs,
            update: Update {
                channel,
                balance,
                signature,
            },
        })
    }
}

impl Encode for FundingProof {
    fn encode(&self, out: &mut Writer) {
        out.put(&self.c.to_bytes());
        out.put(self.e.as_secret_bytes());
        out.put(self.s.as_secret_bytes());
    }
}

impl Decode for FundingProof {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            c: read_point(reader, "mint's signature")?,
            e: read_scalar(reader, "DLEQ challenge")?,
            s: read_scalar(reader, "DLEQ answer")?,
            claim: None,
        })
    }
}

impl Encode for Params {
    fn encode(&self, out: &mut Writer) {
        out.bytes(self.mint.as_bytes());
        out.bytes(self.unit.to_string().as_bytes());
        out.varint(self.capacity.to_u64());
        out.varint(self.funding_amount.to_u64());
        put_id(out, &self.keyset_id);
        out.varint(self.input_fee_ppk);
        out.varint(self.max_amount.to_u64());
        out.value(&self.setup);
        out.value(&self.expiry);
        out.put(&self.sender.to_bytes());
        out.put(&self.receiver.to_bytes());
    }
}

impl Decode for Params {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            mint: reader.text(MAX_MINT_LEN, "mint")?.to_owned(),
            unit: read_unit(reader)?,
            capacity: reader.varint("capacity")?.into(),
            funding_amount: reader.varint("funding amount")?.into(),
            keyset_id: read_id(reader)?,
            input_fee_ppk: reader.varint("fee")?,
            max_amount: reader.varint("maximum amount")?.into(),
            setup: UnixTime::decode(reader)?,
            expiry: UnixTime::decode(reader)?,
            sender: read_point(reader, "sender's key")?,
            receiver: read_point(reader, "receiver's key")?,
        })
    }
}

fn put_signed(out: &mut Writer, balance: Amount, signature: &Signature) {
    out.put(&signature.serialize());
    let balance = balance.to_u64();
    let zeros = balance.leading_zeros() as usize / 8;
    out.put(&balance.to_be_bytes()[zeros..]);
}

fn read_signed(reader: &mut Reader<'_>) -> Result<(Amount, Signature), DecodeError> {
    const BALANCE: &str = "balance";
    let signature = read_signature(reader)?;
    let bytes = reader.rest();
    if bytes.first() == Some(&0) {
        return Err(DecodeError::NotCanonical { what: BALANCE });
    }
    let mut balance = [0; 8];
    let start = balance
        .len()
        .checked_sub(bytes.len())
        .ok_or(DecodeError::TooLarge {
            what: BALANCE,
            got: bytes.len() as u64,
            max: balance.len() as u64,
        })?;
    balance[start..].copy_from_slice(bytes);
    Ok((u64::from_be_bytes(balance).into(), signature))
}

pub(crate) fn read_signature(reader: &mut Reader<'_>) -> Result<Signature, DecodeError> {
    const WHAT: &str = "signature";
    Signature::from_slice(&reader.array::<64>(WHAT)?)
        .map_err(|_| DecodeError::Invalid { what: WHAT })
}

fn read_unit(reader: &mut Reader<'_>) -> Result<CurrencyUnit, DecodeError> {
    const WHAT: &str = "unit";
    parse_unit(reader.text(MAX_UNIT_LEN, WHAT)?)
}

/// A unit, written as it is hashed.
pub(crate) fn parse_unit(text: &str) -> Result<CurrencyUnit, DecodeError> {
    const WHAT: &str = "unit";
    let unit = CurrencyUnit::from_str(text).map_err(|_| DecodeError::Invalid { what: WHAT })?;
    match unit.to_string() == text {
        true => Ok(unit),
        false => Err(DecodeError::NotCanonical { what: WHAT }),
    }
}

pub(crate) fn put_id(out: &mut Writer, id: &Id) {
    out.bytes(&id.to_bytes());
}

pub(crate) fn read_id(reader: &mut Reader<'_>) -> Result<Id, DecodeError> {
    const WHAT: &str = "keyset id";
    Id::from_bytes(reader.bytes(33, WHAT)?).map_err(|_| DecodeError::Invalid { what: WHAT })
}

pub(crate) fn read_point(
    reader: &mut Reader<'_>,
    what: &'static str,
) -> Result<PublicKey, DecodeError> {
    PublicKey::from_slice(&reader.array::<33>(what)?).map_err(|_| DecodeError::Invalid { what })
}

pub(crate) fn read_scalar(
    reader: &mut Reader<'_>,
    what: &'static str,
) -> Result<SecretKey, DecodeError> {
    let bytes = zeroize::Zeroizing::new(reader.array::<32>(what)?);
    SecretKey::from_slice(&*bytes).map_err(|_| DecodeError::Invalid { what })
}

pub(crate) fn read_list<T: Decode>(
    reader: &mut Reader<'_>,
    what: &'static str,
) -> Result<Vec<T>, DecodeError> {
    (0..reader.bounded(MAX_OUTPUTS as usize, what)?)
        .map(|_| T::decode(reader))
        .collect()
}
