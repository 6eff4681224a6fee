//! What a voucher is, seen from outside.

mod bytes;
mod refusals;
mod shop;
mod spent;
mod tweaks;

#[cfg(feature = "wallet")]
mod purse;
