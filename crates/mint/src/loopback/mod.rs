//! A Lightning network in memory, **for tests and demonstrations: no real money moves**.
//!
//! It does what a mint sees of Lightning, and keeps the books: real signed bolt11 invoices (on
//! regtest, so that no real wallet can pay one by mistake), paid exactly once, by the exact amount,
//! by somebody who has it. Money comes into being only by [`LoopbackLightning::wallet`], so at every
//! moment the balances of all nodes add up to what was granted. In particular, of two mints on one
//! network, one is paid exactly what the other pays out.
//!
//! ```
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use coinfuse_mint::LoopbackLightning;
//! use coinfuse_wire::Msat;
//!
//! let network = LoopbackLightning::new();
//! let alice = network.wallet(Msat::from_sat(100)).await?;
//! let bob = network.wallet(Msat::new(0)).await?;
//!
//! let invoice = bob.invoice(Msat::new(1_500)).await?;
//! assert_eq!(alice.pay(&invoice).await?, Msat::new(1_500));
//! assert_eq!(bob.balance().await?, Msat::new(1_500));
//! assert_eq!(alice.balance().await?, Msat::new(98_500));
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run()).unwrap();
//! ```
//!
//! # Several processes
//!
//! One process owns the books and serves them on a loopback address with
//! [`LoopbackLightning::serve`]; the others [`LoopbackLightning::connect`] to it. The protocol is
//! one line each way and is described in [`mod@line`]. Whoever can reach the port can grant himself
//! money, which is one more reason to keep it to demonstrations.

mod invoice;
mod ledger;
pub mod line;
mod node;
mod setting;
mod tcp;
mod wallet;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use coinfuse_wire::UnixTime;
use thiserror::Error;

use ledger::Ledger;
use line::{LineError, Refusal, Request, Response};

pub use node::LoopbackNode;
pub use setting::{LoopbackSetting, NotASetting};
pub use tcp::LoopbackServer;
pub use wallet::{LightningWallet, PayError};

/// A handle of the network; clones share it.
#[derive(Clone)]
pub struct LoopbackLightning {
    books: Books,
}

#[derive(Clone)]
enum Books {
    Here(Arc<Ledger>),
    There(SocketAddr),
}

/// Why the network does not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The network has judged: asking again changes nothing.
    #[error("the Lightning network refuses: {0}")]
    Refused(#[from] Refusal),
    /// The process that keeps the books cannot be reached; what was asked may or may not be done.
    #[error("the Lightning network cannot be reached: {0}")]
    Unreachable(#[from] std::io::Error),
    /// Something else answers at that address.
    #[error("not a loopback Lightning network: {0}")]
    NotSpoken(#[from] LineError),
    /// The address is not a loopback address.
    #[error("the loopback Lightning network is only spoken on loopback addresses")]
    NotLoopback,
}

impl LoopbackLightning {
    /// A new network whose books this process keeps, in memory.
    pub fn new() -> Self {
        Self {
            books: Books::Here(Arc::new(Ledger::new())),
        }
    }

    /// The network whose books the process at `addr` keeps. Connects once to see that it is there.
    pub async fn connect(addr: SocketAddr) -> Result<Self, NetworkError> {
        let network = Self {
            books: Books::There(addr),
        };
        network.ask(Request::Hello).await?;
        Ok(network)
    }

    /// The node of a mint; the same seed gives the same node.
    pub fn node(&self, seed: &[u8; 32]) -> LoopbackNode {
        LoopbackNode::new(self.clone(), seed)
    }

    /// One question, one answer; refusals are errors.
    async fn ask(&self, request: Request) -> Result<Response, NetworkError> {
        let response = match &self.books {
            Books::Here(ledger) => ledger.handle(now(), request),
            Books::There(addr) => tcp::ask(*addr, request).await?,
        };
        match response {
            Response::Refused(refusal) => Err(NetworkError::Refused(refusal)),
            answer => Ok(answer),
        }
    }
}

impl Default for LoopbackLightning {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LoopbackLightning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.books {
            Books::Here(_) => "LoopbackLightning(here)",
            Books::There(_) => "LoopbackLightning(there)",
        })
    }
}

fn now() -> UnixTime {
    UnixTime::from_secs(cdk_common::util::unix_time())
}
