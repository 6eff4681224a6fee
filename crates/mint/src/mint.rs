//! A mint with its server.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cdk::mint::{Mint, MintBuilder, MintMeltLimits, UnitConfig};
use cdk_common::common::QuoteTTL;
use cdk_common::database::{DynMintDatabase, MintKeysDatabase};
use cdk_common::nuts::nut00::KnownMethod;
use cdk_common::nuts::nut17::SupportedMethods;
use cdk_common::nuts::nut19::{CachedEndpoint, Method, Path};
use cdk_common::nuts::{CurrencyUnit, Id, PaymentMethod};
use cdk_common::payment::DynMintPayment;
use cdk_sqlite::MintSqliteDatabase;
use coinfuse_wire::Msat;
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use zeroize::Zeroizing;

use crate::config::{Backend, MintConfig, Unit};
use crate::error::MintError;
use crate::issuer::IssuerKeys;
use crate::serve::Server;

/// How long a lost answer can be asked for again (NUT-19), in seconds. The server holds each that
/// long.
const CACHE_SECONDS: u64 = 60;

/// How long the background services get to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The mint's threads. Its database waits for a lock by blocking the thread, and whoever holds the
/// lock needs another one to go on: more than the transactions that may wait at once.
const THREADS: usize = 4;

/// A Cashu mint that serves on a listener of its own, inside this process.
pub struct EmbeddedMint {
    mint: Arc<Mint>,
    database: Arc<MintSqliteDatabase>,
    server: Option<Server>,
    /// Where all of it runs; gone after a shutdown.
    runtime: Option<Runtime>,
    seed: Zeroizing<[u8; 32]>,
    unit: Unit,
    input_fee_ppk: u64,
    addr: SocketAddr,
    url: String,
}

/// What a mint has issued and redeemed since its database was made, swaps counted on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// The value of all coins signed.
    pub issued: Msat,
    /// The value of all coins spent.
    pub redeemed: Msat,
}

impl Totals {
    /// The value of the coins that are out: what the mint owes. `None` would be a mint that has
    /// redeemed more than it issued, that is, a broken one. With input fees, what they earned
    /// counts as redeemed.
    pub fn outstanding(&self) -> Option<Msat> {
        self.issued.checked_sub(self.redeemed)
    }
}

