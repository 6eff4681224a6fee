//! Coins on their way between the book and the `cdk` wallets, which speak Lightning.

use super::book::key_of;
use super::error::{PurseError, unfinished};
use super::plan::PlanError;
use super::record::Coin;
use super::store::StoreError;
use super::till::Till;
use crate::unit::MintId;
use cashu::State;
use cdk::types::ProofInfo;
use std::collections::HashSet;

impl Till {
    /// Puts right what a crash left between the book and the wallets' database.
    pub(super) async fn reconcile(&self) -> Result<(), PurseError> {
        let (lent, mut known) = self
            .read(|book| {
                let known: HashSet<_> = book.known_coins().collect();
                (book.lent(), known)
            })
            .await;
        for coin in lent {
            let Some(wallet) = self.wallets.get(&coin.mint) else {
                continue;
            };
            let y = coin
                .to_proof()
                .y()
                .map_err(|_| StoreError::damaged("a lent coin"))?;
            let there = wallet.wallet.localstore.get_proofs_by_ys(vec![y]).await;
            let arrived = !there.map_err(PurseError::Database)?.is_empty();
            known.remove(&key_of(&coin));
            self.change(|book| {
                let mut changes = book.handed_over(std::slice::from_ref(&coin));
                if !arrived {
                    changes.extend(book.deposit(vec![coin]));
                }
                ((), changes)
            })
            .await?;
        }
        for (mint, wallet) in &self.wallets {
            let proofs = wallet.wallet.get_unspent_proofs().await;
            let proofs = proofs.map_err(|source| unfinished(mint, source))?;
            let ys = proofs
                .iter()
                .filter_map(|proof| proof.y().ok())
                .filter(|y| known.contains(&y.x_only_public_key().serialize()))
                .collect::<Vec<_>>();
            if !ys.is_empty() {
                let removed = wallet.wallet.localstore.update_proofs(Vec::new(), ys).await;
                removed.map_err(PurseError::Database)?;
            }
        }
        Ok(())
    }

    /// Moves what the `cdk` wallet has into the book. The caller holds `moving`.
    pub(crate) async fn sweep(&self, mint: &MintId) -> Result<u64, PurseError> {
        let wallet = &self.wallet(mint)?.wallet;
        let proofs = wallet.get_unspent_proofs().await;
        let proofs = proofs.map_err(|source| unfinished(mint, source))?;
        if proofs.is_empty() {
            return Ok(0);
        }
        let coins: Vec<_> = proofs
            .iter()
            .map(|proof| Coin::from_proof(mint, proof))
            .collect();
        let units = coins.iter().map(|coin| coin.amount).sum();
        let (_, written) = self.change(|book| ((), book.deposit(coins))).await?;
        written.wait().await?;
        let ys = proofs.iter().filter_map(|proof| proof.y().ok()).collect();
        wallet
            .localstore
            .update_proofs(Vec::new(), ys)
            .await
            .map_err(PurseError::Database)?;
        Ok(units)
    }

    /// Moves coins worth `units` into the `cdk` wallet. The caller holds `moving`.
    pub(crate) async fn lend(&self, mint: &MintId, units: u64) -> Result<(), PurseError> {
        let (keyset, fees) = self.keyset(mint, false).await?;
        let (coins, written) = loop {
            let (coins, written) = self
                .change(|book| match book.lend(mint, units, &fees) {
                    Ok((coins, changes)) => (Ok(coins), changes),
                    Err(error) => (Err(error), Vec::new()),
                })
                .await?;
            match coins {
                Err(PlanError::TooMany) => self.merge(mint, &keyset, &fees).await?,
                coins => break (coins.map_err(|error| error.at(mint))?, written),
            }
        };
        written.wait().await?;
        let wallet = &self.wallet(mint)?.wallet;
        let infos = coins.iter().map(|coin| {
            let unit = mint.unit().to_cashu();
            ProofInfo::new(coin.to_proof(), mint.url().clone(), State::Unspent, unit)
        });
        let infos = infos.collect::<Result<Vec<_>, _>>();
        let infos = infos.map_err(|_| StoreError::damaged("a coin"))?;
        let added = wallet.localstore.update_proofs(infos, Vec::new()).await;
        added.map_err(PurseError::Database)?;
        self.change(|book| ((), book.handed_over(&coins))).await?;
        Ok(())
    }
}
