//! Which relays never share a path.

use crate::{AddressClass, DescriptorBody};
use core::net::{IpAddr, SocketAddr};

/// Whether two relays can be in one path: not one relay, not of one operator by their tags, not of a
/// family that both admit, and not in one subnet, which for global addresses is a /16, or a /32 of
/// IPv6. Addresses that are not global, such as loopback, are in no subnet.
pub(crate) fn may_share_path(one: &DescriptorBody, other: &DescriptorBody) -> bool {
    let related = same_operator(one, other) || one.is_family_of(other);
    !related && !share_subnet(one, other)
}

/// Whether two relays are one, or say that the same people run them.
pub(super) fn same_operator(one: &DescriptorBody, other: &DescriptorBody) -> bool {
    one.relay == other.relay || one.operator.is_some() && one.operator == other.operator
}

fn share_subnet(one: &DescriptorBody, other: &DescriptorBody) -> bool {
    let neighbours = |a: &SocketAddr, b: &SocketAddr| Subnet::of(a.ip()) == Subnet::of(b.ip());
    let global = |at: &SocketAddr| AddressClass::of(at.ip()).is_global();
    one.addresses.iter().any(|a| {
        let mut near = other.addresses.iter().filter(|b| neighbours(a, b));
        near.any(|b| global(a) && global(b))
    })
}

#[derive(PartialEq, Eq)]
enum Subnet {
    V4([u8; 2]),
    V6([u8; 4]),
}

impl Subnet {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(ip) => {
                let [a, b, _, _] = ip.octets();
                Self::V4([a, b])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.octets();
                Self::V6([a, b, c, d])
            }
        }
    }
}
