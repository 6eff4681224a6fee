//! What a mint has signed for a caller of the purse, kept until the caller has it.

use super::{MAX_SWAP, put_id, read_id, read_list};
use crate::key::{read_point, read_scalar};
use crate::unit::MintId;
use cashu::{BlindSignature, BlindSignatureDleq, BlindedMessage, Id, PublicKey, SecretKey};
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};

/// One signature, and the point that it is for.
#[derive(Clone)]
pub(crate) struct Stamp {
    amount: u64,
    point: PublicKey,
    signature: PublicKey,
    e: SecretKey,
    s: SecretKey,
}

/// The signatures of one swap on the outputs of a caller, in the caller's order.
#[derive(Clone)]
pub(crate) struct Signed {
    mint: MintId,
    keyset: Id,
    stamps: Vec<Stamp>,
}

impl Signed {
    pub(crate) const fn new(mint: MintId, keyset: Id) -> Self {
        Self {
            mint,
            keyset,
            stamps: Vec::new(),
        }
    }

    /// Adds the next signature; `None` if it has no DLEQ proof.
    pub(crate) fn push(&mut self, point: PublicKey, signed: &BlindSignature) -> Option<()> {
        let dleq = signed.dleq.clone()?;
        self.stamps.push(Stamp {
            amount: signed.amount.to_u64(),
            point,
            signature: signed.c,
            e: dleq.e,
            s: dleq.s,
        });
        Some(())
    }

    /// The signatures, in the order in which their outputs were given.
    pub(crate) fn signatures(&self) -> Vec<BlindSignature> {
        let signature = |stamp: &Stamp| BlindSignature {
            amount: stamp.amount.into(),
            keyset_id: self.keyset,
            c: stamp.signature,
            dleq: Some(BlindSignatureDleq {
                e: stamp.e.clone(),
                s: stamp.s.clone(),
            }),
        };
        self.stamps.iter().map(signature).collect()
    }

    /// True if these are the outputs that are signed, in their order.
    pub(crate) fn signs(&self, mint: &MintId, outputs: &[BlindedMessage]) -> bool {
        let wanted = outputs.iter().map(|output| {
            let amount = output.amount.to_u64();
            (output.keyset_id, amount, output.blinded_secret)
        });
        let stamps = self.stamps.iter();
        self.mint == *mint
            && stamps
                .map(|stamp| (self.keyset, stamp.amount, stamp.point))
                .eq(wanted)
    }
}

impl Encode for Stamp {
    fn encode(&self, out: &mut Writer) {
        out.varint(self.amount);
        out.put(&self.point.to_bytes());
        out.put(&self.signature.to_bytes());
        out.put(self.e.as_secret_bytes());
        out.put(self.s.as_secret_bytes());
    }
}

impl Decode for Stamp {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            amount: reader.varint("signed amount")?,
            point: read_point(reader, "signed point")?,
            signature: read_point(reader, "signature")?,
            e: read_scalar(reader, "dleq e")?,
            s: read_scalar(reader, "dleq s")?,
        })
    }
}

impl Encode for Signed {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.mint);
        put_id(out, &self.keyset);
        out.varint(self.stamps.len() as u64);
        self.stamps.iter().for_each(|stamp| out.value(stamp));
    }
}

impl Decode for Signed {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            mint: MintId::decode(reader)?,
            keyset: read_id(reader)?,
            stamps: read_list(reader, MAX_SWAP)?,
        })
    }
}
