//! Whom to compare directories with.

use crate::address::{peer_id, to_multiaddr};
use crate::config::{DiscoveryConfig, Role};
use crate::draw::Draw;
use crate::session::Checked;
use crate::trouble::{SourceTrouble, Troubles};
use coinfuse_directory::{Audit, AuditConfig, Directory, Finding, Standing, View};
use coinfuse_wire::{Instant, RelayId};
use core::time::Duration;
use libp2p::{Multiaddr, PeerId};
use std::collections::{BTreeMap, HashMap};

/// How many sources a client keeps: enough to compare, and few, because each learns that it is one.
const CLIENT_SOURCES: usize = 6;
/// How many a relay keeps.
const RELAY_SOURCES: usize = 24;
/// One comparison in so many, a relay lets its source go for another one.
const ROTATION: usize = 4;
/// How many peers that were met are kept until they are needed.
const MAX_MET: usize = 64;
/// After so many failures in a row a source is let go.
const MAX_FAILURES: u32 = 2;

/// A node that can be asked for its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) peer: PeerId,
    pub(crate) addresses: Vec<Multiaddr>,
    /// Which relay it is, if it was found by its descriptor.
    pub(crate) relay: Option<RelayId>,
}

#[derive(Debug, Clone)]
struct Known {
    source: Source,
    failures: u32,
    /// From when on it may be asked again.
    rested: Instant,
    heard: Option<Instant>,
    /// Descriptors that it handed out since it was heard, and of them those that do not hold now.
    good: usize,
    untimely: usize,
}

/// How a source does.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) source: &'a Source,
    pub(crate) bootstrap: bool,
    pub(crate) standing: Standing,
    pub(crate) heard: Option<Instant>,
    pub(crate) trouble: Option<SourceTrouble>,
}

/// The sources that a node keeps, and how they prove.
///
/// The bootstrap peers are among them and stay; the others are drawn from the directory, so that the
/// bootstrap peers do not decide alone what the network looks like.
#[derive(Debug)]
pub(crate) struct Sources {
    local: PeerId,
    role: Role,
    retry: Duration,
    bootstrap: Vec<Source>,
    met: Vec<Source>,
    known: BTreeMap<PeerId, Known>,
    shunned: HashMap<PeerId, Instant>,
    troubles: Troubles,
    audit: Audit<PeerId>,
}

impl Sources {
    pub(crate) fn of(local: PeerId, config: &DiscoveryConfig) -> Self {
        let bootstrap = config.bootstrap.iter().map(|peer| Source {
            peer: peer_id(&peer.key),
            addresses: vec![to_multiaddr(peer.address)],
            relay: None,
        });
        let (retry, bootstrap) = (config.timing.retry, bootstrap.collect());
        Self::new(local, config.role, retry, config.audit, bootstrap)
    }

    fn new(
        local: PeerId,
        role: Role,
        retry: Duration,
        audit: AuditConfig,
        bootstrap: Vec<Source>,
    ) -> Self {
        let troubles = Troubles::of_bootstrap(&bootstrap);
        Self {
            local,
            role,
            retry,
            bootstrap,
            met: Vec::new(),
            known: BTreeMap::new(),
            shunned: HashMap::new(),
            troubles,
            audit: Audit::new(audit),
        }
    }

    pub(crate) fn is_bootstrap(&self, peer: &PeerId) -> bool {
        self.bootstrap.iter().any(|source| source.peer == *peer)
    }

    /// A peer of which was heard by other ways than the directory.
    pub(crate) fn met(&mut self, source: Source) {
        if self.met.len() < MAX_MET && !self.met.iter().any(|one| one.peer == source.peer) {
            self.met.push(source);
        }
    }

    /// The source to ask next, none of which `busy` says that it is being asked.
    pub(crate) fn next(
        &mut self,
        directory: &Directory,
        busy: impl Fn(&PeerId) -> bool,
        draw: &mut Draw,
        now: Instant,
    ) -> Option<Source> {
        self.fill(directory, draw, now);
        let fit = |peer: &PeerId| {
            let known = self.known.get(peer)?;
            (!busy(peer) && known.rested <= now).then(|| known.source.clone())
        };
        let first = self.audit.next(1, now, draw.seed());
        let others = self.audit.next(usize::MAX, now, draw.seed());
        first.iter().chain(&others).find_map(fit)
    }

    /// How many sources told what they know.
    pub(crate) fn heard_count(&self) -> usize {
        self.known
            .values()
            .filter(|known| known.heard.is_some())
            .count()
    }

