//! The DHT: announcing, storing, looking up.

use super::Node;
use crate::address::key_of;
use crate::behaviour::REPLICAS;
use crate::config::Role;
use crate::error::LookupError;
use crate::keys::Name;
use crate::record::{check_record, read_record};
use crate::sources::{Source, source_of};
use coinfuse_directory::{Descriptor, PeerKey};
use coinfuse_wire::{RelayId, ServiceCode};
use libp2p::PeerId;
use libp2p::kad::{
    Event, GetProvidersOk, GetRecordOk, InboundRequest, K_VALUE, KBucketKey, ProviderRecord,
    QueryId, QueryResult, Quorum, Record,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The most lookups at once.
const MAX_LOOKUPS: usize = 64;
/// The most providers that a lookup gathers.
const MAX_PROVIDERS: usize = 256;

/// A question to the DHT, and who waits for the answer.
pub(super) enum Lookup {
    /// The newest descriptor of a relay.
    Relay {
        best: Option<Arc<Descriptor>>,
        answer: oneshot::Sender<Result<Option<Arc<Descriptor>>, LookupError>>,
    },
    /// Who offers a service.
    Service {
        found: BTreeSet<PeerKey>,
        answer: oneshot::Sender<Result<BTreeSet<PeerKey>, LookupError>>,
    },
}

impl Lookup {
    fn finish(self) {
        // Whoever asked may have lost interest.
        match self {
            Self::Relay { best, answer } => drop(answer.send(Ok(best))),
            Self::Service { found, answer } => drop(answer.send(Ok(found))),
        }
    }
}

impl Node {
    pub(super) fn on_kad(&mut self, event: Event) {
        match event {
            Event::InboundRequest {
                request:
                    InboundRequest::PutRecord {
                        source,
                        record: Some(record),
                        ..
                    },
            } => self.on_put(source, &record),
            Event::InboundRequest {
                request:
                    InboundRequest::AddProvider {
                        record: Some(record),
                    },
            } => self.on_provider(record),
            Event::OutboundQueryProgressed {
                id, result, step, ..
            } => {
                self.on_progress(id, result);
                if step.last
                    && let Some(lookup) = self.lookups.remove(&id)
                {
                    lookup.finish();
                }
            }
            _ => {}
        }
    }

    fn on_put(&mut self, source: PeerId, record: &Record) {
        let now = self.now();
        if !self.peers.may_tell(&source, now) {
            return;
        }
        match read_record(record.key.as_ref(), &record.value) {
            Ok(descriptor) => self.on_record(source, descriptor),
            Err(error) => tracing::debug!(%error, "a record was not stored"),
        }
    }

    fn on_provider(&mut self, record: ProviderRecord) {
        let now = self.now();
        if self.peers.may_ask(&record.provider, now) {
            // A claim that is not kept is the business of whoever made it.
            let _refused = self.store().providers.claim(record);
        }
    }

    fn on_progress(&mut self, id: QueryId, result: QueryResult) {
        let now = self.clock.now();
        match (self.lookups.get_mut(&id), result) {
            (
                Some(Lookup::Relay { best, .. }),
                QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))),
            ) => {
                let record = found.record;
                let checked = check_record(record.key.as_ref(), &record.value, now);
                let Ok(descriptor) = checked else {
                    return;
                };
                let newest = best
                    .as_ref()
                    .is_none_or(|best| best.sequence < descriptor.sequence);
                if newest {
                    *best = Some(Arc::new(descriptor));
                }
            }
            (
                Some(Lookup::Service { found, .. }),
                QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })),
            ) => {
                let room = MAX_PROVIDERS.saturating_sub(found.len());
                found.extend(providers.iter().filter_map(key_of).take(room));
            }
            _ => {}
        }
    }

    /// Takes a relay into the routing table, if there is room where it belongs.
    fn route(&mut self, source: Source) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        let bucket = kad.kbucket(source.peer);
        if bucket.is_some_and(|bucket| bucket.num_entries() < K_VALUE.get()) {
            for address in source.addresses {
                kad.add_address(&source.peer, address);
            }
        }
    }

    /// Fills the routing table from the directory. Those near to ourselves are few, so that all of
    /// them find room.
    fn route_known(&mut self) {
        let version = self.book().version();
        if self.routed_version == Some(version) {
            return;
        }
        self.routed_version = Some(version);
        let directory = self.swarm.behaviour_mut().kad.store_mut().book.directory();
        let known: Vec<Source> = directory.iter().filter_map(|one| source_of(one)).collect();
        for source in known {
            self.route(source);
        }
    }

    /// The first source that told something makes it worth while to announce anything; a moment
    /// later, when more of the network is known.
    pub(super) fn announce_soon(&mut self) {
        if self.role == Role::Relay && !self.announced {
            self.announced = true;
            let soon = self.now() + self.draw.jitter(self.timing.settle);
            self.timers.announce_by(soon);
        }
    }

    /// Tells the DHT who this relay is, and what it offers.
    pub(super) fn announce(&mut self) {
        let Some(own) = self.own.clone() else {
            return;
        };
        // Now and then also those that could not be reached when they were tried.
        self.routed_version = None;
        self.route_known();
        let name = Name::of_relay(&own.relay).key();
        let record = Record::new(name.clone(), own.as_bytes().to_vec());
        let kad = &mut self.swarm.behaviour_mut().kad;
        // As the whole network is known, no lookup is needed to find the nearest.
        let place = KBucketKey::new(name);
        let nearest = kad.get_closest_local_peers(&place).take(REPLICAS);
        let nearest: Vec<PeerId> = nearest.map(KBucketKey::into_preimage).collect();
        kad.put_record_to(record, nearest.into_iter(), Quorum::One);
        for code in &own.services {
            if let Err(error) = kad.start_providing(Name::Service(*code).key()) {
                tracing::debug!(%error, "a service is not announced");
            }
        }
    }

    pub(super) fn look_up_relay(
        &mut self,
        relay: &RelayId,
        answer: oneshot::Sender<Result<Option<Arc<Descriptor>>, LookupError>>,
    ) {
        if self.lookups.len() >= MAX_LOOKUPS {
            return drop(answer.send(Err(LookupError::Busy)));
        }
        self.route_known();
        let name = Name::of_relay(relay).key();
        let id = self.swarm.behaviour_mut().kad.get_record(name);
        let best = None;
        self.lookups.insert(id, Lookup::Relay { best, answer });
    }

    pub(super) fn look_up_service(
        &mut self,
        code: ServiceCode,
        answer: oneshot::Sender<Result<BTreeSet<PeerKey>, LookupError>>,
    ) {
        if self.lookups.len() >= MAX_LOOKUPS {
            return drop(answer.send(Err(LookupError::Busy)));
        }
        self.route_known();
        let name = Name::Service(code).key();
        let id = self.swarm.behaviour_mut().kad.get_providers(name);
        let found = BTreeSet::new();
        self.lookups.insert(id, Lookup::Service { found, answer });
    }
}
