//! What a relay says about itself.

use super::claims::{Country, Load};
use super::keys::{BlindedId, RelayKeys};
use super::mint::MintOffer;
use super::packets::PacketOffer;
use super::source::SourceOffer;
use super::{BuildError, Descriptor, fields};
use crate::{ExitPolicy, Identity, WorkNonce, work_bits};
use coinfuse_wire::{ByteCount, Price, RelayId, ServiceCode, UnixTime};
use core::fmt;
use core::net::SocketAddr;
use core::str::FromStr;
use core::time::Duration;
use std::collections::BTreeSet;
use thiserror::Error;

/// A way to encrypt a session, by its number in the protocol.
///
/// Unknown numbers are kept, so that an old client can still use what it knows of a new relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Suite(u8);

impl Suite {
    /// `Noise_NK_25519_ChaChaPoly_BLAKE2s`.
    pub const CHACHA: Self = Self(1);
    /// `Noise_NK_25519_AESGCM_SHA256`.
    pub const AES: Self = Self(2);

    /// From the number.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// Who runs a relay, in the operator's own word: a path has at most one relay of a tag.
///
/// 1 to 32 characters of `a-z`, `0-9`, `-`, `_`, `.`. It is a claim by which honest operators keep
/// their relays out of one path; it proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorTag(String);

/// A text is not 1 to 32 characters of `a-z`, `0-9`, `-`, `_`, `.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an operator tag is 1 to 32 characters of a-z, 0-9, -, _ and .")]
pub struct OperatorTagError;

impl OperatorTag {
    /// The longest tag, in bytes.
    pub const MAX_LEN: usize = 32;

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OperatorTag {
    type Err = OperatorTagError;

    fn from_str(text: &str) -> Result<Self, OperatorTagError> {
        let legal = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        if text.is_empty() || text.len() > Self::MAX_LEN || !text.bytes().all(legal) {
            return Err(OperatorTagError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for OperatorTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a relay says about itself, before it is signed or after that was checked.
///
/// A relay starts from [`DescriptorBody::new`], fills in the fields that differ, and calls
/// [`sign`](Self::sign). Readers get one from [`Descriptor::body`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DescriptorBody {
    /// Who is speaking.
    pub relay: RelayId,
    /// Grows with each descriptor of a relay; the highest one counts.
    pub sequence: u64,
    /// From when on it holds.
    pub published: UnixTime,
    /// Until when it holds; at most [`Descriptor::MAX_LIFETIME`] after `published`.
    pub expires: UnixTime,
    /// The keys for links, handshakes and vouchers.
    pub keys: RelayKeys,
    /// Where links are taken (UDP), the preferred one first; at most
    /// [`MAX_ADDRESSES`](Self::MAX_ADDRESSES). Whether such an address is one that the reader
    /// wants to dial is for the reader to judge; see [`AddressClass`](crate::AddressClass).
    pub addresses: Vec<SocketAddr>,
    /// What is offered; at most [`MAX_SERVICES`](Self::MAX_SERVICES).
    pub services: BTreeSet<ServiceCode>,
    /// What carrying bytes costs. The quote in a handshake is what counts in the end.
    pub price: Price,
    /// Whose ecash is taken, the preferred one first; at most [`MAX_MINTS`](Self::MAX_MINTS).
    pub mints: Vec<MintOffer>,
    /// Which connections an exit opens.
    pub exit_policy: ExitPolicy,
    /// How sessions can be encrypted, the preferred way first; at most
    /// [`MAX_SUITES`](Self::MAX_SUITES).
    pub suites: Vec<Suite>,
    /// Who runs the relay, if told.
    pub operator: Option<OperatorTag>,
    /// Bytes per second that the relay says it can carry, if told.
    pub capacity: Option<ByteCount>,
    /// On which terms one-shot packets are taken, if they are.
    pub packets: Option<PacketOffer>,
    /// How busy it is, if told.
    pub load: Option<Load>,
    /// Other relays that the same people run; at most [`MAX_FAMILY`](Self::MAX_FAMILY). It counts
    /// only where both name each other; see [`is_family_of`](Self::is_family_of).
    pub family: BTreeSet<RelayId>,
    /// Where it is, if told.
    pub country: Option<Country>,
    /// The hidden services that it is an introduction or rendezvous point for, by names that only
    /// those who know a service can derive; at most [`MAX_BLINDED_IDS`](Self::MAX_BLINDED_IDS).
    pub blinded_ids: BTreeSet<BlindedId>,
    /// The work that was put into the relay's name, if any.
    pub work: Option<WorkNonce>,
    /// Where it hands out the directory, if told.
    pub source: Option<SourceOffer>,
}

impl DescriptorBody {
    /// The most addresses.
    pub const MAX_ADDRESSES: usize = 8;
    /// The most service codes.
    pub const MAX_SERVICES: usize = 32;
    /// The most mints.
    pub const MAX_MINTS: usize = 8;
    /// The most suites.
    pub const MAX_SUITES: usize = 8;
    /// The largest family, the relay itself not counted.
    pub const MAX_FAMILY: usize = 16;
    /// The most blinded ids.
    pub const MAX_BLINDED_IDS: usize = 32;
    /// How long a descriptor holds unless said otherwise: a day.
    pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(24 * 3600);

    /// A relay that carries for free and opens no connections, with no address yet.
    ///
    /// `published` is now; the sequence number starts as its seconds, so that a relay needs to
    /// remember nothing, as long as it publishes less than once a second.
    pub fn new(identity: &Identity, keys: RelayKeys, published: UnixTime) -> Self {
        Self {
            relay: identity.relay_id(),
            sequence: published.secs(),
            published,
            expires: published.saturating_add(Self::DEFAULT_LIFETIME),
            keys,
            addresses: Vec::new(),
            services: BTreeSet::from([ServiceCode::RELAY]),
            price: Price::FREE,
            mints: Vec::new(),
            exit_policy: ExitPolicy::reject_all(),
            suites: vec![Suite::AES, Suite::CHACHA],
            operator: None,
            capacity: None,
            packets: None,
            load: None,
            family: BTreeSet::new(),
            country: None,
            blinded_ids: BTreeSet::new(),
            work: None,
            source: None,
        }
    }

    /// Signs the body. What comes back obeys the same rules as a descriptor from elsewhere.
    pub fn sign(&self, identity: &Identity) -> Result<Descriptor, BuildError> {
        if identity.relay_id() != self.relay {
            return Err(BuildError::WrongIdentity);
        }
        Descriptor::seal(identity, &fields::encode(self))
    }

    /// Whether the relay offers `service`.
    pub fn offers(&self, service: ServiceCode) -> bool {
        self.services.contains(&service)
    }

    /// Whether both say that the same people run them. One side alone could say it to keep a
    /// stranger out of paths.
    pub fn is_family_of(&self, other: &Self) -> bool {
        self.family.contains(&other.relay) && other.family.contains(&self.relay)
    }

    /// What the work in the relay's name is worth; see [`work_bits`].
    pub fn work_bits(&self) -> u32 {
        self.work.map_or(0, |nonce| work_bits(&self.relay, nonce))
    }
}
