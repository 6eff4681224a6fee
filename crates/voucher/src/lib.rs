//! Ecash attached to one use.
//!
//! A **voucher** is a Cashu proof (NUT-00) locked (NUT-11) to one relay's key in blinded form
//! (NUT-28). Before its locktime nobody but the relay can spend it at the mint, so the relay
//! accepts it *offline*: it rebuilds the lock, checks the mint's signature and looks in its own
//! spent set. The mint learns neither who pays nor who is paid. Because the locked secret is
//! canonical, 79 bytes are enough (175 with the proof that relays other than the issuer need).
//!
//! The core has no I/O, no clock and no randomness: time and seeds are arguments.
//!
//! | who | does | with |
//! |---|---|---|
//! | buyer | asks for a coin, unblinds it, pays | [`VoucherBlank`], [`Voucher`], [`Payment`] |
//! | relay | checks, credits once, redeems | [`Verifier`], [`SpentRecord`], [`VerifiedVoucher`] |
//! | both | know which mints' coins count | [`Keyring`], [`MintId`] |
//!
//! With the feature `wallet` there are also a `Purse`, the buyer's money over `cdk`, and a
//! `Redeemer`, which turns a relay's vouchers into its own coins. Both also swap for protocols of
//! which they know nothing, such as payment channels: see `Purse::sign_outputs`, `Purse::take_in`.
//!
//! # A voucher's way
//!
//! ```
//! use cashu::dhke::{blind_message, sign_message, unblind_message};
//! use cashu::{CurrencyUnit, Id, KeySet, Keys, SecretKey};
//! use coinfuse_voucher::*;
//! use coinfuse_wire::{Decode, Encode, Msat, UnixTime};
//! use std::collections::BTreeMap;
//! use std::time::Duration;
//!
//! // A mint with one key, for coins of 1024 msat. Here the relay issues its coins itself.
//! let mint = MintId::new("https://mint.example", Unit::Msat)?;
//! let k = SecretKey::from_slice(&[7; 32])?;
//! let keys = Keys::new(BTreeMap::from([(1024.into(), k.public_key())]));
//! let keyset = KeySet {
//!     id: Id::v2_from_data(&keys, &CurrencyUnit::Msat, 0, None),
//!     unit: CurrencyUnit::Msat,
//!     active: Some(true),
//!     keys,
//!     input_fee_ppk: 0,
//!     final_expiry: None,
//! };
//! let mut keyring = Keyring::new();
//! keyring.add_issuer(&mint, &keyset, &BTreeMap::from([(1024, k.clone())]))?;
//! let relay =
//!     Verifier::new(VoucherKey::from_secret_bytes([9; 32])?, keyring, Policy::default());
//!
//! // The buyer asks the mint to sign a coin that only the relay can spend.
//! let now = UnixTime::from_secs(1_800_000_000);
//! let until = now.saturating_add(Duration::from_secs(30 * 24 * 3600));
//! let coin = Denomination::from_units(1024).unwrap();
//! let blank = VoucherBlank::new(&relay.public_key(), &[1; 32], coin, keyset.id, until)?;
//! let (blinded, r) = blind_message(blank.secret().as_bytes(), None)?;
//! let signed = sign_message(&k, &blinded)?;
//! let voucher = blank.complete(unblind_message(&signed, &r, &k.public_key())?, None);
//!
//! // It travels, and the relay takes it: once.
//! let bytes = voucher.to_bytes();
//! assert_eq!(bytes.len(), 79);
//! let checked = relay.verify(now, &Voucher::from_bytes(&bytes)?)?;
//! let (mine, other) = (AccountHash::of(&[2; 32]), AccountHash::of(&[3; 32]));
//! let mut spent = SpentSet::new();
//! assert_eq!(spent.credit(mine, &checked), Ok(Credit::New(Msat::new(1024))));
//! assert_eq!(spent.credit(mine, &checked), Ok(Credit::Before(Msat::new(1024))));
//! assert_eq!(spent.credit(other, &checked), Err(Refusal::Spent));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blank;
mod id;
mod key;
mod keyring;
mod payment;
#[cfg(feature = "wallet")]
mod purse;
mod refusal;
mod secret;
mod spent;
mod unit;
mod verify;
mod voucher;

pub use blank::{BlankError, VoucherBlank};
pub use id::{AccountHash, PaymentId, VoucherId};
pub use key::{NotAKey, VoucherKey, VoucherPublicKey};
pub use keyring::{Keyring, KeyringError};
pub use payment::{Payment, PaymentSizeError};
#[cfg(feature = "wallet")]
pub use purse::{
    BadMint, Bought, CallError, Connector, HandedOut, Invoice, Order, Paid, Purse, PurseConfig,
    PurseError, Redeemed, Redeemer, StoreError,
};
pub use refusal::{Refusal, Remedy};
pub use secret::MAX_LOCKTIME;
pub use spent::{Credit, SpentRecord, SpentSet};
pub use unit::{Denomination, MintId, MintIdError, Unit};
pub use verify::{Policy, VerifiedVoucher, Verifier};
pub use voucher::{ShortKeysetId, Voucher};
