//! What a relay remembers about vouchers, as data. Where it is kept is the runtime's affair.

use crate::id::{AccountHash, VoucherId};
use crate::refusal::Refusal;
use crate::verify::VerifiedVoucher;
use coinfuse_wire::{Decode, DecodeError, Encode, Msat, Reader, Writer};
use std::collections::BTreeMap;

/// The value of the spent set's table; its key is the [`VoucherId`]. 40 bytes: the account, then
/// the credit as a big-endian `u64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpentRecord {
    /// The account that was credited.
    pub account: AccountHash,
    /// With how much.
    pub value: Msat,
}

impl Encode for SpentRecord {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.account);
        out.u64(self.value.get());
    }
}

impl Decode for SpentRecord {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let account = AccountHash::decode(reader)?;
        let value = Msat::new(reader.u64("spent value")?);
        Ok(Self { account, value })
    }
}

/// What presenting a good voucher comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credit {
    /// It is new: the account has this much more, once the record is on disk.
    New(Msat),
    /// It was credited to this account before, with this much; the account does not change. That
    /// is success for a client that presents again what it had no answer for.
    Before(Msat),
}

impl SpentRecord {
    /// What becomes of `voucher`, presented for `account`, when `before` is what the spent set
    /// says about it. For [`Credit::New`] the caller stores [`Self::new`] and adds the credit in
    /// one transaction, and acknowledges after its commit.
    pub fn judge(
        before: Option<Self>,
        account: AccountHash,
        voucher: &VerifiedVoucher,
    ) -> Result<Credit, Refusal> {
        match before {
            None => Ok(Credit::New(voucher.value())),
            Some(record) if record.account == account => Ok(Credit::Before(record.value)),
            Some(_) => Err(Refusal::Spent),
        }
    }

    /// The record of a voucher that is credited to `account` now.
    pub const fn new(account: AccountHash, voucher: &VerifiedVoucher) -> Self {
        Self {
            account,
            value: voucher.value(),
        }
    }
}

/// A spent set in memory, with the accounts: for tests and simulations, and as the model that a
/// stored one must agree with.
#[derive(Debug, Default, Clone)]
pub struct SpentSet {
    spent: BTreeMap<VoucherId, SpentRecord>,
    accounts: BTreeMap<AccountHash, Msat>,
}

impl SpentSet {
    /// Nothing spent, nobody credited.
    pub fn new() -> Self {
        Self::default()
    }

    /// Credits `account` with a voucher, once.
    pub fn credit(
        &mut self,
        account: AccountHash,
        voucher: &VerifiedVoucher,
    ) -> Result<Credit, Refusal> {
        let before = self.spent.get(&voucher.id()).copied();
        let credit = SpentRecord::judge(before, account, voucher)?;
        if let Credit::New(value) = credit {
            self.spent
                .insert(voucher.id(), SpentRecord::new(account, voucher));
            let balance = self.accounts.entry(account).or_default();
            *balance = balance.saturating_add(value);
        }
        Ok(credit)
    }

    /// All that `account` was credited with.
    pub fn credited(&self, account: AccountHash) -> Msat {
        self.accounts.get(&account).copied().unwrap_or_default()
    }

    /// How many vouchers are spent.
    pub fn len(&self) -> usize {
        self.spent.len()
    }

    /// True when no voucher is spent.
    pub fn is_empty(&self) -> bool {
        self.spent.is_empty()
    }
}
