//! Who could be where in a path.

use super::weighted::Weighted;
use super::{PathConstraints, Shortage};
use crate::{Directory, History};
use coinfuse_wire::{ServiceCode, UnixTime};

/// The relays that offer what their places need. Whether they fit otherwise is looked at when they
/// are drawn: to look at all of ten thousand takes longer than to draw a few too many.
pub(super) struct Candidates<'a> {
    pub(super) middles: Vec<Weighted<'a>>,
    pub(super) lasts: Vec<Weighted<'a>>,
}

impl<'a> Candidates<'a> {
    pub(super) fn gather(
        directory: &'a Directory,
        constraints: &PathConstraints,
        history: &History,
    ) -> Self {
        let mut found = Self {
            middles: Vec::with_capacity(directory.len()),
            lasts: Vec::with_capacity(directory.len()),
        };
        let mut all = 0;
        let mut doubles = Vec::with_capacity(directory.len());
        let mut weights = history.weights(constraints.now());
        for relay in directory.iter() {
            let carries = constraints.hops > 1 && relay.offers(ServiceCode::RELAY);
            let ends = constraints.is_wanted_last(relay);
            if !carries && !ends {
                continue;
            }
            let one = Weighted::new(relay, weights.of(relay));
            all += one.weight;
            if carries {
                found.middles.push(one);
                doubles.push(ends);
            }
            if ends {
                found.lasts.push(one);
            }
        }
        found.spare_lasts(all / constraints.hops as u64, &doubles);
        found
    }

    /// Each place of a path needs the same share of the capacity. What the last hops have beyond
    /// that is left for other places, and no more of it.
    fn spare_lasts(&mut self, needed: u64, doubles: &[bool]) {
        let lasts = Weighted::total(&self.lasts);
        let spare = lasts.saturating_sub(needed) * 1024 / lasts.max(1);
        let middles = self.middles.iter_mut().zip(doubles);
        for (one, _) in middles.filter(|(_, doubles)| **doubles) {
            one.weight = (one.weight * spare / 1024).max(1);
        }
    }
}

/// Why relays do not fit before the last hop, and at the last.
pub(super) fn shortages(
    directory: &Directory,
    constraints: &PathConstraints,
) -> (Shortage, Shortage) {
    let needing = |needed| Shortage {
        needed,
        ..Shortage::default()
    };
    let (mut middle, mut last) = (needing(constraints.hops - 1), needing(1));
    for relay in directory.iter() {
        if let Err(unfit) = constraints.check_middle(relay) {
            middle.count(unfit);
        }
        if let Err(unfit) = constraints.check_last(relay) {
            last.count(unfit);
        }
    }
    (middle, last)
}

/// The relays that offer to carry, with their weights, in the order of their names.
pub(crate) fn carriers<'a>(
    directory: &'a Directory,
    history: &History,
    now: UnixTime,
) -> Vec<Weighted<'a>> {
    let mut weights = history.weights(now);
    let carriers = directory.offering(ServiceCode::RELAY);
    carriers
        .map(|relay| Weighted::new(relay, weights.of(relay)))
        .collect()
}
