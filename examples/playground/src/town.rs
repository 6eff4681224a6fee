//! Everything that the network needs, on loopback and in a temporary folder.

use crate::role::Role;
use anyhow::{Context, Result, bail};
use coinfuse::client::{ChannelConfig, Client, ClientConfig};
use coinfuse::config::{self, AcceptedMint, MempoolConfig, RelayConfig};
use coinfuse::discovery::{Discovery, DiscoveryConfig, PeerAddress};
use coinfuse::keys::MasterSeed;
use coinfuse::node::{RelayNode, open_treasury, own_mint};
use coinfuse::treasury::Treasury;
use coinfuse_directory::{Directory, MintUnit};
use coinfuse_mint::{Backend, EmbeddedMint, LoopbackLightning, MintConfig, Unit};
use coinfuse_testkit::WebServer;
use coinfuse_voucher::{MintId, Purse, PurseConfig};
use coinfuse_wire::Msat;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// Any free port on loopback.
const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
/// How long the relays may take to find each other.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// What the client's person has in a Lightning wallet.
const LIGHTNING_FUNDS: Msat = Msat::from_sat(10_000_000);
/// What the client buys ecash for at the start.
const FUNDING: Msat = Msat::from_sat(1_000_000);
/// What the mints take for an input of a swap, in thousandths of a msat: enough to show in the account.
const INPUT_FEE: u64 = 100;
/// The fewest relays: three to use and one to choose from.
const MIN_RELAYS: usize = 4;
/// The fewest beside those with a mempool: three to use on the way there and back, and two to choose
/// from.
const MIN_FOR_PACKETS: usize = 5;
/// The relay that issues its own coins.
const ISSUER: usize = 1;

/// What the network is to be like.
pub(crate) struct Plan {
    hops: usize,
    /// Channels are funded up to so long after their circuit stands.
    jitter: Duration,
    relays: usize,
    /// A relay more for each, which hands transactions over in this way.
    mempools: Vec<MempoolConfig>,
}

impl Plan {
    /// For circuits of so many hops.
    pub(crate) fn circuits(hops: usize, jitter: Duration) -> Self {
        Self {
            hops,
            jitter,
            relays: hops.max(MIN_RELAYS),
            mempools: Vec::new(),
        }
    }

    /// For packets.
    pub(crate) fn packets(mempools: Vec<MempoolConfig>) -> Self {
        Self {
            hops: 3,
            jitter: Duration::ZERO,
            relays: MIN_FOR_PACKETS,
            mempools,
        }
    }
}

/// The running network. Dropping it stops everything.
pub(crate) struct Town {
    /// The client, on the current runtime.
    pub(crate) client: Client,
    /// The relays, the exit first.
    pub(crate) relays: Vec<Relay>,
    /// What the client reaches.
    pub(crate) web: WebServer,
    /// All relays, as the client found them.
    pub(crate) directory: Directory,
    /// The relay that all others, and clients, are told of.
    pub(crate) bootstrap: Vec<PeerAddress>,
    /// Where people pay invoices.
    pub(crate) lightning: LoopbackLightning,
    /// The mints as clients know them, that of the town first.
    pub(crate) mint_ids: Vec<MintId>,
    /// What the client paid by Lightning.
    pub(crate) funded: Msat,
    /// The mints, that of the town first.
    pub(crate) mints: Vec<Arc<EmbeddedMint>>,
    discovery: Discovery,
    _roles: Vec<Role>,
    pub(crate) folder: TempDir,
}

/// A relay of the town.
pub(crate) struct Relay {
    /// What it is called here.
    pub(crate) name: String,
    /// The node.
    pub(crate) node: Arc<RelayNode>,
    /// Its money.
    pub(crate) treasury: Treasury,
}

impl Town {
    /// Starts everything, the client on the current runtime.
    pub(crate) async fn start(plan: Plan) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let lightning = LoopbackLightning::new();
        let mut roles = Vec::new();

        let (role, mint) =
            start_mint(folder.path().join("mint.sqlite"), lightning.clone(), 1).await?;
        let mint_url = mint.url().to_owned();
        roles.push(role);
        let mut running_mints = vec![mint];
        let web = WebServer::start()?;

        let mut bootstrap = Vec::new();
        let mut relays: Vec<Relay> = Vec::new();
        let mut mints = vec![MintId::new(&mint_url, coinfuse_voucher::Unit::Msat)?];
        for index in 0..plan.relays + plan.mempools.len() {
            let dir = folder.path().join(format!("relay-{index}"));
            let exit_to = (index == 0).then_some(web.addr());
            let mut config = relay_config(&dir, &mint_url, exit_to, index)?;
            config.bootstrap = bootstrap.clone();
            let mempool = index.checked_sub(plan.relays);
            config.mempool = mempool.and_then(|place| plan.mempools.get(place).cloned());
            let name = name(index, config.mempool.is_some());
            let mut own = None;
            if index == ISSUER {
                let (role, mint) =
                    start_mint(dir.join("mint.sqlite"), lightning.clone(), 2).await?;
                mints.push(MintId::new(mint.url(), coinfuse_voucher::Unit::Msat)?);
                roles.push(role);
                running_mints.push(Arc::clone(&mint));
                own = Some(mint);
            }
            let (role, (node, treasury)) =
                Role::spawn(format!("relay-{index}"), move || async move {
                    start_relay(config, own, index).await
                })
                .await?;
            if bootstrap.is_empty() {
                let first = node.discovery().context("discovery is on")?;
                bootstrap = first.addresses().to_vec();
            }
            relays.push(Relay {
                name,
                node,
                treasury,
            });
            roles.push(role);
        }

