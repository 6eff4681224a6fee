//! A mint, relays and a client on loopback, each relay on a thread of its own.

use super::station::{RelayPlan, Station};
use coinfuse::client::{Client, ClientConfig};
use coinfuse_circuit::TopUpPolicy;
use coinfuse_directory::{Directory, MintOffer, MintUnit};
use coinfuse_testkit::{TestMint, Unit};
use coinfuse_voucher::{MintId, Purse, PurseConfig};
use coinfuse_wire::{ByteCount, Msat, Rate};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// What each relay asks for a MiB.
pub(crate) const PRICE: Rate = Rate::from_msat_per_mib(1000);
/// Enough for every test that is not about having little.
pub(crate) const PLENTY: Msat = Msat::from_sat(10_000);

/// What a town is made of. The first relay is the exit.
pub(crate) struct Plan {
    pub(crate) relays: Vec<RelayPlan>,
    pub(crate) client: ClientConfig,
    pub(crate) funds: Msat,
    /// How long the client waits for the mint.
    pub(crate) mint_timeout: Duration,
}

/// Long enough for a busy machine.
pub(crate) const MINT_TIMEOUT: Duration = Duration::from_secs(30);

impl Plan {
    /// As many relays as a circuit has hops, and top-ups that are small.
    pub(crate) fn hops(hops: usize) -> Self {
        let mut client = ClientConfig::default();
        client.hops = hops;
        client.top_up = small_top_ups();
        let mut relays = vec![RelayPlan::exit()];
        relays.extend((1..hops).map(|_| RelayPlan::default()));
        Self {
            relays,
            client,
            funds: PLENTY,
            mint_timeout: MINT_TIMEOUT,
        }
    }

    pub(crate) async fn build(self) -> Town {
        Town::start(self).await
    }
}

/// What a first payment to a hop is with [`small_top_ups`]: 1 MiB up and 3 MiB down.
pub(crate) const FIRST: Msat = Msat::new(4096);

/// A top-up is for about 2 MiB.
pub(crate) fn small_top_ups() -> TopUpPolicy {
    let mut policy = TopUpPolicy::default();
    policy.low_water = ByteCount::from_mib(1);
    policy.increment_down = ByteCount::from_mib(2);
    policy.increment_up = ByteCount::from_mib(1);
    policy
}

/// The running network. Dropping it stops everything.
pub(crate) struct Town {
    pub(crate) client: Client,
    pub(crate) relays: Vec<Station>,
    pub(crate) mint: TestMint,
    pub(crate) purse: Purse,
    pub(crate) config: ClientConfig,
    folder: TempDir,
    _elsewhere: Elsewhere,
}

/// A runtime of its own.
struct Elsewhere(Option<Runtime>);

