//! What both parties agree on before there is money in the channel.

use crate::hash::{Digest, hash};
use cashu::{Amount, CurrencyUnit, Id, PublicKey};
use coinfuse_wire::UnixTime;
use core::fmt;

/// The terms of one channel. Whoever changes a field has another channel.
#[derive(Clone, PartialEq, Eq)]
pub struct Params {
    /// The address of the mint, exactly as both parties hash it: as a rule `cashu`'s normal form,
    /// without a slash at the end.
    pub mint: String,
    /// The unit of all amounts of the channel.
    pub unit: CurrencyUnit,
    /// The highest balance that the receiver can be paid, after both stages' fees.
    pub capacity: Amount,
    /// The sum of the funding proofs.
    pub funding_amount: Amount,
    /// The keyset of the funding proofs.
    pub keyset_id: Id,
    /// What an input of this keyset costs, in thousandths of a unit; below 1000.
    pub input_fee_ppk: u64,
    /// No output is larger than this; zero for no such limit.
    pub max_amount: Amount,
    /// When the channel was set up; only a part of its name.
    pub setup: UnixTime,
    /// From then on the sender can take everything back.
    pub expiry: UnixTime,
    /// The sender's key, best one for this channel only.
    pub sender: PublicKey,
    /// The receiver's key.
    pub receiver: PublicKey,
}

impl Params {
    /// The name of the channel with these terms (SPILMAN 1).
    pub(crate) fn id(&self, secret: &[u8; 32]) -> ChannelId {
        let text = format!(
            "{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}",
            self.mint,
            self.unit,
            self.capacity.to_u64(),
            self.funding_amount.to_u64(),
            self.keyset_id,
            self.input_fee_ppk,
            self.max_amount.to_u64(),
            self.setup.secs(),
            self.sender.to_hex(),
            self.receiver.to_hex(),
            self.expiry.secs(),
            cashu::util::hex::encode(secret),
        );
        ChannelId(hash(&[text.as_bytes()]))
    }
}

impl fmt::Debug for Params {
    /// The terms; not the keys, which tell channels apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Params")
            .field("mint", &self.mint)
            .field("unit", &self.unit)
            .field("capacity", &self.capacity)
            .field("funding_amount", &self.funding_amount)
            .field("keyset_id", &self.keyset_id)
            .field("input_fee_ppk", &self.input_fee_ppk)
            .field("max_amount", &self.max_amount)
            .field("setup", &self.setup)
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}

/// Names a channel: a hash over its terms and a secret that only its parties know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(Digest);

impl ChannelId {
    /// From the 32 bytes of the hash.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case digits, as the hash is written in JSON and hashed into secrets.
    pub fn to_hex(&self) -> String {
        cashu::util::hex::encode(self.0)
    }
}

impl fmt::Debug for ChannelId {
    /// The first four bytes: enough to tell an operator's channels apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelId(")?;
        self.0[..4]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("..)")
    }
}
