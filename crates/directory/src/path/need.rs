//! What a single hop is needed for, and what can be in its way.

use crate::{MintOffer, MintUnit, MintUrl, PacketOffer, PacketPrice};
use coinfuse_wire::{Msat, PacketSize, UnixTime};
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeSet;

/// Which connection the last hop has to open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ExitNeed {
    /// To this address and port.
    Address(IpAddr, u16),
    /// To this port of a name, whose addresses only the exit will know.
    Name {
        /// The port.
        port: u16,
    },
}

impl fmt::Debug for ExitNeed {
    /// Where somebody wants to go is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExitNeed([scrubbed])")
    }
}

/// What a one-shot packet needs of each hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketNeed {
    /// Its size.
    pub size: PacketSize,
    /// The longest delay that a hop will be asked for; a relay that offers less is asked for less.
    pub delay: Duration,
    /// Until when the hops' packet keys have to be good: when the packet has been there at the
    /// latest.
    pub until: UnixTime,
    /// No hop's fee is higher than it would be at these prices.
    pub ceiling: PacketPrice,
}

impl PacketNeed {
    /// The fee of a hop, and what it may be.
    pub fn fee(&self, offer: &PacketOffer, asks_service: bool) -> Msat {
        let delay = self.delay.min(offer.max_delay);
        offer.price.fee(self.size, asks_service, delay)
    }

    pub(super) fn check(
        &self,
        offer: Option<&PacketOffer>,
        asks_service: bool,
    ) -> Result<(), Unfit> {
        let offer = offer.ok_or(Unfit::NoPackets)?;
        let most = self.ceiling.fee(self.size, asks_service, self.delay);
        if offer.good_until < self.until {
            return Err(Unfit::PacketKey);
        }
        match self.fee(offer, asks_service) <= most {
            true => Ok(()),
            false => Err(Unfit::Price),
        }
    }
}

/// Which ecash the client has or would buy.
#[derive(Debug, Default, Clone)]
pub(super) struct Purse {
    pub(super) mints: BTreeSet<(MintUrl, MintUnit)>,
    pub(super) issuers: bool,
}

impl Purse {
    pub(super) fn pays(&self, offer: &MintOffer) -> bool {
        let is_ours = |(url, unit): &(MintUrl, MintUnit)| *url == offer.url && *unit == offer.unit;
        (self.issuers && offer.issuer) || self.mints.iter().any(is_ours)
    }
}

/// What is in a relay's way to a place in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Nobody expected this relay in this place.
    Service,
    Excluded,
    Expired,
    NoAddress,
    Suite,
    Price,
    Payment,
    ExitPolicy,
    NoPackets,
    PacketKey,
}
