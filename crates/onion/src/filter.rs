//! Which packets came before.

use crate::key::derive;
use crate::open::Tag;
use core::fmt;
use ring::hmac;
use thiserror::Error;
use zeroize::Zeroizing;

/// The tags of the packets that were accepted under one onion key.
///
/// All its memory is taken at the start: 8 bytes a slot, and 3 slots for every 2 tags, rounded up to
/// a power of two. It holds a 64-bit fingerprint of each tag, under a secret key, so that nobody can
/// choose where a tag falls: a packet is taken for an earlier one by mistake with a probability of
/// (tags held) / 2^64.
pub struct TagFilter {
    key: hmac::Key,
    /// 0 is an empty slot.
    slots: Box<[u64]>,
    held: usize,
    capacity: usize,
}

/// Why a packet is not the first of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotFirst {
    /// The same packet came before.
    #[error("the packet came before")]
    Replayed,
    /// The filter is full and cannot tell. A packet whose voucher is in a durable spent set is the
    /// first all the same; one that was free is refused. The relay changes its onion key ahead of
    /// time, or makes the filter larger.
    #[error("the replay filter is full")]
    Full,
}

impl TagFilter {
    /// A filter for `capacity` tags. `seed` is random and secret.
    pub fn new(seed: &[u8; 32], capacity: usize) -> Self {
        let slots = capacity.saturating_mul(3).div_ceil(2).max(2);
        let key: Zeroizing<[u8; 32]> = derive(b"Coinfuse_onion_filter", seed);
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &*key),
            slots: vec![0; slots.next_power_of_two()].into(),
            held: 0,
            capacity,
        }
    }

    /// Bytes of memory, now and at any later time.
    pub fn memory(&self) -> usize {
        size_of_val(&*self.slots)
    }

    /// How many tags it holds.
    pub fn len(&self) -> usize {
        self.held
    }

    /// True before the first tag.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Whether `tag` was inserted before.
    pub fn contains(&self, tag: &Tag) -> bool {
        let print = self.print(tag);
        self.slots[self.find(print)] == print
    }

    /// Remembers `tag`, unless it is known.
    pub fn insert(&mut self, tag: &Tag) -> Result<(), NotFirst> {
        let print = self.print(tag);
        let place = self.find(print);
        if self.slots[place] == print {
            return Err(NotFirst::Replayed);
        }
        if self.held >= self.capacity {
            return Err(NotFirst::Full);
        }
        self.slots[place] = print;
        self.held += 1;
        Ok(())
    }

    fn print(&self, tag: &Tag) -> u64 {
        let digest = hmac::sign(&self.key, tag.as_bytes());
        let bytes = digest.as_ref().first_chunk().copied().unwrap_or_default();
        u64::from_be_bytes(bytes).max(1)
    }

    /// The slot that holds `print`, or the empty one where it belongs. There always is an empty
    /// one, as a third of the slots is never filled.
    fn find(&self, print: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut place = print as usize & mask;
        while self.slots[place] != 0 && self.slots[place] != print {
            place = (place + 1) & mask;
        }
        place
    }
}

impl fmt::Debug for TagFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TagFilter({} of {} tags)", self.held, self.capacity)
    }
}
