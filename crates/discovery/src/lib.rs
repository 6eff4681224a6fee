//! How the relays of a Coinfuse network are found.
//!
//! A [`Discovery`] is a node of a libp2p network (TCP, Noise, yamux). A relay publishes its signed
//! [`Descriptor`](coinfuse_directory::Descriptor) there, and holds those of all others; a client
//! fetches all of them from several relays, compares, and chooses for itself. Nobody is ever asked
//! about the relay that somebody is about to use.
//!
//! * **Equal directories.** Every now and then a node compares its directory with that of one other,
//!   and what differs is exchanged; see [`coinfuse_directory::sync`]. What a relay publishes is also
//!   passed on at once, from relay to relay. So each relay is a source for all.
//! * **Several sources.** The bootstrap peers, and others drawn from the directory, are compared with
//!   each other: who forges is not asked again, who leaves out what the others list loses his
//!   standing; see [`coinfuse_directory::Audit`].
//! * **Few places for many names.** An identity costs nothing. A /24 network gets
//!   [`relays_per_subnet`](Limits::relays_per_subnet) places in the directory; who was reached there, by
//!   ourselves or by most of a client's sources, and then who did more work for his name, goes first.
//! * **A share for each.** Connections, questions and answers are limited by subnet, because a peer's
//!   key costs nothing either; see [`Limits`].
//! * **A DHT**, `/coinfuse/kad/1`: descriptors as records, and providers for each service code, ranked
//!   by what proves them. For programs that want to look one thing up and not hold a directory.
//!
//! Descriptors are the only thing that is believed, because relays sign them. Whoever carries them
//! can be anybody.
//!
//! ```
//! use coinfuse_discovery::{Discovery, DiscoveryConfig};
//! # use coinfuse_directory::{DescriptorBody, Identity, LinkKey, OnionKey, RelayKeys, VoucherKey};
//! # use coinfuse_discovery::Clock;
//!
//! # #[tokio::main(flavor = "multi_thread", worker_threads = 1)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (peer_seed, random, more_random) = ([1; 32], [2; 32], [3; 32]);
//! # let identity = Identity::from_seed([7; 32]);
//! # let keys = RelayKeys {
//! #     link: LinkKey::new([1; 32]),
//! #     onion: OnionKey::new([2; 32]),
//! #     voucher: VoucherKey::new([2; 33]),
//! # };
//! // A relay listens, and publishes who it is ...
//! let mut config = DiscoveryConfig::relay(peer_seed, random);
//! config.listen = vec!["127.0.0.1:0".parse()?];
//! config.private_addresses = true; // this is a network on one machine
//! let relay = Discovery::start(config).await?;
//! let mut body = DescriptorBody::new(&identity, keys, Clock::system().now());
//! body.addresses.push("127.0.0.1:4433".parse()?);
//! body.source = relay.offer();
//! relay.publish(body.sign(&identity)?).await?;
//!
//! // ... and a client that knows its address learns of all relays.
//! let mut config = DiscoveryConfig::client(more_random);
//! config.bootstrap = relay.addresses().to_vec();
//! config.private_addresses = true;
//! let client = Discovery::start(config).await?;
//! let mut directory = client.directory();
//! let known = directory.wait_for(|directory| !directory.is_empty()).await?.clone();
//! assert!(known.get(&identity.relay_id()).is_some());
//! # Ok(())
//! # }
//! ```
//!
//! # How it is built
//!
//! One task owns the swarm and all state; handles send it commands. Nothing in it waits: what others
//! tell is verified, and files are written, on other threads; only the few records that a lookup of
//! one's own finds are verified in place. What decides is free of I/O: the book (who has
//! a place), the session (one comparison), the sources (whom to ask), the providers (who is named),
//! the news (what to pass on).

mod address;
mod behaviour;
mod book;
mod cache;
mod clock;
mod codec;
mod config;
mod crowd;
mod draw;
mod error;
mod handle;
mod keys;
mod news;
mod node;
mod outbox;
mod party;
mod providers;
mod rationed;
mod record;
#[cfg(test)]
mod samples;
mod session;
mod sources;
mod status;
mod store;
mod trouble;

pub use address::{PeerAddress, PeerAddressError};
pub use clock::Clock;
pub use config::{DiscoveryConfig, Limits, Role, Timing};
pub use error::{LookupError, PublishError, StartError, Stopped};
pub use handle::Discovery;
pub use keys::peer_key;
pub use record::{RecordError, check_record, record_key};
pub use status::{SourceStatus, Status};
pub use trouble::SourceTrouble;

/// Keeps the example of the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
