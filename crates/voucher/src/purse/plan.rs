//! Swaps are thought out here: which coins go in, and what comes out.

use super::book::{Book, CoinKey};
use super::record::{Coin, Content, Input, MAX_SWAP, Output, Purpose, Swap, Tag, Terms};
use super::store::Change;
use crate::unit::{Denomination, MintId};
use cashu::{BlindedMessage, Id, KeySet, PublicKey};
use std::collections::HashMap;

/// With more coins of a mint than this, a swap also takes in a few of the smallest.
const TIDY_ABOVE: usize = 24;
/// How many it takes in.
const TIDY: usize = 8;
/// How many coins are merged at a time, where there are more than a swap may have.
const MERGED: usize = MAX_SWAP / 2;

/// Why a swap cannot be planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlanError {
    /// The purse has this many units and would need that many.
    TooLittle { have: u64, need: u64 },
    /// The amount cannot be made of the keyset's coins, or takes too many of them.
    Amount,
    /// The purse has the money in more coins than a swap may have: merge some.
    TooMany,
    /// The tag, or a coin, is in a swap already.
    Busy,
}

/// What a swap is to bring, beyond change.
pub(crate) struct Wish {
    pub(crate) terms: Terms,
    pub(crate) units: u64,
}

/// Fees of a mint: keyset to parts per thousand of a unit, per input.
pub(crate) type Fees = HashMap<Id, u64>;

/// An output that has no number yet.
enum Want {
    Coin,
    Handed,
    Voucher(Terms),
    Foreign(u64, PublicKey),
}

impl Book {
    /// A purchase: its inputs are taken out of the coins.
    pub(crate) fn plan_purchase(
        &mut self,
        mint: &MintId,
        keyset: &KeySet,
        wishes: &[Wish],
        fees: &Fees,
    ) -> Result<(Swap, Vec<Change>), PlanError> {
        let mut outputs = Vec::new();
        for wish in wishes {
            let coins = split(wish.units, keyset)?;
            outputs.extend(coins.map(|units| (units, Want::Voucher(wish.terms))));
        }
        self.plan_spending(Purpose::Purchase, mint, keyset, outputs, fees)
    }

    /// A token worth `units`.
    pub(crate) fn plan_token(
        &mut self,
        mint: &MintId,
        keyset: &KeySet,
        units: u64,
        fees: &Fees,
    ) -> Result<(Swap, Vec<Change>), PlanError> {
        let outputs = split(units, keyset)?.map(|units| (units, Want::Handed));
        self.plan_spending(Purpose::Purchase, mint, keyset, outputs.collect(), fees)
    }

    /// Few coins instead of the largest [`MERGED`].
    pub(crate) fn plan_merge(
        &mut self,
        mint: &MintId,
        keyset: &KeySet,
        fees: &Fees,
    ) -> Result<(Swap, Vec<Change>), PlanError> {
        let stock = self.coins.get(mint).ok_or(PlanError::Amount)?;
        let mut coins: Vec<_> = stock.values().collect();
        coins.sort_unstable_by_key(|coin| std::cmp::Reverse(coin.amount));
        coins.truncate(MERGED);
        let total: u64 = coins.iter().map(|coin| coin.amount).sum();
        let units = total.saturating_sub(fee(coins, fees));
        let outputs = split(units, keyset)?.map(|units| (units, Want::Coin));
        let outputs: Vec<_> = outputs.collect();
        // Else it would not help: the keyset has no coins as large as would be needed.
        if outputs.is_empty() || outputs.len() > MERGED / 2 {
            return Err(PlanError::Amount);
        }
        self.plan_spending(Purpose::Purchase, mint, keyset, outputs, fees)
    }

    /// Signatures on the outputs of a caller, which are of `keyset`.
    pub(crate) fn plan_signing(
        &mut self,
        tag: Tag,
        mint: &MintId,
        keyset: &KeySet,
        outputs: &[BlindedMessage],
        fees: &Fees,
    ) -> Result<(Swap, Vec<Change>), PlanError> {
        if self.signing(&tag).is_some() {
            return Err(PlanError::Busy);
        }
        let outputs = outputs.iter().zip(0..).map(|(output, place)| {
            let want = Want::Foreign(place, output.blinded_secret);
            (output.amount.to_u64(), want)
        });
        let outputs = outputs.collect();
        self.plan_spending(Purpose::Signing(tag), mint, keyset, outputs, fees)
    }

    /// Takes coins that pay for `outputs`, and adds the change.
    fn plan_spending(
        &mut self,
        purpose: Purpose,
        mint: &MintId,
        keyset: &KeySet,
        mut outputs: Vec<(u64, Want)>,
        fees: &Fees,
    ) -> Result<(Swap, Vec<Change>), PlanError> {
        let mut amounts = outputs.iter().map(|(amount, _)| *amount);
        let wanted = amounts.try_fold(0, u64::checked_add);
        let wanted = wanted.ok_or(PlanError::Amount)?;
        let coins = self.select(mint, wanted, fees)?;
        let total: u64 = coins.iter().map(|coin| coin.amount).sum();
        // Enough by the choice of the coins.
        let change = total
            .saturating_sub(wanted)
            .saturating_sub(fee(&coins, fees));
        match split(change, keyset) {
            Ok(split) if outputs.len() < MAX_SWAP / 2 => {
                outputs.extend(split.map(|units| (units, Want::Coin)));
            }
            _ => {
                self.deposit(coins);
                return Err(PlanError::Amount);
            }
        }
        let inputs = coins.into_iter().map(Input::plain).collect();
        let swap = self.draft(purpose, mint, keyset.id, inputs, outputs);
        // The coins were free a moment ago.
        let changes = self.begin(&swap).ok_or(PlanError::Busy)?;
        Ok((swap, changes))
    }

