//! A client without a front of its own.

use super::client::{ClientNodeError, open_purse, settings};
use super::directory::DirectoryWatch;
use super::spending::SpendingRecord;
use crate::client::Client;
use crate::clock::Clock;
use crate::config::ClientConfig;
use crate::keys::{MasterSeed, Purpose};

/// A client from its configuration and its seed, for a program that uses the network itself: a
/// wallet, for instance.
///
/// It keeps count of what is spent across restarts, and reads the directory file again when that
/// changes, while [`Self::run`] runs. [`ClientNode`](super::ClientNode) is the same with a SOCKS5
/// proxy.
pub struct ClientSession {
    client: Client,
    spending: SpendingRecord,
    watch: DirectoryWatch,
}

impl ClientSession {
    /// Starts a client on the current tokio runtime. Lines of the directory file that are no good
    /// are warned about, one by one. Does not use the network yet.
    ///
    /// # Errors
    ///
    /// [`ClientNodeError`]: what is in the way, and who can move it.
    pub async fn open(config: &ClientConfig, seed: &MasterSeed) -> Result<Self, ClientNodeError> {
        let (watch, directory) = DirectoryWatch::open(&config.directory, Clock::start())?;
        let path = config.data_dir.join("spent");
        let spending = SpendingRecord::open(&path)
            .map_err(|source| ClientNodeError::Spending { path, source })?;
        let purse = open_purse(config, seed).await?;
        let accounts = seed.derive(Purpose::Accounts);
        let settings = settings(config, spending.before());
        let client = Client::start(settings, directory, purse, &accounts).await?;
        Ok(Self {
            client,
            spending,
            watch,
        })
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How many relays the directory file has.
    pub fn relays(&self) -> usize {
        self.watch.relays()
    }

    /// Lets `work` use the client, then takes leave of everybody and writes down what was spent.
    pub async fn run<T>(self, work: impl AsyncFnOnce(&Client) -> T) -> T {
        let Self {
            client,
            spending,
            watch,
        } = self;
        let books = async {
            let watch = watch.follow(|directory| client.set_directory(directory));
            tokio::join!(watch, spending.follow(&client));
        };
        let done = tokio::select! {
            biased;
            done = work(&client) => done,
            () = books => unreachable!("both go on for ever"),
        };
        spending.note(client.spent());
        client.shutdown().await;
        done
    }
}
