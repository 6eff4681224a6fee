//! A relay from its configuration and its seed.

use super::known::KnownRelays;
use super::network::{self, DiscoveryError};
use super::portrait::{Portrait, announce};
use super::work::work;
use crate::clock::Clock;
use crate::config::{MempoolConfig, RelayConfig};
use crate::keys::{MasterSeed, Purpose};
use crate::mints::mint_id;
use crate::relay::{
    Channels, ExtendPolicy, MempoolService, PacketKeysError, PacketSetup, Relay, RelayError,
    RelayLimits, RelaySetup,
};
use crate::store::{Ledger, LedgerConfig, LedgerError};
use coinfuse_circuit::OnionSecret;
use coinfuse_delivery::{Exit, ExitConfig, SystemResolver};
use coinfuse_directory::{
    BuildError, Descriptor, DescriptorBody, Directory, Identity, MintOffer, OnionKey,
    OperatorTagError, RelayKeys, VoucherKey as PublishedVoucherKey, WorkNonce,
};
use coinfuse_discovery::Discovery;
use coinfuse_voucher::{Keyring, MintId, NotAKey, Policy, Verifier, VoucherKey};
use coinfuse_wire::RelayId;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The mint inside a relay, as the relay itself sees it.
pub struct OwnMint {
    /// How the descriptor names it; `issuer` is true.
    pub offer: MintOffer,
    /// Its keysets, with the secret keys.
    pub keyring: Keyring,
    /// Its keysets as they are published, for channels.
    pub keysets: Vec<cashu::KeySet>,
}

