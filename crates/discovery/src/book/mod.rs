//! The relays that a node knows, and which of them it has room for.

mod gone;
mod probe;
mod rank;
mod waiting;
mod witness;

pub(crate) use probe::Probe;
pub(crate) use rank::{Rank, Subnet};
pub(crate) use witness::Lists;

use crate::keys::relay_hash;
use coinfuse_directory::sync::{Bucket, BucketSet, Changes, Cursor, Journal, Row, Summary};
use coinfuse_directory::{AddressClass, Descriptor, Directory};
use coinfuse_wire::{RelayId, UnixTime};
use core::net::SocketAddr;
use gone::Gone;
use rank::Seat;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use waiting::Waiting;
use witness::Witnesses;

/// How many relays without a place are remembered.
const MAX_WAITING: usize = 1024;

/// What became of a verified descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The relay was not known before.
    Added,
    /// It is newer than the one that was known.
    Replaced,
    /// The one that is known is the same, or newer.
    Unchanged,
    /// Others have the places that there are for relays like it.
    Waiting,
    /// It has no address, or one that this node would not go to.
    Nowhere,
}

impl Admission {
    /// Whether it is worth telling others.
    pub(crate) fn is_news(self) -> bool {
        matches!(self, Self::Added | Self::Replaced)
    }

    /// Whether there is no place for it.
    pub(crate) fn is_placeless(self) -> bool {
        matches!(self, Self::Waiting | Self::Nowhere)
    }
}

/// How much a book holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BookLimits {
    /// Relays in all.
    pub(crate) relays: usize,
    /// Relays of one public subnet.
    pub(crate) per_subnet: usize,
    /// Whether relays outside the public Internet are taken; their subnets are not counted.
    pub(crate) private: bool,
}

/// A directory in which a flood of identities finds only so many places.
#[derive(Debug)]
pub(crate) struct Book {
    directory: Directory,
    journal: Journal,
    limits: BookLimits,
    own: Option<RelayId>,
    seats: HashMap<RelayId, Seat>,
    by_rank: BTreeSet<Seat>,
    by_subnet: HashMap<Subnet, BTreeSet<Seat>>,
    by_hash: HashMap<[u8; 32], RelayId>,
    waiting: Waiting,
    gone: Gone,
    witnesses: Witnesses,
    /// Who was looked for last, of all that have a place.
    probed: Option<Seat>,
    summary: Option<Summary>,
    version: u64,
    /// The version with which each bucket changed last.
    changed: [u64; Bucket::COUNT],
}

