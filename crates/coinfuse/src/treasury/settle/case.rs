//! One channel and its mint.

use crate::relay::Channels;
use crate::store::{ChannelRecord, ChannelStage, ChannelWrite, LedgerError, Settlement};
use cashu::{BlindSignature, Id, KeySet, State};
use coinfuse_channel::{
    Coin, Keyset, LoadError, Params, Receiver, ReceiverState, Row, Settled, Settling, Unsaved,
};
use coinfuse_voucher::{CallError, MintId, PurseError, Redeemer, Unit};
use coinfuse_wire::Msat;
use std::collections::{HashMap, HashSet};

/// How often a mint may retire a keyset under our hands.
const MAX_TURNS: usize = 3;

/// How a channel ended.
pub(super) enum Outcome {
    Settled(Settlement),
    Lost,
}

/// Why a channel is not settled now.
pub(super) enum Trouble {
    /// The ledger fails: nothing can be settled.
    Ledger(LedgerError),
    /// The mint does not answer, or not well.
    Silent(MintId),
    /// It is about this channel.
    Other,
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

/// Settles one channel, from wherever an earlier try came to. Each step is written down before the
/// next, so that it can be broken off anywhere.
pub(super) struct Case<'a> {
    redeemer: &'a Redeemer,
    channels: &'a Channels,
    record: &'a ChannelRecord,
}

type Result<T> = core::result::Result<T, Trouble>;

impl<'a> Case<'a> {
    pub(super) const fn new(
        redeemer: &'a Redeemer,
        channels: &'a Channels,
        record: &'a ChannelRecord,
    ) -> Self {
        Self {
            redeemer,
            channels,
            record,
        }
    }

    pub(super) async fn run(&mut self, silent: &HashSet<MintId>) -> Result<Outcome> {
        let stored = self.channels.ledger().channel(&self.record.channel)?;
        let rows = stored.ok_or(Trouble::Other)?.rows;
        let params = Receiver::stored_params(&rows).map_err(damaged)?;
        let mint = mint_of(&params).ok_or(Trouble::Other)?;
        if silent.contains(&mint) {
            return Err(Trouble::Silent(mint));
        }
        let mut state = Receiver::load(&self.channels.terms(), &rows).map_err(damaged)?;
        loop {
            state = match state {
                ReceiverState::Open(receiver) => {
                    let settling = self.save(receiver.settle(), ChannelStage::Closing).await?;
                    ReceiverState::Settling(settling)
                }
                ReceiverState::Settling(settling) => match self.swap(&mint, settling).await? {
                    Some(settled) => ReceiverState::Settled(settled),
                    None => return Ok(Outcome::Lost),
                },
                ReceiverState::Settled(settled) => return self.collect(&mint, settled).await,
                // Written together with its being settled.
                ReceiverState::Closed(_) => return Err(Trouble::Other),
            }
        }
    }

    /// Has the mint sign, or finds what it has signed before. `None` if the channel is lost.
    async fn swap(&self, mint: &MintId, mut settling: Settling) -> Result<Option<Settled>> {
        for _ in 0..MAX_TURNS {
            let request = settling.swap().map_err(|_| Trouble::Other)?;
            let error = match self.redeemer.submit_swap(mint, request).await {
                Ok(signatures) => return self.signed(mint, settling, &signatures).await.map(Some),
                Err(error) => error,
            };
            if !matches!(error, CallError::Refused { .. }) {
                return Err(self.trouble(mint, &error));
            }
            if !error.is_keyset() {
                return self.find(mint, settling, &error).await;
            }
            // It may have signed before it retired the keyset.
            if let Some(signatures) = self.restore(mint, &settling).await? {
                return self.restored(mint, settling, &signatures).await.map(Some);
            }
            let keyset = self.active_keyset(mint).await?;
            if keyset.id() == settling.keyset().id() {
                return Err(self.trouble(mint, &error));
            }
            settling = self
                .save(settling.under(&keyset), ChannelStage::Closing)
                .await?;
        }
        Err(Trouble::Other)
    }

    /// The mint refuses the swap, be it because it has done it before: looks for what came of that,
    /// whatever reason it gives.
    async fn find(
        &self,
        mint: &MintId,
        settling: Settling,
        refusal: &CallError,
    ) -> Result<Option<Settled>> {
        // First whether, then for what: coins are spent and outputs signed at the same moment.
        let spent = self.is_spent(mint, &settling).await?;
        match self.restore(mint, &settling).await? {
            Some(signatures) => self.restored(mint, settling, &signatures).await.map(Some),
            None if spent => {
                tracing::error!("a channel was not settled before its client took the money back");
                let lost = ChannelStage::Settled(Settlement::default());
                self.save(settling.lost(), lost).await?;
                Ok(None)
            }
            None => Err(self.trouble(mint, refusal)),
        }
    }

    async fn is_spent(&self, mint: &MintId, settling: &Settling) -> Result<bool> {
        let request = settling.swap().map_err(|_| Trouble::Other)?;
        let ys: Vec<_> = request
            .inputs()
            .iter()
            .filter_map(|proof| proof.y().ok())
            .collect();
        let states = self.redeemer.check_state(mint, ys).await;
        let states = states.map_err(|error| self.trouble(mint, &error))?;
        Ok(states.iter().any(|state| state.state == State::Spent))
    }

