//! Which relays the sources of a client list.

use super::Book;
use coinfuse_directory::sync::{Bucket, Listing, Row};
use coinfuse_directory::{Directory, View};
use coinfuse_wire::RelayId;
use libp2p::PeerId;
use std::collections::{BTreeMap, HashMap};

/// The fewest sources that have to list a relay before that says anything.
const MIN_WITNESSES: usize = 2;

/// How many rows are kept of one source: as many as we may have, and as one answer may bring.
const MAX_ROWS: usize = 2 * Directory::DEFAULT_LIMIT;

/// What one source lists.
#[derive(Debug, Default)]
pub(crate) struct Lists(BTreeMap<Bucket, Listing>);

impl Lists {
    /// What a source was heard to list: the same as we where the summaries agreed, and elsewhere what
    /// it listed.
    pub(crate) fn of(view: &View<'_>) -> Self {
        let differs = |bucket: &Bucket| view.differing.contains(*bucket);
        let agreed = Bucket::all().filter(|bucket| !differs(bucket));
        let same = agreed.map(|bucket| Listing::of(view.ours, bucket));
        let listed = view.listings.iter().cloned();
        let listed = listed.filter(|listing| differs(&listing.bucket()));
        let all = same.chain(listed);
        Self(all.map(|listing| (listing.bucket(), listing)).collect())
    }

    fn len(&self) -> usize {
        self.0.values().map(|listing| listing.rows().len()).sum()
    }

    /// Takes the place of what was heard before. About buckets of which nothing was heard now, that
    /// still holds.
    fn replace(&mut self, before: Self) {
        if self.len() + before.len() <= MAX_ROWS {
            for (bucket, listing) in before.0 {
                self.0.entry(bucket).or_insert(listing);
            }
        }
    }

    fn row(&self, relay: &RelayId) -> Option<&Row> {
        let rows = self.0.get(&Bucket::of(relay))?.rows();
        let at = rows.binary_search_by_key(relay, |row| row.relay).ok()?;
        Some(&rows[at])
    }
}

/// The sources of a client, and what they list.
///
/// A client reaches no relay before it uses it: it would be seen to look. But each of its sources
/// has gone to see who is where, so what most of them list counts for a client like what it would have
/// seen itself.
#[derive(Debug, Default)]
pub(super) struct Witnesses {
    sources: HashMap<PeerId, Lists>,
}

impl Witnesses {
    /// Whether most sources list this very descriptor.
    pub(super) fn list(&self, row: &Row) -> bool {
        self.most(|lists| lists.row(&row.relay) == Some(row))
    }

    /// Whether most sources list a descriptor of this relay, if perhaps not the newest.
    fn list_some(&self, relay: &RelayId) -> bool {
        self.most(|lists| lists.row(relay).is_some())
    }

    fn most(&self, lists: impl Fn(&Lists) -> bool) -> bool {
        let needed = MIN_WITNESSES.max(self.sources.len() / 2 + 1);
        self.sources.values().filter(|one| lists(one)).count() >= needed
    }
}

impl Book {
    /// A source of a client lists this. From now on only those sources count that `sound` names.
    pub(crate) fn heard(
        &mut self,
        source: PeerId,
        mut lists: Lists,
        sound: impl Fn(&PeerId) -> bool,
    ) {
        let sources = &mut self.witnesses.sources;
        if let Some(before) = sources.remove(&source) {
            lists.replace(before);
        }
        sources.insert(source, lists);
        sources.retain(|source, _| sound(source));
        self.weigh();
    }

    /// Ranks all relays anew by what the sources list.
    ///
    /// Once most of them list a relay, it is enough that they go on to list some descriptor of it: else
    /// it would lose its rank with each new one, until that got around. This holds only while it stays
    /// in its subnet; one that moves begins anew.
    fn weigh(&mut self) {
        let witnesses = &self.witnesses;
        let changed = self.directory.iter().filter(|one| {
            let was_listed = self.is_reached(&one.relay);
            let is_listed = match was_listed {
                true => witnesses.list_some(&one.relay),
                false => witnesses.list(&Row::of(one)),
            };
            is_listed != was_listed
        });
        let changed: Vec<RelayId> = changed.map(|one| one.relay).collect();
        for relay in &changed {
            self.turn_rank(relay);
        }
        let listed = self.waiting.iter();
        let listed = listed.filter(|one| self.witnesses.list(&Row::of(one)));
        let listed: Vec<RelayId> = listed.map(|one| one.relay).collect();
        for relay in &listed {
            if let Some(descriptor) = self.waiting.remove(relay) {
                self.admit(descriptor);
            }
        }
    }
}
