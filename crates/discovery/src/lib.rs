//! How the relays of a Coinfuse network are found.

mod address;
mod behaviour;
mod book;
mod cache;
mod clock;
mod codec;
mod config;
mod draw;
mod error;
mod handle;
mod keys;
mod news;
mod node;
mod providers;
mod record;
#[cfg(test)]
mod samples;
mod session;
mod sources;
mod status;
mod store;

pub use address::{PeerAddress, PeerAddressError};
pub use clock::Clock;
pub use config::{DiscoveryConfig, Limits, Role, Timing};
pub use error::{PublishError, StartError, Stopped};
pub use handle::Discovery;
pub use keys::peer_key;
pub use record::{RecordError, check_record, record_key};
pub use status::{SourceStatus, Status};
