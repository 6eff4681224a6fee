//! Paying through channels, and what relays say to it.

use super::account::{Live, Slot};
use super::{ChannelStage, Channels};
use crate::client::ClientError;
use crate::client::payer::HopAccount;
use coinfuse_channel::{ChannelId, RefusalCode, Remedy, Update};
use coinfuse_circuit::{Offer, PayResult};
use coinfuse_wire::{Encode, Instant, Msat, Rate};
use core::time::Duration;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// How long a payment waits for the answer to the one before; then vouchers pay.
const PATIENCE: Duration = Duration::from_secs(5);
/// When a relay that cannot take a channel now is asked again.
const COME_AGAIN: Duration = Duration::from_secs(10);

/// Something for a relay about a channel, on disk already.
pub(crate) struct ChannelPayment {
    channel: ChannelId,
    kind: Kind,
    pub(super) offer: Offer,
    /// By how much it raises the balance that the relay has confirmed.
    raises: Msat,
    /// The account's next payment comes when this is answered, or the circuit is over.
    _turn: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open,
    Update,
    Close,
}

/// What a circuit does about a channel next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Rest,
    /// [`Channels::attend`], after so long.
    Attend(Duration),
}

impl core::fmt::Debug for ChannelPayment {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ChannelPayment({:?}, {:?})", self.kind, self.channel)
    }
}

impl ChannelPayment {
    /// What the hop is sent.
    pub(crate) fn offer(&self) -> Offer {
        self.offer.clone()
    }

    pub(super) fn close(update: Update) -> Self {
        Self {
            channel: update.channel,
            kind: Kind::Close,
            offer: offer(Offer::CHANNEL_CLOSE, &update),
            raises: Msat::ZERO,
            _turn: None,
        }
    }

    fn update(update: Update, raises: Msat, turn: OwnedSemaphorePermit) -> Self {
        Self {
            channel: update.channel,
            kind: Kind::Update,
            offer: offer(Offer::CHANNEL_UPDATE, &update),
            raises,
            _turn: Some(turn),
        }
    }

    fn open(live: &Live, turn: OwnedSemaphorePermit) -> Self {
        Self {
            channel: live.sender.id(),
            kind: Kind::Open,
            offer: offer(Offer::CHANNEL_OPEN, &live.sender.open()),
            raises: Msat::ZERO,
            _turn: Some(turn),
        }
    }
}

fn offer(method: u8, message: &impl Encode) -> Offer {
    Offer {
        method,
        payment: message.to_bytes(),
    }
}

impl Channels {
    /// Pays `amount`, rounded up to the mint's unit, through a channel that the relay has confirmed;
    /// `None` if there is none with room and life left, and vouchers have to do.
    ///
    /// # Errors
    ///
    /// [`ClientError::CapReached`].
    pub(crate) async fn pay(
        &self,
        account: &HopAccount,
        amount: Msat,
    ) -> Result<Option<ChannelPayment>, ClientError> {
        let entry = self.account(&account.token);
        let Ok(Ok(turn)) = timeout(PATIENCE, Arc::clone(&entry.turn).acquire_owned()).await else {
            return Ok(None);
        };
        let mut slot = entry.slot.lock().await;
        let Some(place) = self.fitting(&slot, amount) else {
            return Ok(None);
        };
        let Some(live) = slot.open.remove(place) else {
            return Ok(None);
        };
        let unit = live.owner.mint.unit();
        let units = unit.units_for(amount);
        let value = unit.value(units).unwrap_or(Msat::MAX);
        if let Err(error) = self.budget.spend(value) {
            slot.open.insert(place, live);
            return Err(error);
        }
        let live = match self.raise(live, units).await {
            Ok(live) => live,
            Err(unpaid) => {
                if let Some(live) = unpaid {
                    self.budget.unspend(value);
                    slot.open.insert(place, live);
                }
                return Ok(None);
            }
        };
        let payment = ChannelPayment::update(live.sender.update(), value, turn);
        slot.open.insert(place, live);
        self.retire(&mut slot, place).await;
        Ok(Some(payment))
    }

