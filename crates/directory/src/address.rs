//! What kind of network an address belongs to.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kind of network that an address belongs to, by the IANA special-purpose registries.
///
/// Everything but [`Global`](Self::Global) is refused by an exit unless its operator lists the
/// network. The table errs on the side of refusing: a range that is global for some anycast
/// service only (such as 192.0.0.9) counts with the range around it, and an IPv6 address outside
/// 2000::/3 that nobody has assigned counts as [`Reserved`](Self::Reserved).
///
/// An IPv4 address inside an IPv6 one is never unwrapped and judged by itself: the whole IPv6
/// range is the class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressClass {
    /// The public Internet.
    Global,
    /// 0.0.0.0/8, "this network" (RFC 791), and `::`.
    Unspecified,
    /// 127.0.0.0/8 (RFC 1122) and `::1`.
    Loopback,
    /// 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 (RFC 1918).
    Private,
    /// 100.64.0.0/10, shared by carriers' NATs (RFC 6598).
    CarrierNat,
    /// 169.254.0.0/16 (RFC 3927) and fe80::/10 (RFC 4291). Cloud metadata lives here.
    LinkLocal,
    /// 192.0.0.0/24 (RFC 6890) and 2001::/23 (RFC 2928).
    ProtocolAssignment,
    /// 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 (RFC 5737), 2001:db8::/32, 3fff::/20.
    Documentation,
    /// 198.18.0.0/15 (RFC 2544) and 2001:2::/48 (RFC 5180).
    Benchmarking,
    /// 224.0.0.0/4 (RFC 5771) and ff00::/8.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// 240.0.0.0/4 (RFC 1112), and IPv6 that is not assigned to anybody.
    Reserved,
    /// fc00::/7 (RFC 4193).
    UniqueLocal,
    /// fec0::/10 (RFC 3879).
    SiteLocal,
    /// 100::/64 (RFC 6666).
    Discard,
    /// ::ffff:0:0/96 (RFC 4291), an IPv4 address in disguise.
    V4Mapped,
    /// ::/96 (RFC 4291), another.
    V4Compatible,
    /// ::ffff:0:0:0/96 (RFC 2765), another.
    V4Translated,
    /// 64:ff9b::/96 (RFC 6052) and 64:ff9b:1::/48 (RFC 8215), another.
    Nat64,
    /// 2002::/16 (RFC 3056) and its relays' 192.88.99.0/24 (RFC 7526), another.
    SixToFour,
    /// 2001::/32 (RFC 4380), another.
    Teredo,
    /// 2001:10::/28, 2001:20::/28 and 2001:30::/28 (RFCs 4843, 7343, 9374): hashes, not places.
    Orchid,
}

type Block4 = (Ipv4Addr, u8, AddressClass);
type Block6 = (Ipv6Addr, u8, AddressClass);

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

/// The first six groups are enough for every block but `::1`.
const fn v6(a: u16, b: u16, c: u16, d: u16, e: u16, f: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, d, e, f, 0, 0)
}

// Where blocks overlap, the smaller comes first.
const BLOCKS_V4: &[Block4] = &[
    (v4(0, 0, 0, 0), 8, AddressClass::Unspecified),
    (v4(10, 0, 0, 0), 8, AddressClass::Private),
    (v4(100, 64, 0, 0), 10, AddressClass::CarrierNat),
    (v4(127, 0, 0, 0), 8, AddressClass::Loopback),
    (v4(169, 254, 0, 0), 16, AddressClass::LinkLocal),
    (v4(172, 16, 0, 0), 12, AddressClass::Private),
    (v4(192, 0, 0, 0), 24, AddressClass::ProtocolAssignment),
    (v4(192, 0, 2, 0), 24, AddressClass::Documentation),
    (v4(192, 88, 99, 0), 24, AddressClass::SixToFour),
    (v4(192, 168, 0, 0), 16, AddressClass::Private),
    (v4(198, 18, 0, 0), 15, AddressClass::Benchmarking),
    (v4(198, 51, 100, 0), 24, AddressClass::Documentation),
    (v4(203, 0, 113, 0), 24, AddressClass::Documentation),
    (v4(224, 0, 0, 0), 4, AddressClass::Multicast),
    (v4(255, 255, 255, 255), 32, AddressClass::Broadcast),
    (v4(240, 0, 0, 0), 4, AddressClass::Reserved),
];

