//! A mint's keyset as a channel uses it: which amounts there are, and what they cost.

use cashu::{Amount, CurrencyUnit, Id, PublicKey};
use coinfuse_wire::UnixTime;
use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

/// The most outputs that any amount of a channel may need. Mints refuse larger swaps (1000 is the
/// default of `cdk`'s), and nobody must be made to derive more.
pub const MAX_OUTPUTS: u64 = 1000;

/// The most amounts of a keyset. What is written down must be possible to read back.
pub(crate) const MAX_KEYS: usize = 1024;

/// The longest name of a unit, in bytes.
pub(crate) const MAX_UNIT_LEN: usize = 32;

/// Why a keyset cannot carry channels. The mint that published it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeysetError {
    /// The id is not the hash of the keys.
    #[error("the keys of keyset {0} do not hash to its id")]
    WrongId(Id),
    /// An input would cost a unit or more, so that small coins are worth nothing.
    #[error("an input of keyset {0} costs a whole unit or more")]
    Fee(Id),
    /// The keyset has no keys, or one for the amount zero, or more than anybody needs.
    #[error("keyset {0} has no amounts, more than {MAX_KEYS}, or the amount zero")]
    Amounts(Id),
    /// The name of the unit is too long, or has a character that separates fields in the hash.
    #[error("the unit of keyset {0} is empty, longer than {MAX_UNIT_LEN} bytes, or not plain")]
    Unit(Id),
}

/// A keyset whose id was checked against its keys. Clones share the keys.
#[derive(Clone)]
pub struct Keyset {
    id: Id,
    unit: CurrencyUnit,
    input_fee_ppk: u64,
    final_expiry: Option<UnixTime>,
    keys: Arc<BTreeMap<u64, PublicKey>>,
}

impl Keyset {
    /// Checks a keyset that a mint has published.
    pub fn new(published: &cashu::KeySet) -> Result<Self, KeysetError> {
        let id = published.id;
        published
            .verify_id()
            .map_err(|_| KeysetError::WrongId(id))?;
        if published.input_fee_ppk >= 1000 {
            return Err(KeysetError::Fee(id));
        }
        let keys: BTreeMap<_, _> = published
            .keys
            .iter()
            .map(|(amount, key)| (amount.to_u64(), *key))
            .collect();
        let least = keys.keys().next().copied().unwrap_or(0);
        if least == 0 || keys.len() > MAX_KEYS {
            return Err(KeysetError::Amounts(id));
        }
        if !is_plain(&published.unit.to_string(), MAX_UNIT_LEN) {
            return Err(KeysetError::Unit(id));
        }
        Ok(Self {
            id,
            unit: published.unit.clone(),
            input_fee_ppk: published.input_fee_ppk,
            final_expiry: published
                .final_expiry
                .filter(|secs| *secs > 0)
                .map(UnixTime::from_secs),
            keys: Arc::new(keys),
        })
    }

    /// Its id.
    pub const fn id(&self) -> Id {
        self.id
    }

    /// Its unit.
    pub const fn unit(&self) -> &CurrencyUnit {
        &self.unit
    }

    /// What an input costs, in thousandths of a unit.
    pub const fn input_fee_ppk(&self) -> u64 {
        self.input_fee_ppk
    }

    /// From when on the mint does not honour it any more.
    pub const fn final_expiry(&self) -> Option<UnixTime> {
        self.final_expiry
    }

    pub(crate) fn keys(&self) -> &BTreeMap<u64, PublicKey> {
        &self.keys
    }

    /// Whether both are one keyset in all that a channel goes by: the id of version 0 does not cover
    /// unit and fee, and a mint may change the fee.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let terms = |keyset: &Self| (keyset.id, keyset.unit.clone(), keyset.input_fee_ppk);
        terms(self) == terms(other)
    }

    /// The mint's key for coins of this amount.
    pub fn key(&self, amount: Amount) -> Option<&PublicKey> {
        self.keys.get(&amount.to_u64())
    }

    /// How amounts are made up of coins of at most `max_amount`; zero for no limit.
    pub fn ladder(&self, max_amount: Amount) -> Ladder {
        let max = max_amount.to_u64();
        let fits = |amount: &u64| max == 0 || *amount <= max;
        Ladder {
            steps: self.keys.keys().rev().copied().filter(fits).collect(),
            input_fee_ppk: self.input_fee_ppk,
        }
    }
}

