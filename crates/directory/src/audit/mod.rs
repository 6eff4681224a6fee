//! Who can be believed about the directory: several sources, compared.
//!
//! A source cannot forge a descriptor, because relays sign them; trying is proof against it
//! ([`Audit::forged`]). It can leave relays out, or hand out old descriptors. Whether it does is seen
//! by comparison: a relay that most of the other sources have listed for longer than a grace time has
//! reached everybody, so a source that does not list it ([`Finding::hidden`]), or only an older
//! descriptor of it ([`Finding::stale`]), hides it or is out of touch. Only relays whose descriptors
//! we verified ourselves count, so that nobody is blamed for not listing what does not exist.
//!
//! A source that lists nothing but its friends thus stands out as soon as two others are asked, and
//! [`Audit::next`] always asks one that was asked least.
//!
//! ```
//! # use coinfuse_directory::{DescriptorBody, Identity, LinkKey, OnionKey, RelayKeys, VoucherKey};
//! # let keys = RelayKeys {
//! #     link: LinkKey::new([1; 32]),
//! #     onion: OnionKey::new([2; 32]),
//! #     voucher: VoucherKey::new([2; 33]),
//! # };
//! use coinfuse_directory::sync::{BucketSet, Listings};
//! use coinfuse_directory::{Audit, AuditConfig, Directory, Standing, View};
//! use coinfuse_wire::Instant;
//! use core::time::Duration;
//!
//! # let identity = Identity::from_seed([7; 32]);
//! # let relay = DescriptorBody::new(&identity, keys, coinfuse_wire::UnixTime::from_secs(1)).sign(&identity)?;
//! let mut ours = Directory::new();
//! ours.insert(relay)?;
//! let same = View { ours: &ours, differing: BucketSet::EMPTY, listings: &Listings::default() };
//! let nothing = Listings::of(&Directory::new(), &BucketSet::ALL);
//! let empty = View { ours: &ours, differing: BucketSet::ALL, listings: &nothing };
//!
//! let mut audit = Audit::new(AuditConfig::default());
//! let later = Instant::ZERO + Duration::from_secs(300);
//! for now in [Instant::ZERO, later] {
//!     audit.heard(&"alice", &same, now);
//!     audit.heard(&"bob", &same, now);
//! }
//! let finding = audit.heard(&"mallory", &empty, later);
//! assert_eq!(finding.hidden, [identity.relay_id()]);
//! assert_ne!(audit.standing(&"mallory", later), Standing::Good);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod sources;
mod view;

pub use sources::Standing;
pub use view::View;

use crate::draw::Draw;
use crate::sync::Row;
use coinfuse_wire::{Instant, RelayId};
use core::time::Duration;
use sources::{Slot, Slots, Sources};
use std::collections::BTreeMap;
use view::Seen;

/// How strict an [`Audit`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditConfig {
    /// How long a descriptor may take to get around; 3 minutes. Relays that compare their
    /// directories every 15 s with one other need less than 2, also if they are 10,000.
    pub grace: Duration,
    /// How many other sources at least have to list a relay before a source is blamed for not
    /// listing it; 2. More than half of the others have to, as well.
    pub witnesses: u32,
    /// How long it counts what a source listed; an hour, in which a client that compares all every 4
    /// minutes gets round six sources twice.
    pub memory: Duration,
    /// After which time half of a suspicion is forgotten; an hour.
    pub half_life: Duration,
    /// For how long a forger is not asked; a day.
    pub ban: Duration,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(3 * 60),
            witnesses: 2,
            memory: Duration::from_secs(3600),
            half_life: Duration::from_secs(3600),
            ban: Duration::from_secs(24 * 3600),
        }
    }
}

/// What a source was found to leave out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How many relays the source should have listed, by what the others list.
    pub judged: usize,
    /// Those that it did not list.
    pub hidden: Vec<RelayId>,
    /// Those of which it listed an older descriptor.
    pub stale: Vec<RelayId>,
}

impl Finding {
    /// How many of a thousand were hidden or stale.
    pub fn permille(&self) -> u32 {
        let wrong = self.hidden.len() + self.stale.len();
        (wrong * 1000).checked_div(self.judged).unwrap_or(0) as u32
    }
}

/// Compares what sources say, and remembers whom to believe. `S` is what the caller calls a source.
///
/// Bounded: at most [`MAX_SOURCES`](Self::MAX_SOURCES) sources, about 100 bytes for each relay of the
/// directory, and a list of as many bans as sources.
#[derive(Debug, Clone)]
pub struct Audit<S> {
    config: AuditConfig,
    sources: Sources<S>,
    relays: BTreeMap<RelayId, Listed>,
}

/// Who lists the descriptor of a relay that we hold.
#[derive(Debug, Clone)]
struct Listed {
    row: Row,
    by: Slots,
    /// Since when there are witnesses enough.
    witnessed: Option<Instant>,
}

