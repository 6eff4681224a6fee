//! The choice of relays for a path.

mod constraints;
mod draw;

pub use constraints::{ExitNeed, PacketNeed, PathConstraints};

use crate::draw::Draw;
use crate::{Descriptor, Directory};
use coinfuse_wire::{HopIndex, ServiceCode};
use constraints::Unfit;
use core::fmt;
use std::sync::Arc;
use thiserror::Error;

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

/// How many relays there were for a place, and why the others did not do.
///
/// A relay counts with the first thing that was in its way, in the order of the fields.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shortage {
    /// How many relays of distinct operators are needed.
    pub needed: usize,
    /// How many of them there are.
    pub found: usize,
    /// Offer the service, and the client asked to leave them out.
    pub excluded: usize,
    /// Their descriptors do not hold any more.
    pub expired: usize,
    /// Publish no address.
    pub no_address: usize,
    /// Speak no suite that the client speaks.
    pub suite: usize,
    /// Take no one-shot packets.
    pub no_packets: usize,
    /// Change the key for packets too soon.
    pub packet_key: usize,
    /// Cost more than the client wants to pay.
    pub price: usize,
    /// Take no ecash that the client has.
    pub payment: usize,
    /// Are exits, and do not open the connection that is wanted.
    pub exit_policy: usize,
}

impl Shortage {
    fn count(&mut self, unfit: Unfit) {
        match unfit {
            Unfit::Excluded => self.excluded += 1,
            Unfit::Expired => self.expired += 1,
            Unfit::NoAddress => self.no_address += 1,
            Unfit::Suite => self.suite += 1,
            Unfit::Price => self.price += 1,
            Unfit::Payment => self.payment += 1,
            Unfit::ExitPolicy => self.exit_policy += 1,
            Unfit::NoPackets => self.no_packets += 1,
            Unfit::PacketKey => self.packet_key += 1,
            Unfit::Service => {}
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} needed, {} found", self.needed, self.found)?;
        for (count, why) in [
            (self.excluded, "excluded"),
            (self.expired, "expired"),
            (self.no_address, "without an address"),
            (self.suite, "with other suites only"),
            (self.no_packets, "taking no packets"),
            (self.packet_key, "changing the key for packets too soon"),
            (self.price, "above the price ceiling"),
            (self.payment, "taking no ecash of ours"),
            (self.exit_policy, "closed to this connection"),
        ] {
            if count > 0 {
                write!(f, ", {count} {why}")?;
            }
        }
        Ok(())
    }
}

/// Why there is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SelectError {
    /// The caller asked for a path of no hops, or of too many.
    #[error("a path has 1 to {max} hops, not {got}", max = Path::MAX_HOPS)]
    HopCount {
        /// How many were asked for.
        got: usize,
    },
    /// No relay will do as the last hop: relax the constraints, or learn of more relays.
    #[error("no relay for the last hop: {0}")]
    NoLastHop(Shortage),
    /// There are too few relays of distinct operators for the hops before it.
    #[error("not enough relays: {0}")]
    NotEnoughRelays(Shortage),
}

/// Chooses a path: the same directory, constraints and seed give the same path.
///
/// `seed` is 32 fresh random bytes. The last hop is chosen first, because few relays will do;
/// then the others, in order. Each is drawn with its capacity as weight, which is what a relay
/// claims, kept within 64 KiB/s and 128 MiB/s (1 MiB/s where nothing is told). Relays are
/// distinct, and so are their operator tags. When only the port of the target is known, exits that
/// open it to [most](crate::Coverage::Most) of the Internet are preferred.
pub fn select_path(
    directory: &Directory,
    constraints: &PathConstraints,
    seed: [u8; 32],
) -> Result<Path, SelectError> {
    let hops = constraints.hops;
    if !(1..=Path::MAX_HOPS).contains(&hops) {
        return Err(SelectError::HopCount { got: hops });
    }
    let mut lottery = Draw::new(seed);
    let (middles, shortage) = middle_relays(directory, constraints);
    let last = choose_last(directory, constraints, &middles, shortage, &mut lottery)?;
    let mut chosen = vec![Arc::clone(last)];
    for _ in 1..hops {
        let free = middles
            .iter()
            .copied()
            .filter(|relay| !clashes(relay, &chosen));
        let next = draw::draw(&mut lottery, free).ok_or(SelectError::NotEnoughRelays(shortage))?;
        chosen.push(Arc::clone(next));
    }
    chosen.rotate_left(1);
    Ok(Path { hops: chosen })
}