impl fmt::Debug for Keyset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyset({}, {})", self.id, self.unit)
    }
}

/// Whether a text can stand between separators in a hash: from 1 to `max` bytes of visible ASCII.
pub(crate) fn is_plain(text: &str, max: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'|';
    (1..=max).contains(&text.len()) && text.bytes().all(plain)
}

/// Why an amount is not one for a channel. Whoever chose the terms is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AmountError {
    /// The coins of the keyset do not add up to it.
    #[error("{0} cannot be made up of the keyset's amounts")]
    NotRepresentable(u64),
    /// It would need more outputs than a swap may have.
    #[error("{amount} needs {outputs} outputs, more than {MAX_OUTPUTS}")]
    TooManyOutputs {
        /// The amount.
        amount: u64,
        /// What it would need.
        outputs: u64,
    },
    /// It is too large to count with.
    #[error("an amount is too large")]
    Overflow,
}

/// The amounts of a keyset, largest first, and the fee. Everything here is arithmetic on the
/// number of steps: an amount that would need a million coins costs no more than one that needs
/// ten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    steps: Vec<u64>,
    input_fee_ppk: u64,
}

impl Ladder {
    /// The amounts, largest first.
    pub fn steps(&self) -> impl Iterator<Item = Amount> + use<'_> {
        self.steps.iter().copied().map(Amount::from)
    }

    /// Which coins make up `amount`, as (amount, number), smallest first (SPILMAN 2, `amounts`).
    pub fn split(&self, amount: Amount) -> Result<Vec<(Amount, u32)>, AmountError> {
        self.count(amount.to_u64())?;
        let mut rest = amount.to_u64();
        let mut coins = Vec::new();
        for step in &self.steps {
            // Below MAX_OUTPUTS, as was counted.
            let number = u32::try_from(rest / step).unwrap_or(u32::MAX);
            if number > 0 {
                coins.push((Amount::from(*step), number));
            }
            rest %= step;
        }
        coins.reverse();
        Ok(coins)
    }

    /// How many coins make up `amount` (SPILMAN 2, `N`), at most [`MAX_OUTPUTS`].
    pub fn outputs(&self, amount: Amount) -> Result<u64, AmountError> {
        self.count(amount.to_u64())
    }

    fn count(&self, amount: u64) -> Result<u64, AmountError> {
        let mut rest = amount;
        let mut outputs = 0u64;
        for step in &self.steps {
            outputs = outputs.saturating_add(rest / step);
            rest %= step;
        }
        match outputs {
            _ if rest > 0 => Err(AmountError::NotRepresentable(amount)),
            outputs if outputs > MAX_OUTPUTS => {
                Err(AmountError::TooManyOutputs { amount, outputs })
            }
            outputs => Ok(outputs),
        }
    }

    /// The most outputs that a commitment can have which splits `total` between two parties,
    /// whatever the split.
    pub fn most_outputs(&self, total: Amount) -> u64 {
        let whole = self.steps.first().map_or(0, |top| total.to_u64() / top);
        let below = |pair: &[u64]| pair[0].div_ceil(pair[1]) - 1;
        let rest: u64 = self
            .steps
            .windows(2)
            .map(below)
            .fold(0, u64::saturating_add);
        whole.saturating_add(rest.saturating_mul(2))
    }

    /// What is left of `amount` when its coins have been spent (SPILMAN 2, `F`).
    pub fn after_fees(&self, amount: Amount) -> Result<Amount, AmountError> {
        self.spent(amount.to_u64()).map(Amount::from)
    }

    fn spent(&self, amount: u64) -> Result<u64, AmountError> {
        let fee = (self.count(amount)? * self.input_fee_ppk).div_ceil(1000);
        Ok(amount.saturating_sub(fee))
    }

    /// The smallest amount of which at least `amount` is left when its coins have been spent
    /// (SPILMAN 2, `Finv`).
    pub fn before_fees(&self, amount: Amount) -> Result<Amount, AmountError> {
        let wanted = amount.to_u64();
        if wanted == 0 || self.input_fee_ppk == 0 {
            return Ok(amount);
        }
        // Ends within MAX_OUTPUTS steps and a few: a fee is below one unit for each output.
        let mut nominal = wanted;
        while self.spent(nominal)? < wanted {
            nominal = nominal.checked_add(1).ok_or(AmountError::Overflow)?;
        }
        Ok(nominal.into())
    }
}
