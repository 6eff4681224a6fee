//! What the handle asks of the node.

use super::Node;
use crate::address::{PeerAddress, key_of, to_socket};
use crate::config::Role;
use crate::error::{LookupError, PublishError};
use crate::news::Item;
use crate::status::{SourceStatus, Status};
use coinfuse_directory::{Descriptor, PeerKey};
use coinfuse_wire::{RelayId, ServiceCode};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What the handle asks of the node.
pub(crate) enum Command {
    /// Tell the network this descriptor of our own.
    Publish(Arc<Descriptor>, oneshot::Sender<Result<(), PublishError>>),
    /// Look a relay up in the DHT.
    Relay(
        RelayId,
        oneshot::Sender<Result<Option<Arc<Descriptor>>, LookupError>>,
    ),
    /// Look up in the DHT who offers a service.
    Service(
        ServiceCode,
        oneshot::Sender<Result<BTreeSet<PeerKey>, LookupError>>,
    ),
    /// How do you do?
    Status(oneshot::Sender<Status>),
    /// Stop.
    Stop(oneshot::Sender<()>),
}

impl Node {
    pub(super) fn on_command(&mut self, command: Command) {
        // Whoever asked may have lost interest; then nobody hears the answer.
        match command {
            Command::Publish(descriptor, answer) => drop(answer.send(self.publish(descriptor))),
            Command::Relay(relay, answer) => self.look_up_relay(&relay, answer),
            Command::Service(code, answer) => self.look_up_service(code, answer),
            Command::Status(answer) => drop(answer.send(self.status())),
            Command::Stop(stopped) => drop(stopped.send(())),
        }
    }

    fn publish(&mut self, descriptor: Arc<Descriptor>) -> Result<(), PublishError> {
        if self.role == Role::Client {
            return Err(PublishError::Client);
        }
        let local = key_of(self.swarm.local_peer_id());
        if let Some(source) = &descriptor.source
            && Some(source.key) != local
        {
            return Err(PublishError::OtherPeer);
        }
        if let Some(address) = self.book().unfit(&descriptor) {
            return Err(PublishError::Private { address });
        }
        let relay = descriptor.relay;
        match self.book().admit_own(Arc::clone(&descriptor)) {
            admission if admission.is_news() => {}
            crate::book::Admission::Unchanged if self.own.as_ref() == Some(&descriptor) => {
                return Ok(());
            }
            crate::book::Admission::Unchanged => return Err(PublishError::Older),
            _ => return Err(PublishError::Nowhere),
        }
        if self.own.replace(descriptor).is_none() && self.announced {
            let soon = self.now() + self.draw.jitter(self.timing.settle);
            self.timers.announce_by(soon);
        }
        self.changed();
        self.tell(Item { relay, from: None });
        Ok(())
    }

    pub(crate) fn addresses(&self) -> Vec<PeerAddress> {
        let key = key_of(self.swarm.local_peer_id()).expect("our own key is an Ed25519 key");
        let external = self.swarm.external_addresses().filter_map(to_socket);
        external
            .map(|address| PeerAddress { key, address })
            .collect()
    }

    fn status(&mut self) -> Status {
        let now = self.now();
        let kad = &mut self.swarm.behaviour_mut().kad;
        let routed = kad.kbuckets().map(|bucket| bucket.num_entries()).sum();
        let sources = self.sources.reports(now);
        let sources = sources.filter_map(|report| {
            Some(SourceStatus {
                peer: key_of(&report.source.peer)?,
                address: report.source.addresses.first().and_then(to_socket),
                bootstrap: report.bootstrap,
                standing: report.standing,
                heard: report.heard.map(|heard| now.saturating_since(heard)),
                trouble: report.trouble,
            })
        });
        Status {
            expired: self.untimely.expired,
            from_the_future: self.untimely.from_the_future,
            sources: sources.collect(),
            addresses: self.addresses(),
            peers: self.peers.len(),
            routed,
            relays: self.book().directory().len(),
            waiting: self.book().waiting(),
        }
    }
}