impl Elsewhere {
    fn start() -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        Self(runtime.worker_threads(1).enable_all().build().ok())
    }

    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let runtime = self.0.as_ref().expect("a runtime");
        runtime.spawn(work).await.unwrap()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Town {
    async fn start(plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // As elsewhere: a client that is busy with data does not keep the mint waiting.
        let elsewhere = Elsewhere::start();
        let mint = elsewhere.run(TestMint::start(Unit::Msat)).await;
        let purse = open_purse(&folder, "purse", &mint, plan.mint_timeout).await;
        if !plan.funds.is_zero() {
            fund(&purse, &mint, plan.funds).await;
        }
        let keyring = purse.keyring().await;
        let keysets = vec![purse.keyset(&mint_id(&mint), true).await.unwrap()];
        let offer = MintOffer {
            url: mint.url().parse().unwrap(),
            unit: MintUnit::Msat,
            issuer: false,
        };
        let mut relays = Vec::new();
        for (index, relay) in plan.relays.into_iter().enumerate() {
            let ledger = folder.path().join(format!("relay-{index}.redb"));
            let mut station = Station::new(
                index,
                relay,
                ledger,
                keyring.clone(),
                keysets.clone(),
                offer.clone(),
            );
            station.start().await;
            relays.push(station);
        }
        let directory = directory(&relays);
        for relay in &relays {
            relay.relay().set_directory(directory.clone());
        }
        let mut config = plan.client;
        if let Some(channels) = &mut config.channels {
            channels.file = folder.path().join("channels");
        }
        let client = Client::start(config.clone(), directory, purse.clone(), &[7; 32])
            .await
            .unwrap();
        Self {
            client,
            relays,
            mint,
            purse,
            config,
            folder,
            _elsewhere: elsewhere,
        }
    }

    /// Ends the client in an orderly way, and starts it again on the same files.
    pub(crate) async fn restart_client(&mut self) {
        self.client.shutdown().await;
        let (config, purse) = (self.config.clone(), self.purse.clone());
        let directory = directory(&self.relays);
        self.client = Client::start(config, directory, purse, &[7; 32])
            .await
            .unwrap();
    }

    /// The relay at the end of every circuit.
    pub(crate) fn exit(&self) -> &Station {
        &self.relays[0]
    }

    /// Gives the client more money.
    pub(crate) async fn fund(&self, amount: Msat) {
        fund(&self.purse, &self.mint, amount).await;
    }

    /// What all relays together have been paid and have earned.
    pub(crate) async fn earned(&self) -> Msat {
        let mut earned = Msat::ZERO;
        for relay in &self.relays {
            earned = earned.saturating_add(relay.relay().settle().await.unwrap().used);
        }
        earned
    }

    /// Lets the client choose among some of the relays only.
    pub(crate) fn choose_among(&self, relays: &[usize]) {
        let chosen = relays.iter().map(|index| &self.relays[*index]);
        self.client.set_directory(directory(chosen));
    }

    /// Tells client and relays of all relays as they are now.
    pub(crate) fn tell_everybody(&self) {
        let directory = directory(&self.relays);
        for relay in &self.relays {
            relay.relay().set_directory(directory.clone());
        }
        self.client.set_directory(directory);
    }

    /// Where the purse's files are.
    pub(crate) fn purse_folder(&self) -> PathBuf {
        self.folder.path().join("purse")
    }

    /// What a first payment to one hop is.
    pub(crate) fn first_payment(&self, relay: usize) -> Msat {
        let price = self.relays[relay].price();
        let (up, down) = self.config.top_up.first_payment(&price);
        up.saturating_add(down)
    }

    /// A purse of somebody else, empty, at another mint.
    pub(crate) async fn purse_at(&self, name: &str, mint: &TestMint) -> Purse {
        open_purse(&self.folder, name, mint, MINT_TIMEOUT).await
    }
}

/// What the client knows of the relays.
pub(crate) fn directory<'a>(relays: impl IntoIterator<Item = &'a Station>) -> Directory {
    let mut directory = Directory::new();
    for relay in relays {
        directory.insert(relay.descriptor()).unwrap();
    }
    directory
}

async fn open_purse(folder: &TempDir, name: &str, mint: &TestMint, timeout: Duration) -> Purse {
    let id = mint_id(mint);
    let mut config = PurseConfig::new(folder.path().join(name), vec![id], [8; 32]);
    config.rate_limit = false;
    config.timeout = timeout;
    Purse::open(&config).await.unwrap()
}

pub(crate) fn mint_id(mint: &TestMint) -> MintId {
    MintId::new(mint.url(), coinfuse_voucher::Unit::Msat).unwrap()
}

/// Puts money into a purse, bought by an invoice.
pub(crate) async fn fund(purse: &Purse, mint: &TestMint, amount: Msat) {
    let invoice = purse.fund(&mint_id(mint), amount).await.unwrap();
    mint.pay_invoice(&invoice.bolt11).await;
    purse
        .await_funding(&invoice, Duration::from_secs(20))
        .await
        .unwrap();
}
