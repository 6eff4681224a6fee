//! What goes into the ledger and comes out of it.

use super::channel::ChannelTotals;
use coinfuse_wire::{Msat, UnixTime};
use core::fmt;
use std::sync::Arc;
use thiserror::Error;

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// From the 32 bytes of the hash.
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes of the hash.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            /// Nothing of the key: it would tie log lines to a client.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([scrubbed])"))
            }
        }
    };
}

key!(
    /// Names an account: the hash of the token that the client presents, so that a stolen ledger
    /// opens nobody's account.
    AccountKey
);
key!(
    /// Names a voucher in the spent set: 32 bytes that no other voucher has.
    VoucherKey
);
key!(
    /// Names a payment channel: 32 bytes that no other channel has.
    ChannelKey
);

impl AccountKey {
    /// Has the vouchers that paid for packets, in the spent set. No token hashes to this.
    pub(super) const PACKETS: Self = Self(*b"Coinfuse: this paid for a packet");
}

/// A voucher that passed every check but the spent set, or that waits to be redeemed.
#[derive(Clone, PartialEq, Eq)]
pub struct CollectedVoucher {
    /// Its name in the spent set.
    pub key: VoucherKey,
    /// What it is worth.
    pub value: Msat,
    /// When its lock ends: redeem it before, forget it after.
    pub locktime: UnixTime,
    /// What redeeming it needs; opaque here.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for CollectedVoucher {
    /// The value only; the rest is money.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectedVoucher")
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

/// What an account has been given and has used up, both since it began.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// All that was ever credited.
    pub credited: Msat,
    /// All that was ever charged.
    pub used: Msat,
}

impl Balance {
    /// What is left to use; zero when the account is overdrawn.
    pub const fn available(&self) -> Msat {
        self.credited.saturating_sub(self.used)
    }
}

/// What is known of a voucher before anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// Nobody has shown it before; it is held for this account now.
    Fresh,
    /// It is on its way to this very account, by another call or earlier in this one.
    Pending,
    /// It was credited to this account before.
    AlreadyCredited,
    /// It went, or is going, to another account.
    Spent,
}

/// What became of a voucher; durable when it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// This call credited it.
    Credited,
    /// An earlier call credited it to the same account; presenting it again changed nothing.
    AlreadyCredited,
    /// Another account has it.
    Spent,
}

/// The answer to a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credit {
    /// One outcome per voucher, in the order in which they were presented.
    pub outcomes: Vec<Outcome>,
    /// The account after the commit, with all use recorded until then.
    pub balance: Balance,
}

/// Sums over all one-shot packets that were paid for, since the ledger began.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct PacketTotals {
    /// How many packets were paid for, each with one voucher.
    pub taken: u64,
    /// What their vouchers were worth. It is in [`Totals::credited`] and in [`Totals::used`] as
    /// well: a packet's fee is earned at once.
    pub fees: Msat,
}

/// Sums over all accounts and packets, since the ledger began. They answer what a relay has
/// earned.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// What the vouchers were worth that were taken, for accounts and for packets.
    pub credited: Msat,
    /// Charged to accounts, however they were credited, and fees of packets: what was earned.
    pub used: Msat,
    /// Vouchers that were turned into plain money at a mint.
    pub redeemed: Msat,
    /// How many vouchers were ever taken.
    pub vouchers: u64,
    /// What of this was for packets.
    pub packets: PacketTotals,
    /// The same for channels.
    pub channels: ChannelTotals,
}

/// Why the ledger did not do what it was asked.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Another process has the file open; the operator has two relays on one ledger.
    #[error("the ledger is in use by another process")]
    InUse,
    /// The ledger was closed; a mistake in the calling code.
    #[error("the ledger is closed")]
    Closed,
    /// The channel pays for another account; nothing was written. Its payer presents it with the
    /// account that it was opened with.
    #[error("the channel pays for another account")]
    OtherAccount,
    /// The channel was settled and can change no more; nothing was written. Its payer opens
    /// another one.
    #[error("the channel is settled")]
    ChannelSettled,
    /// The disk failed or the file is damaged. The relay must stop taking payments; after the
    /// cause is removed and it is started again, everything acknowledged is there.
    #[error("the ledger's storage failed: {0}")]
    Storage(#[source] Arc<redb::Error>),
}

impl LedgerError {
    pub(super) fn storage(error: impl Into<redb::Error>) -> Self {
        match error.into() {
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            other => Self::Storage(Arc::new(other)),
        }
    }
}