    /// A swap of `inputs`, coins that come from elsewhere, for plain coins of the purse. Nothing is
    /// entered yet: see [`Self::begin`].
    pub(crate) fn draft_intake(
        &mut self,
        mint: &MintId,
        keyset: &KeySet,
        inputs: Vec<Input>,
        fees: &Fees,
    ) -> Result<Swap, PlanError> {
        let mut amounts = inputs.iter().map(|input| input.coin.amount);
        let total = amounts.try_fold(0, u64::checked_add);
        let total = total.ok_or(PlanError::Amount)?;
        let fee = fee(inputs.iter().map(|input| &input.coin), fees);
        let units = total.checked_sub(fee).filter(|units| *units > 0);
        let units = units.ok_or(PlanError::TooLittle {
            have: total,
            need: fee,
        })?;
        let outputs = split(units, keyset)?.map(|units| (units, Want::Coin));
        let outputs = outputs.collect();
        Ok(self.draft(Purpose::Intake, mint, keyset.id, inputs, outputs))
    }

    fn draft(
        &mut self,
        purpose: Purpose,
        mint: &MintId,
        keyset: Id,
        inputs: Vec<Input>,
        outputs: Vec<(u64, Want)>,
    ) -> Swap {
        let mut next = || {
            self.counter += 1;
            self.counter
        };
        let number = next();
        let outputs = outputs.into_iter().map(|(amount, want)| {
            let counter = next();
            let content = match want {
                Want::Coin => Content::Coin { counter },
                Want::Handed => Content::Handed { counter },
                Want::Voucher(terms) => Content::Voucher { counter, terms },
                Want::Foreign(place, point) => Content::Foreign { place, point },
            };
            Output { amount, content }
        });
        Swap {
            number,
            purpose,
            mint: mint.clone(),
            keyset,
            inputs,
            outputs: outputs.collect(),
        }
    }

    /// Takes coins of `mint` worth `units` and the fee of spending them: the largest first, so that
    /// a swap stays small; and a few of the smallest when there are many, so that they do not pile
    /// up.
    pub(super) fn select(
        &mut self,
        mint: &MintId,
        units: u64,
        fees: &Fees,
    ) -> Result<Vec<Coin>, PlanError> {
        let Some(stock) = self.coins.get_mut(mint) else {
            return Err(PlanError::TooLittle {
                have: 0,
                need: units,
            });
        };
        let mut order: Vec<(u64, CoinKey)> = stock
            .iter()
            .map(|(key, coin)| (coin.amount, *key))
            .collect();
        order.sort_unstable_by(|a, b| b.cmp(a));
        let have: u64 = order.iter().map(|(amount, _)| amount).sum();
        let mut picked: Vec<&Coin> = Vec::new();
        let mut total = 0u64;
        let mut need = units;
        for (amount, key) in &order {
            if total >= need {
                break;
            }
            picked.extend(stock.get(key));
            total += amount;
            need = units.saturating_add(fee(picked.iter().copied(), fees));
        }
        if total < need {
            return Err(PlanError::TooLittle { have, need });
        }
        if picked.len() > MAX_SWAP - TIDY {
            return Err(PlanError::TooMany);
        }
        let mut keys: Vec<CoinKey> = order[..picked.len()].iter().map(|(_, key)| *key).collect();
        // Where inputs cost a fee, small coins may not be worth theirs.
        let free = picked
            .iter()
            .all(|coin| fees.get(&coin.keyset).is_none_or(|ppk| *ppk == 0));
        if free && order.len() > TIDY_ABOVE {
            let rest = &order[keys.len()..];
            keys.extend(rest.iter().rev().take(TIDY).map(|(_, key)| *key));
        }
        Ok(keys.iter().filter_map(|key| stock.remove(key)).collect())
    }
}

/// The fee for spending `coins`, in units, rounded up (NUT-02).
fn fee<'a>(coins: impl IntoIterator<Item = &'a Coin>, fees: &Fees) -> u64 {
    let ppk: u64 = coins
        .into_iter()
        .map(|c| fees.get(&c.keyset).copied().unwrap_or(0))
        .sum();
    ppk.div_ceil(1000)
}

/// The fewest coins of `keyset` that make up `units`, the largest first.
fn split(units: u64, keyset: &KeySet) -> Result<impl Iterator<Item = u64>, PlanError> {
    let largest = (0..=Denomination::MAX_EXPONENT)
        .rev()
        .filter_map(Denomination::from_exponent)
        .find(|coin| keyset.keys.amount_key(coin.units().into()).is_some())
        .ok_or(PlanError::Amount)?;
    let whole = units / largest.units();
    let rest: Vec<_> = Denomination::split(units % largest.units()).collect();
    let known = |coin: &Denomination| keyset.keys.amount_key(coin.units().into()).is_some();
    if whole > MAX_SWAP as u64 / 2 || !rest.iter().all(known) {
        return Err(PlanError::Amount);
    }
    let coins = std::iter::repeat_n(largest, whole as usize).chain(rest);
    Ok(coins.map(Denomination::units))
}
