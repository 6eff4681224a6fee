//! `onion-test.json`: builds the packet and peels it.

use super::json::{Json, build, peel, unframed, with_size};

pub(super) fn check(file: &Json<'_>) {
    let generate = file.at("generate");
    let associated = generate.associated();
    let session = generate.at("session_key").secret();
    let hop = |hop: &Json<'_>| (hop.at("pubkey").key(), unframed(&hop.at("payload").bytes()));
    let hops: Vec<_> = generate.list("hops").iter().map(hop).collect();
    let onion = file.at("onion").bytes();
    with_size!(onion.len(), build(&session, &hops, &associated, &onion));

    let mut next = Some(onion);
    let secrets = file.list("decode");
    assert_eq!(secrets.len(), hops.len());
    for (secret, (key, payload)) in secrets.iter().zip(&hops) {
        let secret = secret.secret();
        assert_eq!(secret.public_key(), *key);
        let packet = next.expect("a packet for every hop");
        let (found, rest) = with_size!(packet.len(), peel(&secret, &packet, &associated));
        assert_eq!(found, *payload);
        next = rest;
    }
    assert_eq!(next, None);
}
