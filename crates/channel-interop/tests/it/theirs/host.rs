//! A memory for `cdk-spilman`'s receiver, which keeps nothing itself.

use std::cell::RefCell;
use std::collections::HashMap;

use cashu_of_theirs::nuts::{CurrencyUnit, Id, PublicKey};
use cdk_spilman::{
    ChannelFunding, ChannelPolicy, ChannelState, ClosingData, PaymentProof, SpilmanHost,
    compute_channel_secret_from_hex, sign_with_tweaked_key_util,
};

use super::RECEIVER_KEY;
use super::mint::TheirMint;

/// What is kept of a channel.
#[derive(Debug, Default)]
struct Row {
    funding: Option<ChannelFunding>,
    paid: Option<PaymentProof>,
    /// What counts as earned where that is not all that was paid.
    due: Option<u64>,
    closing: Option<ClosingData>,
    /// The coins that a settlement gave.
    earned: Option<String>,
}

/// The receiver's channels, its key and its policy.
#[derive(Debug)]
pub(super) struct MemoryHost {
    url: String,
    mint: TheirMint,
    min_lifetime: u64,
    rows: RefCell<HashMap<String, Row>>,
}

impl MemoryHost {
    pub(super) fn new(url: &str, mint: TheirMint, min_lifetime: u64) -> Self {
        Self {
            url: url.to_owned(),
            mint,
            min_lifetime,
            rows: RefCell::default(),
        }
    }

    pub(super) fn set_due(&self, channel: &str, due: u64) {
        self.change(channel, |row| row.due = Some(due));
    }

    /// The coins of all settled channels, an array of proofs each.
    pub(super) fn take_earned(&self) -> Vec<String> {
        let mut rows = self.rows.borrow_mut();
        rows.values_mut()
            .filter_map(|row| row.earned.as_mut().map(std::mem::take))
            .filter(|coins| !coins.is_empty())
            .collect()
    }

    fn change(&self, channel: &str, change: impl FnOnce(&mut Row)) {
        change(
            self.rows
                .borrow_mut()
                .entry(channel.to_owned())
                .or_default(),
        );
    }

    fn read<T>(&self, channel: &str, read: impl FnOnce(&Row) -> Option<T>) -> Option<T> {
        self.rows.borrow().get(channel).and_then(read)
    }
}

/// Their bridge asks for a request's context; these tests have none.
impl SpilmanHost<()> for MemoryHost {
    fn receiver_key_is_acceptable(&self, key: &PublicKey) -> bool {
        key.to_hex() == super::receiver::public_key(RECEIVER_KEY)
    }

    fn mint_and_keyset_is_acceptable(&self, mint: &str, keyset: &Id) -> bool {
        mint == self.url && self.mint.keyset(keyset).is_some_and(|known| known.active)
    }

    fn get_funding(&self, channel: &str) -> Option<ChannelFunding> {
        self.read(channel, |row| row.funding.clone())
    }

    fn save_funding(
        &self,
        channel: &str,
        funding: ChannelFunding,
        initial: PaymentProof,
    ) -> Result<(), String> {
        self.change(channel, |row| {
            row.funding = Some(funding);
            row.paid = Some(initial);
        });
        Ok(())
    }

    /// Everything that was paid, so that a payment of less is refused: their bridge leaves that
    /// to its host.
    fn get_amount_due(&self, channel: &str, _context: Option<&()>) -> u64 {
        let due = self.read(channel, |row| {
            row.due.or(row.paid.as_ref().map(|paid| paid.balance))
        });
        due.unwrap_or(0)
    }

    fn record_payment(&self, channel: &str, paid: PaymentProof, _: &()) -> Result<(), String> {
        self.change(channel, |row| row.paid = Some(paid));
        Ok(())
    }

    fn get_channel_state(&self, channel: &str) -> ChannelState {
        let state = self.read(channel, |row| match (&row.earned, &row.closing) {
            (Some(_), _) => Some(ChannelState::Closed),
            (None, Some(_)) => Some(ChannelState::Closing),
            (None, None) => None,
        });
        state.unwrap_or(ChannelState::Open)
    }

    fn mark_channel_closing(
        &self,
        channel: &str,
        expiry_timestamp: u64,
        paid: PaymentProof,
    ) -> Result<(), String> {
        let closing = ClosingData {
            expiry_timestamp,
            balance: paid.balance,
            signature: paid.signature,
        };
        self.change(channel, |row| row.closing = Some(closing));
        Ok(())
    }

    fn get_closing_data(&self, channel: &str) -> Option<ClosingData> {
        self.read(channel, |row| row.closing.clone())
    }

    fn get_channel_policy(&self, unit: &str) -> Option<ChannelPolicy> {
        (unit == crate::world::UNIT).then_some(ChannelPolicy {
            min_expiry_in_seconds: self.min_lifetime,
            min_capacity: 1,
            max_amount_per_output: None,
        })
    }

    fn now_seconds(&self) -> u64 {
        cashu_of_theirs::util::unix_time()
    }

    fn get_balance_and_signature_for_unilateral_exit(&self, channel: &str) -> Option<PaymentProof> {
        self.read(channel, |row| row.paid.clone())
    }

    fn get_active_keyset_ids(&self, _mint: &str, _unit: &CurrencyUnit) -> Vec<Id> {
        let keysets = self.mint.keysets().into_iter();
        keysets.filter(|set| set.active).map(|set| set.id).collect()
    }

    fn get_keyset_info(&self, _mint: &str, keyset: &Id) -> Option<String> {
        self.mint.keyset(keyset).map(|known| known.json)
    }

    fn mark_channel_closed(
        &self,
        channel: &str,
        _expiry: u64,
        _balance: u64,
        receiver_proofs: &str,
        _sender_proofs: &str,
        _receiver_sum: u64,
        _sender_sum: u64,
    ) -> Result<(), String> {
        self.change(channel, |row| row.earned = Some(receiver_proofs.to_owned()));
        Ok(())
    }

    fn compute_channel_secret(&self, _receiver: &str, sender: &str) -> Result<String, String> {
        compute_channel_secret_from_hex(RECEIVER_KEY, sender)
    }

    fn sign_with_tweaked_key(
        &self,
        _key: &str,
        message: &str,
        tweak: &str,
    ) -> Result<String, String> {
        sign_with_tweaked_key_util(RECEIVER_KEY, message, tweak)
    }
}
