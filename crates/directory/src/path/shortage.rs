//! Why there is no path.

use super::Path;
use super::need::Unfit;
use core::fmt;
use thiserror::Error;

/// How many relays there were for a place, and why the others did not do.
///
/// A relay counts with the first thing that was in its way, in the order of the fields.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shortage {
    /// How many relays are needed that can share a path.
    pub needed: usize,
    /// How many of them were found.
    pub found: usize,
    /// Offer the service, and the client asked to leave them, or their countries, out.
    pub excluded: usize,
    /// Their descriptors do not hold any more.
    pub expired: usize,
    /// Publish no address that the client would use.
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
    pub(super) fn count(&mut self, unfit: Unfit) {
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
    /// None of the [guards](crate::Guard) will do as the first hop: [tend
    /// them](crate::History::tend_guards), or relax the constraints. It can take days until there
    /// is another.
    #[error("no guard for the first hop: {0}")]
    NoGuard(Shortage),
    /// There are too few relays that can share a path for the hops before it.
    #[error("not enough relays: {0}")]
    NotEnoughRelays(Shortage),
}
