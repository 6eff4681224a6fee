//! The runtime layer of Coinfuse: sockets, clocks, files and tasks around the protocol crates.
//!
//! The protocol crates below this one neither read a clock nor open a socket. This crate does, and
//! holds no protocol of its own:
//!
//! * [`link`]: QUIC between neighbours, with the peer's key pinned.
//!
//! ```
//! use coinfuse::link::{LinkKey, LinkSecret};
//!
//! // A relay publishes its link key; whoever dials it accepts no other.
//! let secret = LinkSecret::from_seed([7; 32]);
//! let key: LinkKey = secret.key();
//! assert_eq!(key.to_string().parse(), Ok(key));
//! ```

pub mod link;
