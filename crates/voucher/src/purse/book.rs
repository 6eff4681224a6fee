//! The purse's money as it stands in memory. Every change to it is also a list of changes for the
//! disk; a swap leaves only after its changes are written.

use super::mould::Cast;
use super::record::{Coin, Held, Input, MAX_SWAP, Output, Swap, Terms};
use super::store::{Change, Row, StoreError, Table};
use crate::id::{VoucherId, coin_point};
use crate::unit::{Denomination, MintId};
use cashu::{Id, KeySet};
use coinfuse_wire::{Decode, Encode};
use std::collections::{BTreeMap, HashMap};

const COUNTER: &[u8] = b"counter";
/// With more coins of a mint than this, a swap also takes in a few of the smallest.
const TIDY_ABOVE: usize = 24;
/// How many it takes in.
const TIDY: usize = 8;

/// The x coordinate of a coin's `Y`.
pub(crate) type CoinKey = [u8; 32];

/// Why a swap cannot be planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlanError {
    /// The purse has this many units and would need that many.
    TooLittle { have: u64, need: u64 },
    /// The amount cannot be made of the keyset's coins, or takes too many of them.
    Amount,
}

/// What a swap is to bring, beyond change.
pub(crate) struct Wish {
    pub(crate) terms: Terms,
    pub(crate) units: u64,
}

/// Fees of a mint: keyset to parts per thousand of a unit, per input.
pub(crate) type Fees = HashMap<Id, u64>;

#[derive(Default)]
pub(crate) struct Book {
    coins: BTreeMap<MintId, BTreeMap<CoinKey, Coin>>,
    lent: BTreeMap<CoinKey, Coin>,
    vouchers: BTreeMap<VoucherId, Held>,
    swaps: BTreeMap<u64, Swap>,
    counter: u64,
}

impl Book {
    /// From what the store has read.
    pub(crate) fn load(rows: Vec<(Table, Row)>) -> Result<Self, StoreError> {
        let mut book = Self::default();
        for (table, (key, value)) in rows {
            book.load_row(table, &key, &value)?;
        }
        Ok(book)
    }

    fn load_row(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let bad = StoreError::damaged;
        match table {
            Table::Coins => {
                self.insert_coin(Coin::from_bytes(value).map_err(bad)?);
            }
            Table::Lent => {
                let coin = Coin::from_bytes(value).map_err(bad)?;
                self.lent.insert(key_of(&coin), coin);
            }
            Table::Vouchers => {
                let held = Held::from_bytes(value).map_err(bad)?;
                self.vouchers
                    .insert(VoucherId::from_bytes(key_bytes(key)?), held);
            }
            Table::Swaps => {
                let swap = Swap::from_bytes(value).map_err(bad)?;
                self.swaps.insert(swap.number, swap);
            }
            Table::Meta if key == COUNTER => {
                let bytes = value
                    .try_into()
                    .map_err(|_| StoreError::damaged("the counter"))?;
                self.counter = u64::from_be_bytes(bytes);
            }
            Table::Meta => {}
        }
        Ok(())
    }

    fn insert_coin(&mut self, coin: Coin) -> CoinKey {
        let key = key_of(&coin);
        self.coins
            .entry(coin.mint.clone())
            .or_default()
            .insert(key, coin);
        key
    }

    /// What can be spent at `mint` now, in units.
    pub(crate) fn balance(&self, mint: &MintId) -> u64 {
        self.coins
            .get(mint)
            .map_or(0, |coins| coins.values().map(|coin| coin.amount).sum())
    }

    pub(crate) fn mints(&self) -> impl Iterator<Item = &MintId> {
        self.coins.keys()
    }

    pub(crate) fn vouchers(&self) -> impl Iterator<Item = (&VoucherId, &Held)> {
        self.vouchers.iter()
    }

    pub(crate) fn voucher_mut(&mut self, id: &VoucherId) -> Option<&mut Held> {
        self.vouchers.get_mut(id)
    }

    pub(crate) fn swaps(&self) -> impl Iterator<Item = &Swap> {
        self.swaps.values()
    }

