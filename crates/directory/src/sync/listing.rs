//! Which descriptors are in a bucket, and what two lists of them mean.

use super::bucket::{Bucket, BucketSet};
use crate::{Descriptor, DescriptorDigest, Directory};
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, RelayId, Writer};
use std::sync::Arc;

/// A descriptor, by what tells it from others.
///
/// Of two rows of one relay the one with the higher sequence is newer, or, if a relay signed two
/// descriptors with one sequence, the one with the higher digest: so all end up with the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Whose it is.
    pub relay: RelayId,
    /// Its sequence number.
    pub sequence: u64,
    /// A hash of its bytes.
    pub digest: DescriptorDigest,
}

impl Row {
    /// The row for a descriptor.
    pub fn of(descriptor: &Descriptor) -> Self {
        Self {
            relay: descriptor.relay,
            sequence: descriptor.sequence,
            digest: descriptor.digest(),
        }
    }

    /// Whether this is of the same relay, and newer.
    pub fn supersedes(&self, other: &Self) -> bool {
        self.relay == other.relay && self.age() > other.age()
    }

    fn age(&self) -> (u64, DescriptorDigest) {
        (self.sequence, self.digest)
    }
}

/// All descriptors of a bucket, in the order of the relays' names.
///
/// On the wire: a varint count, and for each the 31 bytes of the relay's name that the bucket does
/// not tell, the sequence (`u64`) and the digest (8 bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    bucket: Bucket,
    rows: Vec<Row>,
}

/// Bytes of a row.
const ROW_LEN: usize = 31 + 8 + 8;

impl Listing {
    /// The listing of one bucket of a directory.
    pub fn of(directory: &Directory, bucket: Bucket) -> Self {
        Self {
            bucket,
            rows: directory.bucket(bucket).map(|one| Row::of(one)).collect(),
        }
    }

    /// Which bucket it is.
    pub fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// The descriptors.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    fn decode(bucket: Bucket, most: usize, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "listing";
        let count = reader.bounded(most, WHAT)?;
        let row = |_| decode_row(bucket, reader);
        let rows = (0..count).map(row).collect::<Result<Vec<_>, _>>()?;
        if !rows.is_sorted_by(|a, b| a.relay < b.relay) {
            return Err(DecodeError::NotCanonical { what: WHAT });
        }
        Ok(Self { bucket, rows })
    }
}

impl Encode for Listing {
    fn encode(&self, out: &mut Writer) {
        out.varint(self.rows.len() as u64);
        for row in &self.rows {
            out.put(&row.relay.as_bytes()[1..]);
            out.u64(row.sequence);
            out.value(&row.digest);
        }
    }
}

fn decode_row(bucket: Bucket, reader: &mut Reader<'_>) -> Result<Row, DecodeError> {
    const WHAT: &str = "listing row";
    let mut relay = [bucket.get(); 32];
    relay[1..].copy_from_slice(&reader.array::<31>(WHAT)?);
    Ok(Row {
        relay: RelayId::new(relay),
        sequence: reader.u64(WHAT)?,
        digest: DescriptorDigest::decode(reader)?,
    })
}

/// The listings of some buckets, in order. On the wire: the set of the buckets, and their listings.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Listings {
    listings: Vec<Listing>,
}

impl Listings {
    /// The most rows in all of them together: a whole directory of the
    /// [usual limit](Directory::DEFAULT_LIMIT).
    pub const MAX_ROWS: usize = Directory::DEFAULT_LIMIT;
    /// The longest encoding, in bytes.
    pub const MAX_LEN: usize = 32 + Bucket::COUNT * 3 + Self::MAX_ROWS * ROW_LEN;

    /// The listings of the buckets `wanted`; those that would make it more than
    /// [`MAX_ROWS`](Self::MAX_ROWS) are left out, and can be asked for again.
    pub fn of(directory: &Directory, wanted: &BucketSet) -> Self {
        let mut left = Self::MAX_ROWS;
        let mut listings = Vec::new();
        for bucket in wanted.iter() {
            let listing = Listing::of(directory, bucket);
            if let Some(less) = left.checked_sub(listing.rows.len()) {
                left = less;
                listings.push(listing);
            }
        }
        Self { listings }
    }

    /// The listings.
    pub fn iter(&self) -> impl Iterator<Item = &Listing> {
        self.listings.iter()
    }

    /// The rows of all of them.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.iter().flat_map(Listing::rows)
    }

    /// Takes in others, of other buckets.
    pub fn extend(&mut self, others: Self) {
        self.listings.extend(others.listings);
        self.listings.sort_by_key(|listing| listing.bucket);
    }

    /// Which buckets they are of.
    pub fn buckets(&self) -> BucketSet {
        self.iter().map(Listing::bucket).collect()
    }
}

impl Encode for Listings {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.buckets());
        self.iter().for_each(|listing| out.value(listing));
    }
}

impl Decode for Listings {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut left = Self::MAX_ROWS;
        let mut listings = Vec::new();
        for bucket in BucketSet::decode(reader)?.iter() {
            let listing = Listing::decode(bucket, left, reader)?;
            left -= listing.rows.len();
            listings.push(listing);
        }
        Ok(Self { listings })
    }
}

/// What two sides that list the same buckets have to tell each other.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What they list and we do not have, or only an older one of, in the order of the names.
    pub fetch: Vec<Row>,
    /// What we have and they do not list, or only an older one of.
    pub offer: Vec<Arc<Descriptor>>,
}

impl Difference {
    /// What our directory and their listings have to tell each other, in the buckets that are
    /// listed.
    pub fn between(ours: &Directory, theirs: &Listings) -> Self {
        let mut difference = Self::default();
        for listing in theirs.iter() {
            difference.add(ours, listing);
        }
        difference
    }

    fn add(&mut self, ours: &Directory, theirs: &Listing) {
        let mut rows = theirs.rows.iter().peekable();
        for known in ours.bucket(theirs.bucket) {
            let row = Row::of(known);
            while let Some(new) = rows.next_if(|listed| listed.relay < row.relay) {
                self.fetch.push(*new);
            }
            match rows.next_if(|listed| listed.relay == row.relay) {
                Some(listed) if listed.supersedes(&row) => self.fetch.push(*listed),
                Some(listed) if !row.supersedes(listed) => {}
                _ => self.offer.push(Arc::clone(known)),
            }
        }
        self.fetch.extend(rows);
    }
}
