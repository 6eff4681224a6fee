//! Questions about a directory, and answers.

use super::bucket::BucketSet;
use super::journal::{Changes, Cursor};
use super::listing::Listings;
use super::raw::RawDescriptor;
use super::summary::Summary;
use crate::Directory;
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, RelayId, Writer};
use std::collections::BTreeSet;

/// The first byte of every message.
const VERSION: u8 = 1;

/// What one node asks or tells another. On the wire: version (1), kind, body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Kind 1: what do you hold? Answered by [`Answer::Summary`].
    Summary,
    /// Kind 2: which descriptors are in these buckets? The set, in 32 bytes. Answered by
    /// [`Answer::Listings`].
    Listings(BucketSet),
    /// Kind 3: give me the descriptors of these relays. A varint count of at most
    /// [`MAX_IDS`](Self::MAX_IDS), and the names in order. Answered by [`Answer::Descriptors`].
    Descriptors(BTreeSet<RelayId>),
    /// Kind 4: here is what you seem not to have. A varint count of at most
    /// [`MAX_PUBLISHED`](Self::MAX_PUBLISHED), and the descriptors. Answered by
    /// [`Answer::Published`].
    Publish(Vec<RawDescriptor>),
    /// Kind 5: which relay are you? A descriptor names a peer as its source; only that peer can say
    /// that it is the relay's. Answered by [`Answer::Relay`].
    Who,
    /// Kind 6: what changed since? A [`Cursor`] that this side gave, or nothing to get one. Answered
    /// by [`Answer::Changes`].
    Changes(Option<Cursor>),
}

impl Request {
    /// The most descriptors to ask for at once: 256 of 4 KiB are 1 MiB.
    pub const MAX_IDS: usize = 256;
    /// The most descriptors to publish at once.
    pub const MAX_PUBLISHED: usize = 64;
    /// The longest request, in bytes.
    pub const MAX_LEN: usize = 5 + Self::MAX_PUBLISHED * RawDescriptor::MAX_LEN;
}

impl Encode for Request {
    /// # Panics
    ///
    /// If there are more names or descriptors than the request may have: that is a mistake in the
    /// calling code.
    fn encode(&self, out: &mut Writer) {
        out.u8(VERSION);
        match self {
            Self::Summary => out.u8(1),
            Self::Listings(buckets) => {
                out.u8(2);
                out.value(buckets);
            }
            Self::Descriptors(ids) => {
                out.u8(3);
                put_list(out, ids.iter(), Self::MAX_IDS);
            }
            Self::Publish(descriptors) => {
                out.u8(4);
                put_list(out, descriptors.iter(), Self::MAX_PUBLISHED);
            }
            Self::Who => out.u8(5),
            Self::Changes(since) => {
                out.u8(6);
                since.iter().for_each(|since| out.value(since));
            }
        }
    }
}

impl Decode for Request {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match read_kind(reader, "directory request")? {
            1 => Ok(Self::Summary),
            2 => BucketSet::decode(reader).map(Self::Listings),
            3 => decode_ids(reader).map(Self::Descriptors),
            4 => read_list(reader, Self::MAX_PUBLISHED, "published").map(Self::Publish),
            5 => Ok(Self::Who),
            6 if reader.is_empty() => Ok(Self::Changes(None)),
            6 => Cursor::decode(reader).map(Some).map(Self::Changes),
            got => Err(unknown("directory request", got)),
        }
    }
}

fn decode_ids(reader: &mut Reader<'_>) -> Result<BTreeSet<RelayId>, DecodeError> {
    const WHAT: &str = "relays asked for";
    let ids: Vec<RelayId> = read_list(reader, Request::MAX_IDS, WHAT)?;
    if !ids.is_sorted_by(|a, b| a < b) {
        return Err(DecodeError::NotCanonical { what: WHAT });
    }
    Ok(ids.into_iter().collect())
}

/// What is answered. On the wire: version (1), kind, body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// Kind 1, to [`Request::Summary`].
    Summary(Summary),
    /// Kind 2, to [`Request::Listings`]. Buckets can be missing, if all would be too much.
    Listings(Listings),
    /// Kind 3, to [`Request::Descriptors`]: those that the answering side has, in the order of the
    /// names. A varint count, and the descriptors.
    Descriptors(Vec<RawDescriptor>),
    /// Kind 4, to [`Request::Publish`]: how many of them were good and new, a `u16`.
    Published(u16),
    /// Kind 5, to any: too much is going on here; ask later, or somebody else.
    Busy,
    /// Kind 6, to [`Request::Who`]: the relay's name, or nothing.
    Relay(Option<RelayId>),
    /// Kind 7, to [`Request::Changes`].
    Changes(Changes),
}