    /// The coins that are in the book, to spend or in swaps; not those that are lent.
    pub(crate) fn known_coins(&self) -> impl Iterator<Item = CoinKey> + '_ {
        let inputs = self.swaps.values().flat_map(|swap| &swap.inputs);
        self.coins
            .values()
            .flat_map(|coins| coins.keys().copied())
            .chain(inputs.map(|input| key_of(&input.coin)))
    }

    /// True while the coin is an input of an unfinished swap.
    pub(crate) fn in_swap(&self, id: &VoucherId) -> bool {
        let mut inputs = self.swaps.values().flat_map(|swap| &swap.inputs);
        inputs.any(|input| key_of(&input.coin) == *id.as_bytes())
    }

    /// Takes coins in; again with the same coins it changes nothing.
    pub(crate) fn deposit(&mut self, coins: Vec<Coin>) -> Vec<Change> {
        coins.into_iter().map(|coin| self.put_coin(coin)).collect()
    }

    fn put_coin(&mut self, coin: Coin) -> Change {
        let bytes = coin.to_bytes();
        let key = self.insert_coin(coin);
        Change::put(Table::Coins, &key, bytes)
    }

    /// Coins worth `units` or more for the `cdk` wallet, moved to the list of the lent.
    pub(crate) fn lend(
        &mut self,
        mint: &MintId,
        units: u64,
        fees: &Fees,
    ) -> Result<(Vec<Coin>, Vec<Change>), PlanError> {
        let coins = self.select(mint, units, fees)?;
        let mut changes = Vec::new();
        for coin in &coins {
            let key = key_of(coin);
            changes.push(Change::remove(Table::Coins, &key));
            changes.push(Change::put(Table::Lent, &key, coin.to_bytes()));
            self.lent.insert(key, coin.clone());
        }
        Ok((coins, changes))
    }

    /// The coins that may or may not have reached the `cdk` wallet.
    pub(crate) fn lent(&self) -> Vec<Coin> {
        self.lent.values().cloned().collect()
    }

    /// The `cdk` wallet has the coin.
    pub(crate) fn handed_over(&mut self, coins: &[Coin]) -> Vec<Change> {
        coins
            .iter()
            .map(key_of)
            .map(|key| {
                self.lent.remove(&key);
                Change::remove(Table::Lent, &key)
            })
            .collect()
    }

    /// Plans a purchase: takes its inputs out of the coins and gives numbers to its outputs.
    pub(crate) fn plan(
        &mut self,
        mint: &MintId,
        keyset: &KeySet,
        wishes: &[Wish],
        fees: &Fees,
    ) -> Result<(Swap, Vec<Change>), PlanError> {
        let mut outputs = Vec::new();
        let mut wanted = 0u64;
        for wish in wishes {
            wanted = wanted.checked_add(wish.units).ok_or(PlanError::Amount)?;
            outputs.extend(split(wish.units, keyset)?.map(|coin| (coin, Some(wish.terms))));
        }
        let coins = self.select(mint, wanted, fees)?;
        let total: u64 = coins.iter().map(|coin| coin.amount).sum();
        // Enough by the choice of the coins.
        let change = total
            .saturating_sub(wanted)
            .saturating_sub(fee(&coins, fees));
        match split(change, keyset) {
            Ok(split) if outputs.len() < MAX_SWAP / 2 => {
                outputs.extend(split.map(|coin| (coin, None)));
            }
            _ => {
                self.deposit(coins);
                return Err(PlanError::Amount);
            }
        }
        let inputs = coins
            .into_iter()
            .map(|coin| Input { coin, unlock: None })
            .collect();
        Ok(self.start(mint, keyset.id, inputs, outputs))
    }

    /// Plans a swap of `inputs`, coins that come from elsewhere, for plain coins of the purse.
    pub(crate) fn plan_intake(
        &mut self,
        mint: &MintId,
        keyset: &KeySet,
        inputs: Vec<Input>,
        fees: &Fees,
    ) -> Result<(Swap, Vec<Change>), PlanError> {
        let total: u64 = inputs.iter().map(|input| input.coin.amount).sum();
        let fee = fee(inputs.iter().map(|input| &input.coin), fees);
        let units = total.checked_sub(fee).filter(|units| *units > 0);
        let units = units.ok_or(PlanError::TooLittle {
            have: total,
            need: fee,
        })?;
        let outputs = split(units, keyset)?.map(|coin| (coin, None)).collect();
        Ok(self.start(mint, keyset.id, inputs, outputs))
    }

    fn start(
        &mut self,
        mint: &MintId,
        keyset: Id,
        inputs: Vec<Input>,
        mut outputs: Vec<(Denomination, Option<Terms>)>,
    ) -> (Swap, Vec<Change>) {
        // By amount (NUT-03), so that their order does not tell vouchers from change.
        outputs.sort_by_key(|(denomination, _)| *denomination);
        let mut next = || {
            self.counter += 1;
            self.counter
        };
        let number = next();
        let outputs = outputs.into_iter();
        let outputs = outputs
            .map(|(denomination, terms)| Output {
                denomination,
                counter: next(),
                terms,
            })
            .collect();
        let swap = Swap {
            number,
            mint: mint.clone(),
            keyset,
            inputs,
            outputs,
        };
        let mut changes: Vec<_> = swap
            .inputs
            .iter()
            .map(|input| Change::remove(Table::Coins, &key_of(&input.coin)))
            .collect();
        changes.push(Change::put(
            Table::Meta,
            COUNTER,
            self.counter.to_be_bytes().to_vec(),
        ));
        changes.push(Change::put(
            Table::Swaps,
            &number.to_be_bytes(),
            swap.to_bytes(),
        ));
        self.swaps.insert(number, swap.clone());
        (swap, changes)
    }

    /// The swap has succeeded: its coins and vouchers are the purse's.
    pub(crate) fn finish(&mut self, swap: &Swap, casts: Vec<Cast>) -> Vec<Change> {
        if self.swaps.remove(&swap.number).is_none() {
            // Finished already, by a recovery that ran beside.
            return Vec::new();
        }
        let mut changes = self.forget_inputs(swap);
        for cast in casts {
            changes.push(match cast {
                Cast::Coin(coin) => self.put_coin(coin),
                Cast::Voucher(voucher) => self.put_voucher(voucher.0, voucher.1),
            });
        }
        changes
    }

    /// The swap can never happen: the inputs that are `unspent` are the purse's again, unless they
    /// were only passing through.
    pub(crate) fn cancel(&mut self, swap: &Swap, unspent: &dyn Fn(&Coin) -> bool) -> Vec<Change> {
        if self.swaps.remove(&swap.number).is_none() {
            return Vec::new();
        }
        let mut changes = vec![Change::remove(Table::Swaps, &swap.number.to_be_bytes())];
        for input in &swap.inputs {
            if input.unlock.is_none() && unspent(&input.coin) {
                changes.push(self.put_coin(input.coin.clone()));
            }
        }
        changes
    }

    fn forget_inputs(&mut self, swap: &Swap) -> Vec<Change> {
        let mut changes = vec![Change::remove(Table::Swaps, &swap.number.to_be_bytes())];
        for input in &swap.inputs {
            let id = VoucherId::from_bytes(key_of(&input.coin));
            if self.vouchers.remove(&id).is_some() {
                changes.push(Change::remove(Table::Vouchers, id.as_bytes()));
            }
        }
        changes
    }

    pub(crate) fn put_voucher(&mut self, id: VoucherId, held: Held) -> Change {
        let change = Change::put(Table::Vouchers, id.as_bytes(), held.to_bytes());
        self.vouchers.insert(id, held);
        change
    }

    /// The voucher is settled, or lost.
    pub(crate) fn drop_voucher(&mut self, id: &VoucherId) -> Option<Change> {
        self.vouchers
            .remove(id)
            .map(|_| Change::remove(Table::Vouchers, id.as_bytes()))
    }

    /// Takes coins of `mint` worth `units` and the fee of spending them: the largest first, so that
    /// a swap stays small; and a few of the smallest when there are many, so that they do not pile
    /// up.
    fn select(&mut self, mint: &MintId, units: u64, fees: &Fees) -> Result<Vec<Coin>, PlanError> {
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
        if total < need || picked.len() > MAX_SWAP - TIDY {
            return Err(PlanError::TooLittle { have, need });
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

pub(crate) fn key_of(coin: &Coin) -> CoinKey {
    // A secret without a point exists with probability 2^-65536, and is not signed by any mint.
    coin_point(&coin.secret).map_or([0; 32], |y| y.x_only_public_key().serialize())
}

fn key_bytes(key: &[u8]) -> Result<[u8; 32], StoreError> {
    key.try_into()
        .map_err(|_| StoreError::damaged("the key of a voucher"))
}

/// The fewest coins of `keyset` that make up `units`, the largest first.
fn split(units: u64, keyset: &KeySet) -> Result<impl Iterator<Item = Denomination>, PlanError> {
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
    Ok(std::iter::repeat_n(largest, whole as usize).chain(rest))
}
