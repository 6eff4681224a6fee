//! Whole nodes, put together from a configuration file and a seed.

mod client;
mod control;
mod directory;
mod known;
#[cfg(feature = "mint")]
mod mint;
mod network;
mod portrait;
mod relay;
mod session;
mod spending;
mod treasury;
mod work;

pub use client::{ClientNode, ClientNodeError, channels_file, history_file, open_purse};
pub use control::{CONTROL_SOCKET, ControlServer, Conversation};
pub use directory::DirectoryError;
#[cfg(feature = "mint")]
pub use mint::{OwnMintError, own_mint};
pub use network::{DiscoveryError, bootstrap_addresses};
pub use relay::{NodeError, OwnMint, RelayNode, describe, relay_id};
pub use session::{ClientSession, known_relays};
pub use treasury::{OpenTreasuryError, open_treasury, open_treasury_alone, own_offer};
