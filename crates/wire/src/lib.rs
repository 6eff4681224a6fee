//! The vocabulary and the codec that all Coinfuse protocols share.
//!
//! Two halves, both small:
//!
//! * **Units.** A bare `u64` never says of what. [`Msat`], [`ByteCount`], [`Rate`], [`Price`], [`UnixTime`],
//!   [`Instant`], [`RelayId`], [`ServiceCode`], [`PacketSize`] and [`HopIndex`] do, and only the sums that make
//!   sense compile. All arithmetic is on integers, and either checked or saturating.
//! * **Codec.** [`Reader`] takes bytes apart without ever panicking or reading past the end,
//!   [`Writer`] puts them together, [`Decode`] and [`Encode`] tie both to a type, and [`TlvStream`]
//!   reads the extensible part of a message: canonical, ordered, *even means must understand*.
//!
//! The laws of the codec, which every implementation keeps and every fuzz target checks:
//!
//! 1. `T::decode` is total: any input gives a value or a [`DecodeError`], never a panic, and never
//!    an allocation larger than the input.
//! 2. There is one encoding for a value: if `T::from_bytes(b)` is `Ok(v)` then `v.to_bytes() == b`.
//! 3. Leftover bytes are an error ([`Decode::from_bytes`]).
//!
//! Nothing in here knows about sockets, clocks or randomness.
//!
//! ```
//! use coinfuse_wire::{ByteCount, Decode, Encode, Msat, Rate, Reader};
//!
//! // A price is msat per MiB; charging rounds up, so that nothing is carried for free.
//! let rate = Rate::from_msat_per_mib(100);
//! assert_eq!(rate.charge(ByteCount::from_mib(64)), Msat::new(6_400));
//! assert_eq!(rate.charge(ByteCount::new(1)), Msat::new(1));
//!
//! let bytes = Msat::new(6_400).to_bytes();
//! let mut reader = Reader::new(&bytes);
//! assert_eq!(Msat::decode(&mut reader).unwrap(), Msat::new(6_400));
//! assert!(reader.finish().is_ok());
//! ```

mod bucket;
mod codec;
mod id;
mod packet;
mod time;
mod tlv;
mod units;

pub use bucket::TokenBucket;
pub use codec::{Decode, DecodeError, Encode, Reader, Writer};
pub use id::{HopIndex, RelayId, ServiceCode};
pub use packet::PacketSize;
pub use time::{Instant, UnixTime};
pub use tlv::{TlvField, TlvStream, TlvWriter};
pub use units::{ByteCount, Msat, Price, Rate};
