//! Names in the DHT, and the key of a peer.

use coinfuse_directory::PeerKey;
use coinfuse_wire::{RelayId, ServiceCode};
use libp2p::identity::Keypair;
use libp2p::kad::RecordKey;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// What the names of relays' records begin with; the SHA-256 of the relay's name follows.
const RELAY_PREFIX: &[u8] = b"/coinfuse/relay/1/";
/// What the names of services begin with; the service code follows.
const SERVICE_PREFIX: &[u8] = b"/coinfuse/service/1/";

/// The key that a peer proves on each connection, from the secret seed that it grows from.
///
/// For a relay this is a seed of its own, for this purpose only; its descriptor names the key.
pub fn peer_key(seed: [u8; 32]) -> PeerKey {
    let public = keypair(seed).public();
    let ed25519 = public.try_into_ed25519().expect("it was made as one");
    PeerKey::new(ed25519.to_bytes())
}

pub(crate) fn keypair(seed: [u8; 32]) -> Keypair {
    let mut seed = Zeroizing::new(seed);
    Keypair::ed25519_from_bytes(&mut *seed).expect("any 32 bytes are a seed")
}

/// A seed for another purpose that follows from `seed`.
pub(crate) fn derive(seed: &[u8; 32], purpose: &str) -> [u8; 32] {
    Sha256::new_with_prefix(b"Coinfuse_discovery_seed_v1")
        .chain_update(seed)
        .chain_update(purpose)
        .finalize()
        .into()
}

/// The hash under which a relay's descriptor is stored, so that holding the record's name does not
/// tell whose it is.
pub(crate) fn relay_hash(relay: &RelayId) -> [u8; 32] {
    Sha256::digest(relay.as_bytes()).into()
}

/// What something in the DHT is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// The descriptor of the relay whose name has this hash.
    Relay([u8; 32]),
    /// Who offers a service.
    Service(ServiceCode),
}

impl Name {
    pub(crate) fn of_relay(relay: &RelayId) -> Self {
        Self::Relay(relay_hash(relay))
    }

    pub(crate) fn parse(key: &[u8]) -> Option<Self> {
        if let Some(hash) = key.strip_prefix(RELAY_PREFIX) {
            return Some(Self::Relay(hash.try_into().ok()?));
        }
        let code = key.strip_prefix(SERVICE_PREFIX)?;
        let code = u16::from_be_bytes(code.try_into().ok()?);
        Some(Self::Service(ServiceCode::new(code)))
    }

    pub(crate) fn key(self) -> RecordKey {
        match self {
            Self::Relay(hash) => [RELAY_PREFIX, &hash].concat().into(),
            Self::Service(code) => [SERVICE_PREFIX, &code.get().to_be_bytes()].concat().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_others_are_not() {
        let relay = Name::of_relay(&RelayId::new([7; 32]));
        let service = Name::Service(ServiceCode::new(0x1234));
        for name in [relay, service] {
            let key = name.key();
            assert_eq!(Name::parse(key.as_ref()), Some(name));
            let longer = [key.as_ref(), &[0]].concat();
            assert_eq!(Name::parse(&longer), None);
            assert_eq!(Name::parse(&key.as_ref()[..key.as_ref().len() - 1]), None);
        }
        assert_eq!(Name::parse(b""), None);
    }

    #[test]
    fn seeds_for_different_purposes_differ() {
        let seed = [1; 32];
        assert_ne!(derive(&seed, "one"), derive(&seed, "two"));
        assert_ne!(derive(&seed, "one"), derive(&[2; 32], "one"));
    }
}
