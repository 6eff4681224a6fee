//! Relays that there was no room for.

use coinfuse_directory::Descriptor;
use coinfuse_directory::sync::Row;
use coinfuse_wire::{RelayId, UnixTime};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// A bounded queue of descriptors that lost against others: kept so that they are not fetched again
/// and again, and so that they get in when there is room, or when it turns out that they are where
/// they say and the others are not.
#[derive(Debug)]
pub(super) struct Waiting {
    relays: HashMap<RelayId, Arc<Descriptor>>,
    order: VecDeque<RelayId>,
    limit: usize,
}

impl Waiting {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            relays: HashMap::new(),
            order: VecDeque::new(),
            limit,
        }
    }

    /// Takes one in, at the end of the queue; whoever waited longest has to go for it.
    pub(super) fn push(&mut self, descriptor: Arc<Descriptor>) {
        let relay = descriptor.relay;
        if self.relays.insert(relay, descriptor).is_some() {
            return;
        }
        self.order.push_back(relay);
        if self.order.len() > self.limit
            && let Some(first) = self.order.pop_front()
        {
            self.relays.remove(&first);
        }
    }

    pub(super) fn get(&self, relay: &RelayId) -> Option<&Arc<Descriptor>> {
        self.relays.get(relay)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Descriptor>> {
        self.relays.values()
    }

    /// Whether this descriptor, or a newer one of the same relay, waits.
    pub(super) fn covers(&self, row: &Row) -> bool {
        self.get(&row.relay)
            .is_some_and(|known| !row.supersedes(&Row::of(known)))
    }

    pub(super) fn remove(&mut self, relay: &RelayId) -> Option<Arc<Descriptor>> {
        let descriptor = self.relays.remove(relay)?;
        self.order.retain(|waiting| waiting != relay);
        Some(descriptor)
    }

    /// The first of the queue, which goes to its end.
    pub(super) fn rotate(&mut self) -> Option<&Arc<Descriptor>> {
        let first = self.order.pop_front()?;
        self.order.push_back(first);
        self.relays.get(&first)
    }

    /// Takes out all that still hold.
    pub(super) fn take_fresh(&mut self, now: UnixTime) -> Vec<Arc<Descriptor>> {
        let order = core::mem::take(&mut self.order);
        let mut relays = core::mem::take(&mut self.relays);
        let all = order.iter().filter_map(|relay| relays.remove(relay));
        all.filter(|one| one.is_fresh(now)).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.relays.len()
    }
}
