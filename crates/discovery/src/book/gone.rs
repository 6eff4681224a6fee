//! Relays whose last descriptor has expired.

use coinfuse_directory::Descriptor;
use coinfuse_directory::sync::Row;
use coinfuse_wire::{RelayId, UnixTime};
use std::collections::HashMap;

/// How many are remembered. More, of so many identities that came and went, are not.
const MAX_GONE: usize = 4096;

/// What was newest of relays that are gone: an older descriptor of them may hold for longer, and is not
/// taken in its place. What a relay has withdrawn stays withdrawn.
#[derive(Debug, Default)]
pub(super) struct Gone {
    relays: HashMap<RelayId, Last>,
}

#[derive(Debug)]
struct Last {
    row: Row,
    /// From when on nothing older can hold.
    until: UnixTime,
}

impl Gone {
    pub(super) fn push(&mut self, descriptor: &Descriptor, now: UnixTime) {
        if self.relays.len() >= MAX_GONE {
            self.relays.retain(|_, last| now < last.until);
        }
        if self.relays.len() < MAX_GONE {
            let last = Last {
                row: Row::of(descriptor),
                until: now.saturating_add(Descriptor::MAX_LIFETIME),
            };
            self.relays.insert(descriptor.relay, last);
        }
    }

    /// Whether this, or a newer one of the same relay, is gone.
    pub(super) fn covers(&self, row: &Row) -> bool {
        let last = self.relays.get(&row.relay);
        last.is_some_and(|last| !row.supersedes(&last.row))
    }

    pub(super) fn remove(&mut self, relay: &RelayId) {
        self.relays.remove(relay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{NOW, relay};

    #[test]
    fn there_is_an_end_to_what_is_remembered_and_to_how_long() {
        let mut gone = Gone::default();
        let last = relay(9999, |_| {});
        for number in 0..MAX_GONE as u16 {
            gone.push(&relay(number, |_| {}), NOW);
        }
        gone.push(&last, NOW);
        assert!(!gone.covers(&Row::of(&last)));
        gone.push(&last, NOW.saturating_add(Descriptor::MAX_LIFETIME));
        assert!(gone.covers(&Row::of(&last)));
        assert_eq!(gone.relays.len(), 1);
    }
}
