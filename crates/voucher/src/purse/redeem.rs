//! The relay's money: vouchers into coins of its own.

use super::config::PurseConfig;
use super::error::PurseError;
use super::intake::as_they_are;
use super::lightning::{Invoice, Paid};
use super::record::Input;
use super::run;
use super::till::Till;
use crate::id::VoucherId;
use crate::keyring::Keyring;
use crate::unit::MintId;
use crate::verify::VerifiedVoucher;
use coinfuse_wire::Msat;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What became of vouchers that were to be redeemed. Every voucher is in one of the lists, or in
/// none if its mint did not answer: give it again later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redeemed {
    /// They are coins of the relay now; or on disk as a swap that [`Redeemer::recover`] finishes.
    pub done: Vec<VoucherId>,
    /// The mint says that they were spent before: by an earlier call, or never worth anything.
    pub spent_before: Vec<VoucherId>,
    /// What was earned by this call, less the mint's fees.
    pub earned: Msat,
}

/// Turns the vouchers that a relay has taken into plain coins of its own, in batches, and pays
/// them out: by Lightning ([`Self::pay`]) or as a Cashu token ([`Self::token`]).
///
/// Give it the vouchers in the relay's ledger that are not marked as redeemed, and mark those it
/// reports. Giving one twice is harmless.
#[derive(Clone)]
pub struct Redeemer {
    pub(super) till: Arc<Till>,
}

impl core::fmt::Debug for Redeemer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.till.mints()).finish()
    }
}

impl Redeemer {
    /// Opens or makes the relay's coins. Does not use the network; call [`Self::recover`] next.
    pub async fn open(config: &PurseConfig) -> Result<Self, PurseError> {
        Ok(Self {
            till: Arc::new(Till::open(config).await?),
        })
    }

    /// As [`Purse::recover`](crate::Purse::recover).
    pub async fn recover(&self) -> Result<usize, PurseError> {
        run(&self.till, |till| async move {
            let swaps = till.recover_swaps().await?;
            Ok(swaps + till.recover_wallets().await?)
        })
        .await
    }

    /// The keysets of the mints that answer: what the relay's [`Verifier`](crate::Verifier) needs.
    pub async fn keyring(&self) -> Keyring {
        self.till.keyring().await
    }

    /// Redeems vouchers, at most some 500 in a swap. Stops at the first mint that fails; what it
    /// has done by then it will report as spent before.
    pub async fn redeem(&self, vouchers: &[VerifiedVoucher]) -> Result<Redeemed, PurseError> {
        let mut groups: BTreeMap<MintId, Vec<Input>> = BTreeMap::new();
        for voucher in vouchers {
            let (mut proof, key) = voucher.redemption();
            // Signing fails for no key.
            if proof.sign_p2pk(key).is_ok() {
                let input = Input::from_proof(voucher.mint(), &proof);
                groups
                    .entry(voucher.mint().clone())
                    .or_default()
                    .push(input);
            }
        }
        run(&self.till, |till| async move {
            let mut redeemed = Redeemed::default();
            for (mint, inputs) in groups {
                let taken = till.try_take_in(&mint, &inputs, &mut as_they_are).await?;
                let waiting = taken.waiting.iter().map(|(key, _)| key);
                let done = taken.done.iter().chain(waiting);
                redeemed
                    .done
                    .extend(done.map(|key| VoucherId::from_bytes(*key)));
                let spent = taken.spent.iter().map(|key| VoucherId::from_bytes(*key));
                redeemed.spent_before.extend(spent);
                let earned = mint.unit().value(taken.units).unwrap_or(Msat::MAX);
                redeemed.earned = redeemed.earned.saturating_add(earned);
            }
            Ok(redeemed)
        })
        .await
    }

    /// What the relay has in plain coins, by mint.
    pub async fn earnings(&self) -> Result<BTreeMap<MintId, Msat>, PurseError> {
        let mut earnings = BTreeMap::new();
        for mint in self.till.mints() {
            earnings.insert(mint.clone(), self.till.balance(mint).await?);
        }
        Ok(earnings)
    }

    /// Pays a BOLT-11 invoice with coins of `mint`.
    pub async fn pay(&self, mint: &MintId, bolt11: &str) -> Result<Paid, PurseError> {
        let (mint, bolt11) = (mint.clone(), bolt11.to_owned());
        run(&self.till, move |till| async move {
            till.pay(&mint, &bolt11).await
        })
        .await
    }

    /// An invoice that moves earnings here from another mint; see [`Self::await_funding`].
    pub async fn fund(&self, mint: &MintId, amount: Msat) -> Result<Invoice, PurseError> {
        let mint = mint.clone();
        run(&self.till, move |till| async move {
            till.fund(&mint, amount).await
        })
        .await
    }

    /// Waits until the invoice is paid and its coins are here.
    pub async fn await_funding(
        &self,
        invoice: &Invoice,
        timeout: Duration,
    ) -> Result<Msat, PurseError> {
        let invoice = invoice.clone();
        run(&self.till, move |till| async move {
            till.await_funding(&invoice, timeout).await
        })
        .await
    }
}
