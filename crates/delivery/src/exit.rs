//! Exits: connections to the Internet, within a policy.

use crate::dial::{Dial, SystemDialer, interleave, race};
use crate::limit::{Slots, StreamSlot};
use crate::resolve::{Resolve, ResolveError};
use crate::{Delivery, ExitFailure, ExitStream, Host, HostName, Target};
use coinfuse_directory::ExitPolicy;
use coinfuse_wire::ServiceCode;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::sync::Arc;
use tokio::time::{Instant, timeout, timeout_at};

/// What an exit may do, and how much of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExitConfig {
    /// Which connections are opened. Judged on every resolved address, and behind the guard of
    /// [`AddressClass`](coinfuse_directory::AddressClass).
    pub policy: ExitPolicy,
    /// Addresses of this machine that are never connected to, whatever the policy says: they are
    /// global, and still what listens there may trust its neighbour. Empty by default.
    pub own_addresses: Vec<IpAddr>,
    /// How long a lookup may take, with the wait for a free place; 5 s by default.
    pub resolve_timeout: Duration,
    /// How long connecting may take, over all addresses; 10 s by default.
    pub connect_timeout: Duration,
    /// How long an attempt has until the next address is tried beside it; 250 ms by default
    /// (RFC 8305, section 8).
    pub attempt_delay: Duration,
    /// How many addresses of a name are tried; 6 by default. At worst a stream costs as many
    /// sockets while it is being opened.
    pub max_addresses: usize,
    /// How many streams a circuit has open or opening; 256 by default. One more is answered with
    /// [`ExitFailure::CircuitLimit`].
    pub max_circuit_streams: usize,
    /// How many streams all circuits have together; 8192 by default, and to be kept below the
    /// number of files that the process may open. One more is answered with
    /// [`ExitFailure::RelayLimit`].
    pub max_streams: usize,
    /// How many lookups a circuit has under way; 16 by default. More wait.
    pub max_circuit_lookups: usize,
    /// How many lookups all circuits have under way; 128 by default. More wait. With
    /// [`SystemResolver`](crate::SystemResolver) each costs a thread.
    pub max_lookups: usize,
}

impl ExitConfig {
    /// The defaults, with a policy.
    pub fn new(policy: ExitPolicy) -> Self {
        Self {
            policy,
            own_addresses: Vec::new(),
            resolve_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            attempt_delay: Duration::from_millis(250),
            max_addresses: 6,
            max_circuit_streams: 256,
            max_streams: 8192,
            max_circuit_lookups: 16,
            max_lookups: 128,
        }
    }
}

/// An exit, shared by all circuits of a relay. Cheap to clone.
#[derive(Clone)]
pub struct Exit {
    shared: Arc<Shared>,
}

struct Shared {
    config: ExitConfig,
    resolver: Arc<dyn Resolve>,
    dialer: Arc<dyn Dial>,
    streams: Slots,
    lookups: Slots,
}

impl Exit {
    /// An exit that connects with the operating system's sockets.
    pub fn new(config: ExitConfig, resolver: impl Resolve) -> Self {
        Self::with_dialer(config, resolver, SystemDialer)
    }

    /// An exit that connects by other means.
    pub fn with_dialer(config: ExitConfig, resolver: impl Resolve, dialer: impl Dial) -> Self {
        let shared = Shared {
            streams: Slots::new(config.max_streams),
            lookups: Slots::new(config.max_lookups),
            resolver: Arc::new(resolver),
            dialer: Arc::new(dialer),
            config,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The exit as one circuit sees it, with that circuit's limits: make one for each circuit.
    pub fn circuit(&self) -> ExitCircuit {
        let config = &self.shared.config;
        ExitCircuit {
            streams: Slots::new(config.max_circuit_streams),
            lookups: Slots::new(config.max_circuit_lookups),
            shared: Arc::clone(&self.shared),
        }
    }

    /// How many streams are open or opening.
    pub fn open_streams(&self) -> usize {
        self.shared.streams.taken()
    }
}

impl fmt::Debug for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exit")
            .field("open_streams", &self.open_streams())
            .finish_non_exhaustive()
    }
}

/// An [`Exit`] as one circuit sees it. Cheap to clone; clones share the circuit's limits.
#[derive(Clone)]
pub struct ExitCircuit {
    shared: Arc<Shared>,
    streams: Slots,
    lookups: Slots,
}

