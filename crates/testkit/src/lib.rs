//! What the tests and demonstrations of Coinfuse stand on; not published.
//!
#![cfg_attr(feature = "mint", doc = "```")]
#![cfg_attr(not(feature = "mint"), doc = "```ignore")]
//! # async fn run() {
//! use coinfuse_testkit::{TestMint, Unit};
//!
//! let mint = TestMint::start(Unit::Msat).await;
//! assert!(mint.url().starts_with("http://127.0.0.1:"));
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run());
//! ```
//!
//! Helpers panic where a test could do nothing but panic itself, and say so.

mod background;
#[cfg(feature = "bitcoin")]
pub mod bitcoin_node;
#[cfg(feature = "bitcoin")]
pub mod bitcoin_peer;
pub mod link;
pub mod logs;
#[cfg(feature = "mint")]
pub mod mint;
pub mod peers;
pub mod proxy;
pub mod web;

#[cfg(feature = "bitcoin")]
pub use bitcoin_node::{BitcoinNode, Regtest};
#[cfg(feature = "bitcoin")]
pub use bitcoin_peer::{BitcoinPeer, Misbehaviour};
#[cfg(feature = "mint")]
pub use coinfuse_mint::Unit;
pub use link::{DelayedUdp, LinkConfig};
pub use logs::LogWatch;
#[cfg(feature = "mint")]
pub use mint::TestMint;
pub use peers::Peer;
pub use proxy::{Fault, FaultProxy};
pub use web::WebServer;