/// Why a relay does not start; for the operator to act on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The folder for the data cannot be made.
    #[error("the data folder {} cannot be made: {source}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The relay does not start.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The seed gives no voucher key, which happens once in 2^128: take another seed.
    #[error("the seed gives no voucher key; make a new one")]
    VoucherKey(#[from] NotAKey),
    /// The operator's tag is not one.
    #[error("operator: {0}")]
    Operator(#[from] OperatorTagError),
    /// The relay listens on all addresses, and `advertise` names none: clients would not find it.
    #[error("the relay listens on a wildcard address: name its public addresses under `advertise`")]
    NoAddress,
    /// The relay cannot take part in discovery.
    #[error("[discovery]: {0}")]
    Discovery(#[from] DiscoveryError),
    /// There are no keys for packets.
    #[error(transparent)]
    PacketKeys(#[from] PacketKeysError),
    /// The descriptor cannot be made.
    #[error(transparent)]
    Descriptor(#[from] BuildError),
}

/// A running relay, and what is published about it.
pub struct RelayNode {
    portrait: Arc<Portrait>,
    verifier: Arc<RwLock<Verifier>>,
    discovery: Option<Discovery>,
    relays: Option<watch::Receiver<Arc<Directory>>>,
    /// Ends what goes on beside the relay.
    _tasks: DropGuard,
}

impl RelayNode {
    /// Starts a relay on the current tokio runtime, for `current_thread` best, and tells the
    /// discovery network of it, again whenever something changes. The keysets of the accepted mints
    /// are not known yet: see [`Self::verifier`] and [`Self::channels`].
    ///
    /// # Errors
    ///
    /// [`NodeError`]: what is in the way, and who can move it.
    pub async fn start(
        config: &RelayConfig,
        seed: &MasterSeed,
        own_mint: Option<OwnMint>,
    ) -> Result<Self, NodeError> {
        if config.mempool.is_some() && !config.takes_packets() {
            tracing::warn!(
                "no transactions come to [mempool], since packets are not taken: enable them \
                 under [packets], and accept a mint or make them free"
            );
        }
        let ledger = open_ledger(config)?;
        let onion = onion_secret(seed);
        let voucher_key = VoucherKey::from_secret_bytes(*seed.derive(Purpose::Voucher))?;
        let (own_offer, keyring, own_keysets) = match own_mint {
            Some(mint) => (Some(mint.offer), mint.keyring, mint.keysets),
            None => (None, Keyring::new(), Vec::new()),
        };
        let own_id = own_offer.as_ref().and_then(mint_id);
        let (identity, mut body) = body(config, seed, own_offer)?;
        let mints = body.mints.iter().filter_map(mint_id).collect();
        let channels = open_channels(config, seed, mints, ledger)?;
        if let Some(own) = own_id {
            learn(&channels, &own, &own_keysets);
        }
        let verifier = Verifier::new(voucher_key, keyring, Policy::default());
        let verifier = Arc::new(RwLock::new(verifier));
        let relay = Relay::start(RelaySetup {
            identity_seed: *seed.derive(Purpose::Identity),
            link_secret: seed.link_secret(),
            onion,
            listen: config.listen,
            price: config.price(),
            verifier: Arc::clone(&verifier),
            mints: body.mints.clone(),
            channels,
            exit: exit(config),
            extend: match config.allow_private_neighbours {
                true => ExtendPolicy::Anywhere,
                false => ExtendPolicy::Public,
            },
            packets: packets(config),
            limits: RelayLimits::default(),
            link_limits: config.link.limits(),
        })?;
        body.addresses = addresses(config, relay.address())?;
        body.work = search(config, body.relay).await;
        let discovery = match network::of_relay(config, seed) {
            Some(settings) => Some(network::start(settings).await?),
            None => None,
        };
        body.source = discovery.as_ref().and_then(Discovery::offer);
        let portrait = Arc::new(Portrait::new(relay, identity, body));
        let stop = CancellationToken::new();
        if let Some(discovery) = discovery.clone() {
            let announce = announce(Arc::downgrade(&portrait), discovery);
            tokio::spawn(stop.clone().run_until_cancelled_owned(announce));
        }
        // Only packets are passed on to relays that this one has to know.
        let relays = config.takes_packets().then(|| {
            let relays =
                KnownRelays::open_or_wait(&config.directory, Clock::start(), discovery.clone());
            let known = relays.watch();
            let follow = follow(relays, portrait.relay().directory_setter());
            tokio::spawn(stop.clone().run_until_cancelled_owned(follow));
            known
        });
        Ok(Self {
            portrait,
            verifier,
            discovery,
            relays,
            _tasks: stop.drop_guard(),
        })
    }

    /// The relay.
    pub fn relay(&self) -> &Relay {
        self.portrait.relay()
    }

    /// Its node of the discovery network; `None` if it does without.
    pub fn discovery(&self) -> Option<&Discovery> {
        self.discovery.as_ref()
    }

    /// Judges vouchers; the keysets of the accepted mints are added to its keyring when they are
    /// known.
    pub fn verifier(&self) -> &Arc<RwLock<Verifier>> {
        &self.verifier
    }

    /// Takes payment channels; the keysets of the accepted mints are added when they are known.
    pub fn channels(&self) -> &Channels {
        self.relay().channels()
    }

    /// The relays that packets are passed on to, and each new version; `None` if no packets are
    /// taken.
    pub fn relays(&self) -> Option<watch::Receiver<Arc<Directory>>> {
        self.relays.clone()
    }

    /// What is published about the relay now. The key for packets changes with time, so that who
    /// publishes it by other means than discovery does so at least once in its lifetime, a day.
    ///
    /// # Errors
    ///
    /// [`NodeError::Descriptor`] if the configuration does not fit into a descriptor.
    pub fn descriptor(&self) -> Result<Descriptor, NodeError> {
        Ok(self.portrait.descriptor()?)
    }

    /// Closes all circuits and links, after telling everybody, and writes down what was used and
    /// which relays are known.
    pub async fn shutdown(&self) {
        self.relay().shutdown().await;
        if let Some(discovery) = self.discovery.clone() {
            discovery.shutdown().await;
        }
    }
}

/// The name of the relay that this seed makes.
pub fn relay_id(seed: &MasterSeed) -> RelayId {
    Identity::from_seed(*seed.derive(Purpose::Identity)).relay_id()
}

/// What a relay of this configuration and seed says of itself, without its being started: with the
/// key for packets that is on disk, or a new one. `own_offer` is that of the mint inside it.
///
/// # Errors
///
/// [`NodeError`]: what does not fit into a descriptor.
pub fn describe(
    config: &RelayConfig,
    seed: &MasterSeed,
    own_offer: Option<MintOffer>,
) -> Result<Descriptor, NodeError> {
    let (identity, mut body) = body(config, seed, own_offer)?;
    body.addresses = addresses(config, config.listen)?;
    body.source = network::offer(config, seed);
    make_folder(config)?;
    body.work = work(config, &body.relay);
    if let Some(packets) = packets(config) {
        body.packets = Some(packets.offer(body.published)?);
    }
    Ok(body.sign(&identity)?)
}

/// Searches for the work in the relay's name on another thread.
async fn search(config: &RelayConfig, relay: RelayId) -> Option<WorkNonce> {
    let config = config.clone();
    let search = tokio::task::spawn_blocking(move || work(&config, &relay));
    search.await.ok().flatten()
}

/// Everything but the addresses.
fn body(
    config: &RelayConfig,
    seed: &MasterSeed,
    own_offer: Option<MintOffer>,
) -> Result<(Identity, DescriptorBody), NodeError> {
    let identity = Identity::from_seed(*seed.derive(Purpose::Identity));
    let voucher_key = VoucherKey::from_secret_bytes(*seed.derive(Purpose::Voucher))?;
    let keys = RelayKeys {
        link: seed.link_secret().key(),
        onion: OnionKey::new(*onion_secret(seed).public().as_bytes()),
        voucher: PublishedVoucherKey::new(voucher_key.public_key().to_bytes()),
    };
    let mut body = DescriptorBody::new(&identity, keys, Clock::start().unix());
    body.services = config.services().into_iter().collect();
    body.price = config.price();
    body.mints = own_offer.into_iter().chain(offers(config)).collect();
    body.exit_policy = config.exit.policy.clone();
    if !config.operator.is_empty() {
        body.operator = Some(config.operator.parse()?);
    }
    body.family = config.family.iter().copied().collect();
    body.country = config.country;
    body.capacity = config.capacity();
    Ok((identity, body))
}

fn onion_secret(seed: &MasterSeed) -> OnionSecret {
    OnionSecret::new(*seed.derive(Purpose::Onion { epoch: 0 }))
}

pub(super) fn open_ledger(config: &RelayConfig) -> Result<Ledger, NodeError> {
    make_folder(config)?;
    Ok(Ledger::open(
        &config.data_dir.join("ledger.redb"),
        LedgerConfig::default(),
    )?)
}

fn make_folder(config: &RelayConfig) -> Result<(), NodeError> {
    let path = &config.data_dir;
    std::fs::create_dir_all(path).map_err(|source| NodeError::Folder {
        path: path.clone(),
        source,
    })
}

fn packets(config: &RelayConfig) -> Option<PacketSetup> {
    let mempool = |mempool: &MempoolConfig| MempoolService {
        mempool: mempool.mempool().on_trouble(|why| {
            tracing::warn!("a transaction was handed to nobody: {why}; look at [mempool]");
        }),
        mean_delay: mempool.mean_delay(),
    };
    config.takes_packets().then(|| PacketSetup {
        keys: config.data_dir.join("packet-keys"),
        ring: config.packets.ring(),
        price: config.packets.price(),
        max_delay: config.packets.max_delay(),
        limits: config.packets.limits(),
        mempool: config.mempool.as_ref().map(mempool),
    })
}

/// Tells of the relays that are known, and of each new version.
async fn follow(mut relays: KnownRelays, tell: impl Fn(Arc<Directory>)) {
    let mut known = relays.watch();
    tell(Arc::clone(&known.borrow_and_update()));
    let telling = async move {
        while known.changed().await.is_ok() {
            tell(Arc::clone(&known.borrow_and_update()));
        }
    };
    tokio::select! {
        () = telling => {}
        never = relays.follow() => match never {},
    }
}

/// The channels of the relay's voucher key.
pub(super) fn open_channels(
    config: &RelayConfig,
    seed: &MasterSeed,
    mints: Vec<MintId>,
    ledger: Ledger,
) -> Result<Channels, NodeError> {
    let key = *seed.derive(Purpose::Voucher);
    Ok(Channels::new(key, mints, ledger, config.channels.policy())?)
}

fn learn(channels: &Channels, mint: &MintId, keysets: &[cashu::KeySet]) {
    for keyset in keysets {
        if let Err(error) = channels.learn(mint, keyset) {
            tracing::warn!(%mint, %error, "a keyset is not taken for channels");
        }
    }
}

fn offers(config: &RelayConfig) -> impl Iterator<Item = MintOffer> + '_ {
    config.accept.iter().map(|mint| MintOffer {
        url: mint.url.clone(),
        unit: mint.unit,
        issuer: false,
    })
}

fn exit(config: &RelayConfig) -> Option<Exit> {
    let policy = config.exit.policy.clone();
    (!policy.is_empty()).then(|| {
        let mut exit = ExitConfig::new(policy);
        exit.own_addresses = config
            .public_addresses()
            .iter()
            .map(SocketAddr::ip)
            .filter(is_public)
            .collect();
        Exit::new(exit, SystemResolver)
    })
}

/// On a loopback address the relay shares the machine with everything else there.
fn is_public(ip: &std::net::IpAddr) -> bool {
    coinfuse_directory::AddressClass::of(*ip).is_global()
}

/// Those in the configuration; a port of 0 there is the one that the system gave.
fn addresses(config: &RelayConfig, bound: SocketAddr) -> Result<Vec<SocketAddr>, NodeError> {
    let mut addresses = config.public_addresses();
    for address in addresses.iter_mut().filter(|address| address.port() == 0) {
        address.set_port(bound.port());
    }
    if addresses.is_empty() {
        Err(NodeError::NoAddress)
    } else {
        Ok(addresses)
    }
}