impl ExitCircuit {
    /// Opens a stream to `target`: resolves its name here, judges *every* address that comes back,
    /// and connects to a judged address, never to the name.
    ///
    /// Dropping the future gives up the attempt.
    pub async fn connect(&self, target: &Target) -> Result<ExitStream, ExitFailure> {
        let slot = StreamSlot::take(&self.streams, &self.shared.streams)?;
        let addresses = match target.host() {
            Host::Ip(ip) => self.shared.judged([*ip], target.port())?,
            Host::Name(name) => self.addresses_of(name, target.port()).await?,
        };
        let config = &self.shared.config;
        let race = race(&self.shared.dialer, addresses, config.attempt_delay);
        let tcp = timeout(config.connect_timeout, race)
            .await
            .map_err(|_| ExitFailure::ConnectTimeout)??;
        Ok(ExitStream::new(tcp, slot))
    }

    async fn addresses_of(
        &self,
        name: &HostName,
        port: u16,
    ) -> Result<Vec<SocketAddr>, ExitFailure> {
        if is_not_in_the_dns(name) {
            return Err(ExitFailure::NoSuchName);
        }
        if !self.shared.config.policy.may_allow_port(port) {
            return Err(ExitFailure::PolicyRefused);
        }
        match self.look_up(name).await? {
            none if none.is_empty() => Err(ExitFailure::NoSuchName),
            found => self.shared.judged(found, port),
        }
    }

    async fn look_up(&self, name: &HostName) -> Result<Vec<IpAddr>, ExitFailure> {
        let deadline = Instant::now() + self.shared.config.resolve_timeout;
        let circuit_slot = timeout_at(deadline, self.lookups.wait())
            .await
            .map_err(|_| ExitFailure::CircuitLimit)?;
        let relay_slot = timeout_at(deadline, self.shared.lookups.wait())
            .await
            .map_err(|_| ExitFailure::RelayLimit)?;
        let lookup = self.shared.resolver.resolve(name);
        // On a task of its own, so that the places stay taken until it has really ended.
        let task = tokio::spawn(async move {
            let _places = (circuit_slot, relay_slot);
            lookup.await
        });
        match timeout_at(deadline, task).await {
            Err(_) => Err(ExitFailure::ResolveTimeout),
            Ok(Ok(Ok(addresses))) => Ok(addresses),
            Ok(Ok(Err(ResolveError::NotFound))) => Err(ExitFailure::NoSuchName),
            Ok(Ok(Err(ResolveError::Unavailable))) => Err(ExitFailure::ResolverFailed),
            // A resolver that panicked.
            Ok(Err(_)) => Err(ExitFailure::ResolverFailed),
        }
    }
}

impl Shared {
    /// The addresses that may be connected to, in the order to try them; never none.
    fn judged(
        &self,
        addresses: impl IntoIterator<Item = IpAddr>,
        port: u16,
    ) -> Result<Vec<SocketAddr>, ExitFailure> {
        let allowed = |ip: &IpAddr| {
            !self.config.own_addresses.contains(ip) && self.config.policy.allows(*ip, port)
        };
        let order = interleave(addresses.into_iter().filter(allowed).take(MAX_ANSWERS));
        if order.is_empty() {
            return Err(ExitFailure::PolicyRefused);
        }
        let tried = order.into_iter().take(self.config.max_addresses.max(1));
        Ok(tried.map(|ip| SocketAddr::new(ip, port)).collect())
    }
}

/// Of a name's allowed addresses, those beyond this many are not even looked at: somebody else wrote
/// the list.
const MAX_ANSWERS: usize = 64;

/// Names of hidden services must not be shown to a resolver (RFC 7686 for Tor's; ours alike).
fn is_not_in_the_dns(name: &HostName) -> bool {
    matches!(name.top_level(), "onion" | "coinfuse")
}

impl fmt::Debug for ExitCircuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.streams.taken();
        f.debug_struct("ExitCircuit")
            .field("open_streams", &open)
            .finish_non_exhaustive()
    }
}

impl Delivery for ExitCircuit {
    type Stream = ExitStream;

    fn service(&self) -> ServiceCode {
        ServiceCode::EXIT
    }

    async fn open(&self, target: &Target) -> Result<ExitStream, ExitFailure> {
        self.connect(target).await
    }
}
