//! Exit policies: Tor's syntax, the guard before them, their binary form.

use coinfuse_directory::{
    Action, AddressClass, AddressPattern, Coverage, ExitPolicy, PortRange, Refusal, Rule,
};
use coinfuse_wire::{Decode, DecodeError, Encode};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn policy(text: &str) -> ExitPolicy {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn rules_are_written_in_tors_syntax_and_print_in_one_form() {
    for (text, form) in [
        ("accept *:80", "accept *:80"),
        ("accept *", "accept *:*"),
        ("  reject\t*:*  ", "reject *:*"),
        ("accept *:80-80", "accept *:80"),
        ("accept *:1-65535", "accept *:*"),
        ("accept 18.7.22.69:*", "accept 18.7.22.69:*"),
        ("accept 18.0.0.0/255.0.0.0:22", "accept 18.0.0.0/8:22"),
        ("accept 18.7.22.69/8", "accept 18.0.0.0/8:*"),
        ("reject 0.0.0.0/0:25", "reject *4:25"),
        ("reject 1.2.3.4/0.0.0.0:25", "reject *4:25"),
        ("accept 1.2.3.4/32:5", "accept 1.2.3.4:5"),
        ("accept [::]/0:443", "accept *6:443"),
        (
            "reject [2001:DB8::1]/32:1-1023",
            "reject [2001:db8::]/32:1-1023",
        ),
        ("reject [2001:db8::1]/128", "reject [2001:db8::1]:*"),
        ("reject private:*", "reject private:*"),
        ("accept6 *:443", "accept *6:443"),
        ("reject6 [fc00::]/7", "reject [fc00::]/7:*"),
        ("accept *4:80,accept *6:80", "accept *4:80, accept *6:80"),
        (
            "# nothing\n\naccept *:80 # the web, mostly\r\n,",
            "accept *:80",
        ),
        ("", ""),
    ] {
        assert_eq!(policy(text).to_string(), form, "{text:?}");
        assert_eq!(policy(form), policy(text));
    }
}

#[test]
fn a_mistake_is_located_and_the_right_thing_is_named() {
    for (text, line, column, found) in [
        ("allow *:80", 1, 1, "allow"),
        ("accept", 1, 7, ""),
        ("accept *:80 *:443", 1, 13, "*:443"),
        (
            "accept *:80\naccept *:443, reject 1.2.3:*",
            2,
            22,
            "1.2.3:*",
        ),
        ("accept 1.2.3.4/33:80", 1, 16, "33"),
        ("accept 1.2.3.4/255.0.255.0:80", 1, 16, "255.0.255.0"),
        ("accept 1.2.3.4/+8:80", 1, 16, "+8"),
        ("accept [::1]/129", 1, 14, "129"),
        ("accept [::1", 1, 8, "[::1"),
        ("accept [1.2.3.4]", 1, 8, "[1.2.3.4]"),
        ("accept ::1:80", 1, 8, "::1:80"),
        ("accept *:", 1, 10, ""),
        ("accept *:0", 1, 10, "0"),
        ("accept *:65536", 1, 10, "65536"),
        ("accept *:90-80", 1, 10, "90-80"),
        ("accept *:80-", 1, 10, "80-"),
        ("accept *:+80", 1, 10, "+80"),
        ("accept */8", 1, 9, "/8"),
        ("accept6 1.2.3.4:80", 1, 9, "1.2.3.4:80"),
        ("accept6 *4:80", 1, 9, "*4:80"),
        ("# größe\n  reject müll:*", 2, 10, "müll:*"),
    ] {
        let error = text.parse::<ExitPolicy>().unwrap_err();
        let place = (error.line, error.column, error.found.as_str());
        assert_eq!(place, (line, column, found), "{text:?}: {error}");
    }
    let error = "accept *:99999".parse::<ExitPolicy>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "exit policy, line 1, column 10: expected *, a port of 1 to 65535, or a range like 80-90, \
         found \"99999\""
    );
}

#[test]
fn a_policy_has_128_rules_at_most() {
    assert_eq!(policy(&"reject *:1,".repeat(128)).rules().len(), 128);
    let error = "reject *:1\n"
        .repeat(129)
        .parse::<ExitPolicy>()
        .unwrap_err();
    assert_eq!((error.line, error.expected), (129, "at most 128 rules"));
    assert_eq!(
        ExitPolicy::from_bytes(&[129]),
        Err(DecodeError::TooLarge {
            what: "exit policy rules",
            got: 129,
            max: 128
        })
    );
}

