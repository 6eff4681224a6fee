//! Who offers a service, ranked by what proves it.

use crate::address::{peer_id, to_multiaddr};
use crate::book::{Book, Rank, Subnet};
use crate::keys::Name;
use coinfuse_directory::{Descriptor, SourceOffer};
use coinfuse_wire::ServiceCode;
use libp2p::PeerId;
use libp2p::kad::ProviderRecord;
use std::collections::HashMap;
use std::time::Instant;

/// The most services about which announcements are kept.
const MAX_SERVICES: usize = 64;
/// The most announcements for one service.
const MAX_CLAIMS: usize = 512;
/// How many providers of one public subnet are named.
const MAX_PER_SUBNET: usize = 2;
/// How many providers are named; libp2p sends no more.
const MAX_NAMED: usize = crate::behaviour::REPLICAS;

/// The announcements of providers, and who of them is named when somebody asks.
///
/// Anybody can announce himself. Named is only who is known by a verified descriptor that claims the
/// service and names the announcing peer as the relay's; the best ranked first, and few of one
/// subnet. So throw-away identities do not keep others from being found.
#[derive(Debug, Default)]
pub(crate) struct Providers {
    claims: HashMap<ServiceCode, HashMap<PeerId, Option<Instant>>>,
    named: HashMap<ServiceCode, Vec<ProviderRecord>>,
    ranked_at: Option<u64>,
}

/// Why an announcement is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClaimRefused {
    /// Its key names no service.
    Key,
    /// There are too many, of others that can prove theirs.
    Full,
}

impl Providers {
    /// Keeps an announcement, to be ranked with the next [`rank`](Self::rank).
    pub(crate) fn claim(&mut self, record: ProviderRecord) -> Result<(), ClaimRefused> {
        let Some(Name::Service(code)) = Name::parse(record.key.as_ref()) else {
            return Err(ClaimRefused::Key);
        };
        if !self.claims.contains_key(&code) && self.claims.len() >= MAX_SERVICES {
            self.forget_a_service()?;
        }
        let named = self.named.get(&code).map_or(&[][..], Vec::as_slice);
        let claims = self.claims.entry(code).or_default();
        if claims.len() >= MAX_CLAIMS && !claims.contains_key(&record.provider) {
            let is_named = |peer: &PeerId| named.iter().any(|one| one.provider == *peer);
            let unnamed = claims.keys().find(|peer| !is_named(peer)).copied();
            claims.remove(&unnamed.ok_or(ClaimRefused::Full)?);
        }
        claims.insert(record.provider, record.expires);
        self.ranked_at = None;
        Ok(())
    }

    /// Takes an announcement back.
    pub(crate) fn unclaim(&mut self, key: &[u8], peer: &PeerId) {
        if let Some(Name::Service(code)) = Name::parse(key)
            && let Some(claims) = self.claims.get_mut(&code)
        {
            claims.remove(peer);
            self.ranked_at = None;
        }
    }

    /// Who is named for a key.
    pub(crate) fn named(&self, key: &[u8]) -> &[ProviderRecord] {
        match Name::parse(key) {
            Some(Name::Service(code)) => self.named.get(&code).map_or(&[], Vec::as_slice),
            _ => &[],
        }
    }

    /// Decides anew who is named, if the announcements or the book have changed.
    pub(crate) fn rank(&mut self, book: &Book, now: Instant) {
        if self.ranked_at == Some(book.version()) {
            return;
        }
        for claims in self.claims.values_mut() {
            claims.retain(|_, expires| expires.is_none_or(|expires| expires > now));
        }
        self.claims.retain(|_, claims| !claims.is_empty());
        self.named = self
            .claims
            .iter()
            .map(|(code, claims)| (*code, best(*code, claims, book)))
            .collect();
        self.ranked_at = Some(book.version());
    }

    /// Makes room for another service, at the cost of one for which nobody proved anything.
    fn forget_a_service(&mut self) -> Result<(), ClaimRefused> {
        let proven = |code: &ServiceCode| self.named.get(code).is_some_and(|all| !all.is_empty());
        let unproven = self.claims.keys().find(|code| !proven(code)).copied();
        let code = unproven.ok_or(ClaimRefused::Full)?;
        self.claims.remove(&code);
        Ok(())
    }
}

/// A provider with what speaks for it.
struct Candidate<'a> {
    rank: Rank,
    relay: &'a Descriptor,
    source: &'a SourceOffer,
    peer: PeerId,
    expires: Option<Instant>,
}

fn best(
    code: ServiceCode,
    claims: &HashMap<PeerId, Option<Instant>>,
    book: &Book,
) -> Vec<ProviderRecord> {
    let mut candidates: Vec<Candidate<'_>> = book
        .directory()
        .offering(code)
        .filter_map(|relay| candidate(relay, claims, book))
        .collect();
    candidates.sort_by_key(|candidate| core::cmp::Reverse(candidate.rank));
    let mut crowd: HashMap<Subnet, usize> = HashMap::new();
    let mut fits = |candidate: &Candidate<'_>| {
        let subnets = candidate.relay.addresses.first();
        let subnet = subnets.map(|address| Subnet::of(address.ip()));
        subnet.is_some_and(|subnet| {
            let count = crowd.entry(subnet).or_default();
            *count += 1;
            !subnet.is_public() || *count <= MAX_PER_SUBNET
        })
    };
    let named = candidates.iter().filter(|candidate| fits(candidate));
    let records = named.map(|candidate| record(code, candidate));
    records.take(MAX_NAMED).collect()
}

