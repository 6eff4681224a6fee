//! What a path has to be like.

use super::need::{ExitNeed, PacketNeed, Purse, Unfit};
use crate::{AddressClass, Country, Coverage, Descriptor, MintUnit, MintUrl, Price, Suite};
use coinfuse_wire::{RelayId, ServiceCode, UnixTime};
use core::net::SocketAddr;
use std::collections::BTreeSet;

/// What a path has to be like. Without more than [`new`](Self::new), any distinct relays will do.
///
/// ```
/// use coinfuse_directory::{ExitNeed, MintUnit, PathConstraints, Price};
/// use coinfuse_wire::Rate;
///
/// let ceiling = Rate::from_msat_per_mib(200);
/// let constraints = PathConstraints::new(3)
///     .exit_to(ExitNeed::Name { port: 443 })
///     .max_price(Price { up: ceiling, down: ceiling })
///     .pay_with([("https://mint.example".parse()?, MintUnit::Sat)])
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
    pub(super) total: Option<Price>,
    purse: Option<Purse>,
    excluded: BTreeSet<RelayId>,
    countries: BTreeSet<Country>,
    suites: Option<Vec<Suite>>,
    global_only: bool,
    pub(super) guarded: bool,
    now: Option<UnixTime>,
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
            total: None,
            purse: None,
            excluded: BTreeSet::new(),
            countries: BTreeSet::new(),
            suites: None,
            global_only: false,
            guarded: true,
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

    /// All hops together cost no more than this, in either direction: what the client pays for each
    /// MiB that it sends or gets.
    pub fn max_total_price(mut self, ceiling: Price) -> Self {
        self.total = Some(ceiling);
        self
    }

    /// Every hop takes the ecash of one of these mints, in the unit that the client has it in, or
    /// carries for free. Adds to the mints that were named before.
    pub fn pay_with(mut self, mints: impl IntoIterator<Item = (MintUrl, MintUnit)>) -> Self {
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

    /// No relay that says that it is in one of these countries. Adds to those that were named
    /// before. Relays that do not say where they are may be anywhere.
    pub fn exclude_countries(mut self, countries: impl IntoIterator<Item = Country>) -> Self {
        self.countries.extend(countries);
        self
    }

    /// Whether relays on loopback, in private networks and the like will do, as they do unless said
    /// otherwise. A client of the public network says no: then only addresses count that are
    /// [global](AddressClass::Global).
    pub fn private_addresses(mut self, allowed: bool) -> Self {
        self.global_only = !allowed;
        self
    }

    /// The first hop need not be a [guard](crate::Guard): on a packet's way back the client is at the
    /// other end.
    pub fn without_guard(mut self) -> Self {
        self.guarded = false;
        self
    }

    /// Every hop speaks one of these suites.
    pub fn suites(mut self, suites: impl IntoIterator<Item = Suite>) -> Self {
        self.suites = Some(suites.into_iter().collect());
        self
    }

    /// Every hop's descriptor holds at `now`, which is also when the history is looked at. Who has a
    /// history with failures in it has to tell, for without a time no relay ever ends its rest.
    pub fn fresh_at(mut self, now: UnixTime) -> Self {
        self.now = Some(now);
        self
    }

    /// When the path is drawn, if that was told.
    pub(super) fn now(&self) -> UnixTime {
        self.now.unwrap_or_default()
    }

    /// Whether a relay is left out by its name.
    pub(crate) fn excludes(&self, relay: &RelayId) -> bool {
        self.excluded.contains(relay)
    }

    /// Whether a relay can stand before the last hop.
    pub(crate) fn may_carry(&self, relay: &Descriptor) -> bool {
        self.check_middle(relay).is_ok()
    }

    pub(super) fn check_middle(&self, relay: &Descriptor) -> Result<(), Unfit> {
        if !relay.offers(ServiceCode::RELAY) {
            return Err(Unfit::Service);
        }
        self.check_terms(relay)?;
        self.check_payment(relay, false)
    }

    /// How wide a relay opens the target as the last hop.
    pub(super) fn check_last(&self, relay: &Descriptor) -> Result<Coverage, Unfit> {
        if !self.is_wanted_last(relay) {
            return Err(Unfit::Service);
        }
        self.check_terms(relay)?;
        self.check_payment(relay, self.last_service.is_some())?;
        self.check_exit(relay)
    }

    /// Whether a relay offers what the last hop is needed for.
    pub(super) fn is_wanted_last(&self, relay: &Descriptor) -> bool {
        let offers = |service| relay.offers(service);
        let named = |last: &BTreeSet<RelayId>| last.contains(&relay.relay);
        self.last_service.is_none_or(offers) && self.last.as_ref().is_none_or(named)
    }

    /// What holds whatever the relay is used for.
    fn check_terms(&self, relay: &Descriptor) -> Result<(), Unfit> {
        let relay_speaks = |suites: &Vec<Suite>| suites.iter().any(|s| relay.suites.contains(s));
        let unwanted = |country: &Country| self.countries.contains(country);
        if self.excludes(&relay.relay) || relay.country.as_ref().is_some_and(unwanted) {
            return Err(Unfit::Excluded);
        }
        if !self.now.is_none_or(|now| relay.is_fresh(now)) {
            return Err(Unfit::Expired);
        }
        if !self.can_reach(relay) {
            return Err(Unfit::NoAddress);
        }
        if !self.suites.as_ref().is_none_or(relay_speaks) {
            return Err(Unfit::Suite);
        }
        let within = |ceiling: Price| relay.price.within(&ceiling);
        match self.ceiling.is_none_or(within) {
            true => Ok(()),
            false => Err(Unfit::Price),
        }
    }

    fn can_reach(&self, relay: &Descriptor) -> bool {
        let global = |at: &SocketAddr| AddressClass::of(at.ip()).is_global();
        match self.global_only {
            true => relay.addresses.iter().any(global),
            false => !relay.addresses.is_empty(),
        }
    }

    fn check_payment(&self, relay: &Descriptor, asks_service: bool) -> Result<(), Unfit> {
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
        let takes_ours = |purse: &Purse| relay.mints.iter().any(|offer| purse.pays(offer));
        is_free || self.purse.as_ref().is_none_or(takes_ours)
    }

    /// How wide the last hop opens the port that is wanted.
    fn check_exit(&self, relay: &Descriptor) -> Result<Coverage, Unfit> {
        let coverage = match self.exit {
            None => Coverage::Most,
            Some(ExitNeed::Name { port }) => relay.exit_policy.coverage(port),
            Some(ExitNeed::Address(ip, port)) if relay.exit_policy.allows(ip, port) => {
                Coverage::Most
            }
            Some(ExitNeed::Address(..)) => Coverage::Nothing,
        };
        match coverage {
            Coverage::Nothing => Err(Unfit::ExitPolicy),
            some => Ok(some),
        }
    }
}