    fn fitting(&self, slot: &Slot, amount: Msat) -> Option<usize> {
        let (now, reserve) = (self.clock.unix(), self.config.reserve());
        slot.open.iter().position(|live| {
            let units = live.owner.mint.unit().units_for(amount);
            live.confirmed && live.has_room(units.max(1)) && live.has_life(now, reserve)
        })
    }

    /// The channel with a higher balance; the one that there was, if nothing was paid; neither, if
    /// nobody knows.
    async fn raise(&self, live: Live, units: u64) -> Result<Live, Option<Live>> {
        let Live { sender, owner, .. } = live;
        let whole = |sender| Live {
            sender,
            owner,
            confirmed: true,
            shown: true,
            not_before: None,
        };
        match sender.pay(self.clock.unix(), units.into()) {
            Ok(step) => {
                let sender = self.saved(step).await.map_err(|_| None)?;
                self.board.paid(&sender.id(), units);
                Ok(whole(sender))
            }
            Err(unmoved) => Err(Some(whole(unmoved.state))),
        }
    }

    /// Closes the confirmed channels in front of the one that has just paid: they could not.
    async fn retire(&self, slot: &mut Slot, mut place: usize) {
        while place > 0 {
            place -= 1;
            if slot.open.get(place).is_some_and(|live| live.confirmed)
                && let Some(live) = slot.open.remove(place)
            {
                self.end(slot, live).await;
            }
        }
    }

    /// Closes a channel, and leaves word for the relay.
    async fn end(&self, slot: &mut Slot, live: Live) {
        let (shown, update) = (live.shown, live.sender.update());
        if self.close(live).await.is_ok() && shown {
            slot.words.push(ChannelPayment::close(update));
        }
    }

    /// Sees to an account's channels: shows the relay one that it has not confirmed on this circuit,
    /// or funds the one that is due, at `rate`. Returns what to send.
    pub(crate) async fn attend(&self, account: &HopAccount, rate: Rate) -> Vec<ChannelPayment> {
        let entry = self.account(&account.token);
        let mut payments = self.shown(account).await;
        if !payments.is_empty() || rate == Rate::FREE {
            return payments;
        }
        {
            let mut slot = entry.slot.lock().await;
            let (now, reserve) = (self.clock.unix(), self.config.reserve());
            let unit = slot.open.front().map(|live| live.owner.mint.unit());
            let units = unit.map_or(0, |unit| unit.units_for(self.top_up(rate)));
            if slot.funding || !slot.is_low(now, reserve, units) {
                return payments;
            }
            slot.funding = true;
        }
        let funded = self.fund(account, rate).await;
        {
            let mut slot = entry.slot.lock().await;
            slot.funding = false;
            slot.open.extend(funded);
        }
        payments.append(&mut self.shown(account).await);
        payments
    }

    /// The words for the relay, and the opening message of a channel that it has not confirmed.
    async fn shown(&self, account: &HopAccount) -> Vec<ChannelPayment> {
        let entry = self.account(&account.token);
        {
            let mut slot = entry.slot.lock().await;
            if self.unconfirmed(&mut slot).is_none() {
                return core::mem::take(&mut slot.words);
            }
        }
        let turn = timeout(PATIENCE, Arc::clone(&entry.turn).acquire_owned()).await;
        let mut slot = entry.slot.lock().await;
        let mut payments = core::mem::take(&mut slot.words);
        if let (Ok(Ok(turn)), Some(live)) = (turn, self.unconfirmed(&mut slot)) {
            live.shown = true;
            payments.push(ChannelPayment::open(live, turn));
        }
        payments
    }

