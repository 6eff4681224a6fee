//! `route-blinding-test.json`: blinds the routes of which the one is made, and unblinds them.

use super::json::{Json, field, key};
use coinfuse_onion::OnionKey;
use coinfuse_onion::bolt4::{blind, unblind};

const PATH_KEY: &[&str] = &["path_key", "blinding_point", "blinding", "E"];
const NEXT: &[&str] = &["next_path_key", "next_blinding", "next_blinding_point"];
const OVERRIDE: u64 = 8;

pub(super) fn check(file: &Json<'_>) {
    let hops = file.at("generate").list("hops");
    // Each session key begins a route of its own.
    let starts: Vec<_> = (0..hops.len())
        .filter(|i| hops[*i].get("session_key").is_some())
        .collect();
    assert_eq!(starts.first(), Some(&0));
    for (i, start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(hops.len());
        blinds(&hops[*start..end]);
    }
    unblinds(file);
}

fn blinds(hops: &[Json<'_>]) {
    let session = hops[0].at("session_key").secret();
    let plain: Vec<_> = hops
        .iter()
        .map(|hop| (hop.at("node_id").key(), hop.at("encoded_tlvs").bytes()))
        .collect();
    let plain: Vec<_> = plain.iter().map(|(key, data)| (*key, &data[..])).collect();
    let route = blind(&session, &plain).unwrap();
    assert_eq!(Some(route.first_path_key), hops[0].path_key(PATH_KEY));
    assert_eq!(route.hops.len(), hops.len());
    for (made, hop) in route.hops.iter().zip(hops) {
        assert_eq!(made.key, hop.at("blinded_node_id").key());
        assert_eq!(made.data, hop.at("encrypted_data").bytes());
    }
}

fn unblinds(file: &Json<'_>) {
    let route = file.at("route").list("hops");
    let hops = file.at("unblind").list("hops");
    assert_eq!(route.len(), hops.len());
    let mut path_key = file
        .at("route")
        .path_key(&["first_path_key", "blinding"])
        .unwrap();
    for (blinded, hop) in route.iter().zip(hops) {
        path_key = unblinds_one(path_key, blinded, &hop);
    }
}

/// The path key for the next hop.
fn unblinds_one(path_key: OnionKey, blinded: &Json<'_>, hop: &Json<'_>) -> OnionKey {
    assert_eq!(Some(path_key), hop.path_key(PATH_KEY));
    let unblinded = unblind(&hop.at("node_privkey").secret(), &path_key).unwrap();
    assert_eq!(
        unblinded.secret.to_bytes()[..],
        hop.at("blinded_privkey").bytes()
    );
    assert_eq!(
        unblinded.secret.public_key(),
        blinded.at("blinded_node_id").key()
    );
    assert_eq!(Some(unblinded.next_path_key), hop.path_key(NEXT));
    let data = unblinded
        .open(&blinded.at("encrypted_data").bytes())
        .unwrap();
    assert_eq!(data, hop.at("decrypted_data").bytes());
    match field(&data, OVERRIDE) {
        Some(other) => key(&other),
        None => unblinded.next_path_key,
    }
}
