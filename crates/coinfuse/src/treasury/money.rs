//! Redeeming on time and on request, and what was earned.

use super::redeem::Pass;
use super::{TreasuryConfig, TreasuryError};
use crate::clock::Clock;
use crate::store::{ChannelTotals, Ledger, LedgerError, PacketTotals, Totals};
use coinfuse_voucher::{MintId, Redeemer, Verifier};
use coinfuse_wire::{Msat, UnixTime};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// What became of the collected vouchers in one pass over the ledger.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redemption {
    /// Vouchers that are coins of the relay now.
    pub redeemed: usize,
    /// Vouchers that the mint had seen before, from an earlier pass that was broken off.
    pub spent_before: usize,
    /// Vouchers that wait for their mint to answer.
    pub waiting: usize,
    /// What was earned, less the mints' fees; without what an earlier pass had begun.
    pub earned: Msat,
}

/// What a relay has earned since its ledger began.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Earnings {
    /// Vouchers that clients have paid with.
    pub vouchers: u64,
    /// What those were worth: credited to clients' accounts, or taken for packets.
    pub collected: Msat,
    /// What clients have used up of all that was credited, packets included. The rest is theirs to
    /// use.
    pub used: Msat,
    /// What of this was for one-shot packets.
    pub packets: PacketTotals,
    /// What of `collected` was turned into coins.
    pub redeemed: Msat,
    /// What came through payment channels, in the same account as the vouchers.
    pub channels: ChannelTotals,
    /// The relay's own coins, by mint: what can be spent.
    pub coins: BTreeMap<MintId, Msat>,
}

impl Earnings {
    /// What still waits to be redeemed.
    pub const fn waiting(&self) -> Msat {
        self.collected.saturating_sub(self.redeemed)
    }

    fn new(totals: Totals, coins: BTreeMap<MintId, Msat>) -> Self {
        Self {
            vouchers: totals.vouchers,
            collected: totals.credited,
            used: totals.used,
            packets: totals.packets,
            redeemed: totals.redeemed,
            channels: totals.channels,
            coins,
        }
    }
}

/// A question to the treasury's thread: where the answer goes.
pub(super) type Question<T> = oneshot::Sender<Result<T, TreasuryError>>;

/// The relay's money.
pub(super) struct Money {
    redeemer: Redeemer,
    verifier: Arc<RwLock<Verifier>>,
    ledger: Ledger,
    clock: Clock,
    every: Duration,
    batch: usize,
}

/// Spent vouchers are remembered for so long after their locktime, for clocks that go wrong.
const REMEMBER: u64 = 24 * 3600;
/// Spent vouchers that are forgotten in one transaction.
const PRUNE_BATCH: usize = 4096;

impl Money {
    pub(super) fn new(
        config: &TreasuryConfig,
        redeemer: Redeemer,
        verifier: Arc<RwLock<Verifier>>,
        ledger: Ledger,
    ) -> Self {
        Self {
            redeemer,
            verifier,
            ledger,
            clock: Clock::start(),
            every: config.redeem_every,
            batch: config.batch.clamp(1, 500),
        }
    }

    /// Redeems now and then, and when asked, until nobody can ask any more.
    pub(super) async fn look_after(&self, mut inbox: mpsc::Receiver<Question<Redemption>>) {
        self.recover().await;
        let mut tick = interval_at(Instant::now() + self.every, self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                question = inbox.recv() => match question {
                    // An answer that nobody waits for any more is no loss.
                    Some(question) => drop(question.send(self.redeem().await)),
                    None => return,
                },
                _ = tick.tick() => self.tidy().await,
            }
        }
    }

    /// Says what was earned, when asked.
    pub(super) async fn tell(&self, mut inbox: mpsc::Receiver<Question<Earnings>>) {
        while let Some(question) = inbox.recv().await {
            drop(question.send(self.earnings().await));
        }
    }

    async fn tidy(&self) {
        if let Err(error) = self.redeem().await {
            tracing::warn!(error = %with_causes(&error), "vouchers could not be redeemed; trying again later");
        }
        if let Err(error) = self.prune().await {
            tracing::warn!(%error, "old vouchers could not be forgotten");
        }
    }

    async fn recover(&self) {
        match self.redeemer.recover().await {
            Ok(0) => {}
            Ok(left) => tracing::warn!(left, "redemptions are unfinished until their mint answers"),
            Err(error) => {
                tracing::warn!(error = %with_causes(&error), "unfinished redemptions have to wait");
            }
        }
    }

    async fn redeem(&self) -> Result<Redemption, TreasuryError> {
        // What an earlier pass has begun comes first: its vouchers count as redeemed already.
        self.recover().await;
        let pass = Pass::new(&self.redeemer, &self.verifier, &self.ledger, self.batch);
        let redemption = pass.run().await?;
        if redemption != Redemption::default() {
            tracing::info!(
                redeemed = redemption.redeemed,
                spent_before = redemption.spent_before,
                waiting = redemption.waiting,
                earned = %redemption.earned,
                "vouchers were redeemed"
            );
        }
        Ok(redemption)
    }

    async fn earnings(&self) -> Result<Earnings, TreasuryError> {
        // So that the sum is of now, not of a second ago.
        self.ledger.flush().await?;
        let ledger = self.ledger.clone();
        let totals = tokio::task::spawn_blocking(move || ledger.totals()).await;
        let totals = totals.map_err(|_| TreasuryError::Closed)??;
        Ok(Earnings::new(totals, self.redeemer.earnings().await?))
    }

    async fn prune(&self) -> Result<(), LedgerError> {
        let before = UnixTime::from_secs(self.clock.unix().secs().saturating_sub(REMEMBER));
        while self.ledger.prune(before, PRUNE_BATCH).await? == PRUNE_BATCH {}
        Ok(())
    }
}

/// An error and what caused it, on one line.
pub(super) fn with_causes(error: &dyn core::error::Error) -> String {
    let causes = core::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        // A transparent error says what its cause says.
        if text.ends_with(&cause) {
            text
        } else {
            format!("{text}: {cause}")
        }
    })
}
