//! `blinded-payment-onion-test.json`: a payment over a plain hop and then a blinded route.

use super::json::{Json, build, field, key, peel, unframed, with_size};
use coinfuse_onion::OnionKey;
use coinfuse_onion::bolt4::unblind;

const NEXT: &[&str] = &["next_path_key", "next_blinding", "next_blinding_point"];
/// In payloads.
const ENCRYPTED_DATA: u64 = 10;
const CURRENT_PATH_KEY: u64 = 12;
/// In the data of the blinded hop.
const OVERRIDE: u64 = 8;

pub(super) fn check(file: &Json<'_>) {
    let generate = file.at("generate");
    let associated = generate.associated();
    let session = generate.at("session_key").secret();
    let hop = |hop: &Json<'_>| (hop.at("pubkey").key(), unframed(&hop.at("payload").bytes()));
    let hops: Vec<_> = generate
        .at("full_route")
        .list("hops")
        .iter()
        .map(hop)
        .collect();
    let onion = generate.at("onion").bytes();
    with_size!(onion.len(), build(&session, &hops, &associated, &onion));

    let decrypt = file.at("decrypt").list("hops");
    assert_eq!(decrypt.len(), hops.len());
    let (mut next, mut path_key) = (Some(onion), None);
    for (hop, (_, payload)) in decrypt.iter().zip(&hops) {
        let packet = next.expect("a packet for every hop");
        if let Some(onion) = hop.get("onion") {
            assert_eq!(packet, onion.bytes());
        }
        let (found, rest, key) = peels(hop, path_key, &packet, &associated);
        assert_eq!(found, *payload);
        (next, path_key) = (rest, key);
    }
    assert_eq!(next, None);
}

type AtHop = (Vec<u8>, Option<Vec<u8>>, Option<OnionKey>);

/// A hop has the path key beside the packet or in its payload, or it is not blinded.
fn peels(hop: &Json<'_>, beside: Option<OnionKey>, packet: &[u8], associated: &[u8]) -> AtHop {
    let plain = hop.at("node_privkey").secret();
    let secret = match beside {
        Some(path_key) => unblind(&plain, &path_key).unwrap().secret,
        None => hop.at("node_privkey").secret(),
    };
    let (payload, rest) = with_size!(packet.len(), peel(&secret, packet, associated));
    let inside = field(&payload, CURRENT_PATH_KEY).map(|bytes| key(&bytes));
    let Some(path_key) = beside.or(inside) else {
        return (payload, rest, None);
    };
    let unblinded = unblind(&plain, &path_key).unwrap();
    let data = unblinded
        .open(&field(&payload, ENCRYPTED_DATA).unwrap())
        .unwrap();
    let next = match field(&data, OVERRIDE) {
        Some(other) => key(&other),
        None => unblinded.next_path_key,
    };
    if let Some(want) = hop.path_key(NEXT) {
        assert_eq!(next, want);
    }
    (payload, rest, Some(next))
}