    /// A channel that is to be shown to the relay now.
    fn unconfirmed<'a>(&self, slot: &'a mut Slot) -> Option<&'a mut Live> {
        let (now, unix) = (self.clock.now(), self.clock.unix());
        let reserve = self.config.reserve();
        slot.open.iter_mut().find(|live| {
            !live.confirmed
                && live.has_life(unix, reserve)
                && live.not_before.is_none_or(|time| time <= now)
        })
    }

    /// A relay's answer to a payment.
    pub(crate) async fn answered(
        &self,
        account: &HopAccount,
        payment: ChannelPayment,
        result: &PayResult,
    ) -> Next {
        let code = result.refused.first().map(|item| RefusalCode(item.reason));
        let mut remedy = code.map_or(Remedy::Nothing, RefusalCode::remedy);
        match payment.kind {
            Kind::Close => return Next::Rest,
            // It was given a higher balance and says that it was not: it keeps the difference.
            Kind::Update if remedy == Remedy::Nothing && result.credited < payment.raises => {
                remedy = Remedy::Replace;
            }
            Kind::Open if remedy == Remedy::Open => remedy = Remedy::Replace,
            Kind::Open | Kind::Update => {}
        }
        let entry = self.account(&account.token);
        let mut slot = entry.slot.lock().await;
        let id = payment.channel;
        let is_it = |live: &Live| live.sender.id() == id;
        let Some(place) = slot.open.iter().position(is_it) else {
            // It was closed meanwhile.
            return Next::Rest;
        };
        match remedy {
            Remedy::Nothing => self.confirm(&mut slot, place, account, payment.kind),
            Remedy::Retry => self.postpone(&mut slot, place, COME_AGAIN),
            Remedy::Open => self.postpone(&mut slot, place, Duration::ZERO),
            Remedy::Replace => {
                tracing::info!(relay = ?account.relay, code = code.map(|code| code.0), "a payment channel is given up");
                self.pauses.refused(account.relay, self.clock.now());
                if let Some(live) = slot.open.remove(place) {
                    self.end(&mut slot, live).await;
                }
                Next::Attend(Duration::ZERO)
            }
        }
    }

    fn confirm(&self, slot: &mut Slot, place: usize, account: &HopAccount, kind: Kind) -> Next {
        if let Some(live) = slot.open.get_mut(place) {
            live.confirmed = true;
            self.board.stage(&live.sender.id(), ChannelStage::Open);
        }
        match kind {
            Kind::Update => {
                self.pauses.works(&account.relay);
                Next::Rest
            }
            Kind::Open | Kind::Close => Next::Attend(Duration::ZERO),
        }
    }

    /// Shows the channel to the relay again, with its balance.
    fn postpone(&self, slot: &mut Slot, place: usize, pause: Duration) -> Next {
        if let Some(live) = slot.open.get_mut(place) {
            live.confirmed = false;
            live.not_before = Some(later(self.clock.now(), pause));
            self.board.stage(&live.sender.id(), ChannelStage::Funded);
        }
        Next::Attend(pause)
    }

    /// A circuit that uses the account is over. After an orderly end its channels are closed, and
    /// this is what to tell the relay; if it was lost, they wait for the account's next circuit.
    pub(crate) async fn leave(&self, account: &HopAccount, orderly: bool) -> Vec<ChannelPayment> {
        let entry = self.account(&account.token);
        let mut slot = entry.slot.lock().await;
        for live in &mut slot.open {
            live.confirmed = false;
            live.not_before = None;
            self.board.stage(&live.sender.id(), ChannelStage::Funded);
        }
        if orderly {
            for live in core::mem::take(&mut slot.open) {
                match live.shown {
                    true => self.end(&mut slot, live).await,
                    // The relay could not settle it; the next circuit can use it.
                    false => slot.open.push_back(live),
                }
            }
            return core::mem::take(&mut slot.words);
        }
        Vec::new()
    }
}

pub(super) fn later(now: Instant, by: Duration) -> Instant {
    let since = now.saturating_since(Instant::from_epoch(Duration::ZERO));
    Instant::from_epoch(since.saturating_add(by))
}
