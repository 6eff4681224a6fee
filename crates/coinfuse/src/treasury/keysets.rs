//! The keysets of the accepted mints, kept up to date.

use super::TreasuryConfig;
use coinfuse_voucher::{Keyring, MintId, Redeemer, Verifier};
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::time::{sleep, timeout};

/// How long the mints may take before the relay starts without them.
const FIRST_ANSWER: Duration = Duration::from_secs(3);

/// The pause after the first time that a mint did not answer; it doubles.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Asks the mints for their keysets.
pub(super) struct Keysets {
    redeemer: Redeemer,
    verifier: Arc<RwLock<Verifier>>,
    mints: Vec<MintId>,
    every: Duration,
    /// Mints whose vouchers are refused, because no keyset of theirs is known.
    silent: BTreeSet<MintId>,
}

impl Keysets {
    pub(super) fn new(
        config: &TreasuryConfig,
        redeemer: Redeemer,
        verifier: Arc<RwLock<Verifier>>,
    ) -> Self {
        Self {
            redeemer,
            verifier,
            mints: config.purse.mints.clone(),
            every: config.refresh_every,
            silent: BTreeSet::new(),
        }
    }

    /// Asks all mints once, and waits a moment: what they have answered before a restart is known
    /// at once.
    pub(super) async fn begin(&mut self) {
        let keyring = timeout(FIRST_ANSWER, self.redeemer.keyring()).await;
        self.take(keyring.unwrap_or_default());
    }

    /// Asks all mints again and again: soon while one has never answered, seldom after that.
    pub(super) async fn keep_up(mut self) {
        let mut retry = FIRST_RETRY;
        if self.silent.is_empty() {
            sleep(self.every).await;
        }
        loop {
            let keyring = self.redeemer.keyring().await;
            self.take(keyring);
            if self.silent.is_empty() {
                sleep(self.every).await;
            } else {
                sleep(retry.min(self.every)).await;
                retry = retry.saturating_mul(2);
            }
        }
    }

    /// Adds what the mints have answered; nothing is taken away, since old coins stay good.
    fn take(&mut self, keyring: Keyring) {
        let known: BTreeSet<_> = {
            let mut verifier = self
                .verifier
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = verifier.keyring_mut().merge(keyring) {
                tracing::warn!(%error, "a keyset of a mint is not accepted");
            }
            let known = |mint: &&MintId| verifier.keyring().accepts(mint);
            self.mints.iter().filter(known).cloned().collect()
        };
        for mint in &self.mints {
            if known.contains(mint) {
                if self.silent.remove(mint) {
                    tracing::info!(
                        "the mint {mint} answers: its vouchers are accepted from now on"
                    );
                }
            } else if self.silent.insert(mint.clone()) {
                tracing::warn!(
                    "the mint {mint} does not answer: its vouchers are refused until it does"
                );
            }
        }
    }
}
