//! A relay: links, circuits, payments and the exit, on one runtime.
//!
//! ```text
//! link ── accept ── control lane ── circuit   messages, payments, the next hop, the end
//!               └── data lane ───── pump      records onward and back, each way by itself
//!                                 └ exit      streams that end here
//! circuit ── cashier ── ledger                vouchers: judge, hold, serve, write down, acknowledge
//!         │          └─ channels              the same for updates of payment channels
//!         └─ accounts                         which circuit uses which account
//! link ── accept ── packet lane ── packets    one-shot packets, on a thread of their own
//! ```
//!
//! The data moves on the runtime that [`Relay::start`] was called on, a `current_thread` one for
//! the least overhead; the ledger writes on a thread of its own.

mod accept;
mod accounts;
mod cashier;
mod cell;
pub(crate) mod channels;
mod circuit;
mod exit;
mod extend;
mod limits;
mod packets;
mod pump;
mod stalls;
mod stats;

pub use channels::{ChannelPolicy, Channels};
pub use extend::ExtendPolicy;
pub use limits::RelayLimits;
pub use packets::{
    MempoolService, PacketKeysError, PacketLimits, PacketSetup, PacketStats, PacketsError,
};
pub use stats::RelayStats;

pub(crate) use circuit::open_control_lane;

use crate::clock::Clock;
use crate::link::{BindError, CloseReason, LinkEndpoint, LinkLimits, LinkPool, LinkSecret};
use crate::store::{Ledger, LedgerError, Totals};
use accounts::Accounts;
use cashier::Cashier;
use coinfuse_circuit::{CircuitNumber, OnionSecret, Price, Quote};
use coinfuse_delivery::Exit;
use coinfuse_directory::{Directory, Identity, MintOffer, PacketOffer};
use coinfuse_voucher::Verifier;
use coinfuse_wire::{RelayId, UnixTime, Writer};
use core::time::Duration;
use packets::{Packets, Surroundings};
use stalls::Stalls;
use stats::Stats;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use thiserror::Error;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// All that a relay needs.
pub struct RelaySetup {
    /// The seed of the Ed25519 identity, which signs quotes.
    pub identity_seed: [u8; 32],
    /// The key of the link certificate.
    pub link_secret: LinkSecret,
    /// The key that sessions are made with.
    pub onion: OnionSecret,
    /// Where to listen, UDP.
    pub listen: SocketAddr,
    /// The price.
    pub price: Price,
    /// Judges vouchers; shared, so that keysets can be added while the relay runs.
    pub verifier: Arc<RwLock<Verifier>>,
    /// The mints that are accepted, as in the descriptor.
    pub mints: Vec<MintOffer>,
    /// Takes payment channels; on the ledger that has the accounts and the spent vouchers as well.
    pub channels: Channels,
    /// Opens connections for streams, if this relay is an exit.
    pub exit: Option<Exit>,
    /// Where circuits are extended to.
    pub extend: ExtendPolicy,
    /// What it needs to take one-shot packets, if it does.
    pub packets: Option<PacketSetup>,
    /// Limits of the circuits.
    pub limits: RelayLimits,
    /// Limits of the links.
    pub link_limits: LinkLimits,
}

/// Why a relay does not start; for the operator to act on.
#[derive(Debug, Error)]
pub enum RelayError {
    /// The address cannot be used.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system does not say which port was given.
    #[error("the socket has no address: {0}")]
    Address(std::io::Error),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Packets cannot be taken.
    #[error(transparent)]
    Packets(#[from] PacketsError),
}

/// A running relay. Dropping it stops it at once; [`Relay::shutdown`] is kinder.
pub struct Relay {
    shared: Arc<Shared>,
    endpoint: LinkEndpoint,
    address: SocketAddr,
    packets: Option<Packets>,
}

struct Shared {
    id: RelayId,
    identity_seed: zeroize::Zeroizing<[u8; 32]>,
    onion: OnionSecret,
    price: Price,
    mints: Vec<u8>,
    quote: Mutex<Option<Quote>>,
    cashier: Cashier,
    accounts: Accounts,
    channels: Channels,
    ledger: Ledger,
    exit: Option<Exit>,
    extend_policy: ExtendPolicy,
    links: LinkPool,
    packets: Option<Arc<packets::Hub>>,
    limits: RelayLimits,
    stalls: Stalls,
    stats: Stats,
    next_number: AtomicU32,
    clock: Clock,
    shutdown: CancellationToken,
}

impl Relay {
    /// Starts a relay on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// [`RelayError`]: what is in the way, and who can move it.
    pub fn start(setup: RelaySetup) -> Result<Self, RelayError> {
        let endpoint =
            LinkEndpoint::bind(setup.listen, Some(&setup.link_secret), setup.link_limits)?;
        let address = endpoint.local_address().map_err(RelayError::Address)?;
        let limits = setup.limits;
        let window = endpoint.limits().stream_receive_window.get().max(1);
        let max_stalls = (limits.max_stalled_bytes.get() / window).max(1);
        let ledger = setup.channels.ledger().clone();
        let links = LinkPool::new(endpoint.clone());
        let (clock, shutdown) = (Clock::start(), CancellationToken::new());
        let around = Surroundings {
            identity: Identity::from_seed(setup.identity_seed),
            verifier: Arc::clone(&setup.verifier),
            ledger: ledger.clone(),
            links: links.clone(),
            policy: setup.extend,
            clock,
            stop: shutdown.clone(),
        };
        let packets = setup
            .packets
            .map(|packets| Packets::start(packets, around))
            .transpose()?;
        let shared = Arc::new(Shared {
            id: Identity::from_seed(setup.identity_seed).relay_id(),
            identity_seed: zeroize::Zeroizing::new(setup.identity_seed),
            onion: setup.onion,
            price: setup.price,
            mints: encode_mints(&setup.mints),
            quote: Mutex::new(None),
            cashier: Cashier::new(
                setup.verifier,
                ledger.clone(),
                setup.channels.clone(),
                limits.serve_ahead,
                setup
                    .mints
                    .iter()
                    .filter_map(crate::mints::mint_id)
                    .collect(),
            ),
            accounts: Accounts::new(ledger.clone()),
            channels: setup.channels,
            ledger,
            exit: setup.exit,
            extend_policy: setup.extend,
            links,
            packets: packets.as_ref().map(|packets| Arc::clone(&packets.hub)),
            stalls: Stalls::new(usize::try_from(max_stalls).unwrap_or(usize::MAX)),
            limits,
            stats: Stats::default(),
            next_number: AtomicU32::new(0),
            clock,
            shutdown,
        });
        tokio::spawn(accept_links(Arc::clone(&shared), endpoint.clone()));
        tokio::spawn(record_use(Arc::clone(&shared)));
        Ok(Self {
            shared,
            endpoint,
            address,
            packets,
        })
    }

