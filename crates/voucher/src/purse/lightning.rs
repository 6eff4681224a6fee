//! Money in and out, and from one mint to another, by Lightning.

use super::error::{PurseError, unfinished};
use super::till::Till;
use crate::unit::MintId;
use cashu::{PaymentMethod, Proofs};
use cdk::Wallet;
use cdk::amount::SplitTarget;
use cdk::wallet::types::MintQuote;
use coinfuse_wire::{Msat, UnixTime};
use std::collections::HashMap;
use std::time::Duration;

/// A Lightning invoice of a mint: whoever pays it funds the purse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// The mint that issues coins for it.
    pub mint: MintId,
    /// The mint's name for it.
    pub quote_id: String,
    /// The BOLT-11 invoice.
    pub bolt11: String,
    /// What it brings.
    pub amount: Msat,
    /// Until when it can be paid.
    pub expires: UnixTime,
}

/// What paying an invoice took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid {
    /// What the payee got.
    pub amount: Msat,
    /// What the mint and Lightning took.
    pub fee: Msat,
}

impl Till {
    pub(crate) async fn fund(&self, mint: &MintId, amount: Msat) -> Result<Invoice, PurseError> {
        let units = mint.unit().units_for(amount);
        let wallet = &self.wallet(mint)?.wallet;
        let quote = wallet
            .mint_quote(PaymentMethod::BOLT11, Some(units.into()), None, None)
            .await
            .map_err(|source| refused_or_unfinished(mint, source))?;
        Ok(Invoice {
            mint: mint.clone(),
            quote_id: quote.id,
            bolt11: quote.request,
            amount: mint.unit().value(units).unwrap_or(Msat::MAX),
            expires: UnixTime::from_secs(quote.expiry),
        })
    }

    pub(crate) async fn await_funding(
        &self,
        invoice: &Invoice,
        timeout: Duration,
    ) -> Result<Msat, PurseError> {
        let mint = &invoice.mint;
        let wallet = self.wallet(mint)?;
        let quote = wallet
            .wallet
            .localstore
            .get_mint_quote(&invoice.quote_id)
            .await;
        let quote = quote
            .map_err(PurseError::Database)?
            .ok_or_else(|| refused(mint, cdk::Error::UnknownQuote))?;
        let proofs = mint_or_wait(&wallet.wallet, quote, timeout)
            .await
            .map_err(|source| unfinished(mint, source))?;
        let units = proofs.iter().map(|proof| proof.amount.to_u64()).sum();
        let _moving = wallet.moving.lock().await;
        self.sweep(mint).await?;
        Ok(mint.unit().value(units).unwrap_or(Msat::MAX))
    }

    pub(crate) async fn pay(&self, mint: &MintId, bolt11: &str) -> Result<Paid, PurseError> {
        let wallet = self.wallet(mint)?;
        let _moving = wallet.moving.lock().await;
        let quote = wallet
            .wallet
            .melt_quote(PaymentMethod::BOLT11, bolt11, None, None)
            .await;
        let quote = quote.map_err(|source| refused_or_unfinished(mint, source))?;
        let units = quote
            .amount
            .to_u64()
            .saturating_add(quote.fee_reserve.to_u64());
        self.lend(mint, units).await?;
        let paid = async {
            let prepared = wallet
                .wallet
                .prepare_melt(&quote.id, HashMap::new())
                .await?;
            prepared.confirm().await
        };
        let paid = paid.await;
        // Change, or all of it if nothing was paid.
        let swept = self.sweep(mint).await;
        let paid = paid.map_err(|source| refused_or_unfinished(mint, source))?;
        swept?;
        let value = |amount: cashu::Amount| mint.unit().value(amount.to_u64()).unwrap_or(Msat::MAX);
        Ok(Paid {
            amount: value(paid.amount()),
            fee: value(paid.fee_paid()),
        })
    }

    /// Goes on with what the `cdk` wallets have begun, and takes their coins over.
    pub(crate) async fn recover_wallets(&self) -> Result<usize, PurseError> {
        let mut left = 0;
        for mint in self.mints() {
            let wallet = self.wallet(mint)?;
            let _moving = wallet.moving.lock().await;
            let sagas = wallet.wallet.recover_incomplete_sagas().await;
            let quotes = wallet.wallet.mint_unissued_quotes().await;
            let melts = wallet.wallet.finalize_pending_melts().await;
            left += usize::from(sagas.is_err() || quotes.is_err() || melts.is_err());
            self.sweep(mint).await?;
        }
        Ok(left)
    }
}

fn refused(mint: &MintId, source: cdk::Error) -> PurseError {
    PurseError::Refused {
        mint: mint.clone(),
        source: Box::new(source),
    }
}

fn refused_or_unfinished(mint: &MintId, source: cdk::Error) -> PurseError {
    match source.is_definitive_failure() {
        true => refused(mint, source),
        false => unfinished(mint, source),
    }
}

/// An invoice that we paid ourselves is paid in a moment, and a mint's word of it can take seconds:
/// so the mint is asked a few times before its word is waited for.
async fn mint_or_wait(
    wallet: &Wallet,
    quote: MintQuote,
    timeout: Duration,
) -> Result<Proofs, cdk::Error> {
    for pause in [0, 5, 10, 20, 40, 80, 160, 320] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let known = wallet.check_mint_quote_status(&quote.id).await?;
        if known.amount_mintable() > cashu::Amount::ZERO {
            return wallet.mint(&quote.id, SplitTarget::None, None).await;
        }
    }
    wallet
        .wait_and_mint_quote(quote, SplitTarget::None, None, timeout)
        .await
}
