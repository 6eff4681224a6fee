//! What is a mint's turn: funding that was interrupted, and channels whose rest comes back.

use super::account::Live;
use super::error::ChannelError;
use super::owner::Owner;
use super::pay::later;
use super::{Channels, below};
use cashu::{State, SwapRequest};
use coinfuse_channel::{ChannelId, Closing, Coin, Keyset, MintFault, Planned, RefundError};
use coinfuse_voucher::PurseError;
use coinfuse_wire::{Instant, Msat};
use core::time::Duration;
use std::sync::{Arc, Weak};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether something is due.
const TICK: Duration = Duration::from_secs(1);

/// A channel that waits for its mint.
pub(super) struct Waiting {
    state: Step,
    owner: Owner,
    /// Questions that were asked in vain.
    asked: u32,
    due: Option<Instant>,
}

/// What it was doing.
enum Step {
    /// Its funding may have been signed.
    Planned(Box<Planned>),
    /// What is left of it comes back.
    Closing(Arc<Closing>),
}

/// What came of a question.
enum Answer {
    /// The channel is gone, and has brought so much.
    Gone(Msat),
    /// Ask again later.
    NotYet(Step),
}

/// A settlement is made under one keyset; a mint that names more is asked no further.
const MAX_KEYSETS: usize = 4;

impl Waiting {
    pub(super) fn planned(planned: Planned, owner: Owner) -> Self {
        Self::new(Step::Planned(Box::new(planned)), owner)
    }

    pub(super) fn closing(closing: Closing, owner: Owner) -> Self {
        Self::new(Step::Closing(Arc::new(closing)), owner)
    }

    const fn new(state: Step, owner: Owner) -> Self {
        Self {
            state,
            owner,
            asked: 0,
            due: None,
        }
    }

    fn id(&self) -> ChannelId {
        match &self.state {
            Step::Planned(planned) => planned.id(),
            Step::Closing(closing) => closing.id(),
        }
    }
}

impl Channels {
    /// Lets a channel wait for its mint, for a first while.
    pub(super) fn wait(&self, mut waiting: Waiting) {
        waiting.due = Some(self.due(0));
        self.take_back(waiting);
    }

    /// Lets a channel wait for its mint as it says itself.
    pub(super) fn take_back(&self, waiting: Waiting) {
        self.waiting().insert(waiting.id(), waiting);
    }

    /// When a mint is asked again that was asked so many times.
    fn due(&self, asked: u32) -> Instant {
        let doubled = self.config.first_poll.saturating_mul(1 << asked.min(16));
        let pause = doubled.min(self.config.last_poll);
        later(self.clock.now(), pause / 2 + below(pause / 2))
    }

    /// Asks the mints about the channels that wait for them and are due, or about all; what came
    /// back. Goes on to its end if the future is dropped.
    pub(crate) async fn reclaim(self: &Arc<Self>, all: bool) -> Msat {
        let channels = Arc::clone(self);
        let asking = tokio::spawn(async move { channels.ask_round(all).await });
        asking.await.unwrap_or(Msat::ZERO)
    }

    async fn ask_round(&self, all: bool) -> Msat {
        let _one_at_a_time = self.reclaiming.lock().await;
        self.close_expired().await;
        let now = self.clock.now();
        let due: Vec<_> = self
            .waiting()
            .extract_if(|_, waiting| all || waiting.due.is_none_or(|due| due <= now))
            .map(|(_, waiting)| waiting)
            .collect();
        let mut back = Msat::ZERO;
        for Waiting {
            state,
            owner,
            asked,
            ..
        } in due
        {
            match self.ask(state, &owner).await {
                Answer::Gone(brought) => back = back.saturating_add(brought),
                Answer::NotYet(state) => self.take_back(Waiting {
                    state,
                    owner,
                    asked: asked.saturating_add(1),
                    due: Some(self.due(asked.saturating_add(1))),
                }),
            }
        }
        back
    }

    /// Channels that nobody closed in time are taken back like others.
    async fn close_expired(&self) {
        let now = self.clock.unix();
        for account in self.all_accounts() {
            let mut slot = account.slot.lock().await;
            for live in core::mem::take(&mut slot.open) {
                match now < live.sender.params().expiry {
                    true => slot.open.push_back(live),
                    // An error is logged, and the next start finds the channel.
                    false => drop(self.close(live).await),
                }
            }
        }
    }

    async fn ask(&self, state: Step, owner: &Owner) -> Answer {
        match state {
            Step::Planned(planned) => self.ask_for_funding(planned, owner).await,
            Step::Closing(closing) => match self.ask_for_rest(&closing, owner).await {
                Ok(Some(brought)) => self.finish(closing, brought).await,
                Ok(None) => Answer::NotYet(Step::Closing(closing)),
                Err(error) => {
                    tracing::debug!(%error, "a payment channel's rest is not to be had yet");
                    Answer::NotYet(Step::Closing(closing))
                }
            },
        }
    }

