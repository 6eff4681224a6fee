//! Who the relays are, and which of them to use.
//!
//! * A relay's [`DescriptorBody`], signed by its [`Identity`], is a [`Descriptor`]. What comes from
//!   elsewhere is an [`UnverifiedDescriptor`] until its signature and its time were checked; only
//!   verified ones get into a [`Directory`]. As text a descriptor is one line, and a
//!   [`DirectoryFile`] is many.
//! * An [`ExitPolicy`], in Tor's syntax, says which connections an exit opens. [`AddressClass`]
//!   stands before it: what is not the public Internet is refused unless the operator lists it.
//! * [`sync`] is how two nodes make both know the same relays.
//! * [`Audit`] compares what several of them list, and notices who hides relays.
//! * [`select_path`] chooses relays, a pure function of directory, constraints, a seed, and the
//!   [`History`] of what the client has seen of them.
//!
//! There is no I/O, no clock and no randomness in here: the time is an argument, and so are 32
//! random bytes wherever something has to be random.
//!
//! ```
//! use coinfuse_directory::{
//!     DescriptorBody, Identity, LinkKey, OnionKey, RelayKeys, UnverifiedDescriptor, VoucherKey,
//! };
//! use coinfuse_wire::{ServiceCode, UnixTime};
//!
//! # let (link, onion, voucher) = ([1; 32], [2; 32], [2; 33]);
//! // A relay describes itself ...
//! let now = UnixTime::from_secs(1_800_000_000);
//! let identity = Identity::from_seed([7; 32]);
//! let keys = RelayKeys {
//!     link: LinkKey::new(link),
//!     onion: OnionKey::new(onion),
//!     voucher: VoucherKey::new(voucher),
//! };
//! let mut body = DescriptorBody::new(&identity, keys, now);
//! body.addresses.push("192.0.2.7:4433".parse()?);
//! body.services.insert(ServiceCode::EXIT);
//! body.exit_policy = "accept *:443".parse()?;
//! let line = body.sign(&identity)?.to_string();
//!
//! // ... and a client believes it only after a check.
//! let descriptor = line.parse::<UnverifiedDescriptor>()?.verify(now)?;
//! assert_eq!(descriptor.relay, identity.relay_id());
//! assert!(descriptor.exit_policy.may_allow_port(443));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod audit;
mod decay;
mod descriptor;
mod directory;
mod draw;
mod history;
mod identity;
mod path;
mod policy;
mod snapshot;
pub mod sync;
mod text;
mod work;

pub use address::AddressClass;
pub use audit::{Audit, AuditConfig, Finding, Standing, View};
pub use coinfuse_wire::Price;
pub use descriptor::{
    BlindedId, BuildError, Country, CountryError, Descriptor, DescriptorBody, DescriptorDigest,
    DescriptorError, LinkKey, Load, MintOffer, MintUnit, MintUrl, MintUrlError, OnionKey,
    OperatorTag, OperatorTagError, PacketKey, PacketOffer, PacketPrice, PeerKey, RelayKeys,
    SourceOffer, Suite, UnverifiedDescriptor, VoucherKey,
};
pub use directory::{Directory, DirectoryFull, Inserted};
pub use history::{Guard, History};
pub use identity::{BadSignature, Identity, SIGNATURE_LEN, verify_signature};
pub use path::{ExitNeed, PacketNeed, Path, PathConstraints, SelectError, Shortage, select_path};
pub use policy::{
    Action, AddressPattern, Coverage, ExitPolicy, Network, PolicyError, PortRange, Refusal, Rule,
};
pub use snapshot::Snapshot;
pub use text::{DirectoryFile, LINE_PREFIX, LineError, LineProblem, TextError};
pub use work::{WorkNonce, find_work, work_bits};

/// Keeps the example of the README compiling.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
