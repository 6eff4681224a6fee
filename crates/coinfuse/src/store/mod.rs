//! The relay's ledger: what every account has been credited and charged, which vouchers have been
//! taken, and how far every payment channel has come.
//!
//! One redb file, written by one thread of its own. Commands that wait are applied together in one
//! transaction with one sync to disk and answered after it, so a busy relay pays for one sync per
//! group and not per voucher.
//!
//! A relay may serve ahead of that sync. [`Ledger::reserve`] looks at once whether vouchers are new
//! and holds them, so that no second circuit serves ahead on the same ones;
//! [`Reservation::commit`] resolves when they are durable, which is when the relay may
//! acknowledge them.
//!
//! ```no_run
//! # use coinfuse::store::{AccountKey, CollectedVoucher, Ledger, LedgerConfig};
//! # async fn example(account_id: [u8; 32], vouchers: Vec<CollectedVoucher>) -> Result<(), Box<dyn std::error::Error>> {
//! let ledger = Ledger::open("ledger.redb".as_ref(), LedgerConfig::default())?;
//! let account = AccountKey::new(account_id);
//! let reservation = ledger.reserve(account, vouchers)?;
//! let ahead = reservation.fresh(); // may be served from now on, at the relay's own risk
//! let credit = reservation.commit().await?; // durable: acknowledge now
//! assert!(credit.balance.credited >= ahead);
//! ledger.record_use(account, ahead);
//! ledger.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A channel pays by updates to what it has paid in all. [`Ledger::write_channel`] stores the row in
//! which the channel's owner keeps its state and credits the account in the same transaction:
//!
//! ```no_run
//! # use coinfuse::store::{AccountKey, ChannelKey, ChannelStage, ChannelWrite, Ledger};
//! # use coinfuse_wire::{Msat, UnixTime};
//! # async fn example(ledger: Ledger, channel_id: [u8; 32], account: AccountKey, row: Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
//! let write = ChannelWrite {
//!     channel: ChannelKey::new(channel_id),
//!     account,
//!     part: 1,
//!     bytes: row,
//!     credited: Msat::new(150), // in all, so writing it twice credits it once
//!     expiry: UnixTime::from_secs(1_900_000_000),
//!     stage: ChannelStage::Open,
//! };
//! let balance = ledger.write_channel(write).await?; // durable: acknowledge now
//! # Ok(())
//! # }
//! ```
//!
//! One-shot packets have no account: [`Ledger::collect`] takes the vouchers of many of them in one
//! transaction, and says which were new.
//!
//! After `kill -9` or a power cut: every credit that was acknowledged is there, no voucher and
//! no update counts twice, and at most [`LedgerConfig::flush_after`] of recorded use is lost, in the
//! client's favour.

mod channel;
mod channel_tables;
mod hold;
mod ledger;
mod queue;
mod tables;
mod types;
mod worker;

#[cfg(test)]
mod tests;

pub use channel::{
    ChannelRecord, ChannelStage, ChannelTotals, ChannelWrite, Settlement, StageKind, StoredChannel,
};
pub use hold::Reservation;
pub use ledger::{Ledger, LedgerConfig};
pub use types::{
    AccountKey, Balance, ChannelKey, CollectedVoucher, Credit, LedgerError, Outcome, Outlook,
    PacketTotals, Totals, VoucherKey,
};