const BLOCKS_V6: &[Block6] = &[
    (Ipv6Addr::UNSPECIFIED, 128, AddressClass::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, AddressClass::Loopback),
    (v6(0, 0, 0, 0, 0, 0), 96, AddressClass::V4Compatible),
    (v6(0, 0, 0, 0, 0, 0xffff), 96, AddressClass::V4Mapped),
    (v6(0, 0, 0, 0, 0xffff, 0), 96, AddressClass::V4Translated),
    (v6(0x64, 0xff9b, 0, 0, 0, 0), 96, AddressClass::Nat64),
    (v6(0x64, 0xff9b, 1, 0, 0, 0), 48, AddressClass::Nat64),
    (v6(0x100, 0, 0, 0, 0, 0), 64, AddressClass::Discard),
    (v6(0x2001, 0, 0, 0, 0, 0), 32, AddressClass::Teredo),
    (v6(0x2001, 2, 0, 0, 0, 0), 48, AddressClass::Benchmarking),
    (v6(0x2001, 0x10, 0, 0, 0, 0), 28, AddressClass::Orchid),
    (v6(0x2001, 0x20, 0, 0, 0, 0), 28, AddressClass::Orchid),
    (v6(0x2001, 0x30, 0, 0, 0, 0), 28, AddressClass::Orchid),
    (
        v6(0x2001, 0, 0, 0, 0, 0),
        23,
        AddressClass::ProtocolAssignment,
    ),
    (
        v6(0x2001, 0xdb8, 0, 0, 0, 0),
        32,
        AddressClass::Documentation,
    ),
    (v6(0x2002, 0, 0, 0, 0, 0), 16, AddressClass::SixToFour),
    (v6(0x3fff, 0, 0, 0, 0, 0), 20, AddressClass::Documentation),
    (v6(0xfc00, 0, 0, 0, 0, 0), 7, AddressClass::UniqueLocal),
    (v6(0xfe80, 0, 0, 0, 0, 0), 10, AddressClass::LinkLocal),
    (v6(0xfec0, 0, 0, 0, 0, 0), 10, AddressClass::SiteLocal),
    (v6(0xff00, 0, 0, 0, 0, 0), 8, AddressClass::Multicast),
];

/// The only IPv6 block from which global addresses are assigned (RFC 4291, 2.4).
const GLOBAL_UNICAST: (Ipv6Addr, u8) = (v6(0x2000, 0, 0, 0, 0, 0), 3);

impl AddressClass {
    /// The class of one address.
    ///
    /// ```
    /// use coinfuse_directory::AddressClass;
    ///
    /// assert_eq!(AddressClass::of("1.1.1.1".parse().unwrap()), AddressClass::Global);
    /// assert_eq!(AddressClass::of("169.254.169.254".parse().unwrap()), AddressClass::LinkLocal);
    /// // Not loopback, but refused all the same: mapped addresses are a class of their own.
    /// assert_eq!(AddressClass::of("::ffff:127.0.0.1".parse().unwrap()), AddressClass::V4Mapped);
    /// ```
    pub fn of(address: IpAddr) -> Self {
        let full = if address.is_ipv4() { 32 } else { 128 };
        Self::of_network(address, full).unwrap_or(Self::Global)
    }

    /// The class that a whole network lies in; `None` if some of it may be global.
    pub(crate) fn of_network(base: IpAddr, prefix: u8) -> Option<Self> {
        match base {
            IpAddr::V4(base) => BLOCKS_V4
                .iter()
                .find(|(block, len, _)| *len <= prefix && same_prefix_v4(base, *block, *len))
                .map(|(_, _, class)| *class),
            IpAddr::V6(base) => BLOCKS_V6
                .iter()
                .find(|(block, len, _)| *len <= prefix && same_prefix_v6(base, *block, *len))
                .map(|(_, _, class)| *class)
                .or_else(|| is_unassigned(base, prefix).then_some(Self::Reserved)),
        }
    }

    /// True for the public Internet.
    pub fn is_global(self) -> bool {
        self == Self::Global
    }
}

/// Whether none of a network lies in the global unicast block.
fn is_unassigned(base: Ipv6Addr, prefix: u8) -> bool {
    let (block, len) = GLOBAL_UNICAST;
    !same_prefix_v6(base, block, len.min(prefix))
}

/// Whether two addresses agree in their first `len` bits.
pub(crate) fn same_prefix_v4(a: Ipv4Addr, b: Ipv4Addr, len: u8) -> bool {
    let differing = a.to_bits() ^ b.to_bits();
    differing.leading_zeros() >= u32::from(len)
}

/// Whether two addresses agree in their first `len` bits.
pub(crate) fn same_prefix_v6(a: Ipv6Addr, b: Ipv6Addr, len: u8) -> bool {
    let differing = a.to_bits() ^ b.to_bits();
    differing.leading_zeros() >= u32::from(len)
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Global => "global",
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::CarrierNat => "carrier NAT",
            Self::LinkLocal => "link-local",
            Self::ProtocolAssignment => "protocol assignment",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Reserved => "reserved",
            Self::UniqueLocal => "unique local",
            Self::SiteLocal => "site-local",
            Self::Discard => "discard-only",
            Self::V4Mapped => "IPv4-mapped",
            Self::V4Compatible => "IPv4-compatible",
            Self::V4Translated => "IPv4-translated",
            Self::Nat64 => "NAT64",
            Self::SixToFour => "6to4",
            Self::Teredo => "Teredo",
            Self::Orchid => "ORCHID",
        })
    }
}
