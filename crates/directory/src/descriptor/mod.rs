//! Descriptors of relays: bytes, parsed, verified.

mod body;
mod claims;
mod digest;
mod fields;
mod keys;
mod mint;
mod packets;
mod source;

pub use body::{DescriptorBody, OperatorTag, OperatorTagError, Suite};
pub use claims::{Country, CountryError, Load};
pub use digest::DescriptorDigest;
pub use keys::{BlindedId, LinkKey, OnionKey, PacketKey, PeerKey, RelayKeys, VoucherKey};
pub use mint::{MintOffer, MintUnit, MintUrl, MintUrlError};
pub use packets::{PacketOffer, PacketPrice};
pub use source::SourceOffer;

use crate::identity::{Identity, SIGNATURE_LEN, verify_signature};
use coinfuse_wire::{DecodeError, Reader, RelayId, ServiceCode, UnixTime};
use core::fmt;
use core::ops::Deref;
use core::time::Duration;
use thiserror::Error;

/// What a descriptor is signed for.
const DOMAIN: &str = "coinfuse relay descriptor v1";
/// The first byte of a descriptor.
const VERSION: u8 = 1;

/// Why a relay's own descriptor cannot be made: its configuration is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The body names another relay than the identity that should sign it.
    #[error("the identity that signs is not the relay that the descriptor names")]
    WrongIdentity,
    /// A field is out of its bounds.
    #[error("the descriptor's fields are out of bounds: {0}")]
    Field(#[from] DecodeError),
    /// All of it together is too long; a shorter exit policy helps most.
    #[error("the descriptor is {got} bytes long, {max} are allowed", max = Descriptor::MAX_LEN)]
    TooLong {
        /// Its length in bytes.
        got: usize,
    },
}

/// Why a descriptor that was read cannot be believed, now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DescriptorError {
    /// It was not signed by the relay that it names, or it was changed since.
    #[error("the signature does not verify")]
    BadSignature,
    /// It was published later than `now`, by more than [`Descriptor::MAX_SKEW`]: one of the two
    /// clocks is wrong.
    #[error("published {} s in the future", published.saturating_since(*now).as_secs())]
    FromTheFuture {
        /// When it says it was published.
        published: UnixTime,
        /// What the reader's clock says.
        now: UnixTime,
    },
    /// It held once. Look for a newer one.
    #[error("expired {} s ago", now.saturating_since(*expires).as_secs())]
    Expired {
        /// Until when it held.
        expires: UnixTime,
        /// What the reader's clock says.
        now: UnixTime,
    },
    /// It claims to hold for longer than [`Descriptor::MAX_LIFETIME`], or ends before it starts.
    #[error("a lifetime from {} to {} is not allowed", published.secs(), expires.secs())]
    Lifetime {
        /// From when.
        published: UnixTime,
        /// Until when.
        expires: UnixTime,
    },
}

/// A descriptor that was read and not checked: anybody could have written it.
///
/// The bytes are a version (1), the signed fields, and the signature of 64 bytes. They are kept as
/// they came, so that fields which are not known here survive.
///
/// [`verify`](Self::verify) turns it into a [`Descriptor`].
#[derive(Clone, PartialEq, Eq)]
pub struct UnverifiedDescriptor {
    bytes: Box<[u8]>,
    body: DescriptorBody,
}

