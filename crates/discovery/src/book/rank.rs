//! Who stays when there is not room for all.

use crate::keys::relay_hash;
use coinfuse_directory::{AddressClass, Descriptor};
use coinfuse_wire::RelayId;
use core::cmp::Reverse;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How much speaks for a relay; the larger stays.
///
/// All honest nodes come to the same order, but for what they have seen with their own eyes. A relay
/// that was reached where it says it is goes before those that only say so: else throw-away
/// identities could claim a stranger's network and push him out, with some work if need be. A client,
/// which goes nowhere to see, takes the word of most of its sources for that. Then counts the work in
/// the name, and the name itself decides in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// It is our own.
    own: bool,
    /// It was reached in the subnet that it says it is in, or, for a client, most sources list it.
    reached: bool,
    /// Bits of work.
    work: u32,
    /// So that no two are equal.
    name: Reverse<[u8; 32]>,
}

impl Rank {
    pub(crate) fn of(descriptor: &Descriptor, own: bool, reached: bool) -> Self {
        Self {
            own,
            reached,
            work: descriptor.work_bits(),
            name: Reverse(relay_hash(&descriptor.relay)),
        }
    }

    /// Whether the relay was reached, by us or, for a client, by others.
    pub(crate) fn reached(self) -> bool {
        self.reached
    }

    /// Whether it is our own.
    pub(super) fn is_own(self) -> bool {
        self.own
    }

    /// The same but for whether the relay was reached, which is the other way round.
    pub(super) fn turned(self) -> Self {
        Self {
            reached: !self.reached,
            ..self
        }
    }
}

/// A network of one owner, as far as can be told: /24, for IPv6 /48.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Subnet(IpAddr);

impl Subnet {
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address {
            IpAddr::V4(ip) => Ipv4Addr::from(u32::from(ip) & (u32::MAX << 8)).into(),
            IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) & (u128::MAX << 80)).into(),
        })
    }

    /// Whether it is on the public Internet. Others say nothing about an owner.
    pub(crate) fn is_public(&self) -> bool {
        AddressClass::of(self.0).is_global()
    }
}

/// A relay's place in the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seat {
    pub(crate) rank: Rank,
    pub(crate) subnet: Subnet,
    pub(crate) relay: RelayId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_what_one_owner_has() {
        let subnet = |text: &str| Subnet::of(text.parse().unwrap());
        assert_eq!(subnet("1.2.3.4"), subnet("1.2.3.255"));
        assert_ne!(subnet("1.2.3.4"), subnet("1.2.4.4"));
        assert_eq!(subnet("2a00:1:2:3::1"), subnet("2a00:1:2:ffff::2"));
        assert_ne!(subnet("2a00:1:2:3::1"), subnet("2a00:1:3:3::1"));
        assert!(subnet("1.2.3.4").is_public() && subnet("2a00:1:2:3::1").is_public());
        assert!(!subnet("127.0.0.1").is_public() && !subnet("10.1.2.3").is_public());
    }
}
