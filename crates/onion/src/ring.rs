//! A relay's onion keys, which come and go.

use crate::filter::{NotFirst, TagFilter};
use crate::key::{OnionKey, OnionSecret, derive};
use crate::layer::{Authentic, PeelError};
use crate::open::{OpenError, Opened, Tag};
use crate::packet::Packet;
use crate::question::ASSOCIATED;
use coinfuse_wire::{Decode, DecodeError, Reader, UnixTime, Writer};
use core::time::Duration;
use zeroize::Zeroizing;

const FORMAT: u8 = 1;

/// How a relay's onion keys change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingConfig {
    /// How long a key is given out: an epoch. Default: 24 h.
    ///
    /// A packet that somebody recorded can be opened by whoever takes the key from the relay within
    /// an epoch and an overlap, and by nobody later.
    pub epoch: Duration,
    /// How long the key before is still good, at least as long as descriptors are. Default: 24 h.
    /// In this time a packet that is for no key costs the relay two point multiplications, not one.
    pub overlap: Duration,
    /// How many packets are told apart per key. Default: 2,796,202, all that 32 MiB hold, which is
    /// 32 a second over an epoch. Two keys at a time, so twice that memory; see [`TagFilter`].
    pub tags: usize,
}

impl Default for RingConfig {
    fn default() -> Self {
        Self {
            epoch: Duration::from_secs(24 * 3600),
            overlap: Duration::from_secs(24 * 3600),
            tags: 2_796_202,
        }
    }
}

/// The onion keys of one relay: the one it gives out, and the one before while it is good.
///
/// The owner calls [`KeyRing::advance`] at the time that [`KeyRing::due`] says, with fresh
/// randomness, and stores [`KeyRing::to_bytes`] when it returns true, before it publishes the key.
/// Keys of different epochs have nothing in common, so what is erased is gone.
#[derive(Debug)]
pub struct KeyRing {
    config: RingConfig,
    current: Epoch,
    previous: Option<Epoch>,
}

#[derive(Debug)]
struct Epoch {
    secret: OnionSecret,
    began: UnixTime,
    seen: TagFilter,
}

impl Epoch {
    fn new(secret: OnionSecret, began: UnixTime, tags: usize) -> Self {
        let seen = TagFilter::new(&secret.to_bytes(), tags);
        Self {
            secret,
            began,
            seen,
        }
    }

    fn fresh(seed: &[u8; 32], began: UnixTime, tags: usize) -> Self {
        let secret = OnionSecret::from_seed(&derive(b"Coinfuse_onion_epoch", seed));
        Self::new(secret, began, tags)
    }
}

impl KeyRing {
    /// A ring with a first key, from a random `seed`.
    pub fn new(config: RingConfig, now: UnixTime, seed: &[u8; 32]) -> Self {
        Self {
            config,
            current: Epoch::fresh(seed, now, config.tags),
            previous: None,
        }
    }

    /// The key to give out.
    pub fn public_key(&self) -> OnionKey {
        self.current.secret.public_key()
    }

    /// Until when a packet for [`KeyRing::public_key`] is accepted at least.
    pub fn good_until(&self) -> UnixTime {
        self.ends().saturating_add(self.config.overlap)
    }

    fn ends(&self) -> UnixTime {
        self.current.began.saturating_add(self.config.epoch)
    }

    /// When the key before stops being good: an overlap after this epoch began.
    fn overlap_ends(&self) -> UnixTime {
        self.current.began.saturating_add(self.config.overlap)
    }

    /// When [`KeyRing::advance`] has something to do.
    pub fn due(&self) -> UnixTime {
        match self.previous {
            Some(_) => self.overlap_ends().min(self.ends()),
            None => self.ends(),
        }
    }

    /// Erases the key before when its time is over, and changes the key when the epoch is over.
    /// True when something changed and is to be stored. `seed` is random and is used only then.
    pub fn advance(&mut self, now: UnixTime, seed: &[u8; 32]) -> bool {
        if now >= self.good_until() {
            // The relay slept through the overlap: nothing of the past is good any more.
            self.current = Epoch::fresh(seed, now, self.config.tags);
            self.previous = None;
            return true;
        }
        if now >= self.ends() {
            self.change(now, seed);
            return true;
        }
        now >= self.overlap_ends() && self.previous.take().is_some()
    }

    /// Changes the key now: when its filter is full, or when it may have become known. The key
    /// before is good for an overlap, whatever [`KeyRing::good_until`] said.
    pub fn change(&mut self, now: UnixTime, seed: &[u8; 32]) {
        let fresh = Epoch::fresh(seed, now, self.config.tags);
        self.previous = Some(core::mem::replace(&mut self.current, fresh));
    }

    /// Takes this relay's layer off: under the key that is given out, or the one before.
    pub fn open<const N: usize>(
        &self,
        now: UnixTime,
        packet: Packet<N>,
    ) -> Result<Opened<N>, OpenError> {
        let packet = match Authentic::check(&self.current.secret, packet, ASSOCIATED) {
            Ok(authentic) => return authentic.open(),
            Err(packet) => packet,
        };
        match &self.previous {
            Some(epoch) if now < self.overlap_ends() => epoch.secret.open(packet),
            _ => Err(PeelError::Mac.into()),
        }
    }

    /// Whether a packet came before under a key that is still held; changes nothing.
    pub fn seen(&self, tag: &Tag) -> bool {
        let before = self.previous.as_ref();
        self.current.seen.contains(tag) || before.is_some_and(|epoch| epoch.seen.contains(tag))
    }

    /// Remembers a packet; to be called when it was paid for, as filling the filter must cost.
    ///
    /// The filter is not in [`KeyRing::to_bytes`]: after a restart the durable spent set of the
    /// vouchers is what refuses a packet that comes again.
    pub fn remember(&mut self, tag: &Tag) -> Result<(), NotFirst> {
        match self.seen(tag) {
            true => Err(NotFirst::Replayed),
            false => self.current.seen.insert(tag),
        }
    }

    /// The keys, for the relay's own disk.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Writer::new();
        out.u8(FORMAT);
        for epoch in core::iter::once(&self.current).chain(&self.previous) {
            out.value(&epoch.began);
            out.put(&*epoch.secret.to_bytes());
        }
        Zeroizing::new(out.into_bytes())
    }

    /// What [`KeyRing::to_bytes`] wrote; the filters are empty.
    pub fn from_bytes(config: RingConfig, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let format = reader.u8("key ring")?;
        if format != FORMAT {
            return Err(DecodeError::Unknown {
                what: "key ring",
                got: format.into(),
            });
        }
        let mut epoch = || -> Result<Epoch, DecodeError> {
            let began = UnixTime::decode(&mut reader)?;
            let secret = Zeroizing::new(reader.array("onion secret")?);
            let secret = OnionSecret::from_bytes(&secret).map_err(|_| DecodeError::Invalid {
                what: "onion secret",
            })?;
            Ok(Epoch::new(secret, began, config.tags))
        };
        let current = epoch()?;
        let previous = match bytes.len() > 1 + EPOCH_LEN {
            true => Some(epoch()?),
            false => None,
        };
        reader.finish()?;
        Ok(Self {
            config,
            current,
            previous,
        })
    }
}

/// Bytes of a stored key: its beginning and the scalar.
const EPOCH_LEN: usize = 8 + 32;