impl UnverifiedDescriptor {
    /// Reads a descriptor of at most [`Descriptor::MAX_LEN`] bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        check_len(bytes.len())?;
        let mut reader = Reader::new(bytes);
        match reader.u8("descriptor version")? {
            VERSION => {}
            got => {
                return Err(DecodeError::Unknown {
                    what: "descriptor version",
                    got: got.into(),
                });
            }
        }
        let fields = reader.remaining().saturating_sub(SIGNATURE_LEN);
        let body = fields::decode(reader.take(fields, "descriptor")?)?;
        reader.take(SIGNATURE_LEN, "descriptor signature")?;
        Ok(Self {
            bytes: bytes.into(),
            body,
        })
    }

    /// The bytes as they came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The relay that this claims to be from.
    pub fn claimed_relay(&self) -> RelayId {
        self.body.relay
    }

    /// Checks that the relay signed it and that it holds at `now`. Time first: that is cheap.
    pub fn verify(self, now: UnixTime) -> Result<Descriptor, DescriptorError> {
        self.check_time(now)?;
        let bad = || DescriptorError::BadSignature;
        let (signed, signature) = self
            .bytes
            .split_last_chunk::<SIGNATURE_LEN>()
            .ok_or_else(bad)?;
        verify_signature(&self.body.relay, DOMAIN, signed, signature).map_err(|_| bad())?;
        Ok(Descriptor::from_checked(self))
    }

    fn check_time(&self, now: UnixTime) -> Result<(), DescriptorError> {
        let DescriptorBody {
            published, expires, ..
        } = self.body;
        if expires <= published || expires.saturating_since(published) > Descriptor::MAX_LIFETIME {
            return Err(DescriptorError::Lifetime { published, expires });
        }
        if published > now.saturating_add(Descriptor::MAX_SKEW) {
            return Err(DescriptorError::FromTheFuture { published, now });
        }
        if expires <= now {
            return Err(DescriptorError::Expired { expires, now });
        }
        Ok(())
    }
}

impl fmt::Debug for UnverifiedDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnverifiedDescriptor({:?})", self.body.relay)
    }
}

/// A descriptor that its relay signed, and that held when it was checked.
///
/// It is read through its [body](Self::body), to which it dereferences.
#[derive(Clone, PartialEq, Eq)]
pub struct Descriptor {
    inner: UnverifiedDescriptor,
    digest: DescriptorDigest,
    /// Which of the service codes below 64 it offers.
    common: u64,
}

impl Descriptor {
    /// The longest descriptor, in bytes.
    pub const MAX_LEN: usize = 4096;
    /// The longest time from publication to expiry.
    pub const MAX_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
    /// How far a relay's clock may be ahead of the reader's.
    pub const MAX_SKEW: Duration = Duration::from_secs(15 * 60);

    /// What the relay says.
    pub fn body(&self) -> &DescriptorBody {
        &self.inner.body
    }

    /// The signed bytes, as the relay made them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.inner.bytes
    }

    /// A hash of the bytes.
    pub fn digest(&self) -> DescriptorDigest {
        self.digest
    }

    /// Whether it holds at `now`.
    pub fn is_fresh(&self, now: UnixTime) -> bool {
        self.inner.check_time(now).is_ok()
    }

    /// Signs encoded fields and reads the result back, so that what is made here obeys the rules
    /// for what is read.
    fn seal(identity: &Identity, fields: &[u8]) -> Result<Self, BuildError> {
        let mut bytes = Vec::with_capacity(1 + fields.len() + SIGNATURE_LEN);
        bytes.push(VERSION);
        bytes.extend_from_slice(fields);
        let signature = identity.sign(DOMAIN, &bytes);
        bytes.extend_from_slice(&signature);
        if bytes.len() > Self::MAX_LEN {
            return Err(BuildError::TooLong { got: bytes.len() });
        }
        Ok(Self::from_checked(UnverifiedDescriptor::from_bytes(
            &bytes,
        )?))
    }

    fn from_checked(inner: UnverifiedDescriptor) -> Self {
        let digest = DescriptorDigest::of(&inner.bytes);
        let services = inner.body.services.iter();
        let common = services.filter_map(|service| common_bit(*service));
        let common = common.fold(0, |bits, bit| bits | bit);
        Self {
            inner,
            digest,
            common,
        }
    }

    /// Whether the relay offers `service`: as the body says, and faster, as it is asked of thousands
    /// of relays for each path.
    pub fn offers(&self, service: ServiceCode) -> bool {
        match common_bit(service) {
            Some(bit) => self.common & bit != 0,
            None => self.body().offers(service),
        }
    }
}

impl Deref for Descriptor {
    type Target = DescriptorBody;

    fn deref(&self) -> &DescriptorBody {
        self.body()
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Descriptor({:?})", self.relay)
    }
}

fn common_bit(service: ServiceCode) -> Option<u64> {
    1_u64.checked_shl(service.get().into())
}

fn check_len(got: usize) -> Result<(), DecodeError> {
    if got > Descriptor::MAX_LEN {
        let max = Descriptor::MAX_LEN as u64;
        return Err(DecodeError::TooLarge {
            what: "descriptor",
            got: got as u64,
            max,
        });
    }
    Ok(())
}