fn candidate<'a>(
    relay: &'a Descriptor,
    claims: &HashMap<PeerId, Option<Instant>>,
    book: &Book,
) -> Option<Candidate<'a>> {
    let source = relay.source.as_ref()?;
    let peer = peer_id(&source.key);
    Some(Candidate {
        rank: book.rank(&relay.relay)?,
        expires: *claims.get(&peer)?,
        relay,
        source,
        peer,
    })
}

/// With the addresses that the descriptor tells, not those of the announcement.
fn record(code: ServiceCode, candidate: &Candidate<'_>) -> ProviderRecord {
    let addresses = candidate.source.addresses.iter();
    ProviderRecord {
        key: Name::Service(code).key(),
        provider: candidate.peer,
        expires: candidate.expires,
        addresses: addresses.map(|address| to_multiaddr(*address)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::BookLimits;
    use crate::samples::relay;
    use coinfuse_directory::{PeerKey, find_work};
    use core::num::NonZeroU32;
    use libp2p::kad::RecordKey;
    use std::sync::Arc;

    fn key(number: u16) -> PeerKey {
        let mut key = [9; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        PeerKey::new(key)
    }

    fn exit(number: u16, address: &str, bits: u32) -> Arc<Descriptor> {
        Arc::new(relay(number, |body| {
            body.addresses = vec![address.parse().unwrap()];
            body.services.insert(ServiceCode::EXIT);
            body.source = Some(SourceOffer {
                key: key(number),
                addresses: vec![address.parse().unwrap()],
            });
            let tries = NonZeroU32::new(1 << 20).unwrap();
            body.work = Some(find_work(&body.relay, 0, tries, bits).0);
        }))
    }

    fn announcement(code: ServiceCode, number: u16) -> ProviderRecord {
        let lies = vec!["/ip4/6.6.6.6/tcp/6".parse().unwrap()];
        ProviderRecord::new(Name::Service(code).key(), peer_id(&key(number)), lies)
    }

    fn book(relays: impl IntoIterator<Item = Arc<Descriptor>>) -> Book {
        let mut book = Book::new(
            BookLimits {
                relays: 10_000,
                per_subnet: 100,
                private: false,
            },
            0,
        );
        for relay in relays {
            book.admit(relay);
        }
        book
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn names(providers: &Providers) -> Vec<PeerId> {
        let key = Name::Service(ServiceCode::EXIT).key();
        let named = providers.named(key.as_ref());
        named.iter().map(|one| one.provider).collect()
    }

    #[test]
    fn throw_away_identities_do_not_squat_a_service() {
        let flood = (0..100).map(|number| exit(number, "6.6.6.6:1", 0));
        let honest = exit(1000, "5.6.7.8:1", 16);
        let book = book(flood.chain([Arc::clone(&honest)]));
        let mut providers = Providers::default();
        // 100 have descriptors; 900 are mere names.
        for number in 0..1000 {
            providers
                .claim(announcement(ServiceCode::EXIT, number))
                .unwrap();
        }
        providers
            .claim(announcement(ServiceCode::EXIT, 1000))
            .unwrap();
        providers.rank(&book, now());
        let named = names(&providers);
        assert_eq!(named[0], peer_id(&key(1000)));
        assert!(named.len() <= 1 + MAX_PER_SUBNET, "{}", named.len());

        // What is answered is what the descriptor says.
        let key = Name::Service(ServiceCode::EXIT).key();
        let addresses = &providers.named(key.as_ref())[0].addresses;
        assert_eq!(*addresses, ["/ip4/5.6.7.8/tcp/1".parse().unwrap()]);
        // A provider that is named keeps its place through the next flood.
        for number in 2000..4000 {
            let _full = providers.claim(announcement(ServiceCode::EXIT, number));
        }
        providers.rank(&book, now());
        assert_eq!(names(&providers)[0], peer_id(&self::key(1000)));
    }

    #[test]
    fn only_who_announces_a_service_that_his_descriptor_claims_is_named() {
        let book = book([exit(1, "1.2.3.4:1", 0), exit(2, "1.2.4.4:1", 0)]);
        let mut providers = Providers::default();
        providers.claim(announcement(ServiceCode::EXIT, 1)).unwrap();
        providers
            .claim(announcement(ServiceCode::MEMPOOL, 2))
            .unwrap();
        providers.rank(&book, now());
        assert_eq!(names(&providers), [peer_id(&key(1))]);
        let mempool = Name::Service(ServiceCode::MEMPOOL).key();
        assert!(providers.named(mempool.as_ref()).is_empty());
        providers.unclaim(
            Name::Service(ServiceCode::EXIT).key().as_ref(),
            &peer_id(&key(1)),
        );
        providers.rank(&book, now());
        assert!(names(&providers).is_empty());
    }

    #[test]
    fn announcements_end_and_services_are_bounded() {
        let book = book([exit(1, "1.2.3.4:1", 0)]);
        let mut providers = Providers::default();
        let mut record = announcement(ServiceCode::EXIT, 1);
        record.expires = Some(now());
        providers.claim(record).unwrap();
        providers.rank(&book, now());
        assert!(names(&providers).is_empty());

        providers.claim(announcement(ServiceCode::EXIT, 1)).unwrap();
        providers.rank(&book, now());
        for code in 100..300 {
            providers
                .claim(announcement(ServiceCode::new(code), 7))
                .unwrap();
        }
        providers.rank(&book, now());
        assert_eq!(providers.claims.len(), MAX_SERVICES);
        assert_eq!(names(&providers), [peer_id(&key(1))]);
        let odd = ProviderRecord::new(RecordKey::new(&b"other"), peer_id(&key(1)), Vec::new());
        assert_eq!(providers.claim(odd), Err(ClaimRefused::Key));
    }
}
