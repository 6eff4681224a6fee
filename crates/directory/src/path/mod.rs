//! The choice of relays for a path.

mod apart;
mod candidates;
mod constraints;
mod need;
mod search;
mod select;
mod shortage;
mod weighted;

pub use constraints::PathConstraints;
pub use need::{ExitNeed, PacketNeed};
pub use select::select_path;
pub use shortage::{SelectError, Shortage};
pub(crate) use {apart::may_share_path, candidates::carriers, weighted::Weighted};

use crate::Descriptor;
use coinfuse_wire::HopIndex;
use std::sync::Arc;

/// The relays that a circuit or a packet should go through, from the client's neighbour to the last
/// hop.
///
/// Never empty, and no relay comes twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    hops: Vec<Arc<Descriptor>>,
}

impl Path {
    /// The most hops of a path.
    pub const MAX_HOPS: usize = HopIndex::MAX_HOPS;

    fn of(hops: &[&Arc<Descriptor>]) -> Self {
        let hops = hops.iter().map(|hop| Arc::clone(hop)).collect();
        Self { hops }
    }

    /// The relays in order.
    pub fn hops(&self) -> &[Arc<Descriptor>] {
        &self.hops
    }

    /// The relay at one position.
    pub fn hop(&self, index: HopIndex) -> Option<&Arc<Descriptor>> {
        self.hops.get(index.get())
    }

    /// The relay that the client connects to.
    pub fn first(&self) -> &Arc<Descriptor> {
        self.hops.first().expect("a path is never empty")
    }

    /// The relay where streams, or the packet, end.
    pub fn last(&self) -> &Arc<Descriptor> {
        self.hops.last().expect("a path is never empty")
    }
}
