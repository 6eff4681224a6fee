//! Who is connected.

use super::Node;
use super::exchange::Asked;
use crate::address::{to_multiaddr, to_socket};
use crate::book::{Lists, Probe, Subnet};
use crate::codec;
use crate::config::Role;
use crate::party::{Party, Rates};
use crate::sources::Source;
use crate::trouble::SourceTrouble;
use coinfuse_directory::sync::Request;
use coinfuse_wire::{Instant, RelayId, TokenBucket};
use core::net::IpAddr;
use core::time::Duration;
use libp2p::core::ConnectedPoint;
use libp2p::core::transport::TransportError;
use libp2p::memory_connection_limits::MemoryUsageLimitExceeded;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionDenied, DialError};
use libp2p::{PeerId, StreamProtocol, identify, rendezvous};
use std::collections::HashMap;

/// Where relays of small networks find each other, at a meeting point.
const NAMESPACE: &str = "coinfuse";
/// The rendezvous protocol of libp2p.
const MEETING_PROTOCOL: StreamProtocol = StreamProtocol::new("/rendezvous/1.0.0");
/// How many are asked for at a meeting point.
const MAX_MET: u64 = 32;
/// How many addresses of a peer are kept.
const MAX_ADDRESSES: usize = 4;
/// How often it is said that there is no memory.
const MEMORY_WARNING: Duration = Duration::from_secs(600);
/// The most relays that are being probed at once.
const MAX_PROBES: usize = 8;

/// A connected peer.
struct Peer {
    connections: u32,
    relay: bool,
    introduced: bool,
    /// It is a meeting point.
    meets: bool,
    /// With whom it shares what it may ask and tell.
    party: Party,
}

/// The connected peers.
pub(super) struct Peers {
    connected: HashMap<PeerId, Peer>,
    /// Relays that are being looked for where they say they are.
    probes: HashMap<PeerId, RelayId>,
    questions: Rates,
    descriptors: Rates,
    all_descriptors: TokenBucket,
}

impl Peers {
    pub(super) fn new() -> Self {
        Self {
            connected: HashMap::new(),
            probes: HashMap::new(),
            questions: Rates::new(256, Duration::from_millis(50)),
            descriptors: Rates::new(1024, Duration::from_millis(20)),
            all_descriptors: TokenBucket::new(4096, Duration::from_millis(1)),
        }
    }

    fn connected(&mut self, peer: PeerId, party: Party) {
        let new = || Peer {
            connections: 0,
            relay: false,
            introduced: false,
            meets: false,
            party,
        };
        self.connected.entry(peer).or_insert_with(new).connections += 1;
    }

