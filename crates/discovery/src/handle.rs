//! The handle to a running node.

use crate::address::PeerAddress;
use crate::config::{DiscoveryConfig, Role};
use crate::error::{LookupError, PublishError, StartError, Stopped};
use crate::node::{Command, Node};
use crate::status::Status;
use coinfuse_directory::{Descriptor, Directory, PeerKey, SourceOffer};
use coinfuse_wire::{RelayId, ServiceCode};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// How many commands may wait.
const COMMANDS: usize = 16;

/// A running node of the discovery network. Clones are handles to the same node, which stops when
/// the last of them is gone.
#[derive(Debug, Clone)]
pub struct Discovery {
    commands: mpsc::Sender<Command>,
    directory: watch::Receiver<Arc<Directory>>,
    addresses: Arc<[PeerAddress]>,
    role: Role,
}

impl Discovery {
    /// Starts a node on the present tokio runtime. When this returns it listens, and the directory
    /// that was kept on disk is there.
    ///
    /// # Errors
    ///
    /// If it cannot listen, or the configuration makes no sense.
    pub async fn start(config: DiscoveryConfig) -> Result<Self, StartError> {
        let (commands, from_handles) = mpsc::channel(COMMANDS);
        let (shown, directory) = watch::channel(Arc::new(Directory::new()));
        let role = config.role;
        let node = Node::start(config, from_handles, shown).await?;
        let addresses = node.addresses().into();
        tokio::spawn(node.run());
        Ok(Self {
            commands,
            directory,
            addresses,
            role,
        })
    }

    /// The directory as it is known, and each new one from then on. Only verified descriptors of
    /// relays that there is a place for are in it.
    pub fn directory(&self) -> watch::Receiver<Arc<Directory>> {
        self.directory.clone()
    }

    /// Where this node is reached; what others put into their list of bootstrap peers. None for a
    /// client.
    pub fn addresses(&self) -> &[PeerAddress] {
        &self.addresses
    }

    /// What a relay's descriptor says in [`source`](coinfuse_directory::DescriptorBody::source), so
    /// that others compare directories with it. `None` for a client.
    pub fn offer(&self) -> Option<SourceOffer> {
        let first = self
            .addresses
            .first()
            .filter(|_| self.role == Role::Relay)?;
        let addresses = self.addresses.iter().map(|one| one.address);
        Some(SourceOffer {
            key: first.key,
            addresses: addresses.take(SourceOffer::MAX_ADDRESSES).collect(),
        })
    }

    /// Tells the network a relay's own descriptor. Once is enough until it changes, or gets old: at
    /// a third of its lifetime is a good time for the next.
    ///
    /// # Errors
    ///
    /// If the descriptor cannot be this node's, is of no use, or is older than the last one.
    pub async fn publish(
        &self,
        descriptor: impl Into<Arc<Descriptor>>,
    ) -> Result<(), PublishError> {
        let descriptor = descriptor.into();
        self.ask(|answer| Command::Publish(descriptor, answer))
            .await?
    }

    /// Looks a relay up in the DHT: the newest descriptor that is found and can be believed.
    ///
    /// Those who are asked learn whom this is about. A client that wants to use a relay takes it from
    /// the [`directory`](Self::directory).
    ///
    /// # Errors
    ///
    /// If the node has stopped, or has too many lookups to do.
    pub async fn look_up(&self, relay: RelayId) -> Result<Option<Arc<Descriptor>>, LookupError> {
        self.ask(|answer| Command::Relay(relay, answer)).await?
    }

    /// Asks the DHT who offers a service: the peers whose announcements others found proven. The
    /// same caution as with [`look_up`](Self::look_up).
    ///
    /// # Errors
    ///
    /// If the node has stopped, or has too many lookups to do.
    pub async fn providers(&self, service: ServiceCode) -> Result<BTreeSet<PeerKey>, LookupError> {
        self.ask(|answer| Command::Service(service, answer)).await?
    }

    /// How the node does.
    ///
    /// # Errors
    ///
    /// If the node has stopped.
    pub async fn status(&self) -> Result<Status, Stopped> {
        self.ask(Command::Status).await
    }

    /// Stops the node; the directory is on disk when this returns.
    pub async fn shutdown(self) {
        let _stopped_already = self.ask(Command::Stop).await;
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.commands
            .send(command(answer))
            .await
            .map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }
}
