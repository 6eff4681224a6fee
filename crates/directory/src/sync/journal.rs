//! What changed in a directory, in order.

use super::listing::Row;
use crate::DescriptorDigest;
use coinfuse_wire::{Decode, DecodeError, Encode, Reader, RelayId, Writer};
use core::ops::Bound;
use std::collections::BTreeMap;

/// Up to where somebody knows a [`Journal`].
///
/// On the wire: run (`u64`), number (`u64`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Whose journal: a random number, another one each time that a node starts.
    pub run: u64,
    /// The number of the last change that is known.
    pub number: u64,
}

/// Numbers the descriptors of a directory in the order in which they came in, so that who knew all of
/// them once is told only what came since.
///
/// It is as large as the directory: of a relay it has the last change, and of one that was removed
/// nothing. Who follows it therefore has all that the directory has, and has to see for himself what
/// expires.
///
/// ```
/// # use coinfuse_directory::{DescriptorBody, Identity, LinkKey, OnionKey, RelayKeys, VoucherKey};
/// # let keys = RelayKeys {
/// #     link: LinkKey::new([1; 32]),
/// #     onion: OnionKey::new([2; 32]),
/// #     voucher: VoucherKey::new([2; 33]),
/// # };
/// # let identity = Identity::from_seed([7; 32]);
/// # let relay = DescriptorBody::new(&identity, keys, coinfuse_wire::UnixTime::from_secs(1)).sign(&identity)?;
/// use coinfuse_directory::sync::{Journal, Row};
///
/// let mut journal = Journal::new(0x5eed);
/// let before = journal.cursor();
/// journal.came(Row::of(&relay));
/// let changes = journal.since(Some(before));
/// assert_eq!(changes.rows, Some(vec![Row::of(&relay)]));
/// assert_eq!(journal.since(Some(changes.next)).rows, Some(vec![]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Journal {
    cursor: Cursor,
    rows: BTreeMap<u64, Row>,
    numbers: BTreeMap<RelayId, u64>,
}

impl Journal {
    /// The journal of an empty directory. `run` is random.
    pub fn new(run: u64) -> Self {
        Self {
            cursor: Cursor { run, number: 0 },
            rows: BTreeMap::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// A descriptor came into the directory, in the place of the relay's older one if there was one.
    pub fn came(&mut self, row: Row) {
        self.left(&row.relay);
        self.cursor.number += 1;
        self.rows.insert(self.cursor.number, row);
        self.numbers.insert(row.relay, self.cursor.number);
    }

    /// A relay left the directory.
    pub fn left(&mut self, relay: &RelayId) {
        if let Some(number) = self.numbers.remove(relay) {
            self.rows.remove(&number);
        }
    }

    /// Where it ends.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// What came in after `since`, in that order. This cannot be told to who knows nothing yet or has
    /// a cursor of another journal, nor if it is more than [`Changes::MAX_ROWS`].
    pub fn since(&self, since: Option<Cursor>) -> Changes {
        let ours =
            |since: &Cursor| since.run == self.cursor.run && since.number <= self.cursor.number;
        Changes {
            next: self.cursor,
            rows: since
                .filter(ours)
                .and_then(|since| self.after(since.number)),
        }
    }

    fn after(&self, number: u64) -> Option<Vec<Row>> {
        let range = (Bound::Excluded(number), Bound::Unbounded);
        let rows = self.rows.range(range).map(|(_, row)| *row);
        let rows: Vec<Row> = rows.take(Changes::MAX_ROWS + 1).collect();
        (rows.len() <= Changes::MAX_ROWS).then_some(rows)
    }
}

/// What came into a directory after some point.
///
/// On the wire: the cursor; and, if it can be told, a varint count and for each the relay's name, the
/// sequence (`u64`) and the digest (8 bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// From where to ask next time. If nothing could be told, a summary that is asked for after this
    /// has all that came before.
    pub next: Cursor,
    /// What came; `None` if that cannot be told, and the directories have to be compared.
    pub rows: Option<Vec<Row>>,
}

impl Changes {
    /// The most rows: when there is more to tell, comparing is not much dearer.
    pub const MAX_ROWS: usize = 1024;

    /// Whether these can be the changes since then: no more than there are numbers.
    pub(super) fn can_follow(&self, since: Option<Cursor>) -> bool {
        let Some(rows) = &self.rows else {
            return true;
        };
        since.is_some_and(|since| {
            let numbers = self.next.number.checked_sub(since.number);
            self.next.run == since.run && numbers.is_some_and(|most| rows.len() as u64 <= most)
        })
    }
}

impl Encode for Cursor {
    fn encode(&self, out: &mut Writer) {
        out.u64(self.run);
        out.u64(self.number);
    }
}

impl Decode for Cursor {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "cursor";
        Ok(Self {
            run: reader.u64(WHAT)?,
            number: reader.u64(WHAT)?,
        })
    }
}

impl Encode for Changes {
    /// # Panics
    ///
    /// If there are more than [`MAX_ROWS`](Self::MAX_ROWS): that is a mistake in the calling code.
    fn encode(&self, out: &mut Writer) {
        out.value(&self.next);
        let Some(rows) = &self.rows else { return };
        assert!(rows.len() <= Self::MAX_ROWS, "{} changes", rows.len());
        out.varint(rows.len() as u64);
        for row in rows {
            out.value(&row.relay);
            out.u64(row.sequence);
            out.value(&row.digest);
        }
    }
}

impl Decode for Changes {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let next = Cursor::decode(reader)?;
        if reader.is_empty() {
            return Ok(Self { next, rows: None });
        }
        let count = reader.bounded(Self::MAX_ROWS, "changes")?;
        let rows = (0..count)
            .map(|_| decode_row(reader))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            next,
            rows: Some(rows),
        })
    }
}

fn decode_row(reader: &mut Reader<'_>) -> Result<Row, DecodeError> {
    Ok(Row {
        relay: RelayId::decode(reader)?,
        sequence: reader.u64("change")?,
        digest: DescriptorDigest::decode(reader)?,
    })
}
