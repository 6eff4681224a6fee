//! The runtime layer of Coinfuse: sockets, clocks, files and tasks around the protocol crates.
//!
//! The protocol crates below this one neither read a clock nor open a socket. This crate does, and
//! holds no protocol of its own:
//!
//! * [`client`], [`relay`]: the two ends of a circuit, with everything they need handed to them.
//! * [`node`]: the same, put together from a configuration file and a seed.
//! * [`link`]: QUIC between neighbours, with the peer's key pinned.
//! * [`connect`]: what a front asks of the network: a stream to a target.
//! * [`socks`]: the SOCKS5 front through which any application uses the network.
//! * [`config`]: the files of an operator and of a user, with messages a person understands.
//! * [`treasury`]: a relay's money after it was collected.
//! * [`keys`]: one master seed on disk and every key that is derived from it.
//! * [`logging`]: a subscriber that does not print what must not be printed.
//!
//! # A stream through the network
//!
//! A wallet needs a purse with coins in it, descriptors of relays, and a target; what comes back is
//! `AsyncRead + AsyncWrite`. The relays are chosen, paid and left by themselves.
//!
//! ```
//! # use coinfuse::config::{AcceptedMint, RelayConfig};
//! # use coinfuse::{keys::MasterSeed, node::RelayNode};
//! # use coinfuse_testkit::{TestMint, Unit as MintUnit, WebServer};
//! use coinfuse::directory::{Directory, DirectoryFile};
//! use coinfuse::voucher::{MintId, Purse, PurseConfig, Unit};
//! use coinfuse::{Client, ClientConfig};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # // A mint, a web server and three relays, on loopback.
//! # let (folder, mint, web) = (tempfile::tempdir()?, TestMint::start(MintUnit::Msat).await, WebServer::start()?);
//! # let (mint_url, purse_dir, seed, target) = (mint.url(), folder.path(), [7; 32], web.addr().to_string());
//! # let (mut relays, mut lines) = (Vec::new(), String::new());
//! # for index in 0..3u8 {
//! #     let mut config = RelayConfig { data_dir: folder.path().join(index.to_string()), ..Default::default() };
//! #     config.listen = ([127, 0, 0, 1], 0).into();
//! #     config.allow_private_neighbours = true;
//! #     config.accept.push(AcceptedMint { url: mint_url.parse()?, unit: coinfuse::directory::MintUnit::Msat });
//! #     if index == 0 { config.exit.policy = "accept 127.0.0.1:*".parse()? };
//! #     let relay = RelayNode::start(&config, &MasterSeed::new([index; 32]), None).await?;
//! #     lines += &format!("{}\n", relay.descriptor()?);
//! #     relays.push(relay);
//! # }
//! # let now = coinfuse_wire::UnixTime::from_secs(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs());
//! // Coins of the mints on this list, and no others.
//! let mint_id = MintId::new(mint_url, Unit::Msat)?;
//! let purse = Purse::open(&PurseConfig::new(purse_dir, vec![mint_id.clone()], seed)).await?;
//! let invoice = purse.fund(&mint_id, coinfuse_wire::Msat::from_sat(100)).await?;
//! # mint.pay_invoice(&invoice.bolt11).await;
//! purse.await_funding(&invoice, std::time::Duration::from_secs(60)).await?;
//! # for relay in &relays { relay.verifier().write().unwrap().keyring_mut().merge(purse.keyring().await)?; }
//!
//! let relays: Directory = DirectoryFile::parse(&lines, now).directory;
//! let client = Client::start(ClientConfig::default(), relays, purse, &seed).await?;
//! let mut stream = client.connect(&target).await?;
//! stream.write_all(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
//! let mut answer = String::new();
//! stream.read_to_string(&mut answer).await?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK"));
//! # Ok(())
//! # }
//! ```

pub mod client;
mod clock;
pub mod config;
pub mod connect;
mod files;
mod h2;
mod hardware;
pub mod keys;
mod lane;
pub mod link;
pub mod logging;
mod mints;
pub mod node;
pub mod relay;
pub mod socks;
pub mod store;
pub mod treasury;

pub use client::{Client, ClientConfig, Stream};
pub use files::raise_open_files;
pub use relay::Relay;

/// Who the relays are: descriptors, exit policies, path selection.
pub use coinfuse_directory as directory;
/// How relays are found.
pub use coinfuse_discovery as discovery;
/// The money: purse, vouchers, redeeming.
pub use coinfuse_voucher as voucher;
