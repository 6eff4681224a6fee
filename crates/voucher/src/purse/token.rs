//! Cashu tokens: money out of a purse or a redeemer, and back in, as a text.

use super::error::PurseError;
use super::intake::as_they_are;
use super::plan::PlanError;
use super::record::{Handed, Input};
use super::send::Planned;
use super::till::Till;
use super::{Purse, Redeemer, run};
use crate::unit::{MintId, Unit};
use cashu::Proof;
use cashu::nut00::Token;
use coinfuse_wire::Msat;
use std::str::FromStr;

/// The longest token that is read, in bytes: some five thousand coins.
const MAX_TOKEN: usize = 1 << 20;

/// A token that was handed out and is not forgotten. Whoever has its text has the money.
#[derive(Clone, PartialEq, Eq)]
pub struct HandedOut {
    /// The mint whose coins they are.
    pub mint: MintId,
    /// What they are worth together; who receives them pays the mint's fee of it.
    pub value: Msat,
    /// The token.
    pub token: String,
}

impl core::fmt::Debug for HandedOut {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "HandedOut({} of {}, [scrubbed])", self.value, self.mint)
    }
}

macro_rules! tokens {
    ($name:ident) => {
        /// Cashu tokens.
        impl $name {
            /// Takes money out as a Cashu token (NUT-00, version 4): plain coins worth exactly
            /// `amount`, which every Cashu wallet receives. The fee of the swap that makes them is
            /// paid besides; the fee of receiving them, by who receives them.
            ///
            /// The token is kept: until [`Self::forget_token`] it is among [`Self::tokens`] and can
            /// be had back with [`Self::reclaim`]. So is one that was under way in a crash, after
            /// `recover`.
            ///
            /// # Errors
            ///
            /// [`PurseError::Amount`] if `amount` is no whole number of the mint's units. To take
            /// out everything where the mint takes a fee, ask for the balance, and then for as much
            /// less as [`PurseError::TooLittle`] says is missing; a few units may remain. After [`PurseError::Unfinished`], look
            /// among the tokens after `recover` before asking again.
            pub async fn token(&self, mint: &MintId, amount: Msat) -> Result<String, PurseError> {
                let mint = mint.clone();
                run(&self.till, move |till| async move {
                    till.token(&mint, amount).await
                })
                .await
            }

            /// The tokens that were handed out and are not forgotten, the oldest first. They may
            /// have been received in the meantime.
            pub async fn tokens(&self) -> Vec<HandedOut> {
                let look = |handed: &Handed| HandedOut {
                    mint: handed.mint.clone(),
                    value: handed
                        .mint
                        .unit()
                        .value(handed.units())
                        .unwrap_or(Msat::MAX),
                    token: handed.text(),
                };
                self.till
                    .read(|book| book.tokens().map(look).collect())
                    .await
            }

            /// The token is in safe hands: it is forgotten here. Nothing happens if it is unknown.
            pub async fn forget_token(&self, token: &str) -> Result<(), PurseError> {
                let token = token.trim().to_owned();
                run(&self.till, move |till| async move {
                    till.forget_token(&token).await
                })
                .await
            }

            /// Takes a token back that was handed out here, and forgets it. Returns what it has
            /// brought, less the mint's fee: nothing if somebody has received it. After a crash,
            /// `recover` brings it; this then returns nothing.
            ///
            /// # Errors
            ///
            /// After [`PurseError::Refused`] and [`PurseError::Unfinished`] the token is still
            /// known.
            pub async fn reclaim(&self, token: &str) -> Result<Msat, PurseError> {
                let token = token.trim().to_owned();
                run(
                    &self.till,
                    move |till| async move { till.reclaim(&token).await },
                )
                .await
            }

            /// Receives a token (version 3 or 4) of a mint on the list, by a swap. Returns what it
            /// has brought, less the mint's fee. As with [`Self::take_in`], give it again after a
            /// crash.
            ///
            /// # Errors
            ///
            /// [`PurseError::NotAToken`], [`PurseError::UnknownMint`], and those of
            /// [`Self::take_in`]: locked coins are refused, for one.
            pub async fn receive(&self, token: &str) -> Result<(MintId, Msat), PurseError> {
                let text = token.trim().to_owned();
                run(
                    &self.till,
                    move |till| async move { till.receive(&text).await },
                )
                .await
            }
        }
    };
}

