//! A client: streams through circuits that it builds and pays for.
//!
//! ```text
//! Client::connect ── circuits ── build ── payer ── purse       choose, pay, connect, extend
//!                        └ circuit ── control lane             messages
//!                                  ├─ teller ── payer, channels top-ups
//!                                  └─ data lane ── HTTP/2      streams
//! ```

mod budget;
mod build;
mod cell;
mod channels;
mod circuit;
mod circuits;
mod config;
mod control;
mod credit_file;
mod error;
mod memory;
mod packets;
mod payer;
mod private_file;
mod report;
mod stream;
mod teller;

pub use channels::{
    ChannelConfig, ChannelFile, ChannelReport, ChannelStage, ChannelStoreError, HopChannels,
};
pub use config::ClientConfig;
pub use error::ClientError;
pub use memory::read_history;
pub use packets::{AskError, PacketConfig, PacketReport, ServiceRequest};
pub use report::{CircuitReport, HopReport};
pub use stream::Stream;

use crate::clock::Clock;
use crate::connect::{Connect, ConnectError, Isolation};
use crate::link::{CloseReason, LinkEndpoint, LinkPool};
use crate::mints;
use budget::Budget;
use channels::Channels;
use circuits::Circuits;
use coinfuse_circuit::CircuitNumber;
use coinfuse_delivery::Target;
use coinfuse_directory::{Directory, History, MintUnit, MintUrl};
use coinfuse_voucher::Purse;
use coinfuse_wire::Msat;
use core::time::Duration;
use memory::Memory;
use packets::Packets;
use payer::Payer;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long the circuits may take to end when the client does.
const FAREWELL: Duration = Duration::from_secs(3);

/// A client of the network. A cheap handle: clones are the same client.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    config: ClientConfig,
    directory: RwLock<Arc<Directory>>,
    payer: Arc<Payer>,
    memory: Arc<Memory>,
    /// Whose ecash there is, as descriptors name it.
    mints: Vec<(MintUrl, MintUnit)>,
    endpoint: LinkEndpoint,
    links: LinkPool,
    circuits: Circuits,
    packets: Packets,
    next_number: AtomicU32,
    clock: Clock,
    /// The circuits' control tasks.
    controls: TaskTracker,
    shutdown: CancellationToken,
}

impl Client {
    /// Starts a client on the current tokio runtime. `purse` pays; `seed`, 32 random bytes that
    /// are kept, names its accounts at relays, so that credit is found again after a restart.
    ///
    /// # Errors
    ///
    /// [`ClientError::Bind`] if the system gives no socket, [`ClientError::Purse`] if the purse
    /// cannot be read, [`ClientError::Channels`] if the file of the payment channels cannot.
    pub async fn start(
        config: ClientConfig,
        directory: impl Into<Arc<Directory>>,
        purse: Purse,
        seed: &[u8; 32],
    ) -> Result<Self, ClientError> {
        let endpoint = LinkEndpoint::bind_for_dialling(config.links.clone())?;
        let mints = purse.balances().await;
        let mints = mints.keys().filter_map(mints::published).collect();
        let (clock, shutdown) = (Clock::start(), CancellationToken::new());
        let budget = Arc::new(Budget::new(config.spending_cap));
        let channels = match config.channels.clone() {
            Some(channels) => {
                let (purse, budget) = (purse.clone(), Arc::clone(&budget));
                Some(Channels::open(channels, config.top_up, purse, budget, clock).await?)
            }
            None => None,
        };
        if let Some(channels) = &channels {
            tokio::spawn(channels::tend(Arc::downgrade(channels), shutdown.clone()));
        }
        let credit_file = config.credit_file.clone();
        let payer = Payer::new(purse, seed, budget, channels, credit_file);
        let memory = Memory::open(config.history_file.clone(), clock);
        let links = LinkPool::new(endpoint.clone());
        let (prefix, pool) = (payer.packet_prefix(), links.clone());
        let inner = Arc::new(Inner {
            payer: Arc::new(payer),
            memory: Arc::new(memory),
            packets: Packets::new(&config.packets, prefix, pool, clock, shutdown.clone()),
            config,
            directory: RwLock::new(directory.into()),
            mints,
            links,
            endpoint,
            circuits: Circuits::default(),
            next_number: AtomicU32::new(0),
            clock,
            controls: TaskTracker::new(),
            shutdown: shutdown.clone(),
        });
        inner.open_stock().await;
        tokio::spawn(circuits::tend(Arc::downgrade(&inner)));
        tokio::spawn(packets::tend(Arc::downgrade(&inner), shutdown.clone()));
        tokio::spawn(memory::tend(Arc::downgrade(&inner), shutdown));
        Ok(Self { inner })
    }

