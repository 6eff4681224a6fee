//! Whom to look for.

use super::{Book, Rank, Seat, Subnet};
use coinfuse_directory::{Descriptor, SourceOffer};
use coinfuse_wire::RelayId;
use core::ops::Bound;
use std::sync::Arc;

/// Which relay is to be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// One that waits.
    Waiting,
    /// The last of the subnet of one that waits.
    Neighbour,
    /// The next of all that have a place, the last of them first, and again from there.
    ///
    /// Those are the first to go when it gets full, so it has to be known before who of them is real.
    Anybody,
}

impl Probe {
    pub(crate) const ALL: [Self; 3] = [Self::Waiting, Self::Neighbour, Self::Anybody];
}

impl Book {
    /// A relay that was not reached yet, and where it says that it can be.
    pub(crate) fn next_probe(&mut self, which: Probe) -> Option<(RelayId, SourceOffer)> {
        let relay = match which {
            Probe::Waiting => Arc::clone(self.waiting.rotate()?),
            Probe::Neighbour => {
                let waiting = Arc::clone(self.waiting.rotate()?);
                let neighbours = self.by_subnet.get(&self.subnet_of(&waiting)?)?;
                Arc::clone(self.directory.get(&neighbours.first()?.relay)?)
            }
            Probe::Anybody => return self.next_of_all(),
        };
        if self.was_reached(&relay) {
            return None;
        }
        Some((relay.relay, self.place_of(&relay)?))
    }

    /// Those that were not reached come first in the order of ranks.
    fn next_of_all(&mut self) -> Option<(RelayId, SourceOffer)> {
        let from = self.probed.map_or(Bound::Unbounded, Bound::Excluded);
        let is_open = |seat: &&Seat| !seat.rank.reached() && !seat.rank.is_own();
        let later = self.by_rank.range((from, Bound::Unbounded));
        let all = later
            .take_while(is_open)
            .chain(self.by_rank.iter().take_while(is_open));
        let (seat, offer) = all.copied().find_map(|seat| {
            let relay = self.directory.get(&seat.relay)?;
            Some((seat, self.place_of(relay)?))
        })?;
        self.probed = Some(seat);
        Some((seat.relay, offer))
    }

    /// Where a relay says that it can be reached, as far as that is in its subnet.
    fn place_of(&self, relay: &Descriptor) -> Option<SourceOffer> {
        let subnet = self.subnet_of(relay)?;
        let mut source = relay.source.clone()?;
        let is_there = |ip| Subnet::of(ip) == subnet;
        source.addresses.retain(|address| is_there(address.ip()));
        (!source.addresses.is_empty()).then_some(source)
    }

    /// Notes that a relay was reached in a subnet; it may get a place for that. It counts only if that is
    /// still where the relay says it is: it may have said something else since it was looked for.
    pub(crate) fn reached(&mut self, relay: &RelayId, subnet: Subnet) {
        if self.is_reached(relay) || self.subnet(relay) != Some(subnet) {
            return;
        }
        if self.seats.contains_key(relay) {
            self.turn_rank(relay);
        } else if let Some(descriptor) = self.waiting.remove(relay) {
            self.admit_as(descriptor, true);
        }
    }

    /// Whether that was noted of a relay that has a place.
    pub(crate) fn is_reached(&self, relay: &RelayId) -> bool {
        self.rank(relay).is_some_and(Rank::reached)
    }
}
