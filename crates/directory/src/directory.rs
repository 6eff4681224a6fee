//! The relays that are known.

use crate::sync::Bucket;
use crate::{Descriptor, DescriptorDigest};
use coinfuse_wire::{RelayId, ServiceCode};
use core::fmt::Write as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

/// What became of a descriptor that was offered to a [`Directory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// The relay was not known before.
    Added,
    /// It is newer than the one that was known.
    Replaced,
    /// The one that is known is the same, or newer.
    Unchanged,
}

/// The directory holds as many relays as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the directory is full at {limit} relays")]
pub struct DirectoryFull {
    /// How many it may hold.
    pub limit: usize,
}

/// A bounded set of verified descriptors, one per relay, in the order of the relays' names.
#[derive(Debug, Clone)]
pub struct Directory {
    relays: BTreeMap<RelayId, Arc<Descriptor>>,
    limit: usize,
}

impl Directory {
    /// How many relays a directory holds unless said otherwise: at 4 KiB each, 80 MiB at worst.
    pub const DEFAULT_LIMIT: usize = 20_000;

    /// An empty directory of at most [`DEFAULT_LIMIT`](Self::DEFAULT_LIMIT) relays.
    pub fn new() -> Self {
        Self::with_limit(Self::DEFAULT_LIMIT)
    }

    /// An empty directory of at most `limit` relays.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            relays: BTreeMap::new(),
            limit,
        }
    }

    /// Takes a descriptor in, unless the same or a newer one is there. The one with the higher
    /// sequence number is newer; if a relay signed two with one number, the one with the higher
    /// [digest](Descriptor::digest), so that all who see both keep the same.
    pub fn insert(
        &mut self,
        descriptor: impl Into<Arc<Descriptor>>,
    ) -> Result<Inserted, DirectoryFull> {
        let descriptor = descriptor.into();
        let relay = descriptor.relay;
        let outcome = match self.relays.get(&relay) {
            Some(known) if age(known) >= age(&descriptor) => return Ok(Inserted::Unchanged),
            Some(_) => Inserted::Replaced,
            None if self.relays.len() >= self.limit => {
                return Err(DirectoryFull { limit: self.limit });
            }
            None => Inserted::Added,
        };
        self.relays.insert(relay, descriptor);
        Ok(outcome)
    }

    /// The descriptor of one relay.
    pub fn get(&self, relay: &RelayId) -> Option<&Arc<Descriptor>> {
        self.relays.get(relay)
    }

    /// Forgets a relay.
    pub fn remove(&mut self, relay: &RelayId) -> Option<Arc<Descriptor>> {
        self.relays.remove(relay)
    }

    /// The relays of one bucket, in the order of their names.
    pub fn bucket(&self, bucket: Bucket) -> impl Iterator<Item = &Arc<Descriptor>> {
        let (first, last) = bucket.bounds();
        self.relays
            .range(first..=last)
            .map(|(_, descriptor)| descriptor)
    }

    /// All relays.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Descriptor>> {
        self.relays.values()
    }

    /// The relays that offer a service.
    pub fn offering(&self, service: ServiceCode) -> impl Iterator<Item = &Arc<Descriptor>> {
        self.iter()
            .filter(move |descriptor| descriptor.offers(service))
    }

    /// How many relays are known.
    pub fn len(&self) -> usize {
        self.relays.len()
    }

    /// True when no relay is known.
    pub fn is_empty(&self) -> bool {
        self.relays.is_empty()
    }

    /// The directory as a file, which [`DirectoryFile`](crate::DirectoryFile) reads.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for descriptor in self.iter() {
            writeln!(text, "{descriptor}").expect("writing to a string does not fail");
        }
        text
    }
}

/// Grows with each descriptor of a relay.
fn age(descriptor: &Descriptor) -> (u64, DescriptorDigest) {
    (descriptor.sequence, descriptor.digest())
}

impl Default for Directory {
    fn default() -> Self {
        Self::new()
    }
}

impl Extend<Descriptor> for Directory {
    /// Takes what fits; relays beyond the limit are left out.
    fn extend<I: IntoIterator<Item = Descriptor>>(&mut self, descriptors: I) {
        for descriptor in descriptors {
            let _full = self.insert(descriptor);
        }
    }
}
