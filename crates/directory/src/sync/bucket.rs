//! The parts of a directory.

use coinfuse_wire::{Decode, DecodeError, Encode, Reader, RelayId, Writer};

/// One of the 256 parts of a directory: the relays whose names start with the same byte.
///
/// Names are keys, so buckets fill evenly, unless somebody makes keys until they fall into one. That
/// costs those who ask for it some rows, within the bound of an answer, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u8);

impl Bucket {
    /// How many there are.
    pub const COUNT: usize = 256;

    /// The bucket with a number.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The bucket that a relay is in.
    pub const fn of(relay: &RelayId) -> Self {
        Self(relay.as_bytes()[0])
    }

    /// Its number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }

    /// The first and the last name that would be in it.
    pub(crate) const fn bounds(self) -> (RelayId, RelayId) {
        let (mut first, mut last) = ([0; 32], [0xff; 32]);
        first[0] = self.0;
        last[0] = self.0;
        (RelayId::new(first), RelayId::new(last))
    }
}

/// Some of the buckets. On the wire: 32 bytes, of which bucket *n* is bit *n* % 8 (1 is bit 0) of
/// byte *n* / 8.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct BucketSet([u8; Bucket::COUNT / 8]);

impl BucketSet {
    /// None of them.
    pub const EMPTY: Self = Self([0; Bucket::COUNT / 8]);
    /// All of them.
    pub const ALL: Self = Self([0xff; Bucket::COUNT / 8]);

    /// Takes a bucket in.
    pub fn insert(&mut self, bucket: Bucket) {
        let (byte, bit) = Self::place(bucket);
        self.0[byte] |= bit;
    }

    /// Whether a bucket is among them.
    pub fn contains(&self, bucket: Bucket) -> bool {
        let (byte, bit) = Self::place(bucket);
        self.0[byte] & bit != 0
    }

    /// The buckets, in order.
    pub fn iter(&self) -> impl Iterator<Item = Bucket> {
        Bucket::all().filter(|bucket| self.contains(*bucket))
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// What is in this set, and not in the other one.
    pub fn without(&self, other: &Self) -> Self {
        let left = |bucket: &Bucket| !other.contains(*bucket);
        self.iter().filter(left).collect()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    fn place(bucket: Bucket) -> (usize, u8) {
        (usize::from(bucket.0 / 8), 1 << (bucket.0 % 8))
    }
}

impl FromIterator<Bucket> for BucketSet {
    fn from_iter<I: IntoIterator<Item = Bucket>>(buckets: I) -> Self {
        let mut set = Self::EMPTY;
        buckets.into_iter().for_each(|bucket| set.insert(bucket));
        set
    }
}

impl Encode for BucketSet {
    fn encode(&self, out: &mut Writer) {
        out.put(&self.0);
    }
}

impl Decode for BucketSet {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("buckets").map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_into_it() {
        let some: BucketSet = [0, 7, 8, 255].map(Bucket::new).into_iter().collect();
        assert!(some.iter().map(Bucket::get).eq([0, 7, 8, 255]));
        assert_eq!((some.len(), some.is_empty()), (4, false));
        let bytes = some.to_bytes();
        assert_eq!(
            (bytes[0], bytes[1], bytes[31]),
            (0b1000_0001, 1, 0b1000_0000)
        );
        assert_eq!(BucketSet::from_bytes(&bytes), Ok(some));
        assert_eq!(BucketSet::ALL, Bucket::all().collect());
    }

    #[test]
    fn the_bounds_of_a_bucket_are_in_it_and_their_neighbours_are_not() {
        let (first, last) = Bucket::new(7).bounds();
        assert_eq!([first, last].map(|relay| Bucket::of(&relay).get()), [7, 7]);
        assert_eq!(&first.as_bytes()[1..], [0; 31]);
        assert_eq!(&last.as_bytes()[1..], [0xff; 31]);
    }
}
