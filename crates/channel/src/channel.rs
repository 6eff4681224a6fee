//! A channel as both parties derive it: checked terms, and the coins that follow from them.

use crate::derive::{ChannelSecret, Context, Deriver, FundingKey, FundingKeys, Output};
use crate::keyset::{AmountError, Keyset, Ladder, MAX_OUTPUTS, is_plain};
use crate::params::{ChannelId, Params};
use cashu::{Amount, CurrencyUnit, Id, SecretKey};
use thiserror::Error;

/// The longest address of a mint, in bytes.
pub const MAX_MINT_LEN: usize = 512;

/// Why there is no channel with such terms. Whoever chose them is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// The mint's address is empty, too long, or has a character that separates fields in the hash.
    #[error("the mint's address is empty, longer than {MAX_MINT_LEN} bytes, or not plain")]
    Mint,
    /// The terms name another keyset than the one given.
    #[error("the terms are for keyset {0}")]
    Keyset(Id),
    /// The keyset counts in another unit.
    #[error("the terms are in {0}, which is not the keyset's unit")]
    Unit(CurrencyUnit),
    /// The keyset has another fee.
    #[error("the terms say a fee of {got} ppk, the keyset {keyset}")]
    Fee {
        /// What the terms say.
        got: u64,
        /// What the keyset says.
        keyset: u64,
    },
    /// An amount does not work out.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// Nothing could be paid.
    #[error("the capacity is zero")]
    NoCapacity,
    /// More is promised than is left of the funding after fees.
    #[error("a capacity of {capacity} where {most} is left after fees")]
    Capacity {
        /// What the terms promise.
        capacity: u64,
        /// What they can hold.
        most: u64,
    },
    /// Some balance would need more outputs than a mint takes in one swap.
    #[error("a commitment could have {0} outputs, more than {MAX_OUTPUTS}")]
    Outputs(u64),
    /// The key given is neither the sender's nor the receiver's.
    #[error("the key given is not one of the channel's")]
    Key,
    /// A hash is no scalar or a sum is at infinity; nobody finds such terms.
    #[error("the terms have no derivation")]
    Underivable,
}

/// Checked terms and their derivations.
#[derive(Clone)]
pub(crate) struct Channel {
    pub(crate) params: Params,
    pub(crate) keyset: Keyset,
    pub(crate) id: ChannelId,
    pub(crate) ladder: Ladder,
    pub(crate) keys: FundingKeys,
    /// What a commitment splits between the parties.
    pub(crate) value: Amount,
    deriver: Deriver,
}

impl Channel {
    /// With the secret that `own` shares with the other party. The terms are checked arithmetically
    /// before anything is derived from them.
    pub(crate) fn agree(
        params: Params,
        keyset: &Keyset,
        own: &SecretKey,
    ) -> Result<Self, ParamsError> {
        let (ladder, value) = check(&params, keyset)?;
        let other = match own.public_key() {
            key if key == params.sender => &params.receiver,
            key if key == params.receiver => &params.sender,
            _ => return Err(ParamsError::Key),
        };
        let secret = ChannelSecret::agree(own, other);
        let id = params.id(secret.expose());
        let deriver = Deriver::new(secret, &id);
        let keys = deriver
            .funding_keys(&params.sender, &params.receiver)
            .ok_or(ParamsError::Underivable)?;
        Ok(Self {
            params,
            keyset: keyset.clone(),
            id,
            ladder,
            keys,
            value,
            deriver,
        })
    }

    /// The outputs that become the funding proofs, smallest first.
    pub(crate) fn funding_outputs(&self) -> Result<Vec<Output>, ParamsError> {
        let coins = self.coins(self.params.funding_amount)?;
        coins
            .map(|(amount, index)| self.funding_output(amount, index))
            .collect()
    }

    pub(crate) fn funding_output(&self, amount: Amount, index: u32) -> Result<Output, ParamsError> {
        self.deriver
            .funding_output(&self.keys, self.params.expiry, amount, index)
            .ok_or(ParamsError::Underivable)
    }

    /// An output of a commitment.
    pub(crate) fn commitment_output(
        &self,
        context: Context,
        amount: Amount,
        index: u32,
    ) -> Result<Output, ParamsError> {
        let owner = match context {
            Context::Sender => &self.params.sender,
            Context::Receiver | Context::Funding => &self.params.receiver,
        };
        self.deriver
            .stage2_output(context, owner, amount, index)
            .ok_or(ParamsError::Underivable)
    }

    /// The coins that make up `amount`, smallest first, with their index among those of one amount.
    pub(crate) fn coins(
        &self,
        amount: Amount,
    ) -> Result<impl Iterator<Item = (Amount, u32)> + use<>, ParamsError> {
        let split = self.ladder.split(amount)?;
        let each = |(amount, number)| (0..number).map(move |index| (amount, index));
        Ok(split.into_iter().flat_map(each))
    }

    pub(crate) fn funding_secret(&self, key: FundingKey, raw: &SecretKey) -> Option<SecretKey> {
        self.deriver.funding_secret(key, raw)
    }
}

fn check(params: &Params, keyset: &Keyset) -> Result<(Ladder, Amount), ParamsError> {
    if !is_plain(&params.mint, MAX_MINT_LEN) {
        return Err(ParamsError::Mint);
    }
    if params.keyset_id != keyset.id() {
        return Err(ParamsError::Keyset(params.keyset_id));
    }
    if params.unit != *keyset.unit() {
        return Err(ParamsError::Unit(params.unit.clone()));
    }
    if params.input_fee_ppk != keyset.input_fee_ppk() {
        return Err(ParamsError::Fee {
            got: params.input_fee_ppk,
            keyset: keyset.input_fee_ppk(),
        });
    }
    if params.capacity == Amount::ZERO {
        return Err(ParamsError::NoCapacity);
    }
    let ladder = keyset.ladder(params.max_amount);
    let value = ladder.after_fees(params.funding_amount)?;
    let most = ladder.after_fees(value)?;
    if params.capacity > most {
        return Err(ParamsError::Capacity {
            capacity: params.capacity.to_u64(),
            most: most.to_u64(),
        });
    }
    let outputs = ladder.most_outputs(value);
    if outputs > MAX_OUTPUTS {
        return Err(ParamsError::Outputs(outputs));
    }
    Ok((ladder, value))
}