impl Book {
    /// An empty one; `run` is random, and names its journal.
    pub(crate) fn new(limits: BookLimits, run: u64) -> Self {
        Self {
            journal: Journal::new(run),
            directory: Directory::with_limit(limits.relays),
            limits,
            own: None,
            seats: HashMap::new(),
            by_rank: BTreeSet::new(),
            by_subnet: HashMap::new(),
            by_hash: HashMap::new(),
            waiting: Waiting::new(MAX_WAITING),
            gone: Gone::default(),
            witnesses: Witnesses::default(),
            probed: None,
            summary: None,
            version: 0,
            changed: [0; Bucket::COUNT],
        }
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Grows with each change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// What has changed since a version.
    pub(crate) fn changed_since(&self, version: u64) -> BucketSet {
        let changed = Bucket::all().zip(&self.changed);
        let later = changed.filter(|(_, changed)| **changed > version);
        later.map(|(bucket, _)| bucket).collect()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What the directory holds; computed when it has changed.
    pub(crate) fn summary(&mut self) -> Summary {
        let directory = &self.directory;
        self.summary
            .get_or_insert_with(|| Summary::of(directory))
            .clone()
    }

    /// What came into the directory since, as far as that can be told.
    pub(crate) fn changes(&self, since: Option<Cursor>) -> Changes {
        self.journal.since(since)
    }

    /// The descriptor whose record has this name.
    pub(crate) fn by_hash(&self, hash: &[u8; 32]) -> Option<&Arc<Descriptor>> {
        self.directory.get(self.by_hash.get(hash)?)
    }

    /// Whether a descriptor that somebody lists is worth asking for.
    pub(crate) fn wants(&self, row: &Row) -> bool {
        !self.waiting.covers(row)
            && !self.gone.covers(row)
            && self
                .directory
                .get(&row.relay)
                .is_none_or(|known| row.supersedes(&Row::of(known)))
    }

    /// Takes in this node's own descriptor, which always has a place.
    pub(crate) fn admit_own(&mut self, descriptor: Arc<Descriptor>) -> Admission {
        self.own = Some(descriptor.relay);
        self.admit(descriptor)
    }

    /// Takes in a descriptor that was verified.
    pub(crate) fn admit(&mut self, descriptor: Arc<Descriptor>) -> Admission {
        let row = Row::of(&descriptor);
        let reached = self.was_reached(&descriptor) || self.witnesses.list(&row);
        self.admit_as(descriptor, reached)
    }

    fn admit_as(&mut self, descriptor: Arc<Descriptor>, reached: bool) -> Admission {
        let Some(subnet) = self.subnet_of(&descriptor) else {
            return Admission::Nowhere;
        };
        if !self.wants(&Row::of(&descriptor)) {
            return Admission::Unchanged;
        }
        let relay = descriptor.relay;
        let own = self.own == Some(relay);
        let seat = Seat {
            rank: Rank::of(&descriptor, own, reached),
            subnet,
            relay,
        };
        let before = self.leave(&relay);
        self.waiting.remove(&relay);
        self.gone.remove(&relay);
        if !self.make_room(&seat) {
            self.waiting.push(descriptor);
            return Admission::Waiting;
        }
        self.enter(seat, descriptor);
        match before {
            Some(_) => Admission::Replaced,
            None => Admission::Added,
        }
    }

    /// Forgets what does not hold any more; who waited takes the places. Says whether anything
    /// changed.
    pub(crate) fn remove_expired(&mut self, now: UnixTime) -> bool {
        let expired: Vec<RelayId> = self
            .directory
            .iter()
            .filter(|descriptor| !descriptor.is_fresh(now))
            .map(|descriptor| descriptor.relay)
            .collect();
        for relay in &expired {
            if let Some(descriptor) = self.leave(relay) {
                self.gone.push(&descriptor, now);
            }
        }
        if !expired.is_empty() {
            for descriptor in self.waiting.take_fresh(now) {
                self.admit(descriptor);
            }
        }
        !expired.is_empty()
    }

    /// The rank of a relay in the directory.
    pub(crate) fn rank(&self, relay: &RelayId) -> Option<Rank> {
        self.seats.get(relay).map(|seat| seat.rank)
    }

    /// The subnet that a relay counts for, whether it has a place or waits.
    pub(crate) fn subnet(&self, relay: &RelayId) -> Option<Subnet> {
        let known = self.directory.get(relay);
        self.subnet_of(known.or_else(|| self.waiting.get(relay))?)
    }

    /// An address of a descriptor that is not on the public Internet, where it has to be: whoever uses
    /// the relay goes to it, and would be sent into his own network.
    pub(crate) fn unfit(&self, descriptor: &Descriptor) -> Option<SocketAddr> {
        let unfit = |address: &&SocketAddr| {
            !(self.limits.private || AddressClass::of(address.ip()).is_global())
        };
        descriptor.addresses.iter().find(unfit).copied()
    }

    /// The subnet that a descriptor counts for: that of the preferred address.
    fn subnet_of(&self, descriptor: &Descriptor) -> Option<Subnet> {
        let first = descriptor.addresses.first()?;
        self.unfit(descriptor)
            .is_none()
            .then(|| Subnet::of(first.ip()))
    }

    /// Whether the relay was reached in the subnet that this descriptor names.
    fn was_reached(&self, descriptor: &Descriptor) -> bool {
        self.seats.get(&descriptor.relay).is_some_and(|seat| {
            seat.rank.reached() && Some(seat.subnet) == self.subnet_of(descriptor)
        })
    }

    /// Whether there is a place for `seat`, if need be that of another of lower rank.
    fn make_room(&mut self, seat: &Seat) -> bool {
        let mut loser = None;
        if seat.subnet.is_public()
            && let Some(neighbours) = self.by_subnet.get(&seat.subnet)
            && neighbours.len() >= self.limits.per_subnet
        {
            loser = neighbours.first().copied();
        } else if self.directory.len() >= self.limits.relays {
            loser = self.by_rank.first().copied();
        }
        let Some(loser) = loser else {
            return self.limits.relays > 0;
        };
        if loser.rank >= seat.rank {
            return false;
        }
        if let Some(descriptor) = self.leave(&loser.relay) {
            self.waiting.push(descriptor);
        }
        true
    }

    fn enter(&mut self, seat: Seat, descriptor: Arc<Descriptor>) {
        let (relay, row) = (seat.relay, Row::of(&descriptor));
        if self.directory.insert(descriptor).is_err() {
            return;
        }
        self.journal.came(row);
        self.seats.insert(relay, seat);
        self.by_rank.insert(seat);
        self.by_subnet.entry(seat.subnet).or_default().insert(seat);
        self.by_hash.insert(relay_hash(&relay), relay);
        self.changed(&relay);
    }

    fn leave(&mut self, relay: &RelayId) -> Option<Arc<Descriptor>> {
        let descriptor = self.directory.remove(relay)?;
        self.journal.left(relay);
        if let Some(seat) = self.seats.remove(relay) {
            self.by_rank.remove(&seat);
            if let Some(neighbours) = self.by_subnet.get_mut(&seat.subnet) {
                neighbours.remove(&seat);
                if neighbours.is_empty() {
                    self.by_subnet.remove(&seat.subnet);
                }
            }
        }
        self.by_hash.remove(&relay_hash(relay));
        self.changed(relay);
        Some(descriptor)
    }

    /// Gives a relay that has a place the other rank: as reached if it was not, and the other way
    /// round.
    fn turn_rank(&mut self, relay: &RelayId) {
        let Some(seat) = self.seats.get_mut(relay) else {
            return;
        };
        let before = *seat;
        seat.rank = before.rank.turned();
        self.by_rank.remove(&before);
        self.by_rank.insert(*seat);
        if let Some(neighbours) = self.by_subnet.get_mut(&seat.subnet) {
            neighbours.remove(&before);
            neighbours.insert(*seat);
        }
    }

    fn changed(&mut self, relay: &RelayId) {
        self.summary = None;
        self.version += 1;
        self.changed[usize::from(Bucket::of(relay).get())] = self.version;
    }
}

#[cfg(test)]
mod tests;
