//! Signatures for outputs of a caller, paid with coins of the purse.

use super::book::Signing;
use super::error::PurseError;
use super::line::is_keyset_refusal;
use super::plan::PlanError;
use super::record::{MAX_SWAP, Tag};
use super::send::{Brought, Planned};
use super::till::Till;
use crate::unit::MintId;
use cashu::{BlindSignature, BlindedMessage, Id, KeySet};
use std::collections::HashSet;

/// What to do for a tag.
enum Next {
    Have(Vec<BlindSignature>),
    GoOn(u64),
    Begin,
}

impl Till {
    /// See [`Purse::sign_outputs`](crate::Purse::sign_outputs).
    pub(crate) async fn sign_outputs(
        &self,
        tag: Tag,
        mint: &MintId,
        outputs: &[BlindedMessage],
    ) -> Result<Vec<BlindSignature>, PurseError> {
        self.wallet(mint)?;
        let keyset = one_keyset(outputs).ok_or_else(|| PurseError::Unfit(mint.clone()))?;
        let mut tried = false;
        loop {
            let result = match self.next(&tag, mint, outputs).await? {
                Next::Have(signatures) => return Ok(signatures),
                // If it was ended by another task, it has left signatures, or a free tag.
                Next::GoOn(number) => self.go_on(number).await,
                Next::Begin => self.begin_signing(tag, mint, keyset, outputs, tried).await,
            };
            match result {
                Ok(Some(brought)) => return Ok(brought.signatures),
                Ok(None) => {}
                Err(PurseError::Refused { source, .. }) if is_keyset_refusal(&source) => {
                    return Err(PurseError::Keyset(mint.clone()));
                }
                // Coins that were spent have been taken out, and the fees are looked up again.
                Err(PurseError::Refused { .. }) if !tried => tried = true,
                Err(error) => return Err(error),
            }
        }
    }

    async fn next(
        &self,
        tag: &Tag,
        mint: &MintId,
        outputs: &[BlindedMessage],
    ) -> Result<Next, PurseError> {
        self.read(|book| match book.signing(tag) {
            None => Ok(Next::Begin),
            Some(Signing::Done(signed)) if signed.signs(mint, outputs) => {
                Ok(Next::Have(signed.signatures()))
            }
            Some(Signing::Begun(swap)) if swap.signs(mint, outputs) => Ok(Next::GoOn(swap.number)),
            Some(_) => Err(PurseError::Tag),
        })
        .await
    }

    /// `None` if another task has begun in the meantime.
    async fn begin_signing(
        &self,
        tag: Tag,
        mint: &MintId,
        keyset: Id,
        outputs: &[BlindedMessage],
        refresh: bool,
    ) -> Result<Option<Brought>, PurseError> {
        let active = self.active_keyset(mint, keyset, refresh).await?;
        let (keyset, fees) = active.ok_or_else(|| PurseError::Keyset(mint.clone()))?;
        if !has_amounts(&keyset, outputs) {
            return Err(PurseError::Unfit(mint.clone()));
        }
        let planned = self.plan(|book| book.plan_signing(tag, mint, &keyset, outputs, &fees));
        let (swap, claim, written) = match planned.await? {
            Ok(planned) => planned,
            Err(PlanError::Busy) => return Ok(None),
            Err(error) => return Err(error.at(mint)),
        };
        let planned = Planned::new(swap, keyset, claim);
        self.execute(planned, written).await.map(Some)
    }

    /// The signatures that are kept under `tag`.
    pub(crate) async fn signed(&self, tag: &Tag) -> Option<Vec<BlindSignature>> {
        self.read(|book| match book.signing(tag)? {
            Signing::Done(signed) => Some(signed.signatures()),
            Signing::Begun(_) => None,
        })
        .await
    }

    pub(crate) async fn forget_signed(&self, tag: &Tag) -> Result<(), PurseError> {
        let (_, written) = self
            .change(|book| ((), book.drop_signed(tag).into_iter().collect()))
            .await?;
        Ok(written.wait().await?)
    }
}

/// The keyset of the outputs; `None` if they do not fit into a swap.
fn one_keyset(outputs: &[BlindedMessage]) -> Option<Id> {
    let id = outputs.first()?.keyset_id;
    let mut points = HashSet::new();
    let good = |output: &BlindedMessage| {
        output.keyset_id == id && output.witness.is_none() && points.insert(output.blinded_secret)
    };
    (outputs.len() < MAX_SWAP / 2 && outputs.iter().all(good)).then_some(id)
}

fn has_amounts(keyset: &KeySet, outputs: &[BlindedMessage]) -> bool {
    let mut amounts = outputs.iter().map(|output| output.amount);
    amounts.all(|amount| keyset.keys.amount_key(amount).is_some())
}
