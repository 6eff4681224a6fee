//! How two that know a directory make both know the same: what they say, and what follows from it.
//!
//! A directory is 256 [buckets](Bucket), by the first byte of the relays' names. Its [`Summary`] has
//! a count and a digest of each, 4.6 KB at most, so two that know the same find out with one
//! question. Where digests differ, a [`Listing`] of the bucket names its descriptors, and a
//! [`Difference`] says which of them are new to whom. Only those travel.
//!
//! The digest of a bucket is a hash of its listing, not the exclusive-or of the descriptors'
//! hashes: with a few hundred throw-away names anybody could make that come out as he likes, and so
//! keep two honest directories from noticing that they differ.
//!
//! Who has compared once can ask for the [`Changes`] since, and needs no summary as long as the other
//! side tells all of them: that costs only what changed. For this a node keeps a [`Journal`].
//!
//! ```
//! # use coinfuse_directory::{DescriptorBody, Identity, LinkKey, OnionKey, RelayKeys, VoucherKey};
//! # let keys = RelayKeys {
//! #     link: LinkKey::new([1; 32]),
//! #     onion: OnionKey::new([2; 32]),
//! #     voucher: VoucherKey::new([2; 33]),
//! # };
//! # let now = coinfuse_wire::UnixTime::from_secs(1_800_000_000);
//! use coinfuse_directory::Directory;
//! use coinfuse_directory::sync::{Answer, Difference, Request, Summary};
//!
//! # let identity = Identity::from_seed([7; 32]);
//! # let relay = DescriptorBody::new(&identity, keys, now).sign(&identity)?;
//! let mut ours = Directory::new();
//! let mut theirs = Directory::new();
//! theirs.insert(relay)?;
//!
//! // Each question goes over the wire, and so does its answer.
//! let ask = |request| theirs.answer(&request).expect("not a publication");
//! let Answer::Summary(summary) = ask(Request::Summary) else { panic!() };
//! let differing = Summary::of(&ours).differing(&summary);
//! let Answer::Listings(listings) = ask(Request::Listings(differing)) else { panic!() };
//! let missing = Difference::between(&ours, &listings).fetch;
//! let ids = missing.iter().map(|row| row.relay).collect();
//! let Answer::Descriptors(found) = ask(Request::Descriptors(ids)) else { panic!() };
//! for descriptor in found {
//!     ours.insert(descriptor.read()?.verify(now)?)?;
//! }
//! assert_eq!(Summary::of(&ours), Summary::of(&theirs));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bucket;
mod journal;
mod listing;
mod messages;
mod raw;
mod summary;

pub use bucket::{Bucket, BucketSet};
pub use journal::{Changes, Cursor, Journal};
pub use listing::{Difference, Listing, Listings, Row};
pub use messages::{Answer, Request};
pub use raw::RawDescriptor;
pub use summary::{BucketSummary, Summary};
