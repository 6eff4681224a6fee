//! The two halves of a rule: which addresses, which ports.

use crate::AddressClass;
use crate::address::{same_prefix_v4, same_prefix_v6};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A set of addresses, as a rule names it.
///
/// Networks are in one form: the bits after the prefix are zero, and a prefix of no bits is
/// [`AnyV4`](Self::AnyV4) or [`AnyV6`](Self::AnyV6). [`AddressPattern::v4`] and
/// [`AddressPattern::v6`] see to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressPattern {
    /// `*`: every address.
    Any,
    /// `*4`: every IPv4 address.
    AnyV4,
    /// `*6`: every IPv6 address.
    AnyV6,
    /// `private`: every address that is not [global](AddressClass::Global). (Tor's list of that
    /// name, and the ranges that were set aside since.)
    Private,
    /// An IPv4 network of 1 to 32 bits.
    V4(Network<Ipv4Addr>),
    /// An IPv6 network of 1 to 128 bits.
    V6(Network<Ipv6Addr>),
}

/// The addresses that share their first bits with `base`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network<A> {
    base: A,
    prefix: u8,
}

impl<A: Copy> Network<A> {
    /// The lowest address of the network.
    pub fn base(&self) -> A {
        self.base
    }

    /// How many leading bits are shared.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }
}

impl AddressPattern {
    /// The IPv4 network around `address`; `None` for a prefix above 32.
    pub fn v4(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        match prefix {
            0 => Some(Self::AnyV4),
            1..=32 => {
                let base = Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - prefix)));
                Some(Self::V4(Network { base, prefix }))
            }
            _ => None,
        }
    }

    /// The IPv6 network around `address`; `None` for a prefix above 128.
    pub fn v6(address: Ipv6Addr, prefix: u8) -> Option<Self> {
        match prefix {
            0 => Some(Self::AnyV6),
            1..=128 => {
                let base = Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - prefix)));
                Some(Self::V6(Network { base, prefix }))
            }
            _ => None,
        }
    }

    /// Whether `address` is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::Any, _) | (Self::AnyV4, IpAddr::V4(_)) | (Self::AnyV6, IpAddr::V6(_)) => true,
            (Self::Private, _) => !AddressClass::of(address).is_global(),
            (Self::V4(net), IpAddr::V4(ip)) => same_prefix_v4(net.base, ip, net.prefix),
            (Self::V6(net), IpAddr::V6(ip)) => same_prefix_v6(net.base, ip, net.prefix),
            _ => false,
        }
    }

    /// The special-purpose class that this lies in, if it names a network and that lies in one.
    pub(crate) fn network_class(&self) -> Option<AddressClass> {
        match self {
            Self::V4(net) => AddressClass::of_network(net.base.into(), net.prefix),
            Self::V6(net) => AddressClass::of_network(net.base.into(), net.prefix),
            _ => None,
        }
    }

    /// Whether all of IPv4 is in the set, and whether all of IPv6 is.
    pub(crate) fn whole_families(&self) -> (bool, bool) {
        match self {
            Self::Any => (true, true),
            Self::AnyV4 => (true, false),
            Self::AnyV6 => (false, true),
            _ => (false, false),
        }
    }

    /// Whether an accepting rule with this pattern can open nothing, given the families that were
    /// rejected whole before it. `private` never opens anything.
    pub(crate) fn is_behind(&self, v4_closed: bool, v6_closed: bool) -> bool {
        match self {
            Self::Any => v4_closed && v6_closed,
            Self::AnyV4 | Self::V4(_) => v4_closed,
            Self::AnyV6 | Self::V6(_) => v6_closed,
            Self::Private => true,
        }
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::AnyV4 => f.write_str("*4"),
            Self::AnyV6 => f.write_str("*6"),
            Self::Private => f.write_str("private"),
            Self::V4(Network { base, prefix: 32 }) => write!(f, "{base}"),
            Self::V4(Network { base, prefix }) => write!(f, "{base}/{prefix}"),
            Self::V6(Network { base, prefix: 128 }) => write!(f, "[{base}]"),
            Self::V6(Network { base, prefix }) => write!(f, "[{base}]/{prefix}"),
        }
    }
}

/// A range of ports, both ends included, within 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// `*`: every port.
    pub const ALL: Self = Self {
        first: 1,
        last: u16::MAX,
    };

    /// The ports from `first` to `last`; `None` for port 0 and for ends in the wrong order.
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first == 0 || first > last {
            None
        } else {
            Some(Self { first, last })
        }
    }

    /// The lowest port.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub const fn last(self) -> u16 {
        self.last
    }

    /// Whether `port` is in the range.
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ALL => f.write_str("*"),
            Self { first, last } if first == last => write!(f, "{first}"),
            Self { first, last } => write!(f, "{first}-{last}"),
        }
    }
}