    /// A source told what it knows, and handed out what we did not.
    pub(crate) fn heard(
        &mut self,
        peer: &PeerId,
        view: Option<View<'_>>,
        draw: &mut Draw,
        now: Instant,
    ) -> Finding {
        let held = view.as_ref().map_or(0, |view| view.ours.len());
        let finding = match view {
            Some(view) => self.audit.heard(peer, &view, now),
            None => Finding::default(),
        };
        if let Some(known) = self.known.get_mut(peer) {
            known.failures = 0;
            known.heard = Some(now);
            let (good, untimely) = (core::mem::take(&mut known.good), known.untimely);
            known.untimely = 0;
            // That a few have just expired is no wonder. If there is nothing else, it is the clock.
            match good == 0 && untimely > 0 && untimely >= held {
                true => self.note(peer, SourceTrouble::Clock { untimely }),
                false => self.troubles.is_well(peer),
            }
        }
        // One of bad standing is not let go, or it would come back with a good one.
        let goes_round = self.role == Role::Relay && !self.is_bootstrap(peer);
        if goes_round && self.is_sound(peer, now) && draw.below(ROTATION) == 0 {
            self.let_go(peer);
        }
        finding
    }

    /// Descriptors of a source were checked.
    pub(crate) fn checked(&mut self, peer: &PeerId, checked: &Checked) {
        if let Some(known) = self.known.get_mut(peer) {
            let untimely = checked.untimely;
            known.good += checked.good.len();
            known.untimely += (untimely.expired + untimely.from_the_future) as usize;
        }
    }

    /// Whether a peer is a source.
    pub(crate) fn is_source(&self, peer: &PeerId) -> bool {
        self.known.contains_key(peer)
    }

    /// Keeps in mind what is wrong with a source.
    pub(crate) fn note(&mut self, peer: &PeerId, trouble: SourceTrouble) {
        if self.is_source(peer) || self.is_bootstrap(peer) {
            self.troubles.keep(|peer| self.known.contains_key(peer));
            self.troubles.note(*peer, trouble);
        }
    }

    /// Notes it if nothing else is noted.
    pub(crate) fn note_at_least(&mut self, peer: &PeerId, trouble: SourceTrouble) {
        if self.troubles.of(peer).is_none() {
            self.note(peer, trouble);
        }
    }

    /// A source could not be reached, or made no sense.
    pub(crate) fn failed(&mut self, peer: &PeerId, now: Instant) {
        self.audit.failed(peer, now);
        let rested = now + self.retry;
        let Some(known) = self.known.get_mut(peer) else {
            return;
        };
        known.failures += 1;
        known.rested = rested;
        if known.failures >= MAX_FAILURES && !self.is_bootstrap(peer) {
            self.let_go(peer);
            self.shun(*peer, rested, now);
        }
    }

    /// A source has too much to do.
    pub(crate) fn was_busy(&mut self, peer: &PeerId, now: Instant) {
        self.note(peer, SourceTrouble::Busy);
        if let Some(known) = self.known.get_mut(peer) {
            known.rested = now + self.retry;
        }
    }

    /// A source handed out what it must know to be false.
    pub(crate) fn forged(&mut self, peer: &PeerId, now: Instant) {
        self.note(peer, SourceTrouble::Forged);
        self.audit.forged(peer, now);
        self.known.remove(peer);
    }

    /// All sources, and the bootstrap peers that are none: how they do.
    pub(crate) fn reports(&self, now: Instant) -> impl Iterator<Item = Report<'_>> {
        let known = self.known.values();
        let known = known.map(|known| (&known.source, known.heard));
        let is_other = |one: &&Source| one.peer != self.local && !self.is_source(&one.peer);
        let others = self.bootstrap.iter().filter(is_other);
        let all = known.chain(others.map(|source| (source, None)));
        all.map(move |(source, heard)| Report {
            source,
            bootstrap: self.is_bootstrap(&source.peer),
            standing: self.audit.standing(&source.peer, now),
            heard,
            trouble: self.troubles.of(&source.peer),
        })
    }

    /// The peer's relay, if it is a source that was found by its descriptor.
    pub(crate) fn relay_of(&self, peer: &PeerId) -> Option<RelayId> {
        self.known.get(peer)?.source.relay
    }

    fn fill(&mut self, directory: &Directory, draw: &mut Draw, now: Instant) {
        for source in self.bootstrap.clone() {
            self.take(source, now);
        }
        while self.missing(now) > 0
            && let Some(source) = self.met.pop()
        {
            self.take(source, now);
        }
        // Twice as many as are missing, since some are known or shunned.
        let count = self.missing(now) * 2;
        if count > 0 {
            let offers = directory.iter().filter(|one| one.source.is_some());
            let chosen = draw.sample(offers, count);
            for source in chosen.into_iter().filter_map(|one| source_of(one)) {
                if self.missing(now) > 0 {
                    self.take(source, now);
                }
            }
            // Some may have had to make room.
            let kept = self.audit.next(usize::MAX, now, draw.seed());
            self.known.retain(|peer, _| kept.contains(peer));
        }
    }

    /// How many sources there should be beside those in bad standing.
    fn missing(&self, now: Instant) -> usize {
        let wanted = match self.role {
            Role::Relay => RELAY_SOURCES,
            Role::Client => CLIENT_SOURCES,
        };
        let sound = self.known.keys().filter(|peer| self.is_sound(peer, now));
        wanted.saturating_sub(sound.count())
    }

    fn is_sound(&self, peer: &PeerId, now: Instant) -> bool {
        self.audit.standing(peer, now) < Standing::Bad
    }

    fn take(&mut self, source: Source, now: Instant) {
        let peer = source.peer;
        let shunned = self.shunned.get(&peer).is_some_and(|until| now < *until);
        if peer == self.local || shunned || self.known.contains_key(&peer) {
            return;
        }
        if self.audit.meet(&peer, now) {
            let known = Known {
                source,
                failures: 0,
                rested: now,
                heard: None,
                good: 0,
                untimely: 0,
            };
            self.known.insert(peer, known);
        }
    }

    fn let_go(&mut self, peer: &PeerId) {
        self.known.remove(peer);
        self.audit.forget(peer);
    }

    fn shun(&mut self, peer: PeerId, until: Instant, now: Instant) {
        self.shunned.retain(|_, until| now < *until);
        if self.shunned.len() < MAX_MET {
            self.shunned.insert(peer, until);
        }
    }
}

