//! x
mod address;
mod behaviour;
mod book;
mod clock;
mod codec;
mod config;
mod draw;
mod keys;
mod providers;
mod record;
#[cfg(test)]
mod samples;
mod store;
pub use address::{PeerAddress, PeerAddressError};