impl EmbeddedMint {
    /// Opens the database, derives the keys, takes up unfinished business and serves on `listener`.
    /// The first start of a database takes some 80 ms. It runs on threads of its own, whatever
    /// runtime it is started from.
    pub async fn start(
        config: MintConfig,
        backend: Backend,
        listener: TcpListener,
    ) -> Result<Self, MintError> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("coinfuse-mint")
            .enable_all()
            .build()?;
        let listener = listener.into_std()?;
        let starting = runtime.spawn(async move {
            let listener = TcpListener::from_std(listener)?;
            Self::start_here(config, backend, listener).await
        });
        let started = starting.await.map_err(std::io::Error::other);
        match started.map_err(MintError::from).flatten() {
            Ok(mut mint) => {
                mint.runtime = Some(runtime);
                Ok(mint)
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    async fn start_here(
        config: MintConfig,
        backend: Backend,
        listener: TcpListener,
    ) -> Result<Self, MintError> {
        let addr = listener.local_addr()?;
        let url = config
            .public_url
            .clone()
            .unwrap_or_else(|| format!("http://{addr}"));
        let backend: DynMintPayment = match backend {
            Backend::Loopback(network) => Arc::new(network.node(&config.seed)),
            Backend::Custom(backend) => backend,
        };
        let database = Arc::new(MintSqliteDatabase::new(config.database.clone()).await?);
        let mint = Arc::new(build(&config, &url, backend, Arc::clone(&database)).await?);
        mint.start().await?;
        let routes = cdk_axum::create_mint_router(Arc::clone(&mint), vec!["bolt11".to_owned()])
            .await
            .map_err(|error| MintError::Routes(error.to_string()))?;
        Ok(Self {
            mint,
            database,
            server: Some(Server::start(listener, routes, config.max_in_flight)),
            runtime: None,
            seed: config.seed,
            unit: config.unit,
            input_fee_ppk: config.input_fee_ppk,
            addr,
            url,
        })
    }

    /// Where clients reach this mint, without a `/` at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of the listener.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The unit of its coins.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The keyset that new coins are signed with.
    pub fn active_keyset(&self) -> Result<Id, MintError> {
        let unit = self.unit.currency();
        self.mint
            .keysets()
            .keysets
            .into_iter()
            .find(|keyset| keyset.active && keyset.unit == unit)
            .map(|keyset| keyset.id)
            .ok_or(MintError::NoKeyset)
    }

    /// The private keys of all keysets so far, for checking our own coins without a request.
    pub async fn issuer_keys(&self) -> Result<IssuerKeys, MintError> {
        let mut reading = MintKeysDatabase::begin_transaction(&*self.database).await?;
        let infos = reading.get_keyset_infos().await?;
        reading.commit().await?;
        IssuerKeys::derive(&self.seed, infos, self.active_keyset()?)
    }

    /// Opens a new keyset with the same denominations and fee. Coins of the old ones stay good.
    pub async fn rotate_keyset(&self) -> Result<Id, MintError> {
        let info = self
            .mint
            .rotate_keyset(
                self.unit.currency(),
                UnitConfig::default().amounts,
                self.input_fee_ppk,
                true,
                None,
            )
            .await?;
        Ok(info.id)
    }

    /// What has been issued and redeemed.
    pub async fn totals(&self) -> Result<Totals, MintError> {
        let sum = |amounts: std::collections::HashMap<Id, cdk_common::Amount>| {
            let total = amounts
                .values()
                .try_fold(0u64, |sum, n| sum.checked_add(n.to_u64()));
            total
                .and_then(|total| self.unit.to_msat(total))
                .unwrap_or(Msat::new(u64::MAX))
        };
        Ok(Totals {
            issued: sum(self.mint.total_issued().await?),
            redeemed: sum(self.mint.total_redeemed().await?),
        })
    }

    /// The mint itself, for what this interface does not show.
    pub fn cdk(&self) -> &Arc<Mint> {
        &self.mint
    }

    /// Stops serving, lets open requests finish for half a second, and stops the background
    /// services. The database is complete at every moment: `kill -9` does no harm either.
    pub async fn shutdown(mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
        match tokio::time::timeout(STOP_TIMEOUT, self.mint.stop()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the mint did not stop cleanly"),
            Err(_) => tracing::warn!("the mint's services did not stop in time"),
        }
        self.end();
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for EmbeddedMint {
    /// Stops everything at once.
    fn drop(&mut self) {
        self.server = None;
        self.end();
    }
}

impl fmt::Debug for EmbeddedMint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedMint")
            .field("unit", &self.unit)
            .finish_non_exhaustive()
    }
}

async fn build(
    config: &MintConfig,
    url: &str,
    backend: DynMintPayment,
    database: Arc<MintSqliteDatabase>,
) -> Result<Mint, MintError> {
    let unit: CurrencyUnit = config.unit.currency();
    let store: DynMintDatabase = database.clone();
    let mut builder = MintBuilder::new(store)
        .with_name(config.name.clone())
        .with_urls(vec![url.to_owned()])
        .with_supported_websockets(SupportedMethods::default_bolt11(unit.clone()))
        .with_cache(Some(CACHE_SECONDS), cached_endpoints());
    let method = PaymentMethod::Known(KnownMethod::Bolt11);
    let limits = MintMeltLimits::new(1, config.max_amount);
    builder
        .add_payment_processor(unit.clone(), method, limits, backend)
        .await?;
    builder.set_unit_fee(&unit, config.input_fee_ppk)?;
    let mut info = builder.current_mint_info();
    let mint = builder
        .build_with_seed(database, config.seed.as_slice())
        .await?;

    // cdk keeps the first start's description in the database; ours follows the configuration.
    info.pubkey = mint.mint_info().await?.pubkey;
    let ttl = QuoteTTL::new(
        config.mint_quote_ttl.as_secs(),
        config.melt_quote_ttl.as_secs(),
    );
    mint.set_mint_info_and_quote_ttl(info, ttl).await?;
    Ok(mint)
}

/// The requests whose answers carry money: asked again, they are answered the same (NUT-19).
fn cached_endpoints() -> Vec<CachedEndpoint> {
    [
        Path::Swap,
        Path::custom_mint("bolt11"),
        Path::custom_melt("bolt11"),
    ]
    .into_iter()
    .map(|path| CachedEndpoint::new(Method::Post, path))
    .collect()
}
