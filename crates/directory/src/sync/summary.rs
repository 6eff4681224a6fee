//! A directory in 4.6 KB.

use super::bucket::{Bucket, BucketSet};
use super::listing::Listing;
use crate::Directory;
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use core::fmt;
use sha2::{Digest, Sha256};

const DOMAIN: &[u8] = b"Coinfuse_directory_bucket_v1";

/// What is in a bucket, so that it can be compared.
///
/// The digest is the first half of `SHA-256("Coinfuse_directory_bucket_v1" || listing)` over the
/// encoded [`Listing`]; that of an empty bucket is zero.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct BucketSummary {
    /// How many relays are in it; 65,535 stands for that many or more.
    pub count: u16,
    /// A hash of which descriptors they are.
    pub digest: [u8; 16],
}

impl BucketSummary {
    /// The summary of a bucket with this listing.
    pub fn of(listing: &Listing) -> Self {
        if listing.rows().is_empty() {
            return Self::default();
        }
        let hash = Sha256::new_with_prefix(DOMAIN)
            .chain_update(listing.to_bytes())
            .finalize();
        let (digest, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
        Self {
            count: u16::try_from(listing.rows().len()).unwrap_or(u16::MAX),
            digest: *digest,
        }
    }
}

/// What a directory holds, so that two can be compared. Computing it takes a few milliseconds for
/// 10,000 relays: keep it while the directory does not change.
///
/// On the wire: the set of the buckets that are not empty (32 bytes), and for each of them, in order,
/// the count (`u16`) and the digest (16 bytes).
#[derive(Clone, PartialEq, Eq)]
pub struct Summary {
    buckets: Box<[BucketSummary; Bucket::COUNT]>,
}

impl Summary {
    /// The longest encoding, in bytes.
    pub const MAX_LEN: usize = 32 + Bucket::COUNT * 18;

    /// The summary of a directory with nothing in it.
    pub fn empty() -> Self {
        Self {
            buckets: Box::new([BucketSummary::default(); Bucket::COUNT]),
        }
    }

    /// The summary of a directory.
    pub fn of(directory: &Directory) -> Self {
        let mut summary = Self::empty();
        for bucket in Bucket::all() {
            *summary.bucket_mut(bucket) = BucketSummary::of(&Listing::of(directory, bucket));
        }
        summary
    }

    /// What is in one bucket.
    pub fn bucket(&self, bucket: Bucket) -> BucketSummary {
        self.buckets[usize::from(bucket.get())]
    }

    fn bucket_mut(&mut self, bucket: Bucket) -> &mut BucketSummary {
        &mut self.buckets[usize::from(bucket.get())]
    }

    /// The buckets that are not the same in both.
    pub fn differing(&self, other: &Self) -> BucketSet {
        Bucket::all()
            .filter(|bucket| self.bucket(*bucket) != other.bucket(*bucket))
            .collect()
    }

    /// How many relays there are.
    pub fn relays(&self) -> usize {
        self.buckets.iter().map(|one| usize::from(one.count)).sum()
    }
}

impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Summary({} relays)", self.relays())
    }
}

impl Encode for Summary {
    fn encode(&self, out: &mut Writer) {
        let filled: BucketSet = Bucket::all()
            .filter(|bucket| self.bucket(*bucket).count > 0)
            .collect();
        out.value(&filled);
        for bucket in filled.iter() {
            let BucketSummary { count, digest } = self.bucket(bucket);
            out.u16(count);
            out.put(&digest);
        }
    }
}

impl Decode for Summary {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "bucket summary";
        let mut summary = Self::empty();
        for bucket in BucketSet::decode(reader)?.iter() {
            let count = reader.u16(WHAT)?;
            if count == 0 {
                return Err(DecodeError::NotCanonical { what: WHAT });
            }
            let digest = reader.array(WHAT)?;
            *summary.bucket_mut(bucket) = BucketSummary { count, digest };
        }
        Ok(summary)
    }
}
