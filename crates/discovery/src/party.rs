//! Who counts as one, when something has only so much for each.

use crate::address::to_ip;
use crate::book::Subnet;
use coinfuse_wire::{Instant, TokenBucket};
use core::net::IpAddr;
use core::time::Duration;
use libp2p::{Multiaddr, PeerId};
use std::collections::HashMap;

/// The most parties whose use is kept in mind.
const MAX_PARTIES: usize = 4096;

/// Those who share one allowance. A peer's key costs nothing, so it is not what counts on the
/// Internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Party {
    /// All of a public subnet.
    Subnet(Subnet),
    /// All behind an address that is not public, which can be those of a proxy.
    Address(IpAddr),
    /// One peer of a network of one's own, where many run at one address.
    Peer(PeerId),
}

impl Party {
    /// The party of a peer at an address; `private` says whether this is a network of one's own.
    pub(crate) fn of(address: &Multiaddr, peer: PeerId, private: bool) -> Self {
        Self::at(address, private).unwrap_or(Self::Peer(peer))
    }

    /// The same before it is known which peer it is; `None` where only that would tell.
    pub(crate) fn at(address: &Multiaddr, private: bool) -> Option<Self> {
        let ip = to_ip(address)?.to_canonical();
        let subnet = Subnet::of(ip);
        match subnet.is_public() {
            true => Some(Self::Subnet(subnet)),
            false => (!private).then_some(Self::Address(ip)),
        }
    }
}

/// How often parties do something. What a party has used is kept for as long as it matters, whatever
/// becomes of its connections.
#[derive(Debug)]
pub(crate) struct Rates {
    burst: u32,
    interval: Duration,
    parties: HashMap<Party, Used>,
    /// For those who come when there are too many.
    others: TokenBucket,
}

#[derive(Debug)]
struct Used {
    bucket: TokenBucket,
    last: Instant,
}

impl Rates {
    /// For each party `burst` at once, and one more after each `interval`.
    pub(crate) fn new(burst: u32, interval: Duration) -> Self {
        Self {
            burst,
            interval,
            parties: HashMap::new(),
            others: TokenBucket::new(burst, interval),
        }
    }

    /// Whether a party may once more.
    pub(crate) fn take(&mut self, party: Party, now: Instant) -> bool {
        if let Some(used) = self.parties.get_mut(&party) {
            used.last = now;
            return used.bucket.take(now);
        }
        if self.parties.len() >= MAX_PARTIES {
            self.forget(now);
        }
        if self.parties.len() >= MAX_PARTIES {
            return self.others.take(now);
        }
        let mut bucket = TokenBucket::new(self.burst, self.interval);
        let may = bucket.take(now);
        self.parties.insert(party, Used { bucket, last: now });
        may
    }

    /// Forgets those whose buckets are full again: for them a new one is the same.
    fn forget(&mut self, now: Instant) {
        let full = self.interval.saturating_mul(self.burst);
        self.parties
            .retain(|_, used| now.saturating_since(used.last) < full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    fn party(address: &str, private: bool) -> Party {
        let address = address.parse().unwrap();
        Party::of(&address, PeerId::random(), private)
    }

    #[test]
    fn a_subnet_is_one_party_and_a_key_makes_no_other() {
        let one = party("/ip4/1.2.3.4/tcp/1", false);
        assert_eq!(one, party("/ip4/1.2.3.250/tcp/77", true));
        assert_eq!(one, party("/ip6/::ffff:1.2.3.5/tcp/1", false));
        assert_ne!(one, party("/ip4/1.2.4.4/tcp/1", false));
        let six = party("/ip6/2a00:1:2:3::1/tcp/1", false);
        assert_eq!(six, party("/ip6/2a00:1:2:ffff::2/tcp/1", false));
        // Whoever comes by a proxy is not told apart, unless it is a network of one's own.
        let proxy = party("/ip4/127.0.0.1/tcp/1", false);
        assert_eq!(proxy, party("/ip4/127.0.0.1/tcp/2", false));
        assert_ne!(proxy, party("/ip4/127.0.0.2/tcp/2", false));
        assert!(matches!(
            party("/ip4/127.0.0.1/tcp/1", true),
            Party::Peer(_)
        ));
    }

    #[test]
    fn what_was_used_counts_until_the_bucket_is_full_again() {
        let mut rates = Rates::new(2, Duration::from_secs(10));
        let one = party("/ip4/1.2.3.4/tcp/1", false);
        let mut taken = |secs| rates.take(one, at(secs));
        assert_eq!(
            [taken(0), taken(0), taken(1), taken(11)],
            [true, true, false, true]
        );
    }

    #[test]
    fn a_flood_of_parties_is_bounded_and_drives_out_none_who_is_active() {
        let mut rates = Rates::new(2, Duration::from_secs(10));
        let numbered = |number: u32| {
            let ip = IpAddr::from((number + 0x0100_0000).to_be_bytes());
            Party::Address(ip)
        };
        for number in 0..MAX_PARTIES as u32 {
            assert!(rates.take(numbered(number), at(0)));
        }
        // The others share what one has.
        let others = (10_000..10_003).map(|number| rates.take(numbered(number), at(1)));
        assert_eq!(others.collect::<Vec<_>>(), [true, true, false]);
        assert!(rates.take(numbered(0), at(1)) && !rates.take(numbered(0), at(1)));
        // Who has done nothing for so long that it makes no difference is forgotten.
        assert!(rates.take(numbered(20_000), at(20)));
        assert_eq!(rates.parties.len(), 2);
    }
}
