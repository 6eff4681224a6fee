//! One-shot onion packets, without I/O.
//!
//! A *packet* is a message that finds its own way: its maker chose the relays, and each of them
//! takes one layer off, finds a *hop record* with its fee and its task, and passes the rest on. The
//! construction is Lightning's (BOLT-4) on secp256k1, generic over the size: every byte, the message
//! included, is under each hop's HMAC, and a packet has the same length and looks as random at every
//! hop. `docs/spec/onion.md` is the format of our own payloads, [`bolt4`] is the bare construction,
//! on which the official vectors run.
//!
//! | who | does | with |
//! |---|---|---|
//! | client | asks, and waits for answers | [`Question`], [`ReplyPath`], [`ReplyBook`] |
//! | relay | peels, forwards, serves, answers | [`KeyRing`], [`Opened`], [`ReplyPath::answer`] |
//!
//! There is no I/O, clock or randomness: time and seeds are arguments. A seed is 32 random bytes for
//! one use.
//!
//! # The order of work at a relay
//!
//! Each step costs more than the one before, or lasts longer. Whatever fails, the relay says nothing.
//!
//! 1. [`Packet::from_bytes`]: size, version, point.
//! 2. [`KeyRing::open`]: one point multiplication and the HMAC, then the layer and the record.
//! 3. [`KeyRing::seen`]: the same packet again?
//! 4. The payment, which this crate carries as bytes: `coinfuse-voucher` checks it, and its spent
//!    set, being durable, refuses a packet also after a restart.
//! 5. [`KeyRing::remember`], then the [`Task`].
//!
//! # Example: three hops
//!
//! ```
//! use coinfuse_onion::*;
//! use coinfuse_wire::{RelayId, ServiceCode, UnixTime};
//!
//! // Three relays with their keys, and vouchers that they accept.
//! let now = UnixTime::from_secs(1_800_000_000);
//! let mut relays = [1, 2, 3].map(|n| KeyRing::new(RingConfig::default(), now, &[n; 32]));
//! let keys = [0, 1, 2].map(|n: usize| relays[n].public_key());
//! let voucher = || PaymentBytes::new(vec![7; 79]).map(Terms::paid);
//! let to_relay = |n| NextHop::Relay(RelayId::new([n; 32]));
//!
//! // The client makes a packet over two relays to a service of the third.
//! let packet: SmallPacket = Question {
//!     via: &[
//!         Via { key: keys[0], next: to_relay(2), terms: voucher()? },
//!         Via { key: keys[1], next: to_relay(3), terms: voucher()? },
//!     ],
//!     to: &Destination {
//!         key: keys[2],
//!         service: ServiceCode::MEMPOOL,
//!         instruction: vec![],
//!         terms: voucher()?,
//!     },
//!     message: b"a transaction",
//!     reply: None,
//! }
//! .build(&[0x5e; 32])?;
//!
//! // Each relay takes its layer off.
//! let mut bytes = packet.to_bytes();
//! for ring in &mut relays {
//!     assert_eq!(bytes.len(), 4096);
//!     let opened = ring.open(now, SmallPacket::from_bytes(&bytes)?)?;
//!     assert_eq!(opened.payment.map(|voucher| voucher.as_bytes().len()), Some(79));
//!     ring.remember(&opened.tag)?;
//!     match opened.task {
//!         Task::Forward { next: _, packet } => bytes = packet.to_bytes(),
//!         Task::Deliver(delivery) => assert_eq!(delivery.message, b"a transaction"),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blind;
pub mod bolt4;
mod book;
#[cfg(test)]
mod crafted;
mod filter;
mod frame;
mod key;
mod layer;
mod open;
mod packet;
mod payload;
mod question;
mod record;
mod reply;
mod ring;
mod seal;
mod service;

pub use book::{BookFull, ReplyBook, ReplyError};
pub use filter::{NotFirst, TagFilter};
pub use frame::{Frame, FrameKind, INTRODUCTION_LABEL, Introduction};
pub use key::{NotAKey, OnionKey, OnionSecret};
pub use layer::{PeelError, TooLong};
pub use open::{Delivery, OpenError, Opened, Tag, Task};
pub use packet::{LARGE, LargePacket, OVERHEAD, Packet, PacketError, SMALL, SmallPacket};
pub use payload::PayloadError;
pub use question::{Destination, Question, Via};
pub use record::{HOP_RECORD_LEN, HopRecord, NextHop, PaymentBytes, PaymentLenError, Role, Terms};
pub use reply::{HopCountError, ReplyPath, ReplyTicket};
pub use ring::{KeyRing, RingConfig};
pub use service::{Reply, ServiceRefusal};

/// Keeps the example of the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
