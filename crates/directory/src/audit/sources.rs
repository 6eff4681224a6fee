//! The sources, and how they stand.

use super::AuditConfig;
use crate::decay::decayed;
use crate::draw::Draw;
use coinfuse_wire::Instant;
use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BTreeMap;

/// How a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It lists what the others list, as far as is known.
    Good,
    /// It left out more than a few relays, or failed once or twice.
    Doubtful,
    /// It leaves out much of what the others list, or fails most of the time. It does not count as
    /// a witness.
    Bad,
    /// It forged.
    Banned,
}

/// Suspicion from which on a source is doubtful, and bad; a thousand is the most.
const DOUBTFUL: u32 = 100;
const BAD: u32 = 400;

/// The place of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u8);

/// A set of places.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slots(u32);

impl Slots {
    pub(super) const COUNT: usize = u32::BITS as usize;

    pub(super) fn insert(&mut self, slot: Slot) {
        self.0 |= 1 << slot.0;
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        self.0 &= !(1 << slot.0);
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn len(self) -> u32 {
        self.0.count_ones()
    }
}

#[derive(Debug, Clone)]
struct Source<S> {
    name: S,
    /// Up to a thousand; decays from `heard` on.
    suspicion: u32,
    /// When it was heard last, or failed to be.
    tried: Option<Instant>,
    /// When it listed something last.
    heard: Option<Instant>,
}

impl<S> Source<S> {
    fn new(name: S) -> Self {
        Self {
            name,
            suspicion: 0,
            tried: None,
            heard: None,
        }
    }

    fn suspicion(&self, now: Instant, half_life: Duration) -> u32 {
        let age = self
            .tried
            .map_or(Duration::ZERO, |tried| now.saturating_since(tried));
        decayed(self.suspicion, age, half_life)
    }

    fn standing(&self, now: Instant, half_life: Duration) -> Standing {
        match self.suspicion(now, half_life) {
            BAD.. => Standing::Bad,
            DOUBTFUL.. => Standing::Doubtful,
            _ => Standing::Good,
        }
    }

    /// Moves the suspicion a part of the way towards `sample`.
    fn suspect(&mut self, sample: u32, now: Instant, half_life: Duration) {
        self.suspicion = (self.suspicion(now, half_life) + sample) / 2;
        self.tried = Some(now);
    }
}

#[derive(Debug, Clone)]
pub(super) struct Sources<S> {
    slots: [Option<Source<S>>; Slots::COUNT],
    bans: BTreeMap<S, Instant>,
}

impl<S: Ord + Clone> Sources<S> {
    pub(super) fn new() -> Self {
        Self {
            slots: [const { None }; Slots::COUNT],
            bans: BTreeMap::new(),
        }
    }

    fn known(&self) -> impl Iterator<Item = (Slot, &Source<S>)> {
        let numbered = (0..).zip(&self.slots);
        numbered.filter_map(|(n, source)| Some((Slot(n), source.as_ref()?)))
    }

    fn find(&self, name: &S) -> Option<Slot> {
        self.known()
            .find(|(_, source)| source.name == *name)
            .map(|(slot, _)| slot)
    }

    fn at(&mut self, slot: Slot) -> Option<&mut Source<S>> {
        self.slots.get_mut(usize::from(slot.0))?.as_mut()
    }

    fn is_banned(&self, name: &S, now: Instant) -> bool {
        self.bans.get(name).is_some_and(|until| now < *until)
    }

    /// The place of a source, a new one if it had none; and whether another had to leave for it.
    pub(super) fn enter(
        &mut self,
        name: &S,
        now: Instant,
        config: &AuditConfig,
    ) -> Option<(Slot, bool)> {
        if self.is_banned(name, now) {
            return None;
        }
        if let Some(slot) = self.find(name) {
            return Some((slot, false));
        }
        let free = (0..).zip(&self.slots).find(|(_, source)| source.is_none());
        let (slot, evicted) = match free {
            Some((number, _)) => (Slot(number), false),
            None => (self.worst(now, config)?, true),
        };
        self.slots[usize::from(slot.0)] = Some(Source::new(name.clone()));
        Some((slot, evicted))
    }

    /// The source in bad standing that is suspected most.
    fn worst(&self, now: Instant, config: &AuditConfig) -> Option<Slot> {
        self.known()
            .map(|(slot, source)| (slot, source.suspicion(now, config.half_life)))
            .filter(|(_, suspicion)| *suspicion >= BAD)
            .max_by_key(|(_, suspicion)| *suspicion)
            .map(|(slot, _)| slot)
    }

    pub(super) fn remove(&mut self, name: &S) -> Option<Slot> {
        let slot = self.find(name)?;
        self.slots[usize::from(slot.0)] = None;
        Some(slot)
    }

    /// Bans a source. Of too many bans the one that would end first is forgotten.
    pub(super) fn ban(&mut self, name: S, until: Instant, now: Instant) {
        self.bans.retain(|_, until| now < *until);
        if self.bans.len() >= Slots::COUNT {
            let first = self.bans.iter().min_by_key(|(_, until)| **until);
            if let Some(name) = first.map(|(name, _)| name.clone()) {
                self.bans.remove(&name);
            }
        }
        self.bans.insert(name, until);
    }

    /// The sources whose word counts against the one at `accused`: heard lately, and not in bad
    /// standing.
    pub(super) fn witnesses(&self, accused: Slot, now: Instant, config: &AuditConfig) -> Slots {
        let mut slots = Slots::default();
        for (slot, source) in self.known() {
            let lately = |heard: Instant| now.saturating_since(heard) <= config.memory;
            let sound = source.standing(now, config.half_life) < Standing::Bad;
            if slot != accused && sound && source.heard.is_some_and(lately) {
                slots.insert(slot);
            }
        }
        slots
    }

    pub(super) fn heard(&mut self, slot: Slot, permille: u32, now: Instant, half_life: Duration) {
        if let Some(source) = self.at(slot) {
            source.suspect(permille, now, half_life);
            source.heard = Some(now);
        }
    }

    /// A failure is half as bad as hiding everything.
    pub(super) fn failed(&mut self, slot: Slot, now: Instant, half_life: Duration) {
        if let Some(source) = self.at(slot) {
            source.suspect(500, now, half_life);
        }
    }

    pub(super) fn standing(&self, name: &S, now: Instant, config: &AuditConfig) -> Standing {
        if self.is_banned(name, now) {
            return Standing::Banned;
        }
        let mut known = self.known().map(|(_, source)| source);
        known
            .find(|source| source.name == *name)
            .map_or(Standing::Good, |source| {
                source.standing(now, config.half_life)
            })
    }

    pub(super) fn choose(
        &self,
        count: usize,
        now: Instant,
        config: &AuditConfig,
        draw: &mut Draw,
    ) -> Vec<S> {
        let mut sources: Vec<_> = self.known().map(|(_, source)| source).collect();
        draw.shuffle(&mut sources);
        sources.sort_by_key(|source| source.standing(now, config.half_life));
        // The last place is for the one that was tried least lately, if it is not bad.
        if let Some(last) = count.checked_sub(1).filter(|last| *last < sources.len()) {
            let candidates = sources.iter().enumerate().skip(last);
            let oldest = candidates
                .filter(|(_, source)| source.standing(now, config.half_life) < Standing::Bad)
                .max_by_key(|(_, source)| Reverse(source.tried));
            if let Some(at) = oldest.map(|(at, _)| at) {
                sources.swap(last, at);
            }
        }
        sources.truncate(count);
        sources
            .into_iter()
            .map(|source| source.name.clone())
            .collect()
    }
}
