//! What the network of nodes is told by strangers, and by its operators.

use crate::NOW;
use crate::laws::text;
use coinfuse_discovery::{PeerAddress, RecordError, check_record, record_key};

/// A record of the DHT is a descriptor that its relay signed, under that relay's key and no other. The
/// first byte is the length of the key.
pub fn discovery_record(data: &[u8]) {
    let Some((&len, rest)) = data.split_first() else {
        return;
    };
    let Some((key, value)) = rest.split_at_checked(len.into()) else {
        return;
    };
    let Ok(descriptor) = check_record(key, value, NOW) else {
        return;
    };
    assert_eq!(descriptor.as_bytes(), value);
    assert_eq!(record_key(&descriptor.relay), key);
    assert!(descriptor.is_fresh(NOW));
    let mut other = key.to_vec();
    *other.last_mut().expect("a key is not empty") ^= 1;
    let checked = check_record(&other, value, NOW);
    assert_eq!(checked.err(), Some(RecordError::WrongKey));
}

/// The address of a peer prints to one that parses to itself.
pub fn discovery_peer(data: &[u8]) {
    let Some(Ok(peer)) = text(data).map(str::parse::<PeerAddress>) else {
        return;
    };
    assert_eq!(peer.to_string().parse::<PeerAddress>(), Ok(peer));
}
