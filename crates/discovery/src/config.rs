//! How a node of the discovery network behaves.

use crate::address::PeerAddress;
use crate::clock::Clock;
use coinfuse_directory::{AuditConfig, Directory};
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// What a node does for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It listens, publishes a descriptor, holds the whole directory, and answers whoever asks.
    Relay,
    /// It only asks, and is known to nobody but those whom it asks.
    Client,
}

/// How a node of the discovery network behaves.
#[derive(Clone)]
#[non_exhaustive]
pub struct DiscoveryConfig {
    /// Relay or client.
    pub role: Role,
    /// What the peer's key grows from.
    pub(crate) peer_seed: Zeroizing<[u8; 32]>,
    /// What everything random follows from.
    pub(crate) seed: Zeroizing<[u8; 32]>,
    /// Where to listen (TCP). Port 0 is any port. Of `[::]` and `0.0.0.0` with the same port one is
    /// enough, for machines that have only one of the two; each other has to do. Empty for a client.
    pub listen: Vec<SocketAddr>,
    /// Where others reach this node. If empty, where it listens, as far as that is on the public
    /// Internet or [`private_addresses`](Self::private_addresses) is set.
    pub external: Vec<SocketAddr>,
    /// Whom to ask when nobody else is known. More than one, of different people, so that none of
    /// them decides alone what the network looks like.
    pub bootstrap: Vec<PeerAddress>,
    /// Where the directory is kept between starts.
    pub cache_file: Option<PathBuf>,
    /// Whether to connect to addresses that are not on the public Internet, and to take relays that
    /// have such. Only for a network of one's own.
    pub private_addresses: bool,
    /// Bounds.
    pub limits: Limits,
    /// Times.
    pub timing: Timing,
    /// How strict it is with the sources of the directory.
    pub audit: AuditConfig,
    /// Civil time.
    pub clock: Clock,
}

impl DiscoveryConfig {
    /// A relay. Its key on connections grows from the secret `peer_seed`, which is for that only and
    /// stays the same; `seed` is 32 fresh random bytes.
    pub fn relay(peer_seed: [u8; 32], seed: [u8; 32]) -> Self {
        Self {
            role: Role::Relay,
            peer_seed: Zeroizing::new(peer_seed),
            seed: Zeroizing::new(seed),
            listen: Vec::new(),
            external: Vec::new(),
            bootstrap: Vec::new(),
            cache_file: None,
            private_addresses: false,
            limits: Limits::default(),
            timing: Timing::default(),
            audit: AuditConfig::default(),
            clock: Clock::system(),
        }
    }

    /// A client, known by another key at each start; `seed` is 32 fresh random bytes.
    pub fn client(seed: [u8; 32]) -> Self {
        let limits = Limits {
            process_memory: None,
            ..Limits::default()
        };
        Self {
            role: Role::Client,
            limits,
            ..Self::relay(crate::keys::derive(&seed, "client"), seed)
        }
    }
}

impl fmt::Debug for DiscoveryConfig {
    /// Without the seeds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiscoveryConfig")
            .field("role", &self.role)
            .field("listen", &self.listen)
            .field("bootstrap", &self.bootstrap)
            .field("limits", &self.limits)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}

/// How much a node holds and does at most.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Limits {
    /// Relays in the directory. 20,000; some 2 KB of memory each, 5 at worst.
    pub relays: usize,
    /// Relays of one public /24, for IPv6 /48, in the directory: 16. Who has done more work for his
    /// name goes first, and before all who was reached there; for a client, whom most sources list.
    pub relays_per_subnet: usize,
    /// Connections that others opened: 512.
    pub incoming: u32,
    /// Those of one public /24, for IPv6 /48: 32. An address that is not public counts as a subnet, so
    /// a relay behind a proxy that hides its clients' addresses needs more; but not where
    /// [`private_addresses`](DiscoveryConfig::private_addresses) is set.
    pub incoming_per_subnet: u32,
    /// Connections of one such subnet whose peer has not proved its key yet: 8.
    pub pending_per_subnet: u32,
    /// Connections that this node opened: 128.
    pub outgoing: u32,
    /// Connections with one peer: 4.
    pub per_peer: u32,
    /// No more connections, in or out, while the whole process holds more bytes of physical memory
    /// than this, whatever for. 1 GiB for a relay; it should be more than what the rest of the process
    /// needs, and less than the machine has. Not limited for a client, to which nobody connects.
    pub process_memory: Option<usize>,
    /// Bytes of answers on their way at once; whoever asks then is told to come later. 32 MiB.
    pub answers: usize,
    /// The same for those of one subnet, each of which may have one answer more: 2 MiB.
    pub answers_per_subnet: usize,
    /// Bytes of long questions being read at once, those that publish descriptors; a peer that has one
    /// more is not answered, and its news comes with the next comparison. 32 MiB.
    pub questions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            relays: Directory::DEFAULT_LIMIT,
            relays_per_subnet: 16,
            incoming: 512,
            incoming_per_subnet: 32,
            pending_per_subnet: 8,
            outgoing: 128,
            per_peer: 4,
            process_memory: Some(1 << 30),
            answers: 32 << 20,
            answers_per_subnet: 2 << 20,
            questions: 32 << 20,
        }
    }
}

/// When a node does what. Each time is drawn from a quarter around what is given here.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Timing {
    /// How often the directory is compared with that of another node, or followed there: 15 s. A
    /// comparison that finds no difference costs 5 KB.
    pub compare: Duration,
    /// How often a client that follows what changes at one source compares all with another: 4 min.
    pub full: Duration,
    /// How long after it heard the first source a relay tells the DHT who it is and what it offers:
    /// 30 s, so that it knows the network by then. Nothing that a client does depends on it.
    pub settle: Duration,
    /// How often it tells the DHT anew: 10 min.
    pub announce: Duration,
    /// How long news is gathered before it is passed on: 100 ms.
    pub gather: Duration,
    /// How long a peer that failed is left alone: 30 s.
    pub retry: Duration,
    /// How long an answer may take: 10 s.
    pub answer: Duration,
    /// How often a relay leaves word at its bootstrap peers, and everybody asks those who else did: an
    /// hour, half the time that such word is kept.
    pub meet: Duration,
    /// How long a connection without use is kept: 60 s.
    pub idle: Duration,
    /// How often the cache file is written, if anything changed: 60 s.
    pub save: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            compare: Duration::from_secs(15),
            full: Duration::from_secs(240),
            settle: Duration::from_secs(30),
            announce: Duration::from_secs(600),
            gather: Duration::from_millis(100),
            retry: Duration::from_secs(30),
            answer: Duration::from_secs(10),
            meet: Duration::from_secs(3600),
            idle: Duration::from_secs(60),
            save: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_connected_to_has_a_bound_for_memory() {
        let relay = DiscoveryConfig::relay([1; 32], [2; 32]).limits;
        let client = DiscoveryConfig::client([3; 32]).limits;
        assert_eq!(relay.process_memory, Some(1 << 30));
        // What a client's process needs for other things is not known here.
        assert_eq!(client.process_memory, None);
        // What discovery itself is allowed to hold for strangers is a small part of it.
        assert!(relay.answers + relay.questions <= (1 << 30) / 8);
    }
}
