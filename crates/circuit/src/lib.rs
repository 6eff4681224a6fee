//! Paid onion circuits, without I/O.
//!
//! A *circuit* is a way through relays that a client built and pays for. With each *hop* the client
//! has a *session* (Noise NK: the relay is authenticated, the client is not), and what it sends is
//! sealed once for each hop: every relay opens one layer and passes the rest on.
//!
//! This crate has both ends as machines: [`ClientCircuit`] and [`RelayCircuit`]. They have no
//! sockets, clocks, threads or randomness: bytes, the time and seeds are handed in, bytes and
//! events come out. `docs/spec/circuit.md` is the protocol that they speak.
//!
//! # How to drive it
//!
//! A circuit has two *lanes* on each link, ordered streams of bytes that are not ordered among each
//! other. Cut what arrives on a lane into records with an [`Assembler`]; give each [`Record`] to the
//! method named after where it came from; after every call, do all that `poll_output` says.
//!
//! ```text
//! loop {
//!     select {
//!         bytes on the control lane  => circuit.control(now, unix, record)?,
//!         bytes on the data lane     => if let Some(body) = circuit.open(now, record)? { .. },
//!         bytes from the application => data_lane.send(circuit.seal(now, &[body])?),
//!     }
//!     while let Some(output) = circuit.poll_output() { /* Transmit or Event */ }
//! }
//! ```
//!
//! # Example: one hop, both ends in one process
//!
//! ```
//! use coinfuse_circuit::*;
//! use coinfuse_wire::{Instant, Msat, Rate, RelayId, UnixTime};
//! # fn seed(n: u8) -> Seed { Seed::new([n; 32]) }
//! # let now = Instant::ZERO;
//! # let unix = UnixTime::from_secs(1_800_000_000);
//! # let identity = [7; 32];
//! # let relay_id = {
//! #     use ring::signature::KeyPair;
//! #     let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&identity).unwrap();
//! #     RelayId::new(pair.public_key().as_ref().try_into().unwrap())
//! # };
//! let onion = OnionSecret::new([9; 32]);
//! let price = Price { up: Rate::from_msat_per_mib(100), down: Rate::from_msat_per_mib(100) };
//!
//! // The client starts; the relay reads who pays, and answers with its price and the balance.
//! let plan = HopPlan {
//!     relay: relay_id,
//!     onion_key: onion.public(),
//!     suite: Suite::AesGcm,
//!     link: NextHop { link_key: [0; 32], addresses: vec!["127.0.0.1:1".parse()?] },
//!     ceiling: price,
//!     account: AccountToken::new([1; 32]),
//!     upstream: Msat::new(500),
//!     offer: None,
//! };
//! let (mut client, create) =
//!     ClientCircuit::start(vec![plan], TopUpPolicy::default(), Limits::default(), || seed(1))?;
//! let incoming =
//!     IncomingCircuit::read(&relay_id, &onion, create.suite.code(), &create.handshake, &seed(2))
//!         .map_err(|refusal| refusal.to_string())?;
//! let welcome = Welcome {
//!     quote: Quote::sign(price, unix.saturating_add(core::time::Duration::from_secs(600)), &identity),
//!     balance: Msat::new(1000), // paid in an earlier circuit
//!     provisional: Msat::ZERO,
//!     result: None,
//!     mints: vec![],
//! };
//! let (mut relay, answer) = incoming.welcome(&welcome, Limits::default(), now)?;
//! client.created(now, unix, &answer)?;
//!
//! // A record goes through.
//! let wire = client.seal(now, &[b"hello"])?;
//! let mut assembler = Assembler::new();
//! let mut bytes = wire;
//! let record = loop {
//!     assembler.feed(&mut bytes);
//!     if let Some(record) = assembler.take()? { break record; }
//! };
//! match relay.data_from_client(now, record)? {
//!     FromClient::Stream(body) => assert_eq!(&body[..], b"hello"),
//!     _ => unreachable!(),
//! }
//! // Both ends counted the same.
//! let hop = coinfuse_wire::HopIndex::default();
//! assert_eq!(client.credit(hop).unwrap().used(), relay.credit().used());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cipher;
mod client;
mod control;
mod credit;
mod handshake;
mod lane;
mod limits;
mod quote;
mod record;
mod relay;
mod session;
mod suite;

pub use cipher::{NotAuthentic, RekeyPolicy, TAG_LEN};
pub use client::{
    Blocked, ClientCircuit, ClientCircuitError, ClientEvent, ClientOutput, Create, Direction,
    HopPlan, TopUpPolicy,
};
pub use coinfuse_wire::Price;
pub use control::{
    MAX_ADDRESSES, MAX_FIRST_OFFER, MAX_OFFER, MAX_REFUSALS, NextHop, Offer, PayResult,
    PaymentNumber, Reading, RefusedItem, ToClient, ToRelay,
};
pub use credit::{Credit, MeterMismatch, OutOfCredit, Pool};
pub use handshake::{AccountId, AccountToken, Hello, Welcome};
pub use lane::{CircuitNumber, CloseReason, CreateRefusal, ExtendRefusal, LaneHeader};
pub use limits::Limits;
pub use quote::{Quote, QuoteError};
pub use record::{Assembler, Kind, MAX_BODY, MAX_CIPHERTEXT, Record, RecordError, SIZE_CLASSES};
pub use relay::{
    FromClient, IncomingCircuit, RelayCircuit, RelayCircuitError, RelayEvent, RelayOutput,
};
pub use session::{HANDSHAKE_OVERHEAD, Initiator, MAX_HANDSHAKE, Responder, Session, SessionError};
pub use suite::{OnionKey, OnionSecret, Seed, Suite};

/// The longest list of mints in a [`Welcome`], in bytes.
pub const MAX_MINTS_LEN: usize = 2048;

/// Keeps the example of the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
