//! Coins that come from elsewhere, into plain coins of the purse.

use super::book::{CoinKey, Place};
use super::error::PurseError;
use super::record::{Input, MAX_SWAP, Swap};
use super::running::Claim;
use super::send::{Brought, Planned, request};
use super::store::Written;
use super::till::Till;
use crate::unit::MintId;
use cashu::SwapRequest;
use coinfuse_wire::{Decode, Encode};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

type BoxError = Box<dyn core::error::Error + Send + Sync>;

/// Puts witnesses on the inputs of a swap whose outputs are known.
pub(crate) type Signer<'a> = &'a mut (dyn FnMut(&mut SwapRequest) -> Result<(), BoxError> + Send);

/// For inputs that have their witnesses, or need none.
pub(crate) fn as_they_are(_: &mut SwapRequest) -> Result<(), BoxError> {
    Ok(())
}

/// What became of coins that were to be taken in.
#[derive(Default)]
pub(crate) struct Taken {
    /// What they have brought, in units, less the mint's fee.
    pub(crate) units: u64,
    /// They are coins of the purse.
    pub(crate) done: Vec<CoinKey>,
    /// They were spent before.
    pub(crate) spent: Vec<CoinKey>,
    /// They are in this unfinished swap.
    pub(crate) waiting: Vec<(CoinKey, u64)>,
}

impl Till {
    /// Takes coins in to the last one, together with the unfinished swaps that have some of them.
    /// Returns the units that they have brought.
    pub(crate) async fn take_in(
        &self,
        mint: &MintId,
        mut inputs: Vec<Input>,
        sign: Signer<'_>,
    ) -> Result<u64, PurseError> {
        let (mut units, mut spent) = (0u64, false);
        while !inputs.is_empty() {
            let taken = self.try_take_in(mint, &inputs, sign).await?;
            units = units.saturating_add(taken.units);
            spent |= !taken.spent.is_empty();
            let mut left: HashSet<_> = taken.waiting.iter().map(|(key, _)| *key).collect();
            let numbers: BTreeSet<_> = taken.waiting.iter().map(|(_, number)| *number).collect();
            for number in numbers {
                match self.go_on(number).await {
                    Ok(Some(brought)) => {
                        units = units.saturating_add(brought.plain);
                        let done = taken.waiting.iter().filter(|(_, other)| *other == number);
                        done.for_each(|(key, _)| {
                            left.remove(key);
                        });
                    }
                    // They are tried once more, and the mint knows.
                    Ok(None) | Err(PurseError::Refused { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            inputs.retain(|input| left.contains(&input.key));
        }
        match units {
            0 if spent => Err(PurseError::Spent(mint.clone())),
            units => Ok(units),
        }
    }

    /// Takes in the coins that are in no swap yet.
    pub(crate) async fn try_take_in(
        &self,
        mint: &MintId,
        inputs: &[Input],
        sign: Signer<'_>,
    ) -> Result<Taken, PurseError> {
        self.wallet(mint)?;
        let mut seen = HashSet::new();
        let inputs: Vec<_> = inputs
            .iter()
            .filter(|input| seen.insert(input.key))
            .cloned()
            .collect();
        let mut taken = Taken::default();
        for batch in inputs.chunks(MAX_SWAP / 2) {
            self.take_batch(mint, batch.to_vec(), sign, &mut taken)
                .await?;
        }
        Ok(taken)
    }

    /// The mint takes a batch whole or not at all; if it refuses, the coins that are spent are taken
    /// out and the rest is tried once more.
    async fn take_batch(
        &self,
        mint: &MintId,
        mut batch: Vec<Input>,
        sign: Signer<'_>,
        taken: &mut Taken,
    ) -> Result<(), PurseError> {
        let mut refresh = false;
        loop {
            batch = self.free(mint, batch, taken).await;
            if batch.is_empty() {
                return Ok(());
            }
            match self.take_whole(mint, &batch, refresh, sign).await {
                Ok(Some(brought)) => {
                    taken.units = taken.units.saturating_add(brought.plain);
                    taken.done.extend(batch.iter().map(|i| i.key));
                    return Ok(());
                }
                // Another task was faster with one of them.
                Ok(None) => {}
                Err(PurseError::Refused { .. }) if !refresh => {
                    let unspent = self.unspent(mint, &batch).await?;
                    let (rest, gone): (Vec<_>, Vec<_>) = batch
                        .into_iter()
                        .partition(|input| unspent.contains(&input.key));
                    taken.spent.extend(gone.iter().map(|i| i.key));
                    batch = rest;
                    refresh = true;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Those that are neither in a swap nor coins of the purse.
    async fn free(&self, mint: &MintId, batch: Vec<Input>, taken: &mut Taken) -> Vec<Input> {
        self.read(|book| {
            let mut free = Vec::with_capacity(batch.len());
            for input in batch {
                let key = input.key;
                match book.find(mint, &key) {
                    None => free.push(input),
                    Some(Place::Purse) => taken.done.push(key),
                    Some(Place::Swap(number)) => taken.waiting.push((key, number)),
                }
            }
            free
        })
        .await
    }

    /// One swap; `None` if one of the coins is in another by now.
    async fn take_whole(
        &self,
        mint: &MintId,
        batch: &[Input],
        refresh: bool,
        sign: Signer<'_>,
    ) -> Result<Option<Brought>, PurseError> {
        let (keyset, fees) = self.keyset(mint, refresh).await?;
        let draft = self
            .sketch(|book| book.draft_intake(mint, &keyset, batch.to_vec(), &fees))
            .await;
        let draft = draft.map_err(|error| error.at(mint))?;
        let swap = self.sign(draft, sign).await?;
        match self.begin(&swap).await? {
            None => Ok(None),
            Some((claim, written)) => {
                let planned = Planned::new(swap, keyset, claim);
                self.execute(planned, written).await.map(Some)
            }
        }
    }

    /// Has the caller put its witnesses on, and sees to it that the record can be read back.
    async fn sign(&self, draft: Swap, sign: Signer<'_>) -> Result<Swap, PurseError> {
        let draft = Arc::new(draft);
        let moulds = self.moulds(&draft).await?;
        let mut signed = request(&draft, &moulds);
        sign(&mut signed).map_err(PurseError::NotSigned)?;
        let mut swap = Arc::unwrap_or_clone(draft);
        let witnesses = signed.inputs().iter().map(|proof| proof.witness.clone());
        for (input, witness) in swap.inputs.iter_mut().zip(witnesses) {
            input.witness = witness;
        }
        if request(&swap, &moulds) != signed {
            return Err(PurseError::NotSigned(
                "more than witnesses has changed".into(),
            ));
        }
        match Swap::from_bytes(&swap.to_bytes()) {
            Ok(_) => Ok(swap),
            Err(_) => Err(PurseError::Unfit(swap.mint)),
        }
    }

    async fn begin(&self, swap: &Swap) -> Result<Option<(Claim, Written)>, PurseError> {
        let (claim, written) = self
            .change(|book| match book.begin(swap) {
                Some(changes) => (Some(self.running.claim_new(swap.number)), changes),
                None => (None, Vec::new()),
            })
            .await?;
        Ok(claim.map(|claim| (claim, written)))
    }
}
