//! A client without a front of its own.

use super::client::{ClientNodeError, open_purse, settings};
use super::known::{KnownRelays, several_heard};
use super::network;
use super::spending::SpendingRecord;
use crate::client::Client;
use crate::clock::Clock;
use crate::config::ClientConfig;
use crate::keys::{MasterSeed, Purpose};
use coinfuse_directory::Directory;
use coinfuse_discovery::{Discovery, SourceStatus};
use core::time::Duration;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::sleep;

/// How long a client that knows nobody waits for relays before it goes on without.
const FIRST_RELAYS: Duration = Duration::from_secs(10);
/// How often is looked whether the network answers.
const LOOK: Duration = Duration::from_secs(10);

/// A client from its configuration and its seed, for a program that uses the network itself: a
/// wallet, for instance.
///
/// It keeps count of what is spent across restarts, and up to date with the relays that there are,
/// while [`Self::run`] runs. [`ClientNode`](super::ClientNode) is the same with a SOCKS5 proxy.
pub struct ClientSession {
    client: Client,
    spending: SpendingRecord,
    relays: KnownRelays,
}

impl ClientSession {
    /// Starts a client on the current tokio runtime. A client that knows no relays from its last run
    /// asks for them first, for some seconds at most; one that finds none starts nevertheless, and
    /// goes on asking. Lines of the directory file that are no good are warned about, one by one.
    ///
    /// # Errors
    ///
    /// [`ClientNodeError`]: what is in the way, and who can move it.
    pub async fn open(config: &ClientConfig, seed: &MasterSeed) -> Result<Self, ClientNodeError> {
        let mut relays = open_relays(config).await?;
        let path = config.data_dir.join("spent");
        let spending = SpendingRecord::open(&path)
            .map_err(|source| ClientNodeError::Spending { path, source })?;
        let purse = open_purse(config, seed).await?;
        relays.gather(config.hops.into(), FIRST_RELAYS).await;
        let accounts = seed.derive(Purpose::Accounts);
        let settings = settings(config, spending.before());
        let directory = Arc::clone(&relays.watch().borrow());
        if directory.is_empty() {
            let why = relays.what_is_wrong().await;
            tracing::warn!("no relays are known yet{why}");
        }
        let client = Client::start(settings, directory, purse, &accounts).await?;
        client.hold_guards(relays.discovery().is_some());
        Ok(Self {
            client,
            spending,
            relays,
        })
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The relays that are known, and each new version while [`Self::run`] runs.
    pub fn relays(&self) -> watch::Receiver<Arc<Directory>> {
        self.relays.watch()
    }

    /// Lets `work` use the client, then takes leave of everybody and writes down what was spent.
    pub async fn run<T>(self, work: impl AsyncFnOnce(&Client) -> T) -> T {
        let Self {
            client,
            spending,
            mut relays,
        } = self;
        let discovery = relays.discovery().cloned();
        let known = relays.watch();
        let books = async {
            tokio::join!(
                relays.follow(),
                tell(known, &client),
                watch_network(discovery.clone(), &client),
                spending.follow(&client)
            );
        };
        let done = tokio::select! {
            biased;
            done = work(&client) => done,
            () = books => unreachable!("they go on for ever"),
        };
        spending.note(client.spent());
        client.shutdown().await;
        if let Some(discovery) = discovery {
            discovery.shutdown().await;
        }
        done
    }
}

/// Tells the client of each new version.
async fn tell(mut known: watch::Receiver<Arc<Directory>>, client: &Client) {
    while known.changed().await.is_ok() {
        client.set_directory(Arc::clone(&known.borrow_and_update()));
    }
}

/// Tells the client when it can judge guards: as soon as several sources were heard, and whenever one
/// was heard again, since then it is not this machine that is cut off.
async fn watch_network(discovery: Option<Discovery>, client: &Client) {
    let Some(discovery) = discovery else {
        return;
    };
    several_heard(&discovery).await;
    client.hold_guards(false);
    while let Ok(status) = discovery.status().await {
        let lately = |source: &SourceStatus| source.heard.is_some_and(|ago| ago < LOOK);
        if status.sources.iter().any(lately) {
            client.note_network_is_up();
        }
        sleep(LOOK).await;
    }
}

async fn open_relays(config: &ClientConfig) -> Result<KnownRelays, ClientNodeError> {
    let discovery = match network::of_client(config) {
        Some(settings) => Some(network::start(settings).await?),
        None => None,
    };
    let relays = KnownRelays::open(&config.directory, Clock::start(), discovery)?;
    Ok(relays)
}

/// The relays that a client of this configuration knows, without its being started: those of its
/// last run, or else those that are found within some seconds.
///
/// # Errors
///
/// [`ClientNodeError::Directory`] if there is nobody to ask and no file,
/// [`ClientNodeError::Discovery`] if it cannot ask, [`ClientNodeError::NoRelays`] if nobody answers.
pub async fn known_relays(config: &ClientConfig) -> Result<Arc<Directory>, ClientNodeError> {
    let mut relays = open_relays(config).await?;
    relays.gather(1, FIRST_RELAYS).await;
    let known = Arc::clone(&relays.watch().borrow());
    let why = relays.what_is_wrong().await;
    if let Some(discovery) = relays.discovery().cloned() {
        discovery.shutdown().await;
    }
    match known.is_empty() {
        true => Err(ClientNodeError::NoRelays(why)),
        false => Ok(known),
    }
}