    pub(super) fn disconnected(&mut self, peer: &PeerId) {
        if let Some(known) = self.connected.get_mut(peer) {
            known.connections -= 1;
            if known.connections == 0 {
                self.connected.remove(peer);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.connected.len()
    }

    /// The connected peers that are known to be relays.
    pub(super) fn relays(&self) -> impl Iterator<Item = PeerId> {
        let relays = self.connected.iter().filter(|(_, peer)| peer.relay);
        relays.map(|(peer, _)| *peer)
    }

    /// Who counts as one with a peer, if it is connected.
    pub(super) fn party(&self, peer: &PeerId) -> Option<Party> {
        Some(self.connected.get(peer)?.party)
    }

    /// Whether a peer may ask one thing more.
    pub(super) fn may_ask(&mut self, peer: &PeerId, now: Instant) -> bool {
        let party = self.party(peer);
        party.is_some_and(|party| self.questions.take(party, now))
    }

    /// Whether one more descriptor of a peer is looked at.
    pub(super) fn may_tell(&mut self, peer: &PeerId, now: Instant) -> bool {
        let party = self.party(peer);
        party.is_some_and(|party| self.descriptors.take(party, now))
            && self.all_descriptors.take(now)
    }
}

impl Node {
    pub(super) fn on_connected(&mut self, peer: PeerId, endpoint: &ConnectedPoint) {
        let remote = endpoint.get_remote_address();
        let party = Party::of(remote, peer, self.private_addresses);
        self.peers.connected(peer, party);
        let ConnectedPoint::Dialer { address, .. } = endpoint else {
            return;
        };
        let probed = self.peers.probes.remove(&peer);
        let relay = probed.or_else(|| self.sources.relay_of(&peer));
        if let (Some(relay), Some(address)) = (relay, to_socket(address)) {
            self.ask_who(peer, relay, address.ip());
        }
    }

    /// A peer that a relay names as its source was reached. If that was in the subnet that the relay is
    /// ranked by, and the peer says that it is this relay's, then the relay is where it says it is.
    /// Anybody can name a peer; so the peer has to say it.
    fn ask_who(&mut self, peer: PeerId, relay: RelayId, address: IpAddr) {
        let subnet = Subnet::of(address);
        let book = self.book();
        let is_there = book.subnet(&relay) == Some(subnet);
        let is_known = book.is_reached(&relay);
        if self.role == Role::Relay && is_there && !is_known {
            let source = Source {
                peer,
                addresses: Vec::new(),
                relay: Some(relay),
            };
            self.ask(source, Request::Who, Asked::Who(relay, subnet));
        }
    }

    /// A relay was reached in this subnet.
    pub(super) fn reached(&mut self, relay: &RelayId, subnet: Subnet) {
        self.book().reached(relay, subnet);
        self.show_changes();
    }

    /// What a source lists decides who stays in the book of a client, which goes nowhere to see.
    pub(super) fn weigh(&mut self, peer: PeerId, lists: Option<Lists>) {
        let Some(lists) = lists else {
            return;
        };
        let now = self.now();
        let sources = &self.sources;
        let book = &mut self.swarm.behaviour_mut().kad.store_mut().book;
        book.heard(peer, lists, |peer| sources.is_witness(peer, now));
    }

    /// Looks for a relay where it says it is.
    pub(super) fn probe(&mut self) {
        if self.role == Role::Client || self.peers.probes.len() >= MAX_PROBES {
            return;
        }
        let which = Probe::ALL[self.draw.below(Probe::ALL.len())];
        let book = self.book();
        let next = book.next_probe(which);
        let Some((relay, offer)) = next.or_else(|| book.next_probe(Probe::Anybody)) else {
            return;
        };
        let peer = crate::address::peer_id(&offer.key);
        let addresses = offer.addresses.into_iter().map(to_multiaddr);
        let dial = DialOpts::peer_id(peer)
            .condition(PeerCondition::NotDialing)
            .addresses(addresses.collect())
            .build();
        if self.swarm.dial(dial).is_ok() {
            self.peers.probes.insert(peer, relay);
        }
    }

    /// A connection could not be made.
    pub(super) fn on_unreachable(&mut self, peer: Option<PeerId>, error: &DialError) {
        let Some(peer) = peer else {
            return;
        };
        self.peers.probes.remove(&peer);
        // A source that is being asked can be connected, and not be found at another of its addresses.
        if self.sessions.contains_key(&peer)
            && self.peers.party(&peer).is_none()
            && let Some(trouble) = trouble_of(error)
        {
            self.sources.note(&peer, trouble);
        }
    }

    /// Somebody was refused. If that is for want of memory, then nobody can connect any more, which
    /// the operator has to know.
    pub(super) fn on_refused(&mut self, cause: ConnectionDenied) {
        let now = self.now();
        if let Ok(exceeded) = cause.downcast::<MemoryUsageLimitExceeded>()
            && self.no_memory <= now
        {
            self.no_memory = now + MEMORY_WARNING;
            tracing::warn!(%exceeded, "no more connections for want of memory; see the limits");
        }
    }

    pub(super) fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id, info, .. } = event else {
            return;
        };
        let speaks = |protocol: &StreamProtocol| info.protocols.contains(protocol);
        let Some(peer) = self.peers.connected.get_mut(&peer_id) else {
            return;
        };
        peer.relay = speaks(&codec::PROTOCOL);
        peer.meets = speaks(&MEETING_PROTOCOL);
        let again = core::mem::replace(&mut peer.introduced, true);
        if !again && peer.meets && self.sources.is_bootstrap(&peer_id) {
            self.meet_at(peer_id);
        }
    }

    /// Meets at all bootstrap peers again: what was left there is not kept for ever. Where there is no
    /// connection, that is done as soon as there is one.
    pub(super) fn meet_again(&mut self) {
        for source in self.sources.bootstrap().to_vec() {
            match self.peers.connected.get(&source.peer) {
                Some(peer) if peer.meets => self.meet_at(source.peer),
                Some(_) => {}
                None => {
                    let dial = DialOpts::peer_id(source.peer).addresses(source.addresses);
                    // If it cannot be reached now, the next time will do.
                    let _refused = self.swarm.dial(dial.build());
                }
            }
        }
    }

    /// Leaves word at a bootstrap peer, and asks who else did.
    fn meet_at(&mut self, peer: PeerId) {
        let namespace = || rendezvous::Namespace::from_static(NAMESPACE);
        let relay = self.role == Role::Relay;
        let meet = &mut self.swarm.behaviour_mut().meet;
        if relay && let Err(error) = meet.register(namespace(), peer, None) {
            tracing::debug!(%error, "cannot register at a meeting point");
        }
        meet.discover(Some(namespace()), None, Some(MAX_MET), peer);
    }

    pub(super) fn on_meet(&mut self, event: rendezvous::client::Event) {
        let rendezvous::client::Event::Discovered { registrations, .. } = event else {
            return;
        };
        for registration in registrations.iter().take(MAX_MET as usize) {
            let addresses = registration.record.addresses().iter();
            let ours = addresses.filter(|address| to_socket(address).is_some());
            self.sources.met(Source {
                peer: registration.record.peer_id(),
                addresses: ours.take(MAX_ADDRESSES).cloned().collect(),
                relay: None,
            });
        }
        self.compare_at_start();
    }
}

/// What is wrong with a peer that could not be connected to.
fn trouble_of(error: &DialError) -> Option<SourceTrouble> {
    let not_supported =
        |error: &TransportError<_>| matches!(error, TransportError::MultiaddrNotSupported(_));
    match error {
        DialError::WrongPeerId { .. } | DialError::LocalPeerId { .. } => {
            Some(SourceTrouble::OtherKey)
        }
        DialError::Transport(errors) if errors.iter().all(|(_, error)| not_supported(error)) => {
            Some(SourceTrouble::NotPublic)
        }
        DialError::Transport(_) | DialError::NoAddresses => Some(SourceTrouble::Unreachable),
        DialError::Denied { .. } => Some(SourceTrouble::OwnLimits),
        DialError::DialPeerConditionFalse(_) | DialError::Aborted => None,
    }
}
