//! Settling channels: when, and in which order.
//!
//! A closed channel is settled at a random moment, so that a mint does not see when a client of
//! this relay leaves. None waits for its expiry: one that is still open shortly before is closed,
//! and one that is closed is settled by then however the dice fell.

mod case;
mod schedule;
#[cfg(test)]
mod tests;

use super::TreasuryError;
use super::money::{Question, with_causes};
use crate::clock::Clock;
use crate::relay::Channels;
use crate::store::{ChannelRecord, LedgerError, Settlement, StageKind};
use case::{Case, Outcome, Trouble};
use coinfuse_voucher::{MintId, Redeemer};
use coinfuse_wire::{Msat, UnixTime};
use core::time::Duration;
use schedule::{Schedule, shuffle};
use std::collections::HashSet;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Channels that are read from the ledger at once.
const PAGE: usize = 256;
/// Tombstones that are forgotten in one transaction.
const FORGET_BATCH: usize = 4096;
/// A settled channel is remembered for so long after its expiry, for clocks that go wrong.
const REMEMBER: Duration = Duration::from_secs(24 * 3600);

/// What became of channels that were to be settled.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settlements {
    /// Channels whose money is the relay's now.
    pub settled: usize,
    /// Channels whose clients took their money back, because the mint was away until they expired.
    pub lost: usize,
    /// Channels that wait for their mint to answer.
    pub waiting: usize,
    /// What came of them, less the mints' fees.
    pub received: Msat,
    /// What the mints kept.
    pub fees: Msat,
}

/// A wish to have channels settled now.
pub(super) struct Wish {
    /// The open ones too.
    pub(super) all: bool,
    pub(super) answer: Question<Settlements>,
}

/// Settles a relay's channels.
pub(super) struct Settler {
    redeemer: Redeemer,
    channels: Channels,
    clock: Clock,
}

impl Settler {
    pub(super) fn new(redeemer: Redeemer, channels: Channels) -> Self {
        Self {
            redeemer,
            channels,
            clock: Clock::start(),
        }
    }

    /// Settles in time and on request, until nobody can ask any more.
    pub(super) async fn look_after(&self, mut inbox: mpsc::Receiver<Wish>) {
        let policy = self.channels.policy();
        let pause = (policy.settle_within / 20).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        let mut schedule = Schedule::new(policy.settle_within, policy.margin);
        loop {
            tokio::select! {
                wish = inbox.recv() => match wish {
                    // An answer that nobody waits for any more is no loss.
                    Some(wish) => drop(wish.answer.send(self.settle_now(wish.all).await)),
                    None => return,
                },
                () = sleep(pause) => self.tidy(&mut schedule).await,
            }
        }
    }

    async fn tidy(&self, schedule: &mut Schedule) {
        let now = self.clock.unix();
        if let Err(error) = self.settle_due(now, schedule).await {
            tracing::warn!(error = %with_causes(&error), "channels could not be settled; trying again later");
        }
        if let Err(error) = self.forget(now).await {
            tracing::warn!(%error, "old channels could not be forgotten");
        }
    }

    /// Closes what is about to expire, and settles what is due.
    async fn settle_due(
        &self,
        now: UnixTime,
        schedule: &mut Schedule,
    ) -> Result<Settlements, TreasuryError> {
        let margin = self.channels.policy().margin;
        self.close(Some(now.saturating_add(margin))).await?;
        let closing = self.list(StageKind::Closing, None)?;
        let due = schedule.due(now, &closing);
        let (settlements, waiting) = self.settle(due).await?;
        for record in &waiting {
            schedule.again(now, record);
        }
        Ok(settlements)
    }

    /// Settles all that are closed, and on request those that are open as well.
    async fn settle_now(&self, all: bool) -> Result<Settlements, TreasuryError> {
        if all {
            self.close(None).await?;
        }
        let closing = self.list(StageKind::Closing, None)?;
        Ok(self.settle(closing).await?.0)
    }

    /// Closes the open channels that expire before this, or all.
    async fn close(&self, before: Option<UnixTime>) -> Result<(), TreasuryError> {
        for record in self.list(StageKind::Open, before)? {
            if let Err(error) = self.channels.close(&record.channel).await {
                tracing::warn!(%error, "a channel cannot be closed now");
            }
        }
        Ok(())
    }

    fn list(
        &self,
        stage: StageKind,
        before: Option<UnixTime>,
    ) -> Result<Vec<ChannelRecord>, LedgerError> {
        let ledger = self.channels.ledger();
        let mut found: Vec<ChannelRecord> = Vec::new();
        loop {
            let page = ledger.channels(stage, before, found.last(), PAGE)?;
            let last = page.len() < PAGE;
            found.extend(page);
            if last {
                return Ok(found);
            }
        }
    }

    /// Settles these in random order; those come back that have to wait. A mint that does not
    /// answer is not asked again in this round, and holds up no other mint's channels.
    async fn settle(
        &self,
        mut records: Vec<ChannelRecord>,
    ) -> Result<(Settlements, Vec<ChannelRecord>), TreasuryError> {
        shuffle(&mut records);
        let (mut sum, mut waiting) = (Settlements::default(), Vec::new());
        let mut silent = HashSet::new();
        for record in records {
            match self.settle_one(&record, &mut silent).await? {
                Some(outcome) => sum.add(outcome),
                None => waiting.push(record),
            }
        }
        sum.waiting = waiting.len();
        if sum != Settlements::default() {
            tracing::info!(
                settled = sum.settled,
                lost = sum.lost,
                waiting = sum.waiting,
                received = %sum.received,
                "channels were settled"
            );
        }
        Ok((sum, waiting))
    }

    async fn settle_one(
        &self,
        record: &ChannelRecord,
        silent: &mut HashSet<MintId>,
    ) -> Result<Option<Outcome>, TreasuryError> {
        let mut case = Case::new(&self.redeemer, &self.channels, record);
        match case.run(silent).await {
            Ok(outcome) => Ok(Some(outcome)),
            Err(Trouble::Ledger(error)) => Err(error.into()),
            Err(Trouble::Silent(mint)) => {
                silent.insert(mint);
                Ok(None)
            }
            Err(Trouble::Other) => Ok(None),
        }
    }

    /// Forgets settled channels that have expired.
    async fn forget(&self, now: UnixTime) -> Result<(), LedgerError> {
        let (ledger, before) = (self.channels.ledger(), now.saturating_sub(REMEMBER));
        while ledger.forget_channels(before, FORGET_BATCH).await? == FORGET_BATCH {}
        Ok(())
    }
}

/// How often it is looked what is due: about twenty times within the time for it.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Settlements {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Settled(Settlement { received, fees }) => {
                self.settled += 1;
                self.received = self.received.saturating_add(received);
                self.fees = self.fees.saturating_add(fees);
            }
            Outcome::Lost => self.lost += 1,
        }
    }
}
