//! The rows of channels, in memory.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

use coinfuse_channel::{ChannelId, Unsaved};

/// A row as a machine reads it back.
pub(super) type Row = (u8, Vec<u8>);

/// What would be on a disk. A role keeps nothing of a machine but this: whenever it is asked for
/// something, it loads the machine anew, as after a crash.
#[derive(Debug, Default)]
pub(super) struct Store {
    channels: RefCell<HashMap<ChannelId, BTreeMap<u8, Vec<u8>>>>,
}

impl Store {
    /// Writes a step's row. The state that the step led to is dropped, so that it has to be loaded.
    pub(super) fn save<S: core::fmt::Debug>(&self, step: Unsaved<S>) {
        let write = |row: &coinfuse_channel::Row| {
            let mut channels = self.channels.borrow_mut();
            let parts = channels.entry(row.channel).or_default();
            parts.insert(row.part, row.bytes.to_vec());
            Ok::<_, Infallible>(())
        };
        step.save(write).expect("memory takes everything");
    }

    pub(super) fn knows(&self, channel: &ChannelId) -> bool {
        self.channels.borrow().contains_key(channel)
    }

    /// All channels there are.
    pub(super) fn ids(&self) -> Vec<ChannelId> {
        self.channels.borrow().keys().copied().collect()
    }

    /// A channel's rows, the last part first: a machine must not mind.
    pub(super) fn rows(&self, channel: &ChannelId) -> Vec<Row> {
        let channels = self.channels.borrow();
        let parts = channels.get(channel).expect("a known channel").iter();
        let rows = parts.map(|(part, bytes)| (*part, bytes.clone()));
        rows.rev().collect()
    }
}
