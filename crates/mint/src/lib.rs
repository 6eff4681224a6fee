//! A Cashu mint inside a process of ours: what a relay needs to issue the coins that pay it.
//!
//! The mint is the `cdk` project's; this crate puts the pieces together (database, keys, Lightning
//! backend, HTTP server) with settings that suit a relay, and adds what a relay wants beyond a mint:
//!
//! * [`EmbeddedMint`]: a mint behind an HTTP listener, up in well under a second, with push
//!   notifications (NUT-17) and cached answers (NUT-19), so that clients neither poll nor lose
//!   money when an answer is lost;
//! * [`IssuerKeys`]: the mint's private keys, for the check `k·H(x) = C` that lets the issuer accept
//!   its own coins without asking anybody (65 µs);
//! * [`Totals`]: what was issued and redeemed, to prove that money is conserved;
//! * [`loopback`]: a Lightning network in memory **for tests and demonstrations. There is no real
//!   money in it.**
//!
//! ```
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use coinfuse_mint::{Backend, EmbeddedMint, LoopbackLightning, MintConfig, Unit};
//! use coinfuse_wire::Msat;
//!
//! let folder = tempfile::tempdir()?;
//! let network = LoopbackLightning::new();
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let config = MintConfig::new(folder.path().join("mint.sqlite"), [7; 32], Unit::Msat);
//! let mint = EmbeddedMint::start(config, Backend::Loopback(network), listener).await?;
//!
//! assert!(mint.url().starts_with("http://127.0.0.1:"));
//! assert_eq!(mint.totals().await?.outstanding(), Some(Msat::new(0)));
//! mint.shutdown().await;
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run()).unwrap();
//! ```
//!
//! # Building
//!
//! `cdk` with its mint compiles a protobuf file and wants `protoc` at build time. In this workspace
//! `.cargo/config.toml` finds one that cargo downloads; an embedder sets `PROTOC` or installs it.

mod config;
mod cut;
mod error;
mod issuer;
pub mod loopback;
mod mint;
mod serve;

pub use cdk_common::nuts::{Id as KeysetId, PublicKey};
pub use config::{Backend, MintConfig, Unit};
pub use error::MintError;
pub use issuer::{IssuerKeys, NotOurs};
pub use loopback::{LightningWallet, LoopbackLightning, LoopbackSetting};
pub use mint::{EmbeddedMint, Totals};
