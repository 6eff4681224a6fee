//! What the ledger knows of a payment channel: whose it is, how far it has come, and rows that it
//! keeps without reading them.

use super::types::{AccountKey, ChannelKey};
use coinfuse_wire::{Msat, UnixTime};
use core::fmt;

/// How far a channel has come, without figures; the order in which it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StageKind {
    /// It takes updates.
    Open,
    /// It takes none any more and waits for its mint.
    Closing,
    /// Its money is the relay's. What is kept is a tombstone against replays.
    Settled,
}

/// What came out of a channel in the end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// What the relay got, after all fees.
    pub received: Msat,
    /// What the mint kept of it.
    pub fees: Msat,
}

/// How far a channel has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelStage {
    /// See [`StageKind::Open`].
    Open,
    /// See [`StageKind::Closing`].
    Closing,
    /// See [`StageKind::Settled`]. The figures that are given first are the ones that count.
    Settled(Settlement),
}

impl ChannelStage {
    /// The same without figures.
    pub const fn kind(&self) -> StageKind {
        match self {
            Self::Open => StageKind::Open,
            Self::Closing => StageKind::Closing,
            Self::Settled(_) => StageKind::Settled,
        }
    }
}

/// One transition of a channel, to be made durable.
#[derive(Clone, PartialEq, Eq)]
pub struct ChannelWrite {
    /// The channel. One that is new to the ledger is opened by this write.
    pub channel: ChannelKey,
    /// The account that the channel pays for; the first write binds the two.
    pub account: AccountKey,
    /// Which row of the channel's state this is.
    pub part: u8,
    /// The row's contents, in place of those before; opaque here.
    pub bytes: Vec<u8>,
    /// All that the channel has paid since it began. What exceeds the figure before is credited to
    /// the account, so that writing the same again credits nothing; a smaller one changes nothing.
    pub credited: Msat,
    /// When the payer may take the money back: settle well before, forget after.
    pub expiry: UnixTime,
    /// How far the channel has come with this.
    pub stage: ChannelStage,
}

impl fmt::Debug for ChannelWrite {
    /// Figures only; the rest is money or leads to a client.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelWrite")
            .field("part", &self.part)
            .field("credited", &self.credited)
            .field("expiry", &self.expiry)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

/// A channel without its rows: as much as a list shows of it, and a place in that list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelRecord {
    /// Its name.
    pub channel: ChannelKey,
    /// The account that it pays for.
    pub account: AccountKey,
    /// All that it has paid.
    pub credited: Msat,
    /// When the payer may take the money back.
    pub expiry: UnixTime,
    /// How far it has come.
    pub stage: ChannelStage,
}

/// A channel with everything that was written of it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredChannel {
    /// What the ledger knows of it.
    pub record: ChannelRecord,
    /// The latest contents of each row that was ever written, in the order of their parts.
    pub rows: Vec<(u8, Vec<u8>)>,
}

impl fmt::Debug for StoredChannel {
    /// Without the rows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredChannel")
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

/// Sums over all channels, since the ledger began; forgetting a channel changes none.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ChannelTotals {
    /// How many were ever opened.
    pub opened: u64,
    /// How many writes credited something.
    pub updates: u64,
    /// How many were settled.
    pub closed: u64,
    /// Credited to accounts through channels.
    pub paid: Msat,
    /// What the relay got out of settled channels, after fees.
    pub settled: Msat,
    /// What mints kept of it.
    pub fees: Msat,
}
