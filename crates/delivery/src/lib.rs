//! What the last hop of a path does.
//!
//! Transactions for the Bitcoin network have the module [`mempool`] to themselves. All else here is
//! about streams.
//!
//! A stream arrives at the last hop with a [`Target`], and a [`Delivery`] opens what it asks for.
//! There is one today, the [`Exit`]: TCP connections, within an
//! [`ExitPolicy`](coinfuse_directory::ExitPolicy) and behind a guard that refuses every address
//! that is not on the public Internet. What cannot be opened is an [`ExitFailure`], which travels
//! to the client in a response header and becomes a SOCKS reply there.
//!
//! Nothing in here logs, and a [`Target`] prints as `[scrubbed]`.
//!
//! ```
//! use coinfuse_delivery::{Exit, ExitConfig, ExitFailure, SystemResolver};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = ExitConfig::new("accept *:443".parse()?);
//! let exit = Exit::new(config, SystemResolver);
//!
//! let circuit = exit.circuit(); // one for each circuit that ends here
//! let failure = circuit.connect(&"127.0.0.1:443".parse()?).await.unwrap_err();
//! assert_eq!(failure, ExitFailure::PolicyRefused);
//! assert_eq!((failure.http_status(), failure.token()), (403, "policy-refused"));
//! # Ok(())
//! # }
//! ```

mod delivery;
mod dial;
mod exit;
mod failure;
mod limit;
pub mod mempool;
mod resolve;
mod stream;
mod target;

pub use delivery::Delivery;
pub use dial::{Attempt, Dial, SystemDialer};
pub use exit::{Exit, ExitCircuit, ExitConfig};
pub use failure::{ExitFailure, FAILURE_HEADER, UnknownFailure};
pub use limit::StreamSlot;
pub use resolve::{Lookup, Resolve, ResolveError, SystemResolver};
pub use stream::ExitStream;
pub use target::{Host, HostName, Target, TargetError};

/// Keeps the example of the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