impl Answer {
    /// The longest answer, in bytes.
    pub const MAX_LEN: usize = 5 + Request::MAX_IDS * RawDescriptor::MAX_LEN;

    /// Whether this is the kind of answer that the request wants, and no more than it asked for.
    /// If not, the other side is broken.
    pub fn answers(&self, request: &Request) -> bool {
        match (self, request) {
            (Self::Busy, _)
            | (Self::Summary(_), Request::Summary)
            | (Self::Relay(_), Request::Who) => true,
            (Self::Listings(listings), Request::Listings(wanted)) => {
                listings.iter().all(|one| wanted.contains(one.bucket()))
            }
            (Self::Descriptors(found), Request::Descriptors(ids)) => found.len() <= ids.len(),
            (Self::Published(new), Request::Publish(all)) => usize::from(*new) <= all.len(),
            (Self::Changes(changes), Request::Changes(since)) => changes.can_follow(*since),
            _ => false,
        }
    }
}

// An answer has room for the listings of a whole directory, and for a summary.
const _: () = assert!(Listings::MAX_LEN + 2 <= Answer::MAX_LEN);
const _: () = assert!(Summary::MAX_LEN + 2 <= Answer::MAX_LEN);

impl Encode for Answer {
    /// # Panics
    ///
    /// If there are more descriptors than an answer may have: that is a mistake in the calling code.
    fn encode(&self, out: &mut Writer) {
        out.u8(VERSION);
        match self {
            Self::Summary(summary) => {
                out.u8(1);
                out.value(summary);
            }
            Self::Listings(listings) => {
                out.u8(2);
                out.value(listings);
            }
            Self::Descriptors(descriptors) => {
                out.u8(3);
                put_list(out, descriptors.iter(), Request::MAX_IDS);
            }
            Self::Published(new) => {
                out.u8(4);
                out.u16(*new);
            }
            Self::Busy => out.u8(5),
            Self::Relay(relay) => {
                out.u8(6);
                relay.iter().for_each(|relay| out.value(relay));
            }
            Self::Changes(changes) => {
                out.u8(7);
                out.value(changes);
            }
        }
    }
}

impl Decode for Answer {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match read_kind(reader, "directory answer")? {
            1 => Summary::decode(reader).map(Self::Summary),
            2 => Listings::decode(reader).map(Self::Listings),
            3 => read_list(reader, Request::MAX_IDS, "descriptors").map(Self::Descriptors),
            4 => reader.u16("published").map(Self::Published),
            5 => Ok(Self::Busy),
            6 if reader.is_empty() => Ok(Self::Relay(None)),
            6 => RelayId::decode(reader).map(Some).map(Self::Relay),
            7 => Changes::decode(reader).map(Self::Changes),
            got => Err(unknown("directory answer", got)),
        }
    }
}

impl Directory {
    /// The answer that follows from what is in the directory; `None` to [`Request::Publish`], which
    /// the caller has to check and take in, to [`Request::Who`], and to [`Request::Changes`], for
    /// which there has to be a [`Journal`](super::Journal).
    pub fn answer(&self, request: &Request) -> Option<Answer> {
        match request {
            Request::Summary => Some(Answer::Summary(Summary::of(self))),
            Request::Listings(wanted) => Some(Answer::Listings(Listings::of(self, wanted))),
            Request::Descriptors(ids) => {
                let known = ids.iter().filter_map(|id| self.get(id));
                Some(Answer::Descriptors(
                    known.map(|one| (&**one).into()).collect(),
                ))
            }
            Request::Publish(_) | Request::Who | Request::Changes(_) => None,
        }
    }
}

fn read_kind(reader: &mut Reader<'_>, what: &'static str) -> Result<u8, DecodeError> {
    match reader.u8(what)? {
        VERSION => reader.u8(what),
        got => Err(unknown("directory protocol version", got)),
    }
}

fn unknown(what: &'static str, got: u8) -> DecodeError {
    let got = got.into();
    DecodeError::Unknown { what, got }
}

fn put_list<'a, T: Encode + 'a>(
    out: &mut Writer,
    items: impl ExactSizeIterator<Item = &'a T>,
    max: usize,
) {
    assert!(
        items.len() <= max,
        "{} items where {max} may be",
        items.len()
    );
    out.varint(items.len() as u64);
    items.for_each(|item| out.value(item));
}

/// At most `max` items; nothing is allocated ahead of what has come.
fn read_list<T: Decode>(
    reader: &mut Reader<'_>,
    max: usize,
    what: &'static str,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.bounded(max, what)?;
    (0..count).map(|_| T::decode(reader)).collect()
}