    /// The signatures for all outputs, in their order, if the mint has signed them before.
    async fn restore(
        &self,
        mint: &MintId,
        settling: &Settling,
    ) -> Result<Option<Vec<BlindSignature>>> {
        let outputs = settling.outputs().map_err(|_| Trouble::Other)?;
        let found = self.redeemer.restore(mint, outputs.clone()).await;
        let found = found.map_err(|error| self.trouble(mint, &error))?;
        let mut found: HashMap<_, _> = found
            .into_iter()
            .map(|(output, signature)| (output.blinded_secret, signature))
            .collect();
        let in_order = outputs
            .iter()
            .map(|output| found.remove(&output.blinded_secret));
        Ok(in_order.collect())
    }

    /// As [`Self::signed`]; an earlier try may have been under an earlier keyset.
    async fn restored(
        &self,
        mint: &MintId,
        mut settling: Settling,
        signatures: &[BlindSignature],
    ) -> Result<Settled> {
        let signed_under = signatures.first().map(|signature| signature.keyset_id);
        if let Some(id) = signed_under.filter(|id| *id != settling.keyset().id()) {
            let keyset = self.keyset(mint, id).await?;
            settling = self
                .save(settling.under(&keyset), ChannelStage::Closing)
                .await?;
        }
        self.signed(mint, settling, signatures).await
    }

    async fn signed(
        &self,
        mint: &MintId,
        settling: Settling,
        signatures: &[BlindSignature],
    ) -> Result<Settled> {
        match settling.settled(signatures) {
            Ok(step) => self.save(step, ChannelStage::Closing).await,
            Err(unmoved) => {
                tracing::warn!(error = %unmoved.error, "{mint} does not sign as it should");
                Err(Trouble::Silent(mint.clone()))
            }
        }
    }

    async fn active_keyset(&self, mint: &MintId) -> Result<Keyset> {
        self.learn(mint, self.redeemer.keyset(mint, true).await)
    }

    /// A keyset that need not be active any more.
    async fn keyset(&self, mint: &MintId, id: Id) -> Result<Keyset> {
        match self.channels.keyset(id) {
            Some(keyset) => Ok(keyset),
            None => self.learn(mint, self.redeemer.known_keyset(mint, id).await),
        }
    }

    fn learn(
        &self,
        mint: &MintId,
        published: core::result::Result<KeySet, PurseError>,
    ) -> Result<Keyset> {
        let published = published.map_err(|error| {
            tracing::warn!(%error, "a keyset is needed to settle");
            Trouble::Silent(mint.clone())
        })?;
        let learnt = self.channels.learn(mint, &published);
        learnt
            .and_then(|()| Keyset::new(&published))
            .map_err(|error| {
                tracing::warn!(%error, "{mint} has no keyset to settle with");
                Trouble::Silent(mint.clone())
            })
    }

    /// Makes the relay's coins plain ones of its own.
    async fn collect(&self, mint: &MintId, settled: Settled) -> Result<Outcome> {
        let coins = settled.coins();
        let nominal: u64 = coins.iter().map(|coin| coin.amount().to_u64()).sum();
        let received = match coins {
            [] => Msat::ZERO,
            coins => {
                let proofs: Vec<_> = coins.iter().map(Coin::signed).collect();
                match self.redeemer.take_in(mint, &proofs).await {
                    Ok(received) => received,
                    // Only we can spend them, so an earlier try has.
                    Err(PurseError::Spent(_)) => self.after_fees(mint.unit(), coins, nominal),
                    Err(error) => {
                        tracing::warn!(%error, "the coins of a channel have to wait");
                        return Err(Trouble::Silent(mint.clone()));
                    }
                }
            }
        };
        let nominal = value(mint.unit(), nominal);
        let settlement = Settlement {
            received,
            fees: nominal.saturating_sub(received),
        };
        let over = ChannelStage::Settled(settlement);
        self.save(settled.collected(), over).await?;
        Ok(Outcome::Settled(settlement))
    }

    /// What is left of coins that were spent by a try that was broken off.
    fn after_fees(&self, unit: Unit, coins: &[Coin], nominal: u64) -> Msat {
        let keyset = coins
            .first()
            .and_then(|coin| self.channels.keyset(coin.locked().keyset_id));
        let fee = keyset.map_or(0, |keyset| {
            (coins.len() as u64 * keyset.input_fee_ppk()).div_ceil(1000)
        });
        value(unit, nominal.saturating_sub(fee))
    }

    async fn save<S>(&self, step: Unsaved<S>, stage: ChannelStage) -> Result<S> {
        let write = |row: Row| async move {
            let write = ChannelWrite {
                channel: self.record.channel,
                account: self.record.account,
                part: row.part,
                bytes: row.bytes.to_vec(),
                credited: self.record.credited,
                expiry: self.record.expiry,
                stage,
            };
            self.channels.ledger().write_channel(write).await.map(drop)
        };
        let saved = step.save_async(write).await;
        saved.map_err(|not_saved| Trouble::Ledger(not_saved.error))
    }

    fn trouble(&self, mint: &MintId, error: &CallError) -> Trouble {
        tracing::warn!(%error, "a channel has to wait for its mint");
        match error {
            CallError::Refused { .. } => Trouble::Other,
            _ => Trouble::Silent(mint.clone()),
        }
    }
}

fn damaged(error: LoadError) -> Trouble {
    tracing::error!(%error, "a channel in the ledger cannot be read");
    Trouble::Other
}

fn mint_of(params: &Params) -> Option<MintId> {
    MintId::new(&params.mint, Unit::from_cashu(&params.unit)?).ok()
}

fn value(unit: Unit, units: u64) -> Msat {
    unit.value(units).unwrap_or(Msat::MAX)
}
