//! Paying hops: which mint, which account, which method, within which cap.

use super::budget::Budget;
use super::channels::{ChannelPayment, Channels};
use super::{ClientError, credit_file};
use crate::mints::mint_id;
use coinfuse_circuit::{AccountId, AccountToken, Offer, PayResult, RefusedItem};
use coinfuse_directory::Descriptor;
use coinfuse_voucher::{
    Bought, MintId, Order, Payment, Purse, PurseError, Refusal, Remedy, VoucherId, VoucherPublicKey,
};
use coinfuse_wire::{Encode, Instant, Msat, RelayId, UnixTime};
use core::ops::Deref;
use core::time::Duration;
use ring::hmac;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::connect::Isolation;

/// How much more than needed is moved to a relay's own mint at once, since each move is a
/// Lightning payment.
const ACROSS_FACTOR: u64 = 16;
/// How long a Lightning payment between two mints may take.
const ACROSS_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a relay that refused a voucher is left alone.
const AVOID_FOR: Duration = Duration::from_secs(600);
/// The same for one that asked to be shown the voucher again.
const COME_AGAIN: Duration = Duration::from_secs(10);

/// What is on its way to a hop.
#[derive(Debug)]
pub(super) enum Purchase {
    /// Vouchers, the method of first contact, and when there is no channel.
    Vouchers(Vec<Bought>),
    /// Something about a channel.
    Channel(ChannelPayment),
}

/// What a hop is paid with.
#[derive(Debug, Clone)]
pub(super) struct HopAccount {
    pub(super) relay: RelayId,
    pub(super) voucher_key: VoucherPublicKey,
    /// The mints that the relay accepts, in its order, and whether it is the mint.
    pub(super) mints: Vec<(MintId, bool)>,
    pub(super) token: AccountToken,
    /// Held while something is bought for this account.
    buying: Arc<tokio::sync::Mutex<()>>,
}

/// An account that nobody else uses until this is dropped.
pub(super) struct Claim {
    account: HopAccount,
    payer: Arc<Payer>,
}

/// The accounts of one circuit, in the order of its hops.
pub(super) type Claims = Arc<[Claim]>;

/// Pays for the circuits of one client.
pub(super) struct Payer {
    purse: Purse,
    /// From which account tokens are derived, so that credit is found again after a restart.
    accounts_key: hmac::Key,
    budget: Arc<Budget>,
    channels: Option<Arc<Channels>>,
    state: Mutex<State>,
    /// One move between mints at a time.
    moving: tokio::sync::Mutex<()>,
    /// Where what is left on accounts is remembered; held while it is written.
    credit_file: Mutex<Option<PathBuf>>,
}

struct State {
    in_use: HashSet<AccountToken>,
    /// Vouchers that were presented and not answered yet.
    presented: HashSet<VoucherId>,
    /// What is left on accounts that were used before.
    left: HashMap<AccountId, Msat>,
    /// Relays that refused a voucher, when, and how long they are left alone.
    refused_by: HashMap<RelayId, (Instant, Duration)>,
}

impl Payer {
    pub(super) fn new(
        purse: Purse,
        seed: &[u8; 32],
        budget: Arc<Budget>,
        channels: Option<Arc<Channels>>,
        credit_file: Option<PathBuf>,
    ) -> Self {
        let left = credit_file.as_deref().map(credit_file::load);
        Self {
            purse,
            accounts_key: hmac::Key::new(hmac::HMAC_SHA256, seed),
            budget,
            channels,
            state: Mutex::new(State {
                in_use: HashSet::new(),
                presented: HashSet::new(),
                left: left.unwrap_or_default(),
                refused_by: HashMap::new(),
            }),
            moving: tokio::sync::Mutex::default(),
            credit_file: Mutex::new(credit_file),
        }
    }