/// Where a relay hands out the directory, in libp2p's terms.
pub(crate) fn source_of(descriptor: &coinfuse_directory::Descriptor) -> Option<Source> {
    let offer = descriptor.source.as_ref()?;
    let addresses = offer.addresses.iter();
    Some(Source {
        peer: peer_id(&offer.key),
        addresses: addresses.map(|address| to_multiaddr(*address)).collect(),
        relay: Some(descriptor.relay),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::relay;
    use coinfuse_directory::{PeerKey, SourceOffer};

    const RETRY: Duration = Duration::from_secs(30);

    fn key(number: u16) -> PeerKey {
        let mut key = [9; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        PeerKey::new(key)
    }

    fn bootstrap(number: u16) -> Source {
        Source {
            peer: peer_id(&key(number)),
            addresses: vec!["/ip4/1.2.3.4/tcp/1".parse().unwrap()],
            relay: None,
        }
    }

    fn directory(count: u16) -> Directory {
        let mut directory = Directory::new();
        directory.extend((0..count).map(|number| {
            relay(number, |body| {
                body.source = Some(SourceOffer {
                    key: key(number),
                    addresses: vec!["1.2.3.4:1".parse().unwrap()],
                });
            })
        }));
        directory
    }

    fn client() -> Sources {
        let local = peer_id(&key(u16::MAX));
        let audit = AuditConfig::default();
        Sources::new(local, Role::Client, RETRY, audit, vec![bootstrap(1000)])
    }

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    /// Asks until nobody is left to be asked; all of them are heard.
    fn all(sources: &mut Sources, directory: &Directory, now: Instant) -> Vec<PeerId> {
        let mut asked: Vec<PeerId> = Vec::new();
        let mut draw = Draw::new([1; 32]);
        while let Some(next) = sources.next(directory, |peer| asked.contains(peer), &mut draw, now)
        {
            sources.heard(&next.peer, None, &mut draw, now);
            asked.push(next.peer);
        }
        asked
    }

    #[test]
    fn a_client_asks_its_bootstrap_peer_and_a_few_others() {
        let mut sources = client();
        let asked = all(&mut sources, &directory(50), at(0));
        assert_eq!(asked.len(), CLIENT_SOURCES);
        assert!(asked.contains(&peer_id(&key(1000))));
        // And the same ones later.
        let again = all(&mut sources, &directory(50), at(60));
        assert!(again.iter().all(|peer| asked.contains(peer)));
    }

    #[test]
    fn who_fails_rests_and_who_fails_again_is_let_go_for_another() {
        let mut sources = client();
        let directory = directory(50);
        let before = all(&mut sources, &directory, at(0));
        let failing = *before
            .iter()
            .find(|peer| !sources.is_bootstrap(peer))
            .unwrap();
        sources.failed(&failing, at(1));
        assert!(!all(&mut sources, &directory, at(2)).contains(&failing));
        sources.failed(&failing, at(40));
        let after = all(&mut sources, &directory, at(41));
        assert_eq!(after.len(), CLIENT_SOURCES);
        assert!(!after.contains(&failing));
    }

    #[test]
    fn a_bootstrap_peer_is_asked_again_however_often_it_failed() {
        let mut sources = client();
        let peer = peer_id(&key(1000));
        for failures in 0..10 {
            sources.failed(&peer, at(failures));
        }
        let nobody = Directory::new();
        assert_eq!(all(&mut sources, &nobody, at(100)), [peer]);
        sources.forged(&peer, at(100));
        assert!(all(&mut sources, &nobody, at(200)).is_empty());
    }

    #[test]
    fn a_relay_goes_round() {
        let local = peer_id(&key(0));
        let audit = AuditConfig::default();
        let mut sources = Sources::new(local, Role::Relay, RETRY, audit, Vec::new());
        let directory = directory(60);
        let mut heard = std::collections::BTreeSet::new();
        let mut draw = Draw::new([1; 32]);
        for second in 0..1000 {
            let next = sources
                .next(&directory, |_| false, &mut draw, at(second))
                .unwrap();
            sources.heard(&next.peer, None, &mut draw, at(second));
            heard.insert(next.peer);
        }
        assert!(!heard.contains(&local));
        assert_eq!(heard.len(), 59);
    }
}
