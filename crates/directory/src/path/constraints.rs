//! What a path has to be like.

use crate::{Coverage, Descriptor, MintOffer, MintUrl, PacketOffer, PacketPrice, Price, Suite};
use coinfuse_wire::{Msat, PacketSize, RelayId, ServiceCode, UnixTime};
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

    fn check(&self, offer: Option<&PacketOffer>, asks_service: bool) -> Result<(), Unfit> {
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

/// What a path has to be like. Without more than [`new`](Self::new), any distinct relays will do.
///
/// ```
/// use coinfuse_directory::{ExitNeed, PathConstraints, Price};
/// use coinfuse_wire::Rate;
///
/// let ceiling = Rate::from_msat_per_mib(200);
/// let constraints = PathConstraints::new(3)
///     .exit_to(ExitNeed::Name { port: 443 })
///     .max_price(Price { up: ceiling, down: ceiling })
///     .pay_with(["https://mint.example".parse()?])
///     .issuers_allowed(true);
/// # Ok::<(), coinfuse_directory::MintUrlError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PathConstraints {
    pub(super) hops: usize,
    last_service: Option<ServiceCode>,
    last: Option<BTreeSet<RelayId>>,
    exit: Option<ExitNeed>,
    packets: Option<PacketNeed>,
    ceiling: Option<Price>,
    purse: Option<Purse>,
    excluded: BTreeSet<RelayId>,
    suites: Option<Vec<Suite>>,
    now: Option<UnixTime>,
}

/// Which ecash the client has or would buy.
#[derive(Debug, Default, Clone)]
struct Purse {
    mints: BTreeSet<MintUrl>,
    issuers: bool,
}

impl Purse {
    fn pays(&self, offer: &MintOffer) -> bool {
        (self.issuers && offer.issuer) || self.mints.contains(&offer.url)
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

impl PathConstraints {
    /// A path of `hops` relays, 1 to [`Path::MAX_HOPS`](super::Path::MAX_HOPS).
    pub fn new(hops: usize) -> Self {
        Self {
            hops,
            last_service: None,
            last: None,
            exit: None,
            packets: None,
            ceiling: None,
            purse: None,
            excluded: BTreeSet::new(),
            suites: None,
            now: None,
        }
    }

    /// The last hop is an exit that opens this connection, as far as can be known.
    pub fn exit_to(mut self, need: ExitNeed) -> Self {
        self.exit = Some(need);
        self.ending_in(ServiceCode::EXIT)
    }

    /// The last hop offers this service.
    pub fn ending_in(mut self, service: ServiceCode) -> Self {
        self.last_service = Some(service);
        self
    }

    /// The last hop is one of these.
    pub fn ending_at(mut self, relays: impl IntoIterator<Item = RelayId>) -> Self {
        self.last = Some(relays.into_iter().collect());
        self
    }

    /// Every hop takes one-shot packets like this one. The last hop is asked for its service, if
    /// one [was named](Self::ending_in). What has to be paid for then is the packet, and not bytes
    /// that are carried.
    pub fn for_packets(mut self, need: PacketNeed) -> Self {
        self.packets = Some(need);
        self
    }

    /// No hop costs more than this, in either direction.
    pub fn max_price(mut self, ceiling: Price) -> Self {
        self.ceiling = Some(ceiling);
        self
    }

    /// Every hop takes the ecash of one of these mints, or carries for free. Adds to the mints
    /// that were named before.
    pub fn pay_with(mut self, mints: impl IntoIterator<Item = MintUrl>) -> Self {
        self.purse.get_or_insert_default().mints.extend(mints);
        self
    }

    /// Whether a relay that issues its own coins will do as well, since they can be bought from
    /// it by Lightning.
    pub fn issuers_allowed(mut self, allowed: bool) -> Self {
        self.purse.get_or_insert_default().issuers = allowed;
        self
    }

    /// Not these relays. Adds to those that were named before.
    pub fn exclude(mut self, relays: impl IntoIterator<Item = RelayId>) -> Self {
        self.excluded.extend(relays);
        self
    }

    /// Every hop speaks one of these suites.
    pub fn suites(mut self, suites: impl IntoIterator<Item = Suite>) -> Self {
        self.suites = Some(suites.into_iter().collect());
        self
    }

    /// Every hop's descriptor holds at `now`.
    pub fn fresh_at(mut self, now: UnixTime) -> Self {
        self.now = Some(now);
        self
    }

    /// What holds for every hop before the last.
    pub(super) fn check(&self, relay: &Descriptor) -> Result<(), Unfit> {
        self.check_any(relay, false)
    }

    fn check_any(&self, relay: &Descriptor, asks_service: bool) -> Result<(), Unfit> {
        let relay_speaks = |suites: &Vec<Suite>| suites.iter().any(|s| relay.suites.contains(s));
        let tests = [
            (!self.excluded.contains(&relay.relay), Unfit::Excluded),
            (
                self.now.is_none_or(|now| relay.is_fresh(now)),
                Unfit::Expired,
            ),
            (!relay.addresses.is_empty(), Unfit::NoAddress),
            (self.suites.as_ref().is_none_or(relay_speaks), Unfit::Suite),
            (
                self.ceiling
                    .is_none_or(|ceiling| relay.price.within(&ceiling)),
                Unfit::Price,
            ),
        ];
        if let Some((_, unfit)) = tests.into_iter().find(|(passed, _)| !passed) {
            return Err(unfit);
        }
        if let Some(need) = &self.packets {
            need.check(relay.packets.as_ref(), asks_service)?;
        }
        match self.can_pay(relay, asks_service) {
            true => Ok(()),
            false => Err(Unfit::Payment),
        }
    }

    fn can_pay(&self, relay: &Descriptor, asks_service: bool) -> bool {
        let is_free = match (&self.packets, &relay.packets) {
            (Some(need), Some(offer)) => need.fee(offer, asks_service).is_zero(),
            _ => relay.price == Price::FREE,
        };
        is_free
            || self
                .purse
                .as_ref()
                .is_none_or(|purse| relay.mints.iter().any(|offer| purse.pays(offer)))
    }

    /// What holds for the last hop; says how wide it opens the port that is wanted.
    pub(super) fn check_last(&self, relay: &Descriptor) -> Result<Coverage, Unfit> {
        if !self
            .last_service
            .is_none_or(|service| relay.offers(service))
        {
            return Err(Unfit::Service);
        }
        if self
            .last
            .as_ref()
            .is_some_and(|last| !last.contains(&relay.relay))
        {
            return Err(Unfit::Service);
        }
        self.check_any(relay, self.last_service.is_some())?;
        let coverage = match self.exit {
            None => Coverage::Most,
            Some(ExitNeed::Name { port }) => relay.exit_policy.coverage(port),
            Some(ExitNeed::Address(ip, port)) if relay.exit_policy.allows(ip, port) => {
                Coverage::Most
            }
            Some(ExitNeed::Address(..)) => Coverage::Nothing,
        };
        if coverage == Coverage::Nothing {
            return Err(Unfit::ExitPolicy);
        }
        Ok(coverage)
    }
}