    pub(super) fn purse(&self) -> &Purse {
        &self.purse
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What relays were paid since the start.
    pub(super) fn spent(&self) -> Msat {
        self.budget.spent()
    }

    /// The channels, if this client uses them.
    pub(super) fn channels(&self) -> Option<&Arc<Channels>> {
        self.channels.as_ref()
    }

    /// An account at a relay that no other circuit uses until the claim is dropped. The same relay
    /// and isolation get the same accounts after a restart; different isolations never share one.
    pub(super) fn claim(
        self: &Arc<Self>,
        relay: &Descriptor,
        isolation: Isolation,
    ) -> Result<Claim, ClientError> {
        let mut account = HopAccount::at(relay, self.token(&relay.relay, isolation, 0))?;
        let mut state = self.lock();
        account.token = (0u32..)
            .map(|slot| self.token(&relay.relay, isolation, slot))
            .find(|token| state.in_use.insert(*token))
            .ok_or(ClientError::BadDescriptor(relay.relay))?;
        Ok(Claim {
            account,
            payer: Arc::clone(self),
        })
    }

    fn token(&self, relay: &RelayId, isolation: Isolation, slot: u32) -> AccountToken {
        let mut context = hmac::Context::with_key(&self.accounts_key);
        context.update(b"coinfuse client account v1");
        context.update(relay.as_bytes());
        context.update(isolation.as_bytes());
        context.update(&slot.to_be_bytes());
        let mut token = [0; 32];
        token.copy_from_slice(context.sign().as_ref());
        AccountToken::new(token)
    }

    /// So much is left on an account.
    pub(super) fn note_left(&self, account: &HopAccount, left: Msat) {
        self.lock().left.insert(account.token.id(), left);
    }

    /// Writes down what is left on accounts, off the threads that move data.
    pub(super) async fn remember(self: &Arc<Self>) {
        let payer = Arc::clone(self);
        let written = tokio::task::spawn_blocking(move || {
            let file = payer.credit_file.lock();
            let file = file.unwrap_or_else(PoisonError::into_inner);
            let left = payer.lock().left.clone();
            file.as_deref()
                .map_or(Ok(()), |path| credit_file::save(path, &left))
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!(%error, "what is left on accounts could not be written down");
        }
    }

    /// What was left on an account when it was last used in this run.
    pub(super) fn left(&self, account: &HopAccount) -> Msat {
        self.lock()
            .left
            .get(&account.token.id())
            .copied()
            .unwrap_or(Msat::ZERO)
    }

    /// Leaves a relay alone for a while: it refused a voucher.
    pub(super) fn avoid(&self, account: &HopAccount, reason: Refusal, now: Instant) {
        let pause = match reason.remedy() {
            Remedy::Retry => COME_AGAIN,
            Remedy::Refund | Remedy::Drop => AVOID_FOR,
        };
        let mut state = self.lock();
        state.refused_by.insert(account.relay, (now, pause));
    }

    /// The relays that are left alone now.
    pub(super) fn avoided(&self, now: Instant) -> Vec<RelayId> {
        let mut state = self.lock();
        state
            .refused_by
            .retain(|_, (since, pause)| now.saturating_since(*since) < *pause);
        state.refused_by.keys().copied().collect()
    }

    /// Buys for several hops at once. Vouchers that were bought for their accounts and never
    /// acknowledged come first.
    pub(super) async fn buy(
        &self,
        unix: UnixTime,
        wants: &[(&HopAccount, Msat)],
    ) -> Result<Vec<Purchase>, ClientError> {
        let mut purchases = Vec::new();
        let mut orders = Vec::new();
        for (account, amount) in wants {
            let old = self.unsettled(account).await;
            let covered: Msat = old.iter().map(|voucher| voucher.value).sum();
            purchases.push(old);
            if covered < *amount {
                orders.push(self.order(account, *amount).await?);
            }
        }
        for voucher in self.purchase(unix, &orders).await? {
            let place = wants.iter().position(|(account, _)| account.owns(&voucher));
            if let Some(vouchers) = place.and_then(|place| purchases.get_mut(place)) {
                vouchers.push(voucher);
            }
        }
        purchases
            .iter()
            .for_each(|vouchers| self.note_presented(vouchers));
        Ok(purchases.into_iter().map(Purchase::Vouchers).collect())
    }

    /// Pays more to a hop of a circuit that is open: through its channel, or with vouchers where
    /// there is none. Let it run to its end.
    pub(super) async fn top_up(
        &self,
        unix: UnixTime,
        account: &HopAccount,
        amount: Msat,
    ) -> Result<Purchase, ClientError> {
        if let Some(channels) = &self.channels
            && let Some(payment) = channels.pay(account, amount).await?
        {
            return Ok(Purchase::Channel(payment));
        }
        self.more_vouchers(unix, account, amount).await
    }

    /// Buys vouchers; or takes what was bought before and never presented, because the mint was
    /// silent for a while.
    async fn more_vouchers(
        &self,
        unix: UnixTime,
        account: &HopAccount,
        amount: Msat,
    ) -> Result<Purchase, ClientError> {
        let _one_at_a_time = account.buying.lock().await;
        let mut vouchers = self.unsettled(account).await;
        {
            let state = self.lock();
            vouchers.retain(|voucher| !state.presented.contains(&voucher.id));
        }
        if vouchers.is_empty() {
            let order = self.order(account, amount).await?;
            vouchers = self.purchase(unix, &[order]).await?;
        }
        self.note_presented(&vouchers);
        Ok(Purchase::Vouchers(vouchers))
    }

    /// After a purchase failed: what a silent mint left unfinished is gone on with, so that the
    /// next attempt finds it instead of buying anew.
    pub(super) async fn recover(&self, error: &ClientError) {
        let unfinished = match error {
            ClientError::Purse(error) => matches!(**error, PurseError::Unfinished { .. }),
            _ => false,
        };
        if unfinished && let Err(error) = self.purse.recover().await {
            tracing::debug!(%error, "the purse is not in order yet");
        }
    }

    fn note_presented(&self, vouchers: &[Bought]) {
        let ids = vouchers.iter().map(|voucher| voucher.id);
        self.lock().presented.extend(ids);
    }

    /// Buys within the cap.
    async fn purchase(&self, unix: UnixTime, orders: &[Order]) -> Result<Vec<Bought>, ClientError> {
        let Some(first) = orders.first() else {
            return Ok(Vec::new());
        };
        let cost = orders.iter().map(|order| order.amount).sum();
        self.budget.spend(cost)?;
        let bought = self.purse.buy(unix, orders).await;
        // Of several mints, one may have done its part.
        let one_mint = orders.iter().all(|order| order.mint == first.mint);
        if bought.as_ref().is_err_and(nothing_was_spent) && one_mint {
            self.budget.unspend(cost);
        }
        Ok(bought?)
    }

    /// Buys ahead within the cap: the vouchers count as spent when they are
    /// [paid out](Self::pay_reserved). Let it run to its end.
    pub(super) async fn purchase_ahead(
        &self,
        unix: UnixTime,
        orders: &[Order],
    ) -> Result<Vec<Bought>, ClientError> {
        if orders.is_empty() {
            return Ok(Vec::new());
        }
        let cost = orders.iter().map(|order| order.amount).sum();
        self.budget.reserve(cost)?;
        let bought = self.purse.buy(unix, orders).await;
        if bought.is_err() {
            // What was bought all the same is set aside anew when it is found.
            self.budget.release(cost);
        }
        Ok(bought?)
    }

    /// Sets money aside for vouchers that were bought ahead; false if the cap does not allow it.
    pub(super) fn reserve(&self, amount: Msat) -> bool {
        self.budget.reserve(amount).is_ok()
    }

    /// Vouchers that were bought ahead are used.
    pub(super) fn pay_reserved(&self, amount: Msat) {
        self.budget.pay_reserved(amount);
    }

    /// Vouchers that were bought ahead will not be used.
    pub(super) fn release_reserved(&self, amount: Msat) {
        self.budget.release(amount);
    }

    /// What the accounts of vouchers for packets begin with.
    pub(super) fn packet_prefix(&self) -> [u8; 16] {
        let tag = hmac::sign(&self.accounts_key, b"coinfuse client packets v1");
        let mut prefix = [0; 16];
        prefix.copy_from_slice(&tag.as_ref()[..16]);
        prefix
    }

    async fn unsettled(&self, account: &HopAccount) -> Vec<Bought> {
        let mut vouchers = self.purse.unsettled(Some(account.relay)).await;
        vouchers.retain(|voucher| account.owns(voucher));
        vouchers.truncate(Payment::MAX_VOUCHERS / 2);
        vouchers
    }

    /// At the first mint of the relay's list that has the money, or can be given it.
    pub(super) async fn order(
        &self,
        account: &HopAccount,
        amount: Msat,
    ) -> Result<Order, ClientError> {
        let balances = self.purse.balances().await;
        let known: Vec<_> = account
            .mints
            .iter()
            .filter(|(mint, _)| self.purse.uses(mint))
            .collect();
        let (mint, issuer) = match known.iter().find(|(mint, _)| balances[mint] >= amount) {
            Some(mint) => mint,
            None => {
                let mint = known
                    .first()
                    .ok_or(ClientError::NoCommonMint(account.relay))?;
                self.fill(&mint.0, amount).await?;
                mint
            }
        };
        Ok(Order {
            relay: account.relay,
            voucher_key: account.voucher_key,
            mint: mint.clone(),
            issuer: *issuer,
            account: *account.token.as_bytes(),
            amount,
        })
    }

    /// Moves money to a mint from the one that has most.
    async fn fill(&self, to: &MintId, amount: Msat) -> Result<(), ClientError> {
        let _one_at_a_time = self.moving.lock().await;
        if self.purse.balance(to).await? >= amount {
            return Ok(());
        }
        let balances = self.purse.balances().await;
        let richest = balances
            .iter()
            .filter(|(mint, _)| *mint != to && self.purse.uses(mint))
            .max_by_key(|(_, has)| **has);
        let (from, has) = richest.ok_or(ClientError::OutOfMoney)?;
        let most = Msat::new(amount.get().saturating_mul(ACROSS_FACTOR));
        // Room for what the Lightning payment may cost.
        let affordable = Msat::new(has.get() - has.get() / 20);
        let moved = most.min(affordable);
        if moved < amount {
            return Err(ClientError::OutOfMoney);
        }
        self.purse.across(from, to, moved, ACROSS_TIMEOUT).await?;
        Ok(())
    }

    /// Keeps the purse's book on a payment that was answered.
    pub(super) async fn settle(&self, vouchers: Vec<Bought>, result: &PayResult) {
        let credited = self.note_refusals(&vouchers, result).await;
        {
            let mut state = self.lock();
            for voucher in &vouchers {
                state.presented.remove(&voucher.id);
            }
        }
        if let Err(error) = self.purse.credited(&credited).await {
            tracing::error!(%error, "an acknowledgement could not be written down");
        }
    }

    /// Keeps the purse's book on what was refused; the rest of the purchase.
    pub(super) async fn note_refusals(
        &self,
        vouchers: &[Bought],
        result: &PayResult,
    ) -> Vec<VoucherId> {
        let refusal = |place: usize| {
            let same = |item: &RefusedItem| usize::from(item.index) == place;
            let place = result.refused.iter().position(same)?;
            refusals(result).nth(place)
        };
        let mut others = Vec::new();
        for (place, voucher) in vouchers.iter().enumerate() {
            let Some(refusal) = refusal(place) else {
                others.push(voucher.id);
                continue;
            };
            tracing::warn!(relay = ?voucher.relay, %refusal, "a voucher was refused");
            if let Err(error) = self.purse.refused(voucher.id, refusal).await {
                tracing::error!(%error, "a refusal could not be written down");
            }
        }
        others
    }
}

/// Whether a purchase that failed is known to have cost nothing. What is in doubt counts.
fn nothing_was_spent(error: &PurseError) -> bool {
    matches!(
        error,
        PurseError::Store(_)
            | PurseError::UnknownMint(_)
            | PurseError::TooLittle { .. }
            | PurseError::Amount(_)
            | PurseError::Refused { .. }
    )
}

/// Why vouchers were refused, in the order of the result. A reason that is unknown here may pass.
pub(super) fn refusals(result: &PayResult) -> impl Iterator<Item = Refusal> {
    let reason =
        |item: &RefusedItem| Refusal::from_code(item.reason).unwrap_or(Refusal::Unavailable);
    result.refused.iter().map(reason)
}

impl HopAccount {
    pub(super) fn new(
        relay: RelayId,
        voucher_key: VoucherPublicKey,
        mints: Vec<(MintId, bool)>,
        token: AccountToken,
    ) -> Self {
        Self {
            relay,
            voucher_key,
            mints,
            token,
            buying: Arc::default(),
        }
    }

    /// What this relay is paid with in the name of `token`.
    pub(super) fn at(relay: &Descriptor, token: AccountToken) -> Result<Self, ClientError> {
        let voucher_key = VoucherPublicKey::from_bytes(relay.keys.voucher.as_bytes())
            .ok_or(ClientError::BadDescriptor(relay.relay))?;
        let mints = relay
            .mints
            .iter()
            .filter_map(|offer| Some((mint_id(offer)?, offer.issuer)))
            .collect();
        Ok(Self::new(relay.relay, voucher_key, mints, token))
    }

    fn owns(&self, voucher: &Bought) -> bool {
        voucher.relay == self.relay && voucher.account == *self.token.as_bytes()
    }
}

impl Claim {
    pub(super) const fn account(&self) -> &HopAccount {
        &self.account
    }
}

impl Deref for Claim {
    type Target = HopAccount;

    fn deref(&self) -> &HopAccount {
        &self.account
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.payer.lock().in_use.remove(&self.account.token);
    }
}

impl Purchase {
    /// What the hop is sent; nothing for nothing.
    pub(super) fn offer(&self) -> Option<Offer> {
        let bought = match self {
            Self::Vouchers(bought) => bought,
            Self::Channel(payment) => return Some(payment.offer()),
        };
        let vouchers = bought.iter().map(|bought| bought.voucher.clone());
        let payment = Payment::new(vouchers.collect()).ok()?;
        Some(Offer {
            method: Offer::VOUCHERS,
            payment: payment.to_bytes(),
        })
    }
}

impl From<PurseError> for ClientError {
    fn from(error: PurseError) -> Self {
        match error {
            PurseError::TooLittle { .. } => Self::OutOfMoney,
            other => Self::Purse(Arc::new(other)),
        }
    }
}