    /// The relay's identity.
    pub fn id(&self) -> RelayId {
        self.shared.id
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has done so far.
    pub fn stats(&self) -> RelayStats {
        let packets = self.shared.packets.as_ref();
        RelayStats {
            packets: packets.map(|hub| hub.stats()).unwrap_or_default(),
            ..self.shared.stats.read(self.endpoint.open_links())
        }
    }

    /// What it allows.
    pub fn limits(&self) -> &RelayLimits {
        &self.shared.limits
    }

    /// Lets the relay pass packets on to these relays, and to no others, from now on. It knows none
    /// before.
    pub fn set_directory(&self, directory: impl Into<Arc<Directory>>) {
        let directory = directory.into();
        if let Some(hub) = &self.shared.packets {
            hub.set_directory(directory);
        }
    }

    /// [`Self::set_directory`], for somebody who does not keep the relay.
    pub(crate) fn directory_setter(&self) -> impl Fn(Arc<Directory>) + Send + use<> {
        let hub = self.shared.packets.as_ref().map(Arc::downgrade);
        move |directory| {
            if let Some(hub) = hub.as_ref().and_then(Weak::upgrade) {
                hub.set_directory(directory);
            }
        }
    }

    /// On which terms packets are taken, for the descriptor; `None` if they are not. The key changes
    /// with time, and is on disk when it is told.
    pub fn packet_offer(&self) -> Option<PacketOffer> {
        self.shared.packets.as_ref().map(|hub| hub.offer())
    }

    /// Takes payment channels; the treasury settles them.
    pub fn channels(&self) -> &Channels {
        &self.shared.channels
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// Writes down what all circuits have used so far, and says what the relay has taken in and
    /// earned since its ledger began.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]: the disk fails.
    pub async fn settle(&self) -> Result<Totals, LedgerError> {
        self.shared.accounts.record_all();
        self.shared.ledger.flush().await?;
        self.shared.ledger.totals()
    }

    /// Closes all circuits and links, after telling everybody, and writes down what was used.
    pub async fn shutdown(&self) {
        self.shared.shutdown.cancel();
        // Circuits take their leave on their own; this gives them the time.
        let deadline = tokio::time::sleep(Duration::from_secs(3));
        tokio::pin!(deadline);
        while self.shared.stats.read(0).open_circuits > 0 {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
                () = &mut deadline => break,
            }
        }
        self.shared.accounts.record_all();
        if let Err(error) = self.shared.ledger.flush().await {
            tracing::error!(%error, "the last use could not be written down");
        }
        self.endpoint.close(CloseReason::Shutdown).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.shutdown.cancel();
        // Waits for the thread of the packets, which has the ledger too.
        self.packets = None;
    }
}

impl Shared {
    /// Whether one more circuit is allowed.
    fn admit(&self) -> bool {
        let open = self.stats.read(0).open_circuits;
        open < self.limits.max_circuits as u64 && !self.shutdown.is_cancelled()
    }

    fn next_number(&self) -> CircuitNumber {
        CircuitNumber(self.next_number.fetch_add(1, Ordering::Relaxed))
    }

    /// The price, signed. Everybody gets the same bytes until half of its lifetime is over.
    fn quote(&self, unix: UnixTime) -> Quote {
        let lifetime = self.limits.quote_lifetime;
        let mut quote = self.quote.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = quote
            .take()
            .filter(|quote| quote.expires > unix.saturating_add(lifetime / 2));
        quote
            .insert(fresh.unwrap_or_else(|| {
                Quote::sign(
                    self.price,
                    unix.saturating_add(lifetime),
                    &self.identity_seed,
                )
            }))
            .clone()
    }
}

async fn accept_links(relay: Arc<Shared>, endpoint: LinkEndpoint) {
    let shutdown = relay.shutdown.clone();
    endpoint
        .serve(shutdown, |link| {
            tokio::spawn(accept::serve_link(Arc::clone(&relay), link));
        })
        .await;
}

/// Notes each second what circuits have used, which is what a crash can cost the relay.
async fn record_use(relay: Arc<Shared>) {
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => relay.accounts.record_all(),
            () = relay.shutdown.cancelled() => return,
        }
    }
}

fn encode_mints(mints: &[MintOffer]) -> Vec<u8> {
    let mut out = Writer::new();
    mints.iter().for_each(|mint| out.value(mint));
    out.into_bytes()
}
