//! Proof of work over a relay's identity.
//!
//! An identity costs nothing, so whoever ranks relays that it knows nothing else about can rank by
//! the work that their operators put into their names. It is done once for an identity. It only
//! ranks: no relay is refused for the lack of it.

use coinfuse_wire::{Decode, DecodeError, Encode, Reader, RelayId, Writer};
use core::num::NonZeroU32;
use sha2::{Digest, Sha256};

const DOMAIN: &[u8] = b"Coinfuse_identity_work_v1";

/// The number that an operator searched for; see [`work_bits`] for what it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkNonce(u64);

impl WorkNonce {
    /// From the number.
    pub const fn new(nonce: u64) -> Self {
        Self(nonce)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl Encode for WorkNonce {
    fn encode(&self, out: &mut Writer) {
        out.u64(self.0);
    }
}

impl Decode for WorkNonce {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u64("work").map(Self)
    }
}

/// How many leading zero bits `SHA-256("Coinfuse_identity_work_v1" || relay || nonce)` has: finding
/// `n` of them takes 2^n tries on average.
pub fn work_bits(relay: &RelayId, nonce: WorkNonce) -> u32 {
    leading_zeros(prefix(relay), nonce)
}

/// Tries `count` nonces from `start` on, and returns the best of them with its bits; it stops
/// early at the first that is worth `enough` bits.
///
/// A relay calls it again and again on a thread of its own, with the next `start`, until it is
/// content. A try takes about a quarter of a microsecond: 20 bits are a quarter of a second.
///
/// ```
/// use coinfuse_directory::{find_work, work_bits};
/// use coinfuse_wire::RelayId;
/// use core::num::NonZeroU32;
///
/// let relay = RelayId::new([7; 32]);
/// let tries = NonZeroU32::new(100_000).unwrap();
/// let (nonce, bits) = find_work(&relay, 0, tries, 8);
/// assert!(bits >= 8 && work_bits(&relay, nonce) == bits);
/// ```
pub fn find_work(relay: &RelayId, start: u64, count: NonZeroU32, enough: u32) -> (WorkNonce, u32) {
    let prefix = prefix(relay);
    let mut best = (
        WorkNonce(start),
        leading_zeros(prefix.clone(), WorkNonce(start)),
    );
    for step in 1..u64::from(count.get()) {
        if best.1 >= enough {
            break;
        }
        let nonce = WorkNonce(start.wrapping_add(step));
        let bits = leading_zeros(prefix.clone(), nonce);
        if bits > best.1 {
            best = (nonce, bits);
        }
    }
    best
}

fn prefix(relay: &RelayId) -> Sha256 {
    Sha256::new_with_prefix(DOMAIN).chain_update(relay.as_bytes())
}

fn leading_zeros(prefix: Sha256, nonce: WorkNonce) -> u32 {
    let hash = prefix.chain_update(nonce.0.to_be_bytes()).finalize();
    let zero_bytes = hash.iter().take_while(|byte| **byte == 0).count();
    let next = hash.get(zero_bytes).map_or(0, |byte| byte.leading_zeros());
    zero_bytes as u32 * 8 + next
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: RelayId = RelayId::new([7; 32]);

    fn tries(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).unwrap()
    }

    #[test]
    fn bits_are_those_of_the_hash_and_bound_to_the_relay() {
        // printf 'Coinfuse_identity_work_v1' + 32 bytes of 7 + nonce as 8 bytes | sha256sum
        assert_eq!(work_bits(&RELAY, WorkNonce(0)), 0);
        let (nonce, bits) = find_work(&RELAY, 0, tries(1 << 16), 12);
        assert_eq!((nonce.get(), bits), (6_357, 12));
        assert!(work_bits(&RelayId::new([8; 32]), nonce) < 12);
    }

    #[test]
    fn a_search_is_bounded_and_can_go_on_where_it_ended() {
        let (whole, _) = find_work(&RELAY, 0, tries(2000), u32::MAX);
        let halves = [0, 1000].map(|start| find_work(&RELAY, start, tries(1000), u32::MAX));
        let better = halves[usize::from(halves[1].1 > halves[0].1)];
        assert_eq!(better.0, whole);
        assert_eq!(find_work(&RELAY, 41, tries(1), 64).0, WorkNonce(41));
        // Past the last number comes the first.
        find_work(&RELAY, u64::MAX, tries(3), 64);
    }
}
