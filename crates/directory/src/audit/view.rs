//! What a source listed, held against what we have.

use crate::Directory;
use crate::sync::{Bucket, BucketSet, Listings, Row};

/// What a source says it holds: the same as we where the summaries agreed, and elsewhere what it
/// listed. Buckets that differ and were not listed are not known.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Our verified directory, with what the source gave of what it listed.
    pub ours: &'a Directory,
    /// Where the source's summary differed from ours.
    pub differing: BucketSet,
    /// The listings of those.
    pub listings: &'a Listings,
}

/// How a source lists a descriptor that we have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Current,
    /// A newer one, which it did not give: that may be true or not.
    Newer,
    Older,
    Missing,
}

impl<'a> View<'a> {
    /// Our descriptors in the buckets that are known, and how the source lists them.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Row, Seen)> + use<'a, '_> {
        let agreed = Bucket::all().filter(|bucket| !self.differing.contains(*bucket));
        let same = agreed
            .flat_map(|bucket| self.ours.bucket(bucket))
            .map(|one| (Row::of(one), Seen::Current));
        let listings = self.listings.iter();
        let listings = listings.filter(|listing| self.differing.contains(listing.bucket()));
        let listed = listings.flat_map(|listing| {
            let ours = self.ours.bucket(listing.bucket()).map(|one| Row::of(one));
            ours.map(|row| (row, seen(&row, listing.rows())))
        });
        same.chain(listed)
    }
}

fn seen(ours: &Row, theirs: &[Row]) -> Seen {
    match theirs.binary_search_by_key(&ours.relay, |row| row.relay) {
        Err(_) => Seen::Missing,
        Ok(at) if ours.supersedes(&theirs[at]) => Seen::Older,
        Ok(at) if theirs[at].supersedes(ours) => Seen::Newer,
        Ok(_) => Seen::Current,
    }
}