#[test]
fn the_first_rule_that_matches_decides() {
    let tested = policy(
        "reject 18.0.0.0/8:*, accept 18.7.22.69:80, reject *:1-24, accept *4:20-30, reject *:*",
    );
    for (address, port, allowed) in [
        ("18.7.22.69", 80, false),
        ("19.0.0.1", 24, false),
        ("19.0.0.1", 25, true),
        ("19.0.0.1", 30, true),
        ("19.0.0.1", 31, false),
        ("2606:4700::1", 25, false),
    ] {
        assert_eq!(
            tested.allows(ip(address), port),
            allowed,
            "{address} {port}"
        );
    }
}

#[test]
fn without_a_rule_nothing_is_opened() {
    let nothing = ExitPolicy::default();
    assert_eq!(nothing.judge(ip("1.1.1.1"), 80), Err(Refusal::Policy));
    assert_eq!(
        policy("accept *:443").judge(ip("1.1.1.1"), 80),
        Err(Refusal::Policy)
    );
    assert_eq!(
        policy("accept *:*").judge(ip("1.1.1.1"), 0),
        Err(Refusal::Policy)
    );
}

#[test]
fn wide_rules_never_open_special_networks() {
    let special = [
        ("127.0.0.1", AddressClass::Loopback),
        ("10.1.2.3", AddressClass::Private),
        ("169.254.169.254", AddressClass::LinkLocal),
        ("::1", AddressClass::Loopback),
        ("fd00::1", AddressClass::UniqueLocal),
        ("::ffff:1.1.1.1", AddressClass::V4Mapped),
        ("64:ff9b::101:101", AddressClass::Nat64),
        ("2002:101:101::", AddressClass::SixToFour),
        ("2001::1", AddressClass::Teredo),
    ];
    for wide in [
        "accept *:*",
        "accept *4:*, accept *6:*",
        "accept private:*",
        "accept 0.0.0.0/1:*, accept 128.0.0.0/1:*, accept [::]/1:*, accept [8000::]/1:*",
        // Each holds something that is not special.
        "accept 10.0.0.0/7:*, accept 126.0.0.0/7:*, accept 168.0.0.0/6:*, accept [2000::]/3:*",
    ] {
        for (address, class) in special {
            let verdict = policy(wide).judge(ip(address), 80);
            assert_eq!(verdict, Err(Refusal::NotGlobal(class)), "{wide}: {address}");
        }
    }
}

#[test]
fn a_special_network_that_is_listed_is_open_and_nothing_beside_it() {
    let listed = policy("accept *:80, reject 10.9.0.0/16:*, accept 10.0.0.0/8:22, accept [::1]:22");
    assert!(listed.allows(ip("10.1.1.1"), 22));
    assert!(listed.allows(ip("::1"), 22));
    // Behind a wide rule that does not open it, and a narrow one that closes it.
    assert_eq!(
        listed.judge(ip("10.1.1.1"), 80),
        Err(Refusal::NotGlobal(AddressClass::Private))
    );
    assert_eq!(listed.judge(ip("10.9.1.1"), 22), Err(Refusal::Policy));
    assert!(!listed.allows(ip("127.0.0.1"), 22));
    // The IPv4 network says nothing about its disguises.
    assert!(!listed.allows(ip("::ffff:10.1.1.1"), 22));
}

#[test]
fn a_port_is_covered_mostly_in_part_or_not_at_all() {
    for (text, coverage) in [
        ("", Coverage::Nothing),
        ("accept *:443", Coverage::Nothing),
        ("accept *:80", Coverage::Most),
        ("reject 18.0.0.0/8:*, accept *4:1-100", Coverage::Most),
        ("accept 127.0.0.1:80", Coverage::Listed),
        ("accept 1.0.0.0/8:80, reject *:*", Coverage::Listed),
        ("accept 1.0.0.0/8:80, accept *:80", Coverage::Most),
        ("reject *:80, accept *:*", Coverage::Nothing),
        ("reject *4:*, accept 1.2.3.4:80", Coverage::Nothing),
        ("reject *4:*, accept *:80", Coverage::Most),
        ("reject *4:*, reject *6:80, accept *:*", Coverage::Nothing),
        ("accept private:*", Coverage::Nothing),
    ] {
        assert_eq!(policy(text).coverage(80), coverage, "{text}");
        assert_eq!(
            policy(text).may_allow_port(80),
            coverage != Coverage::Nothing
        );
    }
}