    /// Was it funded? Then it can be used; if not, it never will be.
    async fn ask_for_funding(&self, planned: Box<Planned>, owner: &Owner) -> Answer {
        let tag = *planned.id().as_bytes();
        let mut signed = self.purse.signed(&tag).await;
        if signed.is_none() {
            let unfinished = self.purse.recover().await;
            signed = self.purse.signed(&tag).await;
            if signed.is_none() && unfinished.is_ok_and(|unfinished| unfinished == 0) {
                if let Err(error) = self.abandon(*planned).await {
                    tracing::debug!(%error, "a channel that never was is not forgotten yet");
                }
                return Answer::Gone(Msat::ZERO);
            }
        }
        let Some(signatures) = signed else {
            return Answer::NotYet(Step::Planned(planned));
        };
        match self.funded(*planned, owner, &signatures).await {
            Ok(sender) => {
                let account = self.account(&owner.account);
                let live = Live::new(sender, owner.clone(), false);
                account.slot.lock().await.open.push_back(live);
            }
            Err(error) => tracing::warn!(%error, "a payment channel is not funded yet"),
        }
        Answer::Gone(Msat::ZERO)
    }

    /// What has come back; `None` while the mint holds it.
    async fn ask_for_rest(
        &self,
        closing: &Arc<Closing>,
        owner: &Owner,
    ) -> Result<Option<Msat>, ChannelError> {
        let watch = closing.watch().into_iter().collect();
        let states = self.purse.check_state(&owner.mint, watch).await?;
        match states.first().map(|state| state.state) {
            Some(State::Spent) => {
                let coins = self.find(closing, owner).await?;
                self.take_in(&coins, owner).await.map(Some)
            }
            Some(State::Unspent) if closing.refund(self.clock.unix()).is_ok() => {
                self.refund(closing, owner).await
            }
            _ => Ok(None),
        }
    }

    /// What the settlement left, under whichever of the mint's keysets it was made.
    async fn find(&self, closing: &Closing, owner: &Owner) -> Result<Vec<Coin>, ChannelError> {
        let mut newer = Vec::new();
        loop {
            match self.search(closing, owner, &newer).await {
                Err(ChannelError::Mint(MintFault::Keyset(id))) if newer.len() < MAX_KEYSETS => {
                    let keyset = self.purse.known_keyset(&owner.mint, id).await?;
                    newer.push(Keyset::new(&keyset)?);
                }
                other => return other,
            }
        }
    }

    async fn search(
        &self,
        closing: &Closing,
        owner: &Owner,
        newer: &[Keyset],
    ) -> Result<Vec<Coin>, ChannelError> {
        let mut search = closing.search(newer);
        while let Some(outputs) = search.question()? {
            let restored = self.purse.restore(&owner.mint, outputs).await?;
            search.answer(&restored)?;
        }
        Ok(search.found())
    }

    async fn take_in(&self, coins: &[Coin], owner: &Owner) -> Result<Msat, ChannelError> {
        if coins.is_empty() {
            return Ok(Msat::ZERO);
        }
        let proofs: Vec<_> = coins.iter().map(Coin::signed).collect();
        match self.purse.take_in(&owner.mint, &proofs).await {
            // Nobody else has the key: it was done before a crash.
            Err(PurseError::Spent(_)) => Ok(Msat::ZERO),
            other => Ok(other?),
        }
    }

    async fn refund(
        &self,
        closing: &Arc<Closing>,
        owner: &Owner,
    ) -> Result<Option<Msat>, ChannelError> {
        let now = self.clock.unix();
        let proofs = closing
            .refund(now)
            .map_or(Vec::new(), |refund| refund.inputs().to_vec());
        let signer = Arc::clone(closing);
        let sign = move |swap: &mut SwapRequest| -> Result<(), RefundError> {
            signer.refund(now)?.sign(swap);
            Ok(())
        };
        match self.purse.take_in_signed(&owner.mint, &proofs, sign).await {
            // The relay was faster, and the next question finds what it left.
            Err(PurseError::Spent(_)) => Ok(None),
            other => Ok(Some(other?)),
        }
    }

    async fn finish(&self, closing: Arc<Closing>, brought: Msat) -> Answer {
        let Some(closing) = Arc::into_inner(closing) else {
            // Its rows are looked at again at the next start, and nothing is found.
            return Answer::Gone(brought);
        };
        let finished = match self.saved(closing.done()).await {
            Ok(done) => self.forget(done).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = finished {
            tracing::warn!(%error, "a finished payment channel is not forgotten yet");
        }
        Answer::Gone(brought)
    }
}

/// Asks mints now and then, as long as the client is there.
pub(crate) async fn tend(channels: Weak<Channels>, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = sleep(TICK) => {}
            () = shutdown.cancelled() => return,
        }
        let Some(channels) = channels.upgrade() else {
            return;
        };
        let back = channels.reclaim(false).await;
        if !back.is_zero() {
            tracing::info!(%back, "what was left of payment channels came back");
        }
    }
}
