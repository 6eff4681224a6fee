//! One-shot packets at relays: real vouchers, real links, packets made by hand.

mod courier;
mod floods_that_harm_nobody;
mod journeys;
mod mint;
mod nodes_from_files;
mod office;
mod packets_that_are_refused;
mod packets_that_wait;

pub(crate) use courier::Courier;
