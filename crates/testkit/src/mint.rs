//! A mint for a test.

use std::net::SocketAddr;

use coinfuse_mint::{Backend, EmbeddedMint, LightningWallet, LoopbackLightning, MintConfig, Unit};
use coinfuse_wire::Msat;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::background::ANY_PORT;

/// What the person who pays the invoices has: a thousand bitcoin.
const FUNDS: Msat = Msat::new(100_000_000_000_000);

/// A real mint in a temporary folder, on an ephemeral port, with loopback Lightning and somebody
/// who pays invoices. Dropping it breaks every
/// connection, as `kill -9` would.
#[derive(Debug)]
pub struct TestMint {
    folder: TempDir,
    network: LoopbackLightning,
    payer: LightningWallet,
    unit: Unit,
    seed: [u8; 32],
    addr: SocketAddr,
    public_url: Option<String>,
    mint: Option<EmbeddedMint>,
}

impl TestMint {
    /// Starts a mint on a Lightning network of its own. Panics if it cannot.
    pub async fn start(unit: Unit) -> Self {
        Self::on(&LoopbackLightning::new(), unit).await
    }

    /// Starts a mint on a Lightning network that others share. Panics if it cannot.
    pub async fn on(network: &LoopbackLightning, unit: Unit) -> Self {
        Self::start_with(network, unit, None).await
    }

    /// Starts a mint that says it lives at `public_url`, for instance at a
    /// [`FaultProxy`](crate::FaultProxy)'s. Panics if it cannot.
    pub async fn start_with(
        network: &LoopbackLightning,
        unit: Unit,
        public_url: Option<String>,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = TcpListener::bind(ANY_PORT)
            .await
            .expect("an ephemeral port");
        let addr = listener.local_addr().expect("its number");
        let mut test = Self {
            folder,
            network: network.clone(),
            payer: network.wallet(FUNDS).await.expect("a Lightning wallet"),
            unit,
            // Unlike for every mint of a process, so that their nodes are.
            seed: seed_from_port(addr.port()),
            addr,
            public_url,
            mint: None,
        };
        test.serve(listener).await;
        test
    }

    async fn serve(&mut self, listener: TcpListener) {
        let database = self.folder.path().join("mint.sqlite");
        let mut config = MintConfig::new(database, self.seed, self.unit);
        if let Some(url) = &self.public_url {
            config = config.public_url(url);
        }
        let backend = Backend::Loopback(self.network.clone());
        let mint = EmbeddedMint::start(config, backend, listener)
            .await
            .expect("a mint");
        self.mint = Some(mint);
    }

    /// Where wallets reach it.
    pub fn url(&self) -> &str {
        self.running().url()
    }

    /// Where it listens, whatever its URL says.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The mint. Panics when it is stopped.
    pub fn running(&self) -> &EmbeddedMint {
        self.mint.as_ref().expect("the mint is running")
    }

    /// Its Lightning network.
    pub fn network(&self) -> &LoopbackLightning {
        &self.network
    }

    /// The wallet that pays for [`TestMint::pay_invoice`].
    pub fn payer(&self) -> &LightningWallet {
        &self.payer
    }

    /// Pays an invoice of this mint or of any other node of the network; gives the amount. Panics
    /// when it is refused.
    pub async fn pay_invoice(&self, bolt11: &str) -> Msat {
        self.payer.pay(bolt11).await.expect("the invoice is paid")
    }

    /// What the mint owes to the holders of its coins. Panics if it owes less than nothing.
    pub async fn owes(&self) -> Msat {
        let totals = self.running().totals().await.expect("the mint's totals");
        totals
            .outstanding()
            .expect("the mint has redeemed no more than it issued")
    }

    /// Ends the service; [`TestMint::restart`] takes it up again.
    pub async fn stop(&mut self) {
        if let Some(mint) = self.mint.take() {
            mint.shutdown().await;
        }
    }

    /// Stops and starts it, with the same database and at the same address. Panics if it cannot.
    pub async fn restart(&mut self) {
        self.stop().await;
        let listener = TcpListener::bind(self.addr).await.expect("the same port");
        self.serve(listener).await;
    }
}

fn seed_from_port(port: u16) -> [u8; 32] {
    let [high, low] = port.to_be_bytes();
    let mut seed = [0x5e; 32];
    seed[..2].copy_from_slice(&[high, low]);
    seed
}