    /// Opens a stream to `target`, given as `host:port`.
    ///
    /// # Errors
    ///
    /// [`ClientError::Exit`] with [`coinfuse_delivery::ExitFailure::BadTarget`] if the text is no
    /// target, and as [`Self::connect_isolated`].
    pub async fn connect(&self, target: &str) -> Result<Stream, ClientError> {
        let target = target
            .parse()
            .map_err(|_| coinfuse_delivery::ExitFailure::BadTarget)?;
        self.connect_isolated(&target, Isolation::NONE).await
    }

    /// Opens a stream to `target`. Streams of different `isolation` never share a circuit or an
    /// account. Comes back when the target is connected.
    ///
    /// # Errors
    ///
    /// Why the last of several attempts failed.
    pub async fn connect_isolated(
        &self,
        target: &Target,
        isolation: Isolation,
    ) -> Result<Stream, ClientError> {
        self.inner.connect(target, isolation).await
    }

    /// Builds a circuit for streams to `target` ahead of their being asked for, even if there is
    /// one already.
    ///
    /// # Errors
    ///
    /// As [`Self::connect_isolated`].
    pub async fn prepare(
        &self,
        target: &Target,
        isolation: Isolation,
    ) -> Result<CircuitReport, ClientError> {
        self.inner.prepare(target, isolation).await
    }

    /// The open circuits.
    pub fn circuits(&self) -> Vec<CircuitReport> {
        self.inner.circuits.report()
    }

    /// Closes all circuits of one isolation; the next stream gets a new one.
    pub fn close_circuits(&self, isolation: Isolation) {
        self.inner.circuits.close(isolation);
    }

    /// What relays were paid since the start, with vouchers and through channels. What is locked
    /// in channels is not spent.
    pub fn spent(&self) -> Msat {
        self.inner.payer.spent()
    }

    /// The payment channels that are not finished; none if the client uses none.
    pub fn channels(&self) -> Vec<ChannelReport> {
        let channels = self.inner.payer.channels();
        channels.map_or(Vec::new(), |channels| channels.report())
    }

    /// What was seen of relays, and the guards, as of now.
    pub fn history(&self) -> History {
        History::clone(&self.inner.memory.history())
    }

    /// Says that something else than this client's relays has answered just now, such as a source
    /// of descriptors. A relay that cannot be reached is then not missed because this machine is cut
    /// off, and the client looks for another one.
    pub fn note_network_is_up(&self) {
        self.inner.memory.network_is_up();
    }

    /// Asks the mints at once for what is left of channels that are closed or have expired; what
    /// came back. A client asks by itself as well, less often. After [`Self::shutdown`] nothing
    /// does: the next start, or a [`ChannelFile`], takes it up.
    pub async fn reclaim(&self) -> Msat {
        match self.inner.payer.channels() {
            Some(channels) if !self.inner.shutdown.is_cancelled() => channels.reclaim(true).await,
            _ => Msat::ZERO,
        }
    }

    /// The purse that pays.
    pub fn purse(&self) -> &Purse {
        self.inner.payer.purse()
    }

    /// Uses another directory for circuits to come.
    pub fn set_directory(&self, directory: impl Into<Arc<Directory>>) {
        *self
            .inner
            .directory
            .write()
            .unwrap_or_else(PoisonError::into_inner) = directory.into();
    }

    /// Closes all circuits and links, after telling everybody.
    pub async fn shutdown(&self) {
        self.inner.shutdown.cancel();
        self.inner.circuits.close_all();
        // Their last words, and what is left on their accounts.
        self.inner.controls.close();
        let _some_are_deaf = tokio::time::timeout(FAREWELL, self.inner.controls.wait()).await;
        self.inner.endpoint.close(CloseReason::Shutdown).await;
        self.inner.memory.save().await;
        if let Some(channels) = self.inner.payer.channels() {
            channels.shut().await;
        }
    }
}

impl Connect for Client {
    type Stream = Stream;

    async fn connect(
        &self,
        target: Target,
        isolation: Isolation,
    ) -> Result<Self::Stream, ConnectError> {
        self.connect_isolated(&target, isolation)
            .await
            .map_err(|error| {
                tracing::info!(%error, "a stream was not opened");
                ConnectError::from(&error)
            })
    }
}

impl Inner {
    fn directory(&self) -> Arc<Directory> {
        let directory = self.directory.read();
        Arc::clone(&directory.unwrap_or_else(PoisonError::into_inner))
    }

    fn next_number(&self) -> CircuitNumber {
        CircuitNumber(self.next_number.fetch_add(1, Ordering::Relaxed))
    }
}
