//! What the purse writes down.

mod handed;
mod signed;
mod swap;

pub(crate) use handed::Handed;
pub(crate) use signed::Signed;
pub(crate) use swap::{Content, Input, Output, Purpose, Swap, Tag};

use crate::key::{VoucherPublicKey, read_point};
use crate::unit::{MintId, Unit};
use crate::voucher::Voucher;
use cashu::secret::Secret;
use cashu::{Id, Proof, PublicKey};
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, RelayId, UnixTime, Writer};

/// The longest secret, URL or signature that is read back.
const MAX_TEXT: usize = 4096;
/// The most coins on either side of a swap.
pub(crate) const MAX_SWAP: usize = 1000;

/// A coin of the purse: a Cashu proof and the mint it belongs to.
#[derive(Clone)]
pub(crate) struct Coin {
    pub(crate) mint: MintId,
    pub(crate) keyset: Id,
    pub(crate) amount: u64,
    pub(crate) secret: Secret,
    pub(crate) signature: PublicKey,
}

impl Coin {
    pub(crate) fn from_proof(mint: &MintId, proof: &Proof) -> Self {
        Self {
            mint: mint.clone(),
            keyset: proof.keyset_id,
            amount: proof.amount.to_u64(),
            secret: proof.secret.clone(),
            signature: proof.c,
        }
    }

    pub(crate) fn to_proof(&self) -> Proof {
        Proof::new(
            self.amount.into(),
            self.keyset,
            self.secret.clone(),
            self.signature,
        )
    }
}

impl Encode for Coin {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.mint);
        put_id(out, &self.keyset);
        out.varint(self.amount);
        out.bytes(self.secret.as_bytes());
        out.put(&self.signature.to_bytes());
    }
}

impl Decode for Coin {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            mint: MintId::decode(reader)?,
            keyset: read_id(reader)?,
            amount: reader.varint("coin amount")?,
            secret: Secret::new(reader.text(MAX_TEXT, "coin secret")?),
            signature: read_point(reader, "coin signature")?,
        })
    }
}

/// For whom a voucher is, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) relay: RelayId,
    pub(crate) account: [u8; 32],
    pub(crate) voucher_key: VoucherPublicKey,
    pub(crate) issuer: bool,
    pub(crate) locktime: UnixTime,
}

impl Encode for Terms {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.relay);
        out.put(&self.account);
        out.value(&self.voucher_key);
        out.u8(self.issuer.into());
        out.value(&self.locktime);
    }
}

impl Decode for Terms {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            relay: RelayId::decode(reader)?,
            account: reader.array("account")?,
            voucher_key: VoucherPublicKey::decode(reader)?,
            issuer: read_bool(reader)?,
            locktime: UnixTime::decode(reader)?,
        })
    }
}

/// What makes the secrets of a swap's outputs its own, besides the counter: a hash of what goes in
/// and what comes out. A counter alone would come again when an old copy of the purse is put back,
/// or when two purses have the same seed; then another swap of the same coins would have outputs
/// that the mint has signed already, as part of the first.
pub(crate) type Salt = [u8; 32];

/// A voucher that was bought and is not settled.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) mint: MintId,
    pub(crate) keyset: Id,
    pub(crate) salt: Salt,
    pub(crate) counter: u64,
    pub(crate) terms: Terms,
    pub(crate) voucher: Voucher,
    pub(crate) standing: Standing,
}

/// What has become of a voucher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Bought, to be presented.
    Open,
    /// Refused by its relay: it waits for its locktime.
    Refused,
    /// Out of the purse's hands, and perhaps taken: never used again, and taken back after its
    /// locktime if it was not.
    Given,
}

impl Encode for Standing {
    fn encode(&self, out: &mut Writer) {
        out.u8(match self {
            Self::Open => 0,
            Self::Refused => 1,
            Self::Given => 2,
        });
    }
}

impl Decode for Standing {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8("standing")? {
            0 => Ok(Self::Open),
            1 => Ok(Self::Refused),
            2 => Ok(Self::Given),
            _ => Err(DecodeError::Invalid { what: "standing" }),
        }
    }
}

impl Encode for Held {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.mint);
        put_id(out, &self.keyset);
        out.put(&self.salt);
        out.varint(self.counter);
        out.value(&self.terms);
        out.value(&self.voucher);
        out.value(&self.standing);
    }
}

impl Decode for Held {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            mint: MintId::decode(reader)?,
            keyset: read_id(reader)?,
            salt: reader.array("salt")?,
            counter: reader.varint("counter")?,
            terms: Terms::decode(reader)?,
            voucher: Voucher::decode(reader)?,
            standing: Standing::decode(reader)?,
        })
    }
}

impl Encode for MintId {
    fn encode(&self, out: &mut Writer) {
        out.u8(matches!(self.unit(), Unit::Sat).into());
        out.bytes(self.url().to_string().as_bytes());
    }
}

impl Decode for MintId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let unit = if read_bool(reader)? {
            Unit::Sat
        } else {
            Unit::Msat
        };
        Self::new(reader.text(MAX_TEXT, "mint")?, unit)
            .map_err(|_| DecodeError::Invalid { what: "mint" })
    }
}

fn put_id(out: &mut Writer, id: &Id) {
    out.bytes(&id.to_bytes());
}

fn read_id(reader: &mut Reader<'_>) -> Result<Id, DecodeError> {
    const WHAT: &str = "keyset id";
    Id::from_bytes(reader.bytes(33, WHAT)?).map_err(|_| DecodeError::Invalid { what: WHAT })
}

fn read_bool(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8("flag")? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::NotCanonical { what: "flag" }),
    }
}

fn read_list<T: Decode>(reader: &mut Reader<'_>, max: usize) -> Result<Vec<T>, DecodeError> {
    (0..reader.bounded(max, "list")?)
        .map(|_| T::decode(reader))
        .collect()
}

fn read_texts(reader: &mut Reader<'_>, max: usize) -> Result<Vec<String>, DecodeError> {
    (0..reader.bounded(max, "list")?)
        .map(|_| Ok(reader.text(MAX_TEXT, "text")?.to_owned()))
        .collect()
}