tokens!(Purse);
tokens!(Redeemer);

impl Till {
    /// A second swap if the mint refuses, since its keysets may have turned over.
    async fn token(&self, mint: &MintId, amount: Msat) -> Result<String, PurseError> {
        self.wallet(mint)?;
        let units = mint.unit().units_for(amount);
        if units == 0 || mint.unit().value(units) != Some(amount) {
            return Err(PurseError::Amount(mint.clone()));
        }
        match self.token_once(mint, units, false).await {
            Err(PurseError::Refused { .. }) => self.token_once(mint, units, true).await,
            result => result,
        }
    }

    async fn token_once(
        &self,
        mint: &MintId,
        units: u64,
        refresh: bool,
    ) -> Result<String, PurseError> {
        let (keyset, fees) = self.keyset(mint, refresh).await?;
        let planned = loop {
            let planned = self.plan(|book| book.plan_token(mint, &keyset, units, &fees));
            match planned.await? {
                Err(PlanError::TooMany) => self.merge(mint, &keyset, &fees).await?,
                planned => break planned,
            }
        };
        let (swap, claim, written) = planned.map_err(|error| error.at(mint))?;
        let brought = self.execute(Planned::new(swap, keyset, claim), written);
        let handed = Handed {
            mint: mint.clone(),
            coins: brought.await?.handed,
        };
        Ok(handed.text())
    }

    async fn forget_token(&self, text: &str) -> Result<(), PurseError> {
        let (_, written) = self
            .change(|book| ((), book.drop_token(text).into_iter().collect()))
            .await?;
        Ok(written.wait().await?)
    }

    async fn reclaim(&self, text: &str) -> Result<Msat, PurseError> {
        let handed = self.read(|book| book.token(text).cloned()).await;
        let Handed { mint, coins } = handed.ok_or(PurseError::UnknownToken)?;
        let inputs = coins.into_iter().map(Input::plain).collect();
        let units = match self.take_in(&mint, inputs, &mut as_they_are).await {
            Err(PurseError::Spent(_)) => 0,
            result => result?,
        };
        self.forget_token(text).await?;
        Ok(mint.unit().value(units).unwrap_or(Msat::MAX))
    }

    async fn receive(&self, text: &str) -> Result<(MintId, Msat), PurseError> {
        let token = read(text).ok_or(PurseError::NotAToken)?;
        let mint = mint_of(&token).ok_or(PurseError::NotAToken)?;
        let proofs = self.proofs(&mint, &token).await?;
        let inputs = proofs.iter().map(|proof| Input::from_proof(&mint, proof));
        let units = self
            .take_in(&mint, inputs.collect(), &mut as_they_are)
            .await?;
        // It may be one of ours.
        self.forget_token(text).await?;
        let value = mint.unit().value(units).unwrap_or(Msat::MAX);
        Ok((mint, value))
    }

    /// The coins of a token, with the long names of their keysets.
    async fn proofs(&self, mint: &MintId, token: &Token) -> Result<Vec<Proof>, PurseError> {
        for refresh in [false, true] {
            let keysets = self.keyset_infos(mint, refresh).await?;
            let known = |proof: &Proof| keysets.iter().any(|info| info.id == proof.keyset_id);
            match token.proofs(&keysets) {
                Ok(proofs) if proofs.is_empty() => return Err(PurseError::NotAToken),
                Ok(proofs) if proofs.iter().all(known) => return Ok(proofs),
                _ => {}
            }
        }
        Err(PurseError::Refused {
            mint: mint.clone(),
            source: Box::new(cdk::Error::UnknownKeySet),
        })
    }
}

fn read(text: &str) -> Option<Token> {
    (text.len() <= MAX_TOKEN)
        .then(|| Token::from_str(text).ok())
        .flatten()
}

/// The one mint of a token; where a token names no unit it is in satoshis (NUT-00, version 3).
fn mint_of(token: &Token) -> Option<MintId> {
    let unit = Unit::from_cashu(&token.unit().unwrap_or_default())?;
    MintId::new(&token.mint_url().ok()?.to_string(), unit).ok()
}
