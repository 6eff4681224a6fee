//! Whom to compare directories with.

use crate::address::{peer_id, to_multiaddr, to_socket};
use crate::book::Subnet;
use crate::config::{DiscoveryConfig, Role, Timing};
use crate::draw::Draw;
use crate::session::Checked;
use crate::trouble::{SourceTrouble, Troubles};
use coinfuse_directory::sync::Cursor;
use coinfuse_directory::{Audit, AuditConfig, Descriptor, Directory, Finding, Standing, View};
use coinfuse_wire::{Instant, RelayId};
use core::time::Duration;
use libp2p::{Multiaddr, PeerId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How many sources a client keeps: enough to compare, and few, because each learns that it is one.
const CLIENT_SOURCES: usize = 6;
/// How many a relay keeps.
const RELAY_SOURCES: usize = 24;
/// One comparison in so many, a relay lets its source go for another one.
const RELAY_ROTATION: usize = 4;
/// The same for a client: a source in some two hours. Whoever got most of the places once does not
/// keep them for ever, and those who learn that somebody is a client stay few.
const CLIENT_ROTATION: usize = 512;
/// How many peers that were met are kept until they are needed.
const MAX_MET: usize = 64;
/// How many of them are sources at once. Their names cost nothing, and no relay stands for them.
const MET_SOURCES: usize = 1;
/// How long a client waits for its bootstrap peers before it believes one of them who the others are.
const HEARING: Duration = Duration::from_secs(3);
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

impl Source {
    /// The public networks in which it is looked for.
    fn subnets(&self) -> impl Iterator<Item = Subnet> {
        let sockets = self.addresses.iter().filter_map(to_socket);
        let subnets = sockets.map(|socket| Subnet::of(socket.ip()));
        subnets.filter(Subnet::is_public)
    }
}

#[derive(Debug, Clone)]
struct Known {
    source: Source,
    failures: u32,
    /// From when on it may be asked again.
    rested: Instant,
    asked: Option<Instant>,
    heard: Option<Instant>,
    /// Whether it could be held against others what it lists.
    judged: bool,
    /// Descriptors that it handed out since it was heard, and of them those that do not hold now.
    good: usize,
    untimely: usize,
}

impl Known {
    /// Whether it may still say something for the first time.
    fn is_awaited(&self, now: Instant) -> bool {
        let lately = |asked: Instant| now < asked + HEARING;
        let is_silent = self.heard.is_none() && self.failures == 0;
        is_silent && self.rested <= now && self.asked.is_none_or(lately)
    }
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
/// bootstrap peers do not decide alone what the network looks like. What most sources say decides much
/// for a client, so it does not draw from what the first of several bootstrap peers tells, but from what
/// most of them list; and no two of its sources are in one network.
#[derive(Debug)]
pub(crate) struct Sources {
    local: PeerId,
    role: Role,
    timing: Timing,
    bootstrap: Vec<Source>,
    met: Vec<Source>,
    known: BTreeMap<PeerId, Known>,
    shunned: HashMap<PeerId, Instant>,
    troubles: Troubles,
    audit: Audit<PeerId>,
    followed: Option<(PeerId, Cursor)>,
    full_by: Instant,
}

impl Sources {
    pub(crate) fn of(local: PeerId, config: &DiscoveryConfig) -> Self {
        let bootstrap = config.bootstrap.iter().map(|peer| Source {
            peer: peer_id(&peer.key),
            addresses: vec![to_multiaddr(peer.address)],
            relay: None,
        });
        let (timing, bootstrap) = (config.timing, bootstrap.collect());
        Self::new(local, config.role, timing, config.audit, bootstrap)
    }

    fn new(
        local: PeerId,
        role: Role,
        timing: Timing,
        audit: AuditConfig,
        bootstrap: Vec<Source>,
    ) -> Self {
        let troubles = Troubles::of_bootstrap(&bootstrap);
        Self {
            local,
            role,
            timing,
            bootstrap,
            met: Vec::new(),
            known: BTreeMap::new(),
            shunned: HashMap::new(),
            troubles,
            audit: Audit::new(audit),
            followed: None,
            full_by: Instant::ZERO,
        }
    }

    pub(crate) fn bootstrap(&self) -> &[Source] {
        &self.bootstrap
    }

    pub(crate) fn is_bootstrap(&self, peer: &PeerId) -> bool {
        self.bootstrap.iter().any(|source| source.peer == *peer)
    }

    /// A peer of which was heard by other ways than the directory.
    pub(crate) fn met(&mut self, source: Source) {
        self.met.retain(|one| one.peer != source.peer);
        if self.met.len() >= MAX_MET {
            self.met.remove(0);
        }
        self.met.push(source);
    }

    /// The source to ask next, none of which `busy` says that it is being asked. Of the relays in the
    /// directory `is_sure` says which are known to be where they say they are.
    pub(crate) fn next(
        &mut self,
        directory: &Directory,
        is_sure: impl Fn(&RelayId) -> bool,
        busy: impl Fn(&PeerId) -> bool,
        draw: &mut Draw,
        now: Instant,
    ) -> Option<Source> {
        self.fill(directory, is_sure, draw, now);
        let fit = |peer: &PeerId| {
            let known = self.known.get(peer)?;
            (!busy(peer) && known.rested <= now).then(|| known.source.clone())
        };
        let first = self.audit.next(1, now, draw.seed());
        let others = self.audit.next(usize::MAX, now, draw.seed());
        let next = first.iter().chain(&others).find_map(fit)?;
        if let Some(known) = self.known.get_mut(&next.peer) {
            known.asked = Some(now);
        }
        Some(next)
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
        let held = view.as_ref().map_or(usize::MAX, |view| view.ours.len());
        let mut finding = Finding::default();
        if let Some(view) = view {
            finding = self.audit.heard(peer, &view, now);
            self.full_by = now + draw.jitter(self.timing.full);
        }
        if let Some(known) = self.known.get_mut(peer) {
            known.failures = 0;
            known.heard = Some(now);
            known.judged |= finding.judged > 0;
            let (good, untimely) = (core::mem::take(&mut known.good), known.untimely);
            known.untimely = 0;
            // That a few have just expired is no wonder. If there is nothing else, it is the clock.
            match good == 0 && untimely > 0 && untimely >= held {
                true => self.note(peer, SourceTrouble::Clock { untimely }),
                false => self.troubles.is_well(peer),
            }
        }
        // One of bad standing is not let go, or it would come back with a good one.
        let rotation = match self.role {
            Role::Relay => RELAY_ROTATION,
            Role::Client => CLIENT_ROTATION,
        };
        let may_go = !self.is_bootstrap(peer) && self.is_sound(peer, now);
        if may_go && draw.below(rotation) == 0 {
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

    /// Has a source followed from here on, if nothing speaks against it.
    pub(crate) fn follow(&mut self, peer: PeerId, cursor: Cursor, now: Instant) {
        if self.audit.standing(&peer, now) == Standing::Good {
            self.followed = Some((peer, cursor));
        }
    }

    /// The source that is followed, and from where on. Nobody is from then on: who answers well is
    /// followed anew.
    pub(crate) fn take_followed(&mut self) -> Option<(Source, Cursor)> {
        let (peer, cursor) = self.followed.take()?;
        let known = self.known.get(&peer)?;
        Some((known.source.clone(), cursor))
    }

    /// Whether following is not enough now: a full comparison is due, or somebody was heard whom
    /// nothing could be held against yet.
    pub(crate) fn wants_full(&self, now: Instant) -> bool {
        let unjudged = |(peer, known): (&PeerId, &Known)| {
            known.heard.is_some() && !known.judged && self.is_sound(peer, now)
        };
        now >= self.full_by || self.known.iter().any(unjudged)
    }

    /// A source could not be reached, or made no sense.
    pub(crate) fn failed(&mut self, peer: &PeerId, now: Instant) {
        self.audit.failed(peer, now);
        let rested = now + self.timing.retry;
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
            known.rested = now + self.timing.retry;
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

    /// Whether what a source lists counts for us.
    pub(crate) fn is_witness(&self, peer: &PeerId, now: Instant) -> bool {
        self.known.contains_key(peer) && self.is_sound(peer, now)
    }

    fn fill(
        &mut self,
        directory: &Directory,
        is_sure: impl Fn(&RelayId) -> bool,
        draw: &mut Draw,
        now: Instant,
    ) {
        for source in self.bootstrap.clone() {
            self.take(source, now);
        }
        // Twice as many as are missing, since some are known or shunned.
        let count = self.missing(now) * 2;
        if count > 0 {
            for source in self.draw_from(directory, is_sure, count, draw, now) {
                if self.missing(now) > 0 {
                    self.take(source, now);
                }
            }
            self.fill_with_met(draw, now);
            // Some may have had to make room.
            let kept = self.audit.next(usize::MAX, now, draw.seed());
            self.known.retain(|peer, _| kept.contains(peer));
        }
    }

    /// Some of those that the directory names.
    fn draw_from(
        &self,
        directory: &Directory,
        is_sure: impl Fn(&RelayId) -> bool,
        count: usize,
        draw: &mut Draw,
        now: Instant,
    ) -> Vec<Source> {
        // Drawn first, and then put into other terms.
        let all = || directory.iter().filter(|one| one.source.is_some());
        let named = |drawn: Vec<&Arc<Descriptor>>| {
            let drawn = drawn.into_iter();
            drawn.filter_map(|one| source_of(one)).collect()
        };
        if self.role == Role::Relay {
            return named(draw.sample(all(), count));
        }
        let bootstrap = self.bootstrap.iter();
        let mut bootstrap = bootstrap.filter_map(|source| self.known.get(&source.peer));
        if bootstrap.any(|known| known.is_awaited(now)) {
            return Vec::new();
        }
        let sure = draw.sample(all().filter(|one| is_sure(&one.relay)), count);
        named(match sure.is_empty() {
            true => draw.sample(all(), count),
            false => sure,
        })
    }

    /// What the directory leaves free is for who was met: else a crowd of new names at a meeting point
    /// would be most of the sources before the directory is known.
    fn fill_with_met(&mut self, draw: &mut Draw, now: Instant) {
        while self.missing(now) > 0 && self.met_sources() < MET_SOURCES && !self.met.is_empty() {
            let source = self.met.swap_remove(draw.below(self.met.len()));
            self.take(source, now);
        }
    }

    /// How many sources are neither bootstrap peers nor known by a relay's descriptor.
    fn met_sources(&self) -> usize {
        let known = self.known.values().map(|known| &known.source);
        let met = known.filter(|one| one.relay.is_none() && !self.is_bootstrap(&one.peer));
        met.count()
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
        if peer == self.local || shunned || self.known.contains_key(&peer) || self.crowds(&source) {
            return;
        }
        if self.audit.meet(&peer, now) {
            let known = Known {
                source,
                failures: 0,
                rested: now,
                asked: None,
                heard: None,
                good: 0,
                untimely: 0,
                judged: false,
            };
            self.known.insert(peer, known);
        }
    }

    /// Whether a client has a source in the same network, which does not fail. A relay goes round, so that
    /// it does not matter.
    fn crowds(&self, source: &Source) -> bool {
        let others = self.known.values().filter(|known| known.failures == 0);
        let mut taken = others.flat_map(|known| known.source.subnets());
        self.role == Role::Client
            && !self.is_bootstrap(&source.peer)
            && taken.any(|subnet| source.subnets().any(|one| one == subnet))
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
pub(crate) fn source_of(descriptor: &Descriptor) -> Option<Source> {
    let offer = descriptor.source.as_ref()?;
    let addresses = offer.addresses.iter();
    Some(Source {
        peer: peer_id(&offer.key),
        addresses: addresses.map(|address| to_multiaddr(*address)).collect(),
        relay: Some(descriptor.relay),
    })
}

#[cfg(test)]
mod tests;
