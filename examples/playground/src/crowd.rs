//! How soon somebody new can use a network of many relays: the relays are real but for their books,
//! each knows one other at its start, and the client is told of one of them.

use crate::download::now;
use crate::role::Role;
use crate::town::{PATIENCE, fund, start_mint};
use anyhow::{Context, Result, bail};
use coinfuse::client::Client;
use coinfuse::config::{AcceptedMint, ClientConfig, RelayConfig};
use coinfuse::connect::Isolation;
use coinfuse::discovery::PeerAddress;
use coinfuse::keys::MasterSeed;
use coinfuse::node::{ClientSession, RelayNode, open_purse};
use coinfuse_directory::MintUnit;
use coinfuse_mint::LoopbackLightning;
use coinfuse_voucher::{Keyring, MintId, Unit};
use coinfuse_wire::Msat;
use serde::Serialize;
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Relays on one thread.
const ON_A_THREAD: usize = 10;
/// How soon the client has to have its first circuit.
const GOAL_MS: f64 = 3_000.0;
/// Where circuits are to lead; nobody connects to it.
const TARGET: &str = "127.0.0.1:9";

/// What was measured, in milliseconds from the start of the client.
#[derive(Serialize)]
struct Figures {
    relays: usize,
    /// How long the relays took from the first one's start until each knew all.
    relays_know_each_other_ms: f64,
    knows_95_percent_ms: f64,
    first_paid_circuit_ms: f64,
    paid_msat: u64,
}

/// A relay and those that run on its thread.
struct Crowd {
    nodes: Vec<RelayNode>,
    bootstrap: Vec<PeerAddress>,
    _roles: Vec<Role>,
}

/// Measures, and prints.
pub(crate) async fn run(relays: usize, json: bool) -> Result<()> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let lightning = LoopbackLightning::new();
    let database = folder.path().join("mint.sqlite");
    let (_mint_role, mint) = start_mint(database, lightning.clone(), 1).await?;
    let seed = MasterSeed::new([9; 32]);
    let mut settings = client_config(&folder.path().join("client"), mint.url())?;
    let purse = open_purse(&settings, &seed).await?;
    let mint_id = MintId::new(mint.url(), Unit::Msat)?;
    fund(&purse, &[mint_id], &lightning).await?;
    let keyring = purse.keyring().await;
    drop(purse);

    let begun = now();
    let crowd = Crowd::start(relays, folder.path(), mint.url(), keyring).await?;
    crowd.know_each_other().await?;
    let relays_know_each_other_ms = millis(begun);

    let begun = now();
    settings.bootstrap = crowd.bootstrap.clone();
    let session = ClientSession::open(&settings, &seed).await?;
    let mut known = session.relays();
    let work = async |client: &Client| -> Result<Figures> {
        let most = known.wait_for(|known| known.len() * 100 >= relays * 95);
        drop(
            timeout(PATIENCE, most)
                .await
                .context("relays stay unknown")??,
        );
        let knows_95_percent_ms = millis(begun);
        client.prepare(&TARGET.parse()?, Isolation::NONE).await?;
        Ok(Figures {
            relays,
            relays_know_each_other_ms,
            knows_95_percent_ms,
            first_paid_circuit_ms: millis(begun),
            paid_msat: client.spent().get(),
        })
    };
    let figures = session.run(work).await?;
    crowd.stop().await;
    match json {
        true => println!("{}", serde_json::to_string_pretty(&figures)?),
        false => figures.print(),
    }
    match figures.paid_msat {
        0 => bail!("nothing was paid"),
        _ if figures.first_paid_circuit_ms > GOAL_MS => bail!("that took more than {GOAL_MS} ms"),
        _ => Ok(()),
    }
}

impl Figures {
    fn print(&self) {
        println!(
            "{} relays know each other {:.1} s after the first was started",
            self.relays,
            self.relays_know_each_other_ms / 1e3
        );
        println!(
            "a new client knows 95 % of them after {:.0} ms, and has a circuit of three after {:.0} ms, for which it has paid {}",
            self.knows_95_percent_ms,
            self.first_paid_circuit_ms,
            Msat::new(self.paid_msat)
        );
    }
}

