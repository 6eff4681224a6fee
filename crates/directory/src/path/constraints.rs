//! What a path has to be like.

use crate::{Coverage, Descriptor, MintOffer, MintUrl, Price, Suite};
use coinfuse_wire::{RelayId, ServiceCode, UnixTime};
use core::fmt;
use core::net::IpAddr;
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
    exit: Option<ExitNeed>,
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
    Service,
    Excluded,
    Expired,
    NoAddress,
    Suite,
    Price,
    Payment,
    ExitPolicy,
}

impl PathConstraints {
    /// A path of `hops` relays, 1 to [`Path::MAX_HOPS`](super::Path::MAX_HOPS).
    pub fn new(hops: usize) -> Self {
        Self {
            hops,
            last_service: None,
            exit: None,
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

    /// What holds for every hop.
    pub(super) fn check(&self, relay: &Descriptor) -> Result<(), Unfit> {
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
            (self.can_pay(relay), Unfit::Payment),
        ];
        match tests.into_iter().find(|(passed, _)| !passed) {
            Some((_, unfit)) => Err(unfit),
            None => Ok(()),
        }
    }

    fn can_pay(&self, relay: &Descriptor) -> bool {
        relay.price == Price::FREE
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
        self.check(relay)?;
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
