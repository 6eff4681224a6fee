//! What a voucher is, seen from outside.

mod bytes;
mod refusals;
mod shop;
mod spent;

#[cfg(feature = "wallet")]
mod purse;
