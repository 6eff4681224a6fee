use crate::NOW;
use crate::laws::{canonical, choose, text};
use coinfuse_directory::{
    AddressClass, AddressPattern, Descriptor, DescriptorBody, DirectoryFile, ExitPolicy, History,
    MintOffer, MintUrl, Rule, UnverifiedDescriptor,
};
use coinfuse_wire::{RelayId, ServiceCode};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A descriptor keeps its bytes, survives its one-line form, and is believed only if it is signed.
pub fn descriptor(data: &[u8]) {
    let Ok(descriptor) = UnverifiedDescriptor::from_bytes(data) else {
        return;
    };
    assert_eq!(descriptor.as_bytes(), data);
    let line = descriptor.to_string();
    assert!(!line.contains(char::is_whitespace));
    assert!(line.parse::<UnverifiedDescriptor>().as_ref() == Ok(&descriptor));
    let relay: RelayId = descriptor.claimed_relay();
    if let Ok(verified) = descriptor.verify(NOW) {
        assert_eq!(verified.relay, relay);
        assert!(verified.published <= verified.expires);
        claims(&verified);
    }
}

/// What is told of a relay is within its bounds, and offered is what is listed.
fn claims(descriptor: &Descriptor) {
    assert!(descriptor.family.len() <= DescriptorBody::MAX_FAMILY);
    assert!(descriptor.blinded_ids.len() <= DescriptorBody::MAX_BLINDED_IDS);
    assert!(descriptor.work_bits() <= 256);
    assert!(descriptor.work.is_some() || descriptor.work_bits() == 0);
    for code in (0..80).chain([u16::MAX]).map(ServiceCode::new) {
        assert_eq!(descriptor.offers(code), descriptor.services.contains(&code));
    }
    assert!(History::new().weight(descriptor, NOW) >= 1);
}

/// Every line of a file is a relay, a problem, or passed over.
pub fn directory_file(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let file = DirectoryFile::parse(text, NOW);
    let lines = text.lines().count();
    assert!(
        file.problems
            .iter()
            .all(|problem| (1..=lines).contains(&problem.line))
    );
    assert!(file.problems.is_sorted_by_key(|problem| problem.line));
    assert!(file.directory.len() + file.problems.len() <= lines);
}

/// A policy means the same after it was printed or encoded, and a refused class stays refused
/// unless it is listed.
pub fn exit_policy(data: &[u8]) {
    let Some((choice, data)) = choose(data, 4) else {
        return;
    };
    match choice {
        0 => canonical::<ExitPolicy>(data),
        1 => canonical::<MintOffer>(data),
        2 => mint_url(data),
        _ => policy_text(data),
    }
}

fn mint_url(data: &[u8]) {
    let Some(Ok(url)) = text(data).map(str::parse::<MintUrl>) else {
        return;
    };
    assert!(url.as_str().parse::<MintUrl>().as_ref() == Ok(&url));
}

/// The first bytes are addresses to ask about, the rest is the policy.
fn policy_text(data: &[u8]) {
    let Some((asked, rest)) = data.split_first_chunk::<18>() else {
        return;
    };
    let Some(Ok(policy)) = text(rest).map(str::parse::<ExitPolicy>) else {
        return;
    };
    let printed: ExitPolicy = policy.to_string().parse().expect("a printed policy parses");
    let mut v6 = [0; 16];
    v6.copy_from_slice(&asked[..16]);
    let v4 = Ipv4Addr::new(v6[0], v6[1], v6[2], v6[3]);
    let port = u16::from_be_bytes([asked[16], asked[17]]);
    for address in [IpAddr::V6(Ipv6Addr::from(v6)), IpAddr::V4(v4)] {
        let allowed = policy.allows(address, port);
        assert_eq!(printed.allows(address, port), allowed);
        assert!(!allowed || policy.may_allow_port(port));
        let listed = |rule: &Rule| {
            matches!(
                rule.addresses,
                AddressPattern::V4(_) | AddressPattern::V6(_)
            )
        };
        if allowed && !policy.rules().iter().any(listed) {
            assert!(AddressClass::of(address).is_global());
        }
    }
}