/// The relays that may stand before the last hop.
fn middle_relays<'a>(
    directory: &'a Directory,
    constraints: &PathConstraints,
) -> (Vec<&'a Arc<Descriptor>>, Shortage) {
    if constraints.hops == 1 {
        return (Vec::new(), Shortage::default());
    }
    let mut shortage = Shortage {
        needed: constraints.hops - 1,
        ..Shortage::default()
    };
    let fit = |relay: &&Arc<Descriptor>| {
        let offered = relay
            .offers(ServiceCode::RELAY)
            .then_some(())
            .ok_or(Unfit::Service);
        offered
            .and_then(|()| constraints.check(relay))
            .map_err(|unfit| shortage.count(unfit))
            .is_ok()
    };
    let relays: Vec<_> = directory.iter().filter(fit).collect();
    (relays, shortage)
}

fn choose_last<'a>(
    directory: &'a Directory,
    constraints: &PathConstraints,
    middles: &[&'a Arc<Descriptor>],
    middle_shortage: Shortage,
    lottery: &mut Draw,
) -> Result<&'a Arc<Descriptor>, SelectError> {
    let mut shortage = Shortage {
        needed: 1,
        ..Shortage::default()
    };
    let mut candidates = Vec::new();
    for relay in directory.iter() {
        match constraints.check_last(relay) {
            Ok(coverage) => candidates.push((relay, coverage)),
            Err(unfit) => shortage.count(unfit),
        }
    }
    if candidates.is_empty() {
        return Err(SelectError::NoLastHop(shortage));
    }
    // Taking a last hop must leave enough operators for the hops before it. As any choice of those
    // uses up one operator each, this is the only look ahead that is needed; and it need not count
    // further than to the number of hops, of which the last can take away one.
    let groups = groups(middles, constraints.hops);
    let left_by =
        |relay: &Descriptor| groups.len() - usize::from(groups.contains(&Group::of(relay)));
    let found = candidates
        .iter()
        .map(|(relay, _)| left_by(relay))
        .max()
        .unwrap_or(0);
    candidates.retain(|(relay, _)| left_by(relay) >= constraints.hops - 1);
    let best = candidates.iter().map(|(_, coverage)| *coverage).max();
    let preferred = candidates
        .iter()
        .filter(|(_, coverage)| Some(*coverage) == best);
    draw::draw(lottery, preferred.map(|(relay, _)| *relay)).ok_or(SelectError::NotEnoughRelays(
        Shortage {
            found,
            ..middle_shortage
        },
    ))
}

/// Whom a relay belongs to: relays of one group never share a path.
#[derive(PartialEq, Eq)]
enum Group<'a> {
    Operator(&'a str),
    Alone(&'a [u8; 32]),
}

impl<'a> Group<'a> {
    fn of(relay: &'a Descriptor) -> Self {
        match &relay.body().operator {
            Some(tag) => Self::Operator(tag.as_str()),
            None => Self::Alone(relay.body().relay.as_bytes()),
        }
    }
}

/// The first `most` distinct groups.
fn groups<'a>(relays: &[&'a Arc<Descriptor>], most: usize) -> Vec<Group<'a>> {
    let mut groups = Vec::with_capacity(most);
    for relay in relays {
        let group = Group::of(relay);
        if groups.len() == most {
            break;
        }
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

fn clashes(relay: &Descriptor, chosen: &[Arc<Descriptor>]) -> bool {
    chosen
        .iter()
        .any(|other| Group::of(other) == Group::of(relay))
}
