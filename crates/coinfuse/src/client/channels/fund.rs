//! Funding a channel: one swap, which the mint cannot tell from others.

use super::error::ChannelError;
use super::owner::Owner;
use super::reclaim::Waiting;
use super::{ChannelStage, Channels, Live};
use crate::client::payer::HopAccount;
use crate::clock::random;
use cashu::{Amount, PublicKey, SecretKey};
use coinfuse_channel::{ChannelId, Keyset, Params, Planned, Sender};
use coinfuse_voucher::{MintId, PurseError};
use coinfuse_wire::{Msat, Rate, UnixTime};
use core::time::Duration;

/// The part of a mint's money that one channel may take.
const SHARE: u64 = 4;
/// A channel that holds fewer top-ups is not worth its swap.
const LEAST_TOP_UPS: u64 = 4;
/// Expiries are at full hours, which say less about when a channel was made.
const HOUR: u64 = 3600;

impl Channels {
    /// A channel for an account; `None` if none can be had now.
    pub(super) async fn fund(&self, account: &HopAccount, rate: Rate) -> Option<Live> {
        let shift = self.pauses.shift(&account.relay, self.clock.now())?;
        let failure = match self.try_fund(account, rate, shift).await {
            Ok(live) => return Some(live),
            Err(error) => error,
        };
        tracing::debug!(error = %failure, "no payment channel was funded");
        // Having little is looked at again when there is more.
        if !matches!(failure, ChannelError::TooLittle) {
            self.pauses.failed(account.relay, self.clock.now());
        }
        None
    }

    async fn try_fund(
        &self,
        account: &HopAccount,
        rate: Rate,
        shift: u32,
    ) -> Result<Live, ChannelError> {
        let (mint, units) = self.choose(account, rate, shift).await?;
        let owner = Owner {
            relay: account.relay,
            account: account.token,
            mint,
        };
        let receiver = PublicKey::from_slice(&account.voucher_key.to_bytes())
            .map_err(|_| ChannelError::RelayKey)?;
        let mut refresh = false;
        loop {
            let planned = self.plan(&owner, receiver, units, refresh).await?;
            match self.have_signed(planned, &owner).await {
                // The keyset was retired since we last asked.
                Err(ChannelError::Purse(PurseError::Keyset(_))) if !refresh => refresh = true,
                other => return Ok(Live::new(other?, owner, false)),
            }
        }
    }

    /// The first mint of the relay's list that has enough, and how much to put in.
    async fn choose(
        &self,
        account: &HopAccount,
        rate: Rate,
        shift: u32,
    ) -> Result<(MintId, u64), ChannelError> {
        let least = self.top_up(rate).get().saturating_mul(LEAST_TOP_UPS);
        let wanted = rate.charge(self.config.capacity).get().max(least);
        let wanted = wanted.checked_next_power_of_two().unwrap_or(1 << 63) >> shift.min(63);
        let balances = self.purse.balances().await;
        let within_cap = self.budget.left().get();
        let known = account.mints.iter().map(|(mint, _)| mint);
        for mint in known.filter(|mint| self.purse.uses(mint)) {
            let share = balances.get(mint).map_or(0, |has| has.get()) / SHARE;
            let most = wanted.min(within_cap).min(share);
            if most >= least.max(1)
                && let Some(units) = power_below(mint, Msat::new(most))
            {
                return Ok((mint.clone(), units));
            }
        }
        Err(ChannelError::TooLittle)
    }

    /// What a usual payment is.
    pub(super) fn top_up(&self, rate: Rate) -> Msat {
        rate.charge(self.policy.increment_down)
    }

    /// Writes down a channel whose funding is one coin where the keyset has it. What fees leave of
    /// that is its capacity.
    pub(super) async fn plan(
        &self,
        owner: &Owner,
        receiver: PublicKey,
        units: u64,
        refresh: bool,
    ) -> Result<Planned, ChannelError> {
        let keyset = Keyset::new(&self.purse.keyset(&owner.mint, refresh).await?)?;
        let ladder = keyset.ladder(Amount::ZERO);
        let amount = |error| ChannelError::Params(coinfuse_channel::ParamsError::Amount(error));
        let once = ladder.after_fees(units.into()).map_err(amount)?;
        let key = fresh_key();
        let setup = self.clock.unix();
        let params = Params {
            mint: owner.mint.url().to_string(),
            unit: owner.mint.unit().to_cashu(),
            capacity: ladder.after_fees(once).map_err(amount)?,
            funding_amount: units.into(),
            keyset_id: keyset.id(),
            input_fee_ppk: keyset.input_fee_ppk(),
            max_amount: Amount::ZERO,
            setup,
            expiry: expiry(setup, self.config.lifetime),
            sender: key.public_key(),
            receiver,
        };
        let step = Planned::new(params, &keyset, &key)?;
        let create = |row| self.store.create(row, owner.clone());
        let planned = step
            .save_async(create)
            .await
            .map_err(|failed| failed.error)?;
        let (id, stage) = (planned.id(), ChannelStage::Funding);
        self.board.enter(id, owner, planned.params(), 0, stage);
        Ok(planned)
    }