        let discovery = discover(&bootstrap, &relays).await?;
        let directory = Directory::clone(&discovery.directory().borrow());
        let purse = open_funded(folder.path().join("client"), mints.clone(), &lightning).await?;
        let mut config = ClientConfig::default();
        config.hops = plan.hops;
        let mut channels = ChannelConfig::new(folder.path().join("channels.redb"));
        channels.jitter = plan.jitter;
        config.channels = Some(channels);
        let client = Client::start(config, directory.clone(), purse, &[7; 32]).await?;
        Ok(Self {
            client,
            relays,
            web,
            directory,
            bootstrap,
            discovery,
            lightning,
            mint_ids: mints,
            mints: running_mints,
            funded: FUNDING,
            _roles: roles,
            folder,
        })
    }

    /// Takes leave of everybody.
    pub(crate) async fn stop(self) {
        self.client.shutdown().await;
        self.discovery.shutdown().await;
        for relay in self.relays {
            relay.node.shutdown().await;
            relay.treasury.shutdown().await;
        }
        for mint in self.mints.into_iter().filter_map(Arc::into_inner) {
            mint.shutdown().await;
        }
    }
}

/// Finds all relays as a client does that is told of one, and waits until they know each other.
async fn discover(bootstrap: &[PeerAddress], relays: &[Relay]) -> Result<Discovery> {
    let mut settings = DiscoveryConfig::client([9; 32]);
    settings.bootstrap = bootstrap.to_vec();
    settings.private_addresses = true;
    let discovery = Discovery::start(settings).await?;
    let theirs = relays.iter().filter_map(|relay| relay.node.relays());
    for mut known in theirs.chain([discovery.directory()]) {
        let all = known.wait_for(|known| known.len() == relays.len());
        timeout(PATIENCE, all)
            .await
            .context("the relays do not find each other")??;
    }
    Ok(discovery)
}

fn name(index: usize, mempool: bool) -> String {
    match index {
        0 => "exit".into(),
        index if mempool => format!("mempool {index}"),
        index => format!("relay {index}"),
    }
}

pub(crate) async fn start_mint(
    database: std::path::PathBuf,
    lightning: LoopbackLightning,
    seed: u8,
) -> Result<(Role, Arc<EmbeddedMint>)> {
    if let Some(folder) = database.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Role::spawn(format!("mint-{seed}"), move || async move {
        let listener = TcpListener::bind(SocketAddr::from(LOOPBACK)).await?;
        let config = MintConfig::new(database, [seed; 32], Unit::Msat).input_fee_ppk(INPUT_FEE);
        let mint = EmbeddedMint::start(config, Backend::Loopback(lightning), listener).await?;
        Ok(Arc::new(mint))
    })
    .await
}

fn relay_config(
    dir: &Path,
    mint_url: &str,
    exit_to: Option<SocketAddr>,
    index: usize,
) -> Result<RelayConfig> {
    let mut config = RelayConfig {
        data_dir: dir.to_owned(),
        listen: LOOPBACK.into(),
        allow_private_neighbours: true,
        ..RelayConfig::default()
    };
    config.price.up = 80 + 10 * index as u32;
    config.price.down = 100 + 10 * index as u32;
    // Enough that redeeming a single voucher is worth the mint's fee.
    config.packets.small_msat = 4 << (index % 3);
    config.packets.service_msat = 3 * config.packets.small_msat;
    if index != ISSUER {
        config.accept.push(AcceptedMint {
            url: mint_url.parse()?,
            unit: MintUnit::Msat,
        });
    }
    if let Some(target) = exit_to {
        config.exit.policy = format!("accept {}:*", target.ip()).parse()?;
    }
    Ok(config)
}

async fn start_relay(
    mut config: RelayConfig,
    own: Option<Arc<EmbeddedMint>>,
    index: usize,
) -> Result<(Arc<RelayNode>, Treasury)> {
    let seed = MasterSeed::new([100 + index as u8; 32]);
    let own = match own {
        Some(mint) => {
            config.mint = Some(config::MintConfig {
                listen: mint.local_addr(),
                url: mint.url().parse()?,
                unit: MintUnit::Msat,
                lightning: config::Lightning::Loopback,
            });
            Some(own_mint(&mint).await?)
        }
        None => None,
    };
    let node = RelayNode::start(&config, &seed, own).await?;
    let treasury = open_treasury(&config, &seed, &node).await?;
    Ok((Arc::new(node), treasury))
}

/// A purse with money in it.
pub(crate) async fn open_funded(
    dir: std::path::PathBuf,
    mints: Vec<MintId>,
    lightning: &LoopbackLightning,
) -> Result<Purse> {
    let mut config = PurseConfig::new(dir, mints.clone(), [8; 32]);
    config.rate_limit = false;
    let purse = Purse::open(&config).await?;
    fund(&purse, &mints, lightning).await?;
    Ok(purse)
}

/// Buys coins of the first mint by an invoice.
pub(crate) async fn fund(
    purse: &Purse,
    mints: &[MintId],
    lightning: &LoopbackLightning,
) -> Result<()> {
    let Some(mint) = mints.first() else {
        bail!("no mint")
    };
    let invoice = purse.fund(mint, FUNDING).await?;
    lightning
        .wallet(LIGHTNING_FUNDS)
        .await?
        .pay(&invoice.bolt11)
        .await?;
    purse
        .await_funding(&invoice, Duration::from_secs(30))
        .await?;
    Ok(())
}
