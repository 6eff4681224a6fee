//! The keysets of the accepted mints, kept up to date.

use super::TreasuryConfig;
use crate::clock::Clock;
use crate::relay::Channels;
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
    channels: Channels,
    clock: Clock,
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
        channels: Channels,
    ) -> Self {
        Self {
            redeemer,
            verifier,
            channels,
            clock: Clock::start(),
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
        let _late = timeout(FIRST_ANSWER, self.learn()).await;
    }

    /// Asks all mints again and again: soon while one has never answered, seldom after that.
    pub(super) async fn keep_up(mut self) {
        let mut retry = FIRST_RETRY;
        if self.silent.is_empty() {
            self.rest().await;
        }
        loop {
            let keyring = self.redeemer.keyring().await;
            self.take(keyring);
            self.learn().await;
            if self.silent.is_empty() {
                self.rest().await;
            } else {
                sleep(retry.min(self.every)).await;
                retry = retry.saturating_mul(2);
            }
        }
    }

    /// Until it is time, or somebody comes with a keyset that is not known.
    async fn rest(&self) {
        tokio::select! {
            () = sleep(self.every) => {}
            () = self.channels.keysets_wanted() => {}
        }
    }

    /// Takes channels in the keysets with which the mints sign now.
    async fn learn(&self) {
        for mint in &self.mints {
            if self.silent.contains(mint) {
                continue;
            }
            match self.redeemer.keyset(mint, false).await {
                Ok(keyset) => {
                    if let Err(error) = self.channels.learn(mint, &keyset) {
                        tracing::warn!(%error, "{mint} has a keyset that is not taken for channels");
                    }
                }
                Err(error) => tracing::warn!(%error, "no channels in the newest keyset of {mint}"),
            }
        }
        if self.silent.is_empty() {
            self.channels.keysets_asked(self.clock.unix());
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