#[test]
fn the_binary_form_is_small_and_of_one_form() {
    let tested = policy("reject 18.0.0.0/8:*, accept *:80, accept [2001:db8::]/32:20-30");
    let bytes = [
        3, // rules
        0x04, 8, 18, // reject an IPv4 network of 8 bits, at all ports
        0x88, 0, 80, // accept *, at one port
        0x95, 32, 0x20, 0x01, 0x0d, 0xb8, 0, 20, 0, 30, // accept IPv6, at a range
    ];
    assert_eq!(tested.to_bytes(), bytes);
    assert_eq!(ExitPolicy::from_bytes(&bytes), Ok(tested));
    let not_canonical = |what| Err(DecodeError::NotCanonical { what });
    for (bytes, error) in [
        (&[1, 0x04, 7, 18][..], Ok(policy("reject 18.0.0.0/7"))),
        (&[1, 0x04, 7, 19], not_canonical("exit policy network")),
        (&[1, 0x04, 0], not_canonical("exit policy network")),
        (&[1, 0x90, 0, 80, 0, 80], not_canonical("exit policy ports")),
        (
            &[1, 0x90, 0, 1, 0xff, 0xff],
            not_canonical("exit policy ports"),
        ),
        (
            &[1, 0x90, 0, 2, 0, 1],
            Err(DecodeError::Invalid {
                what: "exit policy ports",
            }),
        ),
        (
            &[1, 0x88, 0, 0],
            Err(DecodeError::Invalid {
                what: "exit policy ports",
            }),
        ),
        (
            &[1, 0xa0],
            Err(DecodeError::Invalid {
                what: "exit policy rule",
            }),
        ),
        (
            &[1, 0x98],
            Err(DecodeError::Unknown {
                what: "exit policy ports",
                got: 3,
            }),
        ),
        (
            &[1, 0x86],
            Err(DecodeError::Unknown {
                what: "exit policy network",
                got: 6,
            }),
        ),
        (
            &[1, 0x04, 33, 1, 2, 3, 4, 5],
            Err(DecodeError::TooLarge {
                what: "exit policy prefix",
                got: 33,
                max: 32,
            }),
        ),
        (&[1, 0x80, 0], Err(DecodeError::Leftover { count: 1 })),
    ] {
        assert_eq!(ExitPolicy::from_bytes(bytes), error, "{bytes:02x?}");
    }
}

fn any_pattern() -> impl Strategy<Value = AddressPattern> {
    let v4 = |(bits, prefix)| AddressPattern::v4(Ipv4Addr::from_bits(bits), prefix).unwrap();
    let v6 = |(bits, prefix)| AddressPattern::v6(Ipv6Addr::from_bits(bits), prefix).unwrap();
    prop_oneof![
        Just(AddressPattern::Any),
        Just(AddressPattern::AnyV4),
        Just(AddressPattern::AnyV6),
        Just(AddressPattern::Private),
        (any::<u32>(), 0u8..=32).prop_map(v4),
        (any::<u128>(), 0u8..=128).prop_map(v6),
    ]
}

fn any_policy() -> impl Strategy<Value = String> {
    let rule =
        (any::<bool>(), any_pattern(), 1u16.., 1u16..).prop_map(|(accept, addresses, a, b)| {
            let action = if accept {
                Action::Accept
            } else {
                Action::Reject
            };
            let ports = PortRange::new(a.min(b), a.max(b)).unwrap();
            Rule {
                action,
                addresses,
                ports,
            }
            .to_string()
        });
    proptest::collection::vec(rule, 0..20).prop_map(|rules| rules.join("\n"))
}

proptest! {
    #[test]
    fn policies_round_trip_as_text_and_as_bytes(text in any_policy()) {
        let tested = policy(&text);
        prop_assert_eq!(&policy(&tested.to_string()), &tested);
        prop_assert_eq!(ExitPolicy::from_bytes(&tested.to_bytes()), Ok(tested));
    }

    #[test]
    fn reading_bytes_is_total_and_canonical(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(read) = ExitPolicy::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }

    #[test]
    fn reading_text_is_total(text in "\\PC{0,40}", rule in "(accept|reject) [\\[*4-6.:/,\\]-]{0,12}") {
        for text in [text, rule] {
            if let Ok(read) = text.parse::<ExitPolicy>() {
                prop_assert_eq!(policy(&read.to_string()), read);
            }
        }
    }

    #[test]
    fn a_port_that_is_open_somewhere_is_covered(text in any_policy(), bits: u128, v4: bool, port: u16) {
        let address = match v4 {
            true => IpAddr::from(Ipv4Addr::from_bits(bits as u32)),
            false => IpAddr::from(Ipv6Addr::from_bits(bits)),
        };
        let tested = policy(&text);
        prop_assert!(!tested.allows(address, port) || tested.may_allow_port(port));
    }
}
