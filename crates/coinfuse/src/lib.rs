//! The runtime layer of Coinfuse: sockets, clocks, files and tasks around the protocol crates.
//!
//! The protocol crates below this one neither read a clock nor open a socket. This crate does, and
//! holds no protocol of its own:
//!
//! * [`link`]: QUIC between neighbours, with the peer's key pinned.
//! * [`connect`]: what a front asks of the network: a stream to a target.
//! * [`socks`]: the SOCKS5 front through which any application uses the network.
//! * [`config`]: the files of an operator and of a user, with messages a person understands.
//! * [`keys`]: one master seed on disk and every key that is derived from it.
//! * [`logging`]: a subscriber that does not print what must not be printed.
//!
//! ```
//! use coinfuse::link::{LinkKey, LinkSecret};
//!
//! // A relay publishes its link key; whoever dials it accepts no other.
//! let secret = LinkSecret::from_seed([7; 32]);
//! let key: LinkKey = secret.key();
//! assert_eq!(key, LinkSecret::from_seed([7; 32]).key());
//! ```

pub mod client;
mod clock;
pub mod config;
pub mod connect;
mod h2;
mod hardware;
pub mod keys;
mod lane;
pub mod link;
pub mod logging;
pub mod node;
pub mod relay;
pub mod socks;
pub mod store;
pub mod treasury;