    async fn have_signed(&self, planned: Planned, owner: &Owner) -> Result<Sender, ChannelError> {
        let tag = *planned.id().as_bytes();
        let signed = self
            .purse
            .sign_outputs(tag, &owner.mint, planned.outputs())
            .await;
        match signed {
            Ok(signatures) => self.funded(planned, owner, &signatures).await,
            Err(error) => {
                match is_in_doubt(&error) {
                    true => self.wait(Waiting::planned(planned, owner.clone())),
                    false => self.abandon(planned).await?,
                }
                Err(error.into())
            }
        }
    }

    /// The mint has signed.
    pub(super) async fn funded(
        &self,
        planned: Planned,
        owner: &Owner,
        signatures: &[cashu::BlindSignature],
    ) -> Result<Sender, ChannelError> {
        let step = match planned.funded(signatures) {
            Ok(step) => step,
            Err(unmoved) => {
                self.wait(Waiting::planned(unmoved.state, owner.clone()));
                return Err(unmoved.error.into());
            }
        };
        let sender = self.saved(step).await?;
        self.board.stage(&sender.id(), ChannelStage::Funded);
        self.forget_signed(sender.id()).await;
        Ok(sender)
    }

    /// The channel has its signatures; should the purse keep them too, that is only untidy.
    pub(super) async fn forget_signed(&self, id: ChannelId) {
        if let Err(error) = self.purse.forget_signed(id.as_bytes()).await {
            tracing::debug!(%error, "the purse keeps what a channel has written down");
        }
    }

    /// Nothing was paid for it, and nothing will be.
    pub(super) async fn abandon(&self, planned: Planned) -> Result<(), ChannelError> {
        let done = self.saved(planned.abandon()).await?;
        self.forget(done).await
    }

    pub(super) async fn forget(&self, done: coinfuse_channel::Done) -> Result<(), ChannelError> {
        self.board.remove(&done.channel);
        Ok(self.store.erase(done.channel).await?)
    }
}

/// Whether the mint may have signed, or may yet.
fn is_in_doubt(error: &PurseError) -> bool {
    !matches!(
        error,
        PurseError::UnknownMint(_)
            | PurseError::TooLittle { .. }
            | PurseError::Amount(_)
            | PurseError::Refused { .. }
            | PurseError::Keyset(_)
            | PurseError::Tag
            | PurseError::Unfit(_)
    )
}

/// The largest power of two, in the mint's units, that is worth no more.
fn power_below(mint: &MintId, value: Msat) -> Option<u64> {
    let one = mint.unit().value(1)?.get();
    let units = value.get() / one;
    units.checked_ilog2().map(|bits| 1 << bits)
}

/// The full hour at which a lifetime of some hours has passed; shorter ones are as they are.
fn expiry(setup: UnixTime, lifetime: Duration) -> UnixTime {
    let end = setup.saturating_add(lifetime);
    match lifetime.as_secs() >= HOUR {
        true => UnixTime::from_secs(end.secs().div_ceil(HOUR).saturating_mul(HOUR)),
        false => end,
    }
}

fn fresh_key() -> SecretKey {
    loop {
        // One in 2^128 is no key.
        let bytes = zeroize::Zeroizing::new(random::<32>());
        if let Ok(key) = SecretKey::from_slice(&*bytes) {
            return key;
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use coinfuse_voucher::Unit;

    #[test]
    fn a_channel_is_a_power_of_two_of_its_mints_units() {
        let mint = |unit| MintId::new("https://mint.example", unit).unwrap();
        assert_eq!(power_below(&mint(Unit::Msat), Msat::new(1023)), Some(512));
        assert_eq!(power_below(&mint(Unit::Sat), Msat::new(9_999)), Some(8));
        assert_eq!(power_below(&mint(Unit::Sat), Msat::new(999)), None);
        assert_eq!(power_below(&mint(Unit::Msat), Msat::ZERO), None);
    }

    #[test]
    fn channels_expire_at_full_hours() {
        let at = UnixTime::from_secs;
        let day = Duration::from_secs(24 * HOUR);
        assert_eq!(expiry(at(1), day), at(25 * HOUR));
        assert_eq!(expiry(at(HOUR), day), at(25 * HOUR));
        assert_eq!(expiry(at(1), Duration::from_secs(60)), at(61));
    }
}
