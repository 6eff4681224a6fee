//! A client from its configuration and its seed.

use super::directory::DirectoryError;
use super::network::DiscoveryError;
use super::session::ClientSession;
use crate::client::{self, Client, ClientError};
use crate::clock::Clock;
use crate::config::ClientConfig;
use crate::keys::{MasterSeed, Purpose};
use crate::socks::{SocksBindError, SocksServer};
use coinfuse_circuit::TopUpPolicy;
use coinfuse_directory::{Directory, MintUnit};
use coinfuse_voucher::{MintId, MintIdError, Purse, PurseConfig, PurseError, Unit};
use coinfuse_wire::Msat;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Why a client does not start; for the user to act on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientNodeError {
    /// The proxy's address cannot be used.
    #[error(transparent)]
    Socks(#[from] SocksBindError),
    /// The system does not say which port was given.
    #[error("the proxy's socket has no address: {0}")]
    Address(#[source] io::Error),
    /// The relays' descriptors cannot be read.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The relays cannot be asked for.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// No relays are known, and nobody says who there is.
    #[error("no relays are known{0}")]
    NoRelays(String),
    /// A mint in the configuration cannot be one.
    #[error("{url} in [[mint]] cannot be used: {source}")]
    Mint {
        /// As the configuration has it.
        url: String,
        /// Why.
        source: MintIdError,
    },
    /// The money cannot be used.
    #[error(transparent)]
    Purse(#[from] PurseError),
    /// The file that remembers what was spent cannot be used.
    #[error("{}, which remembers what was spent, cannot be used: {source}", .path.display())]
    Spending {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The client does not start.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A client with its SOCKS5 proxy, as the configuration says.
///
/// It keeps up to date with the relays that there are, keeps count of what is spent across restarts,
/// finishes what a crash left undone, and takes back the coins of vouchers that no relay took.
pub struct ClientNode {
    session: ClientSession,
    socks: SocksServer,
    address: SocketAddr,
}

/// Opens the purse in the client's folder; does not use the network.
///
/// # Errors
///
/// [`ClientNodeError::Mint`] and [`ClientNodeError::Purse`].
pub async fn open_purse(
    config: &ClientConfig,
    seed: &MasterSeed,
) -> Result<Purse, ClientNodeError> {
    let mints = config.mint.iter().map(|mint| {
        let url = mint.url.as_str();
        MintId::new(url, unit(mint.unit)).map_err(|source| ClientNodeError::Mint {
            url: url.to_owned(),
            source,
        })
    });
    let mints: Vec<_> = mints.collect::<Result<_, _>>()?;
    Ok(Purse::open(&purse_config(config.data_dir.join("purse"), mints, seed)).await?)
}

/// The settings of a purse or of a relay's coins in a folder.
pub(super) fn purse_config(dir: PathBuf, mints: Vec<MintId>, seed: &MasterSeed) -> PurseConfig {
    // A public mint has a pace that it expects; one on this machine has none.
    let local = mints.iter().all(is_on_this_machine);
    let mut config = PurseConfig::new(dir, mints, *seed.derive(Purpose::Purse));
    config.rate_limit = !local;
    config
}

fn is_on_this_machine(mint: &MintId) -> bool {
    let url = mint.url().to_string();
    let host = url.split_once("://").map_or("", |(_, rest)| rest);
    ["127.0.0.1:", "[::1]:", "localhost:"]
        .iter()
        .any(|local| host.starts_with(local))
}

pub(super) const fn unit(unit: MintUnit) -> Unit {
    match unit {
        MintUnit::Msat => Unit::Msat,
        MintUnit::Sat => Unit::Sat,
    }
}

/// The file of the client's payment channels, in its folder.
pub fn channels_file(config: &ClientConfig) -> PathBuf {
    config.data_dir.join("channels.redb")
}

/// The file in which the client remembers what it saw of relays, in its folder; see
/// [`read_history`](client::read_history).
pub fn history_file(config: &ClientConfig) -> PathBuf {
    config.data_dir.join("history")
}

/// The knobs of a client, from its file. `spent` counts towards the cap already.
pub(super) fn settings(config: &ClientConfig, spent: Msat) -> client::ClientConfig {
    let spending = &config.spending;
    let ceiling = spending.max_price();
    let mut top_up = TopUpPolicy::default();
    top_up.low_water = spending.top_up_below();
    top_up.increment_down = spending.top_up();
    top_up.increment_up = top_up.increment_up.min(spending.top_up());
    let mut settings = client::ClientConfig {
        hops: config.hops.into(),
        spending_cap: spending.cap().saturating_sub(spent),
        max_price: coinfuse_circuit::Price {
            up: ceiling.up,
            down: ceiling.down,
        },
        top_up,
        links: config.link.limits(),
        credit_file: Some(config.data_dir.join("credit")),
        channels: config.channels.settings(channels_file(config)),
        history_file: Some(history_file(config)),
        packets: config.packets.settings(),
        ..client::ClientConfig::default()
    };
    config.paths.apply(&mut settings);
    settings
}

impl ClientNode {
    /// Starts a client on the current tokio runtime, and binds its proxy; as
    /// [`ClientSession::open`], it waits a moment for the first relays.
    ///
    /// # Errors
    ///
    /// [`ClientNodeError`]: what is in the way, and who can move it.
    pub async fn start(config: &ClientConfig, seed: &MasterSeed) -> Result<Self, ClientNodeError> {
        let socks = SocksServer::bind(config.socks.listen, config.socks.limits()).await?;
        let address = socks.local_address().map_err(ClientNodeError::Address)?;
        Ok(Self {
            session: ClientSession::open(config, seed).await?,
            socks,
            address,
        })
    }

    /// The client.
    pub fn client(&self) -> &Client {
        self.session.client()
    }

    /// Where the proxy listens.
    pub fn socks_address(&self) -> SocketAddr {
        self.address
    }

    /// The relays that are known, and each new version while [`Self::serve`] runs.
    pub fn relays(&self) -> watch::Receiver<Arc<Directory>> {
        self.session.relays()
    }

    /// Serves applications until `shutdown`, then closes everything and writes down what was spent.
    pub async fn serve(self, shutdown: CancellationToken) {
        let Self { session, socks, .. } = self;
        let serving = async |client: &Client| {
            tokio::select! {
                () = socks.serve(Arc::new(client.clone()), shutdown.clone()) => {}
                () = look_after(client.purse()) => {}
            }
        };
        session.run(serving).await;
    }
}

/// Finishes what was begun, again while a mint does not answer, and takes expired vouchers back.
async fn look_after(purse: &Purse) {
    const SOON: Duration = Duration::from_secs(30);
    const SELDOM: Duration = Duration::from_secs(3600);
    loop {
        let unfinished = match purse.recover().await {
            Ok(left) => left,
            Err(error) => {
                tracing::warn!(%error, "some money waits for its mint");
                1
            }
        };
        match purse.refund_expired(Clock::start().unix()).await {
            Ok(Msat::ZERO) => {}
            Ok(back) => tracing::info!(%back, "the coins of expired vouchers came back"),
            Err(error) => tracing::warn!(%error, "expired vouchers could not be taken back now"),
        }
        sleep(if unfinished == 0 { SELDOM } else { SOON }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_counts_towards_the_cap() {
        let mut config = ClientConfig::default();
        config.spending.cap_msat = 1000;
        assert_eq!(
            settings(&config, Msat::new(400)).spending_cap,
            Msat::new(600)
        );
        assert_eq!(settings(&config, Msat::new(4000)).spending_cap, Msat::ZERO);
    }

    #[test]
    fn only_a_mint_on_this_machine_is_asked_without_a_pace() {
        let is_local = |url| is_on_this_machine(&MintId::new(url, Unit::Sat).unwrap());
        assert!(is_local("http://127.0.0.1:3338") && is_local("http://localhost:3338"));
        assert!(!is_local("https://mint.example") && !is_local("https://127.0.0.1.example"));
    }
}
