//! `blinded-onion-message-onion-test.json`: a message over a route that was joined from two.

use super::json::{Json, build, field, key, peel, put, with_size};
use coinfuse_onion::bolt4::{blind, unblind};
use coinfuse_onion::{OnionKey, OnionSecret};
use coinfuse_wire::{Reader, Writer};

const SECRET: &[&str] = &["path_key_secret", "blinding_secret", "path_privkey"];
const PATH_KEY: &[&str] = &["E", "path_key", "blinding"];
/// The type of the message of the Lightning protocol.
const ONION_MESSAGE: u16 = 513;
/// In payloads.
const ENCRYPTED_DATA: u64 = 4;
/// In the data of the blinded hop.
const OVERRIDE: u64 = 8;
const PATH_ID: u64 = 6;

pub(super) fn check(file: &Json<'_>) {
    let hops = file.at("generate").list("hops");
    let nodes = file.at("decrypt").list("hops");
    assert_eq!(hops.len(), nodes.len());
    let route: Vec<_> = hops.iter().zip(&nodes).map(blinds).collect();
    let packet = builds(file, &route);
    let mut message = Some((hops[0].path_key(PATH_KEY).unwrap(), packet));
    for node in &nodes {
        let (path_key, packet) = message.expect("a message for every node");
        assert_eq!(
            decode(&node.at("onion_message").bytes()),
            (path_key, packet.clone())
        );
        message = peels(node, path_key, &packet);
    }
    assert_eq!(message, None);
}

/// A hop of the blinded route. Each hop's path secret is given, so each is a route of its own.
fn blinds((hop, node): (&Json<'_>, &Json<'_>)) -> (OnionKey, Vec<u8>) {
    let secret = SECRET
        .iter()
        .find_map(|name| hop.get(name))
        .unwrap()
        .secret();
    let data = hop.at("encrypted_data_tlv").bytes();
    let own = node.at("privkey").secret().public_key();
    let route = blind(&secret, &[(own, &data)]).unwrap();
    assert_eq!(Some(route.first_path_key), hop.path_key(PATH_KEY));
    let blinded = &route.hops[0];
    assert_eq!(blinded.key, hop.at("blinded_node_id").key());
    assert_eq!(blinded.data, hop.at("encrypted_recipient_data").bytes());
    (blinded.key, blinded.data.clone())
}

fn builds(file: &Json<'_>, route: &[(OnionKey, Vec<u8>)]) -> Vec<u8> {
    let message = file.at("onionmessage");
    let last = route.len() - 1;
    let payload = |(i, (key, data)): (usize, &(OnionKey, Vec<u8>))| {
        let mut fields = vec![(ENCRYPTED_DATA, data.clone())];
        if i == last {
            let said = message.numbered("unknown_tag_");
            fields.extend(said.iter().map(|(kind, value)| (*kind, value.bytes())));
        }
        fields.sort();
        let mut out = Writer::new();
        fields
            .iter()
            .for_each(|(kind, value)| put(&mut out, *kind, value));
        (*key, out.into_bytes())
    };
    let hops: Vec<_> = route.iter().enumerate().map(payload).collect();
    let session = file.at("generate").at("session_key").secret();
    let packet = message.at("onion_message_packet").bytes();
    with_size!(packet.len(), build(&session, &hops, b"", &packet));
    packet
}

/// The path key and the packet of a Lightning message.
fn decode(message: &[u8]) -> (OnionKey, Vec<u8>) {
    let mut reader = Reader::new(message);
    assert_eq!(reader.u16("type").unwrap(), ONION_MESSAGE);
    let path_key = key(reader.take(33, "path key").unwrap());
    let len = reader.u16("length").unwrap();
    let packet = reader.take(len.into(), "packet").unwrap().to_vec();
    reader.finish().unwrap();
    (path_key, packet)
}

/// What the node sends on.
fn peels(node: &Json<'_>, path_key: OnionKey, packet: &[u8]) -> Option<(OnionKey, Vec<u8>)> {
    let secret: OnionSecret = node.at("privkey").secret();
    let unblinded = unblind(&secret, &path_key).unwrap();
    let (payload, next) = with_size!(packet.len(), peel(&unblinded.secret, packet, b""));
    let data = unblinded
        .open(&field(&payload, ENCRYPTED_DATA).unwrap())
        .unwrap();
    let Some(next) = next else {
        let tlvs = node.at("tlvs");
        assert_eq!(field(&data, PATH_ID).unwrap(), tlvs.at("path_id").bytes());
        for (kind, said) in tlvs.numbered("unknown_tag_") {
            assert_eq!(field(&payload, kind), Some(said.bytes()));
        }
        return None;
    };
    let next_key = match field(&data, OVERRIDE) {
        Some(other) => key(&other),
        None => unblinded.next_path_key,
    };
    Some((next_key, next))
}