impl Crowd {
    async fn start(count: usize, folder: &Path, mint: &str, keyring: Keyring) -> Result<Self> {
        let mut crowd = Self {
            nodes: Vec::new(),
            bootstrap: Vec::new(),
            _roles: Vec::new(),
        };
        while crowd.nodes.len() < count {
            let first = crowd.nodes.len();
            // The first one alone: the others are told of it.
            let last = match first {
                0 => 1,
                _ => count.min(first + ON_A_THREAD),
            };
            let configs = (first..last).map(|index| {
                let dir = folder.join(format!("relay-{index}"));
                Ok((index, config(&dir, mint, &crowd.bootstrap)?))
            });
            let configs = configs.collect::<Result<Vec<_>>>()?;
            let keyring = keyring.clone();
            let name = format!("relays-{first}");
            let (role, nodes) = Role::spawn(name, move || start_relays(configs, keyring)).await?;
            crowd.nodes.extend(nodes);
            crowd._roles.push(role);
            if let Some(discovery) = crowd.nodes[0].discovery() {
                crowd.bootstrap = discovery.addresses().to_vec();
            }
        }
        Ok(crowd)
    }

    /// Nobody writes into their folder from here on.
    async fn stop(&self) {
        for discovery in self.nodes.iter().filter_map(RelayNode::discovery) {
            discovery.clone().shutdown().await;
        }
    }

    async fn know_each_other(&self) -> Result<()> {
        let all = self.nodes.len();
        for discovery in self.nodes.iter().filter_map(RelayNode::discovery) {
            let mut known = discovery.directory();
            let known = timeout(2 * PATIENCE, known.wait_for(|known| known.len() == all)).await;
            known.context("the relays do not find each other")??;
        }
        Ok(())
    }
}

async fn start_relays(
    configs: Vec<(usize, RelayConfig)>,
    keyring: Keyring,
) -> Result<Vec<RelayNode>> {
    let mut nodes = Vec::new();
    for (index, config) in configs {
        let mut seed = [0xcf; 32];
        seed[..8].copy_from_slice(&index.to_be_bytes());
        let node = RelayNode::start(&config, &MasterSeed::new(seed), None).await?;
        let mut verifier = node
            .verifier()
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        verifier.keyring_mut().merge(keyring.clone())?;
        drop(verifier);
        nodes.push(node);
    }
    Ok(nodes)
}

/// A relay on loopback that takes this mint's coins for circuits, and leads to this machine.
fn config(dir: &Path, mint: &str, bootstrap: &[PeerAddress]) -> Result<RelayConfig> {
    let mut config = RelayConfig {
        data_dir: dir.to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        allow_private_neighbours: true,
        bootstrap: bootstrap.to_vec(),
        ..RelayConfig::default()
    };
    config.accept.push(mint_of(mint)?);
    // All of them are in one process.
    config.discovery.max_memory_mib = 1 << 20;
    // Nobody contests their places.
    config.discovery.work_bits = 0;
    // The memory of packets that were seen would be 64 MiB for each.
    config.packets.enabled = false;
    config.exit.policy = "accept 127.0.0.1:*".parse()?;
    Ok(config)
}

fn client_config(dir: &Path, mint: &str) -> Result<ClientConfig> {
    let mut config = ClientConfig {
        data_dir: dir.to_owned(),
        directory: dir.join("directory.txt"),
        ..ClientConfig::default()
    };
    config.mint.push(mint_of(mint)?);
    Ok(config)
}

fn mint_of(url: &str) -> Result<AcceptedMint> {
    Ok(AcceptedMint {
        url: url.parse()?,
        unit: MintUnit::Msat,
    })
}

fn millis(begun: Instant) -> f64 {
    let elapsed: Duration = begun.elapsed();
    elapsed.as_secs_f64() * 1e3
}
