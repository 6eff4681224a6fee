//! The purse's money as it stands in memory. Every change to it is also a list of changes for the
//! disk; a swap leaves only after its changes are written.

use super::mould::Cast;
use super::plan::{Fees, PlanError};
use super::record::{Coin, Handed, Held, Purpose, Signed, Swap, Tag};
use super::store::{Change, Row, StoreError, Table};
use crate::id::{VoucherId, coin_point};
use crate::unit::MintId;
use coinfuse_wire::{Decode, Encode};
use std::collections::{BTreeMap, HashMap};

const COUNTER: &[u8] = b"counter";
/// The x coordinate of a coin's `Y`.
pub(crate) type CoinKey = [u8; 32];

/// What stands under a tag.
pub(crate) enum Signing<'a> {
    /// The signatures are here.
    Done(&'a Signed),
    /// A swap that brings them is unfinished.
    Begun(&'a Swap),
}

/// Where a coin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this unfinished swap.
    Swap(u64),
    /// Among the coins to spend.
    Purse,
}

#[derive(Default)]
pub(crate) struct Book {
    pub(super) coins: BTreeMap<MintId, BTreeMap<CoinKey, Coin>>,
    lent: BTreeMap<CoinKey, Coin>,
    vouchers: BTreeMap<VoucherId, Held>,
    swaps: BTreeMap<u64, Swap>,
    /// The inputs of the swaps.
    busy: HashMap<CoinKey, u64>,
    signed: BTreeMap<Tag, Signed>,
    /// By the number of the swap that has brought them.
    tokens: BTreeMap<u64, Handed>,
    pub(super) counter: u64,
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
                    .insert(VoucherId::from_bytes(bytes_of(key)?), held);
            }
            Table::Swaps => {
                let swap = Swap::from_bytes(value).map_err(bad)?;
                let keys = swap.inputs.iter().map(|input| input.key);
                self.busy.extend(keys.map(|key| (key, swap.number)));
                self.swaps.insert(swap.number, swap);
            }
            Table::Signed => {
                let signed = Signed::from_bytes(value).map_err(bad)?;
                self.signed.insert(bytes_of(key)?, signed);
            }
            Table::Tokens => {
                let handed = Handed::from_bytes(value).map_err(bad)?;
                self.tokens
                    .insert(u64::from_be_bytes(bytes_of(key)?), handed);
            }
            Table::Meta if key == COUNTER => {
                self.counter = u64::from_be_bytes(bytes_of(value)?);
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

    /// An unfinished swap.
    pub(crate) fn swap(&self, number: u64) -> Option<&Swap> {
        self.swaps.get(&number)
    }

    /// The coins that are in the book, to spend or in swaps; not those that are lent.
    pub(crate) fn known_coins(&self) -> impl Iterator<Item = CoinKey> + '_ {
        self.coins
            .values()
            .flat_map(|coins| coins.keys().copied())
            .chain(self.busy.keys().copied())
    }

    /// True while the coin is an input of an unfinished swap.
    pub(crate) fn in_swap(&self, id: &VoucherId) -> bool {
        self.busy.contains_key(id.as_bytes())
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

    /// What a caller has had signed under `tag`, or is about to have.
    pub(crate) fn signing(&self, tag: &Tag) -> Option<Signing<'_>> {
        if let Some(signed) = self.signed.get(tag) {
            return Some(Signing::Done(signed));
        }
        let mut swaps = self.swaps.values();
        swaps
            .find(|swap| swap.purpose == Purpose::Signing(*tag))
            .map(Signing::Begun)
    }

    /// The caller has its signatures.
    pub(crate) fn drop_signed(&mut self, tag: &Tag) -> Option<Change> {
        self.signed
            .remove(tag)
            .map(|_| Change::remove(Table::Signed, tag))
    }

    /// The tokens that were handed out and not forgotten, the oldest first.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &Handed> {
        self.tokens.values()
    }

    /// The token with this text.
    pub(crate) fn token(&self, text: &str) -> Option<&Handed> {
        self.tokens().find(|handed| handed.text() == text)
    }

    /// The caller has no more need of a token.
    pub(crate) fn drop_token(&mut self, text: &str) -> Option<Change> {
        let mut tokens = self.tokens.iter();
        let number = *tokens.find(|(_, handed)| handed.text() == text)?.0;
        self.tokens.remove(&number);
        Some(Change::remove(Table::Tokens, &number.to_be_bytes()))
    }

    /// Where a coin that comes from elsewhere is already.
    pub(crate) fn find(&self, mint: &MintId, key: &CoinKey) -> Option<Place> {
        if let Some(number) = self.busy.get(key) {
            return Some(Place::Swap(*number));
        }
        let stock = self.coins.get(mint);
        stock
            .is_some_and(|stock| stock.contains_key(key))
            .then_some(Place::Purse)
    }

    /// Enters a swap; whoever sends it waits until the changes are on disk. `None` if a coin is in
    /// another swap.
    pub(crate) fn begin(&mut self, swap: &Swap) -> Option<Vec<Change>> {
        let keys: Vec<_> = swap.inputs.iter().map(|i| i.key).collect();
        if keys.iter().any(|key| self.busy.contains_key(key)) {
            return None;
        }
        let mut changes: Vec<_> = keys
            .iter()
            .map(|key| Change::remove(Table::Coins, key))
            .collect();
        let counter = self.counter.to_be_bytes().to_vec();
        changes.push(Change::put(Table::Meta, COUNTER, counter));
        let number = swap.number.to_be_bytes();
        changes.push(Change::put(Table::Swaps, &number, swap.to_bytes()));
        self.busy
            .extend(keys.into_iter().map(|key| (key, swap.number)));
        self.swaps.insert(swap.number, swap.clone());
        Some(changes)
    }

    /// The swap has succeeded: what it has brought is the purse's.
    pub(crate) fn finish(&mut self, swap: &Swap, casts: Vec<Cast>) -> Vec<Change> {
        let Some(mut changes) = self.leave(swap) else {
            // Finished already, by a recovery that ran beside.
            return Vec::new();
        };
        for input in &swap.inputs {
            let id = VoucherId::from_bytes(input.key);
            changes.extend(self.drop_voucher(&id));
        }
        changes.extend(self.put_casts(swap, casts));
        changes
    }

    /// The swap can never happen: the inputs that are `unspent` are the purse's again, unless they
    /// were only passing through. `casts` is what there is to keep all the same.
    pub(crate) fn cancel(
        &mut self,
        swap: &Swap,
        unspent: &dyn Fn(&Coin) -> bool,
        casts: Vec<Cast>,
    ) -> Vec<Change> {
        let Some(mut changes) = self.leave(swap) else {
            return Vec::new();
        };
        if swap.purpose != Purpose::Intake {
            let back = swap.inputs.iter().map(|input| &input.coin);
            let back = back.filter(|coin| unspent(coin)).cloned().collect();
            changes.extend(self.deposit(back));
        }
        changes.extend(self.put_casts(swap, casts));
        changes
    }

    /// Takes a swap out; `None` if it is not there.
    fn leave(&mut self, swap: &Swap) -> Option<Vec<Change>> {
        self.swaps.remove(&swap.number)?;
        self.busy.retain(|_, number| *number != swap.number);
        let number = swap.number.to_be_bytes();
        Some(vec![Change::remove(Table::Swaps, &number)])
    }

    fn put_casts(&mut self, swap: &Swap, casts: Vec<Cast>) -> Vec<Change> {
        let mut changes = Vec::with_capacity(casts.len());
        let (mut foreign, mut handed) = (Vec::new(), Vec::new());
        for cast in casts {
            match cast {
                Cast::Coin(coin) => changes.push(self.put_coin(coin)),
                Cast::Handed(coin) => handed.push(coin),
                Cast::Voucher(voucher) => changes.push(self.put_voucher(voucher.0, voucher.1)),
                Cast::Foreign(place, point, signed) => foreign.push((place, point, signed)),
            }
        }
        changes.extend(self.put_token(swap, handed));
        let (Purpose::Signing(tag), false) = (swap.purpose, foreign.is_empty()) else {
            return changes;
        };
        foreign.sort_unstable_by_key(|(place, ..)| *place);
        let mut signed = Signed::new(swap.mint.clone(), swap.keyset);
        for (_, point, signature) in &foreign {
            // Whatever was cast has its DLEQ proof.
            let _ = signed.push(*point, signature);
        }
        changes.push(Change::put(Table::Signed, &tag, signed.to_bytes()));
        self.signed.insert(tag, signed);
        changes
    }

    fn put_token(&mut self, swap: &Swap, coins: Vec<Coin>) -> Option<Change> {
        if coins.is_empty() {
            return None;
        }
        let mint = swap.mint.clone();
        let handed = Handed { mint, coins };
        let number = swap.number.to_be_bytes();
        let change = Change::put(Table::Tokens, &number, handed.to_bytes());
        self.tokens.insert(swap.number, handed);
        Some(change)
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
}

pub(crate) fn key_of(coin: &Coin) -> CoinKey {
    // A secret without a point exists with probability 2^-65536, and is not signed by any mint.
    coin_point(&coin.secret).map_or([0; 32], |y| y.x_only_public_key().serialize())
}

fn bytes_of<const N: usize>(bytes: &[u8]) -> Result<[u8; N], StoreError> {
    bytes
        .try_into()
        .map_err(|_| StoreError::damaged("a row of another length"))
}
