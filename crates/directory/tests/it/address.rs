//! The table of special-purpose addresses: first and last of each block, and their neighbours.

use coinfuse_directory::AddressClass::{self, *};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};

fn class(text: &str) -> AddressClass {
    AddressClass::of(text.parse().unwrap())
}

#[test]
fn ipv4_blocks_begin_and_end_where_the_registry_says() {
    for (first, last, expected) in [
        ("0.0.0.0", "0.255.255.255", Unspecified),
        ("10.0.0.0", "10.255.255.255", Private),
        ("100.64.0.0", "100.127.255.255", CarrierNat),
        ("127.0.0.0", "127.255.255.255", Loopback),
        ("169.254.0.0", "169.254.255.255", LinkLocal),
        ("172.16.0.0", "172.31.255.255", Private),
        ("192.0.0.0", "192.0.0.255", ProtocolAssignment),
        ("192.0.2.0", "192.0.2.255", Documentation),
        ("192.88.99.0", "192.88.99.255", SixToFour),
        ("192.168.0.0", "192.168.255.255", Private),
        ("198.18.0.0", "198.19.255.255", Benchmarking),
        ("198.51.100.0", "198.51.100.255", Documentation),
        ("203.0.113.0", "203.0.113.255", Documentation),
        ("224.0.0.0", "239.255.255.255", Multicast),
        ("240.0.0.0", "255.255.255.254", Reserved),
        ("255.255.255.255", "255.255.255.255", Broadcast),
    ] {
        assert_eq!(class(first), expected, "{first}");
        assert_eq!(class(last), expected, "{last}");
    }
}

#[test]
fn the_neighbours_of_ipv4_blocks_are_global() {
    for address in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
    ] {
        assert_eq!(class(address), Global, "{address}");
    }
}

#[test]
fn ipv6_blocks_begin_and_end_where_the_registry_says() {
    for (first, last, expected) in [
        ("::", "::", Unspecified),
        ("::1", "::1", Loopback),
        ("::2", "::ffff:ffff", V4Compatible),
        ("::ffff:0.0.0.0", "::ffff:255.255.255.255", V4Mapped),
        ("::ffff:0:0:0", "::ffff:0:ffff:ffff", V4Translated),
        ("64:ff9b::", "64:ff9b::ffff:ffff", Nat64),
        ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", Nat64),
        ("100::", "100::ffff:ffff:ffff:ffff", Discard),
        ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", Teredo),
        ("2001:1::", "2001:1:ffff::", ProtocolAssignment),
        (
            "2001:2::",
            "2001:2:0:ffff:ffff:ffff:ffff:ffff",
            Benchmarking,
        ),
        ("2001:10::", "2001:3f:ffff::", Orchid),
        ("2001:40::", "2001:1ff:ffff::", ProtocolAssignment),
        (
            "2001:db8::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            Documentation,
        ),
        (
            "2002::",
            "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            SixToFour,
        ),
        ("3fff::", "3fff:fff:ffff::", Documentation),
        ("fc00::", "fdff:ffff::", UniqueLocal),
        ("fe80::", "febf:ffff::", LinkLocal),
        ("fec0::", "feff:ffff::", SiteLocal),
        (
            "ff00::",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            Multicast,
        ),
        // Nobody's: outside 2000::/3.
        ("1::", "1:ffff::", Reserved),
        ("4000::", "fbff:ffff::", Reserved),
        ("fe00::", "fe7f:ffff::", Reserved),
    ] {
        assert_eq!(class(first), expected, "{first}");
        assert_eq!(class(last), expected, "{last}");
    }
}

#[test]
fn assigned_ipv6_is_global() {
    for address in [
        "2001:200::",
        "2001:db7:ffff::",
        "2001:db9::",
        "2003::",
        "2606:4700::1111",
    ] {
        assert_eq!(class(address), Global, "{address}");
    }
    for address in ["2a00::", "3ffe:ffff::", "3fff:1000::"] {
        assert_eq!(class(address), Global, "{address}");
    }
}

proptest! {
    #[test]
    fn an_ipv4_address_in_disguise_is_never_global(bits: u32) {
        let v4 = Ipv4Addr::from_bits(bits);
        let [a, b, c, d] = v4.octets();
        let (high, low) = ((bits >> 16) as u16, bits as u16);
        for (text, class) in [
            (format!("::ffff:{v4}"), V4Mapped),
            (format!("64:ff9b::{high:x}:{low:x}"), Nat64),
            (format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"), SixToFour),
            (format!("2001:0:{high:x}:{low:x}::"), Teredo),
        ] {
            let address: IpAddr = text.parse().unwrap();
            prop_assert_eq!(AddressClass::of(address), class, "{}", text);
        }
    }

    #[test]
    fn what_the_standard_library_calls_special_is_not_global(bits: u128, v4: u32) {
        let v4 = Ipv4Addr::from_bits(v4);
        if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
            || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified()
        {
            prop_assert!(!AddressClass::of(v4.into()).is_global());
        }
        let v6 = std::net::Ipv6Addr::from_bits(bits);
        if v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unique_local()
            || v6.is_multicast() || v6.is_unspecified() || v6.to_ipv4().is_some()
        {
            prop_assert!(!AddressClass::of(v6.into()).is_global());
        }
    }
}