impl<S: Ord + Clone> Audit<S> {
    /// The most sources that are kept in mind.
    pub const MAX_SOURCES: usize = Slots::COUNT;

    /// Knows no source yet.
    pub fn new(config: AuditConfig) -> Self {
        Self {
            config,
            sources: Sources::new(),
            relays: BTreeMap::new(),
        }
    }

    /// Keeps a source in mind; false if it is banned, or there is no place for it. A source of bad
    /// standing gives its place up for a new one, one of good standing never: a crowd of new names
    /// does not drive out who proved right.
    pub fn meet(&mut self, source: &S, now: Instant) -> bool {
        self.slot(source, now).is_some()
    }

    /// Forgets a source, but not a ban.
    pub fn forget(&mut self, source: &S) {
        if let Some(slot) = self.sources.remove(source) {
            self.clear(slot);
        }
    }

    /// Takes in what a source listed at `now`, and says what is missing from it.
    ///
    /// What a banned source says, or one that there is no place for, is passed over.
    pub fn heard(&mut self, source: &S, view: &View<'_>, now: Instant) -> Finding {
        let Some(slot) = self.slot(source, now) else {
            return Finding::default();
        };
        let others = self.sources.witnesses(slot, now, &self.config);
        let needed = self.config.witnesses.max(others.len() / 2 + 1);
        let mut finding = Finding::default();
        self.relays
            .retain(|relay, _| view.ours.get(relay).is_some());
        for (row, seen) in view.rows() {
            let listed = Listed::of(&mut self.relays, row);
            if listed.should_be_known(others, needed, now, self.config.grace) {
                finding.note(row.relay, seen);
            }
            listed.update(slot, seen, now, self.config.witnesses);
        }
        self.sources
            .heard(slot, finding.permille(), now, self.config.half_life);
        finding
    }

    /// A source did not answer, or not in a form that can be read. Once is nothing, again and again
    /// costs its standing.
    pub fn failed(&mut self, source: &S, now: Instant) {
        if let Some(slot) = self.slot(source, now) {
            self.sources.failed(slot, now, self.config.half_life);
        }
    }

    /// A source sent a descriptor with a [bad signature](crate::DescriptorError::BadSignature).
    /// Whoever passes on only what it verified never does, so the source is banned.
    pub fn forged(&mut self, source: &S, now: Instant) {
        self.forget(source);
        self.sources.ban(source.clone(), now + self.config.ban, now);
    }

    /// How a source stands.
    pub fn standing(&self, source: &S, now: Instant) -> Standing {
        self.sources.standing(source, now, &self.config)
    }

    /// At most `count` sources to ask next: those in good standing first, in random order by `seed`,
    /// and one of them the one that was heard longest ago, or never. Sources in bad standing come
    /// last, and only so that somebody is asked; banned ones never.
    pub fn next(&self, count: usize, now: Instant, seed: [u8; 32]) -> Vec<S> {
        self.sources
            .choose(count, now, &self.config, &mut Draw::new(seed))
    }

    fn slot(&mut self, source: &S, now: Instant) -> Option<Slot> {
        let (slot, evicted) = self.sources.enter(source, now, &self.config)?;
        if evicted {
            self.clear(slot);
        }
        Some(slot)
    }

    fn clear(&mut self, slot: Slot) {
        for listed in self.relays.values_mut() {
            listed.by.remove(slot);
        }
    }
}

impl Listed {
    /// What is known about the descriptor `row`; nothing yet, if we hold it since now.
    fn of(relays: &mut BTreeMap<RelayId, Self>, row: Row) -> &mut Self {
        let fresh = Self {
            row,
            by: Slots::default(),
            witnessed: None,
        };
        let listed = relays.entry(row.relay).or_insert_with(|| fresh.clone());
        if listed.row != row {
            *listed = fresh;
        }
        listed
    }

    fn should_be_known(&self, others: Slots, needed: u32, now: Instant, grace: Duration) -> bool {
        let long = |since: Instant| now.saturating_since(since) >= grace;
        self.witnessed.is_some_and(long) && self.by.and(others).len() >= needed
    }

    fn update(&mut self, slot: Slot, seen: Seen, now: Instant, witnesses: u32) {
        match seen {
            Seen::Current => self.by.insert(slot),
            Seen::Newer | Seen::Older | Seen::Missing => self.by.remove(slot),
        }
        if self.by.len() < witnesses {
            self.witnessed = None;
        } else {
            self.witnessed.get_or_insert(now);
        }
    }
}

impl Finding {
    fn note(&mut self, relay: RelayId, seen: Seen) {
        self.judged += 1;
        match seen {
            Seen::Current | Seen::Newer => {}
            Seen::Older => self.stale.push(relay),
            Seen::Missing => self.hidden.push(relay),
        }
    }
}
