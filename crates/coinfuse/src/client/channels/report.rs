//! What is known of a client's channels, for its user.

use super::owner::Owner;
use coinfuse_channel::{ChannelId, Params};
use coinfuse_circuit::AccountToken;
use coinfuse_voucher::Unit;
use coinfuse_wire::{Msat, RelayId, UnixTime};
use core::fmt;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How far a channel has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ChannelStage {
    /// Its mint has been asked to sign the funding, or is about to be.
    Funding,
    /// It is funded; its relay has not confirmed it on an open circuit.
    Funded,
    /// It pays.
    Open,
    /// It pays no more, and what is left of it comes back.
    Closing,
}

impl ChannelStage {
    /// One lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Funding => "funding",
            Self::Funded => "funded",
            Self::Open => "open",
            Self::Closing => "closing",
        }
    }
}

impl fmt::Display for ChannelStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A channel of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelReport {
    /// The first eight hex digits of its name.
    pub id: String,
    /// Whom it pays.
    pub relay: RelayId,
    /// The most that it can pay.
    pub capacity: Msat,
    /// What it has paid.
    pub paid: Msat,
    /// What of the client's money is in it: its funding, less what it has paid.
    pub locked: Msat,
    /// Payments through it since the client started.
    pub updates: u64,
    /// From when on its money comes back without the relay.
    pub expiry: UnixTime,
    /// How far it has come.
    pub stage: ChannelStage,
}

/// What the channels of one hop have done since the client started.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HopChannels {
    /// What the channel that pays now can pay in all; zero if none does.
    pub capacity: Msat,
    /// What that one has paid.
    pub in_use: Msat,
    /// What was paid through channels, all of them together.
    pub paid: Msat,
    /// The payments through them.
    pub updates: u64,
}

/// The figures, for reports that must not wait.
#[derive(Default)]
pub(super) struct Board(Mutex<State>);

#[derive(Default)]
struct State {
    channels: BTreeMap<ChannelId, Entry>,
    accounts: HashMap<AccountToken, HopChannels>,
}

struct Entry {
    account: AccountToken,
    unit: Unit,
    report: ChannelReport,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(
        &self,
        id: ChannelId,
        owner: &Owner,
        params: &Params,
        balance: u64,
        stage: ChannelStage,
    ) {
        let unit = owner.mint.unit();
        let value = |units: u64| unit.value(units).unwrap_or(Msat::MAX);
        let paid = value(balance);
        let mut name = id.to_hex();
        name.truncate(8);
        let report = ChannelReport {
            id: name,
            relay: owner.relay,
            capacity: value(params.capacity.to_u64()),
            paid,
            locked: value(params.funding_amount.to_u64()).saturating_sub(paid),
            updates: 0,
            expiry: params.expiry,
            stage,
        };
        let account = owner.account;
        let entry = Entry {
            account,
            unit,
            report,
        };
        self.lock().channels.insert(id, entry);
    }

    pub(super) fn stage(&self, id: &ChannelId, stage: ChannelStage) {
        if let Some(entry) = self.lock().channels.get_mut(id) {
            entry.report.stage = stage;
        }
    }

    pub(super) fn paid(&self, id: &ChannelId, units: u64) {
        let mut state = self.lock();
        let Some(entry) = state.channels.get_mut(id) else {
            return;
        };
        let paid = entry.unit.value(units).unwrap_or(Msat::MAX);
        let report = &mut entry.report;
        report.paid = report.paid.saturating_add(paid);
        report.locked = report.locked.saturating_sub(paid);
        report.updates += 1;
        let account = entry.account;
        let hop = state.accounts.entry(account).or_default();
        hop.paid = hop.paid.saturating_add(paid);
        hop.updates += 1;
    }

    pub(super) fn remove(&self, id: &ChannelId) {
        self.lock().channels.remove(id);
    }

    /// The channels of all accounts.
    pub(super) fn channels(&self) -> Vec<ChannelReport> {
        let state = self.lock();
        let reports = state.channels.values().map(|entry| entry.report.clone());
        reports.collect()
    }

    /// What the channels of one account have done.
    pub(super) fn hop(&self, account: &AccountToken) -> HopChannels {
        let state = self.lock();
        let mut hop = state.accounts.get(account).copied().unwrap_or_default();
        let pays =
            |entry: &&Entry| entry.account == *account && entry.report.stage == ChannelStage::Open;
        // The oldest that pays is the one in use; a later one waits for its end.
        let mut open = state.channels.values().filter(pays);
        let used = open.clone().find(|entry| entry.report.updates > 0);
        if let Some(entry) = used.or_else(|| open.next()) {
            hop.capacity = entry.report.capacity;
            hop.in_use = entry.report.paid;
        }
        hop
    }
}
