//! Authorities of CONNECT requests.

use coinfuse_delivery::{Host, HostName, Target, TargetError};
use proptest::prelude::*;

#[test]
fn authorities_have_one_form() {
    for (text, form) in [
        ("example.com:80", "example.com:80"),
        ("EXAMPLE.com.:080", "example.com:80"),
        ("_dmarc.a-b.example:1", "_dmarc.a-b.example:1"),
        ("localhost:65535", "localhost:65535"),
        ("1.2.3.4:5", "1.2.3.4:5"),
        ("[::1]:22", "[::1]:22"),
        ("[2001:DB8:0::1]:22", "[2001:db8::1]:22"),
        ("[::ffff:1.2.3.4]:22", "[::ffff:1.2.3.4]:22"),
    ] {
        let target: Target = text.parse().unwrap();
        assert_eq!(target.authority(), form, "{text}");
        assert_eq!(form.parse(), Ok(target));
    }
}

#[test]
fn what_is_not_a_target_says_why() {
    let label = "l".repeat(64);
    let long = ["l"; 128].join(".");
    for (text, why) in [
        ("", TargetError::NoPort),
        ("example.com", TargetError::NoPort),
        ("[::1]", TargetError::NoPort),
        ("example.com:", TargetError::Port),
        ("example.com:0", TargetError::Port),
        ("example.com:65536", TargetError::Port),
        ("example.com:+80", TargetError::Port),
        ("example.com:80 ", TargetError::Port),
        (":80", TargetError::NoHost),
        (".:80", TargetError::NoHost),
        ("::1:80", TargetError::Ipv6),
        ("[::1:80", TargetError::Ipv6),
        ("[fe80::1%eth0]:80", TargetError::Ipv6),
        ("[example.com]:80", TargetError::Ipv6),
        ("a..b:80", TargetError::EmptyLabel),
        (".a:80", TargetError::EmptyLabel),
        ("user@example.com:80", TargetError::Character),
        ("example.com/path:80", TargetError::Character),
        ("münchen.example:80", TargetError::Character),
        ("exa mple.com:80", TargetError::Character),
        ("nul\0.example:80", TargetError::Character),
        (&format!("{label}.example:80"), TargetError::NameTooLong),
        (&format!("{long}:80"), TargetError::NameTooLong),
    ] {
        assert_eq!(text.parse::<Target>(), Err(why), "{text}");
    }
}

#[test]
fn no_resolver_is_asked_about_an_address_in_disguise() {
    for disguised in [
        "127.1",
        "2130706433",
        "0x7f000001",
        "0X7F.1",
        "1.2.3.256",
        "a.0x1",
    ] {
        let parsed = disguised.parse::<Host>();
        assert_eq!(parsed, Err(TargetError::LooksLikeAddress), "{disguised}");
    }
}

#[test]
fn a_target_prints_nothing() {
    let target: Target = "secret.example:4433".parse().unwrap();
    let name: HostName = "secret.example".parse().unwrap();
    let address: Target = "[2001:db8::5ec]:4433".parse().unwrap();
    let printed = format!(
        "{target} {target:?} {:?} {name} {name:?} {address:#?}",
        target.host()
    );
    assert!(
        !printed.contains("secret") && !printed.contains("5ec"),
        "{printed}"
    );
    assert!(!printed.contains("4433"), "{printed}");
    assert_eq!(name.expose(), "secret.example");
}

proptest! {
    #[test]
    fn parsing_is_total_and_its_results_round_trip(text in "\\PC{0,40}") {
        if let Ok(target) = text.parse::<Target>() {
            prop_assert_eq!(target.authority().parse(), Ok(target));
        }
    }

    #[test]
    fn likely_texts_round_trip(text in "[\\[a-c0-2:.x\\]-]{1,12}(:[0-9]{1,6})?") {
        if let Ok(target) = text.parse::<Target>() {
            prop_assert_eq!(target.authority().parse(), Ok(target));
        }
    }
}
