//! Connection IDs that a relay knows again after a restart.

use crate::clock::random;
use core::time::Duration;
use quinn::{ConnectionId, ConnectionIdGenerator};
use quinn_proto::InvalidCid;
use ring::hmac;

/// Random bytes of an ID. With quinn's own three, somebody could collect the reset tokens of all
/// IDs that there will ever be.
const NONCE: usize = 8;
/// Bytes of their HMAC. Without it any datagram would be answered with a reset.
const TAG: usize = 4;

/// IDs of a nonce and the beginning of its HMAC.
pub(super) struct KnownIds(hmac::Key);

impl KnownIds {
    pub(super) const fn new(key: hmac::Key) -> Self {
        Self(key)
    }

    fn id(&self, nonce: [u8; NONCE]) -> ConnectionId {
        let tag = hmac::sign(&self.0, &nonce);
        let mut id = [0; NONCE + TAG];
        id[..NONCE].copy_from_slice(&nonce);
        id[NONCE..].copy_from_slice(&tag.as_ref()[..TAG]);
        ConnectionId::new(&id)
    }
}

impl ConnectionIdGenerator for KnownIds {
    fn generate_cid(&mut self) -> ConnectionId {
        self.id(random())
    }

    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        let nonce = id.first_chunk().ok_or(InvalidCid)?;
        (self.id(*nonce) == *id).then_some(()).ok_or(InvalidCid)
    }

    fn cid_len(&self) -> usize {
        NONCE + TAG
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::LinkSecret;

    fn ids(seed: u8) -> KnownIds {
        KnownIds::new(LinkSecret::from_seed([seed; 32]).id_key())
    }

    #[test]
    fn ids_are_known_to_the_next_run_of_the_same_relay_and_to_no_other() {
        let id = ids(1).generate_cid();
        assert_eq!(id.len(), ids(1).cid_len());
        assert!(ids(1).validate(&id).is_ok());
        assert!(ids(2).validate(&id).is_err());
        assert_ne!(ids(1).generate_cid(), id);
    }

    #[test]
    fn what_is_no_id_of_ours_is_not_known() {
        let id = ids(1).generate_cid();
        for place in 0..id.len() {
            let mut other = id.to_vec();
            other[place] ^= 1;
            assert!(ids(1).validate(&ConnectionId::new(&other)).is_err());
        }
        for len in 0..id.len() {
            assert!(ids(1).validate(&ConnectionId::new(&id[..len])).is_err());
        }
    }
}
