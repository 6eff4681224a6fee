//! The SOCKS5 front (RFC 1928, RFC 1929): any application uses the network through it.
//!
//! ```text
//!   application ── SOCKS5 ──► SocksServer ── Connect::connect(target, isolation) ──► stream
//! ```
//!
//! * `CONNECT` only; `BIND` and `UDP ASSOCIATE` are answered with *command not supported* (7).
//! * Names are never resolved here; they travel to the last hop.
//! * Any user name and password is accepted. They are a label: streams with different ones
//!   never share a circuit ([`Isolation`](crate::connect::Isolation)).
//! * Success is said when the far end is connected, not before.
//! * When the stream breaks, the application's connection is reset, so that it cannot take half an answer for a
//!   whole one. When the stream ends, one direction at a time, so does the connection.
//!
//! | [`ConnectError`](crate::connect::ConnectError) | reply |
//! |---|---|
//! | `Policy` | 2, not allowed by ruleset |
//! | `NetworkUnreachable` | 3 |
//! | `HostUnreachable`, and a host that cannot be a name | 4 |
//! | `Refused` | 5 |
//! | `TimedOut` | 6, TTL expired |
//! | `OutOfMoney`, with a warning in the log, and `Failed` | 1, general failure |
//!
//! # Logs
//!
//! Nothing in here logs a target or credentials. The parser, `fast_socks5`, writes targets through the `log` crate at
//! debug level; [`logging`](crate::logging) does not collect from that crate at all. A program that brings
//! its own logger must switch the target `fast_socks5` off.

mod credentials;
mod handshake;
mod server;

pub use server::{SocksBindError, SocksLimits, SocksServer};
