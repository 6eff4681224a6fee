//! Channels between two implementations, over the JSON that the protocol puts on the wire.
//!
//! [`roles`] says what a sender and a receiver can be asked for; each scenario is written once in
//! [`scenarios`] and runs with either implementation on either side.

mod http;
mod messages;
mod ours;
mod pairings;
mod roles;
mod scenarios;
mod theirs;
mod world;
