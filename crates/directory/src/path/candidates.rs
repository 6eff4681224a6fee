//! Who could be where in a path.

use super::need::Unfit;
use super::weighted::Weighted;
use super::{PathConstraints, SelectError, Shortage};
use crate::{Coverage, Descriptor, Directory, History};
use core::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The relays that fit, each looked at by itself.
pub(super) struct Candidates<'a> {
    pub(super) middles: Vec<Weighted<'a>>,
    /// Those that open the target most widely come first.
    pub(super) lasts: BTreeMap<Reverse<Coverage>, Vec<Weighted<'a>>>,
    /// About the places before the last.
    pub(super) shortage: Shortage,
}

impl<'a> Candidates<'a> {
    pub(super) fn gather(
        directory: &'a Directory,
        constraints: &PathConstraints,
        history: &History,
    ) -> Result<Self, SelectError> {
        let needing = |needed| Shortage {
            needed,
            ..Shortage::default()
        };
        let mut found = Self {
            middles: Vec::new(),
            lasts: BTreeMap::new(),
            shortage: needing(constraints.hops - 1),
        };
        let mut last_shortage = needing(1);
        let mut scarcity = Scarcity::default();
        for relay in directory.iter() {
            let middle = constraints.check_middle(relay);
            let last = constraints.check_last(relay);
            if let Err(unfit) = middle {
                found.shortage.count(unfit);
            }
            if let Err(unfit) = last {
                last_shortage.count(unfit);
            }
            if middle.is_ok() || last.is_ok() {
                let weight = history.weight(relay, constraints.now());
                found.add(relay, weight, middle, last);
                scarcity.count(weight, middle.is_ok(), last.is_ok());
            }
        }
        if found.lasts.is_empty() {
            return Err(SelectError::NoLastHop(last_shortage));
        }
        scarcity.apply(&mut found.middles, constraints.hops);
        Ok(found)
    }

    fn add(
        &mut self,
        relay: &'a Arc<Descriptor>,
        weight: u64,
        middle: Result<(), Unfit>,
        last: Result<Coverage, Unfit>,
    ) {
        let one = Weighted::new(relay, weight);
        if middle.is_ok() {
            self.middles.push(one);
        }
        if let Ok(coverage) = last {
            self.lasts.entry(Reverse(coverage)).or_default().push(one);
        }
    }
}

/// How much of the capacity can be the last hop: what the last hops need of it is spared in the
/// other places.
#[derive(Default)]
struct Scarcity {
    all: u64,
    lasts: u64,
    /// Of each middle, whether it could be the last hop.
    doubles: Vec<bool>,
}

impl Scarcity {
    fn count(&mut self, weight: u64, middle: bool, last: bool) {
        self.all += weight;
        if last {
            self.lasts += weight;
        }
        if middle {
            self.doubles.push(last);
        }
    }

    /// Each place of a path needs the same share of the whole capacity; what the last hops have
    /// beyond that is left for other places.
    fn apply(&self, middles: &mut [Weighted<'_>], hops: usize) {
        let needed = self.all / hops as u64;
        let spare = self.lasts.saturating_sub(needed) * 1024 / self.lasts.max(1);
        let doubles = middles.iter_mut().zip(&self.doubles);
        for (one, _) in doubles.filter(|(_, double)| **double) {
            one.weight = (one.weight * spare / 1024).max(1);
        }
    }
}
