//! The search for relays that can share a path.

use super::apart::{may_share_path, same_operator};
use super::candidates::Candidates;
use super::weighted::Weighted;
use super::{Path, PathConstraints, SelectError, Shortage};
use crate::draw::Draw;
use crate::{Descriptor, Price};
use coinfuse_wire::Rate;
use std::sync::Arc;

/// How many relays are tried for the places before one last hop, and before all of them, until the
/// search is given up. It matters only where hardly any relays can share a path.
const TRIES_PER_LAST: u32 = 64;
const TRIES: u32 = 512;

pub(super) struct Search<'a> {
    hops: usize,
    candidates: Candidates<'a>,
    /// As many middles of distinct operators as a path has hops, if there are.
    operators: Vec<&'a Arc<Descriptor>>,
    budget: Option<Budget>,
    draw: Draw,
    /// How many relays before the last one were found together at most.
    found: usize,
}

type Chosen<'a> = Vec<&'a Arc<Descriptor>>;

impl<'a> Search<'a> {
    pub(super) fn new(
        constraints: &PathConstraints,
        candidates: Candidates<'a>,
        seed: [u8; 32],
    ) -> Self {
        Self {
            hops: constraints.hops,
            operators: distinct_operators(&candidates.middles, constraints.hops),
            budget: constraints
                .total
                .map(|total| Budget::new(total, &candidates.middles)),
            candidates,
            draw: Draw::new(seed),
            found: 0,
        }
    }

    /// Why the places before the last cannot be filled.
    pub(super) fn shortage(&self) -> Shortage {
        Shortage {
            found: self.found,
            ..self.candidates.shortage
        }
    }

    /// A path that starts at the guard, if one is given.
    pub(super) fn path(&mut self, guard: Option<&'a Arc<Descriptor>>) -> Result<Path, SelectError> {
        let guards = usize::from(guard.is_some());
        let mut chosen = Vec::from_iter(guard);
        let mut tries = TRIES;
        for mut lasts in self.candidates.lasts.clone().into_values() {
            while let Some(last) = self.take(&mut lasts, &chosen) {
                chosen.push(last);
                if self.can_be_filled(&chosen) {
                    let mut allowed = tries.min(TRIES_PER_LAST);
                    let before = allowed;
                    if self.fill(&mut chosen, &mut allowed) {
                        let last = chosen.remove(guards);
                        chosen.push(last);
                        return Ok(Path::of(&chosen));
                    }
                    tries -= before - allowed;
                }
                chosen.pop();
            }
        }
        Err(SelectError::NotEnoughRelays(self.shortage()))
    }

    /// Fills the places that are left, going back where a choice leads nowhere.
    fn fill(&mut self, chosen: &mut Chosen<'a>, tries: &mut u32) -> bool {
        self.found = self.found.max(chosen.len() - 1);
        if chosen.len() == self.hops {
            return true;
        }
        let mut free = self.candidates.middles.clone();
        while let Some(left) = tries.checked_sub(1) {
            let Some(next) = self.take(&mut free, chosen) else {
                return false;
            };
            *tries = left;
            chosen.push(next);
            if self.fill(chosen, tries) {
                return true;
            }
            chosen.pop();
        }
        false
    }

    /// Draws one that can stand beside those that were chosen, in one path, for the money.
    fn take(
        &mut self,
        from: &mut Vec<Weighted<'a>>,
        chosen: &Chosen<'a>,
    ) -> Option<&'a Arc<Descriptor>> {
        let left = self.hops - chosen.len() - 1;
        let budget = self.budget.as_ref();
        let fits = |relay: &Descriptor| {
            let apart = chosen.iter().all(|other| may_share_path(relay, other));
            apart && budget.is_none_or(|budget| budget.allows(relay, chosen, left))
        };
        Weighted::take_fit(from, &mut self.draw, fits).map(|one| one.relay)
    }

    /// Whether there are operators enough for the other places. Each relay takes one away, whichever
    /// it is, so where only operators matter nothing that passes here leads nowhere.
    fn can_be_filled(&mut self, chosen: &Chosen<'a>) -> bool {
        let is_free =
            |relay: &&&Arc<Descriptor>| !chosen.iter().any(|other| same_operator(relay, other));
        let free = self.operators.iter().filter(is_free).count();
        let needed = self.hops - chosen.len();
        if free < needed {
            self.found = self.found.max(chosen.len() - 1 + free);
        }
        free >= needed
    }
}

/// The first `most` that are of distinct operators.
fn distinct_operators<'a>(middles: &[Weighted<'a>], most: usize) -> Vec<&'a Arc<Descriptor>> {
    let mut found: Vec<&'a Arc<Descriptor>> = Vec::with_capacity(most);
    for one in middles {
        if found.len() == most {
            break;
        }
        if !found.iter().any(|other| same_operator(one.relay, other)) {
            found.push(one.relay);
        }
    }
    found
}

/// What all hops together may cost.
struct Budget {
    total: [u64; 2],
    /// The least that a hop before the last costs.
    cheapest: [u64; 2],
}

impl Budget {
    fn new(total: Price, middles: &[Weighted<'_>]) -> Self {
        let prices = middles.iter().map(|one| directions(&one.relay.price));
        let cheapest = prices.reduce(|[up, down], [u, d]| [up.min(u), down.min(d)]);
        Self {
            total: directions(&total),
            cheapest: cheapest.unwrap_or_default(),
        }
    }

    /// Whether `relay` leaves enough for `left` more hops, if they are cheap ones.
    fn allows(&self, relay: &Descriptor, chosen: &[&Arc<Descriptor>], left: usize) -> bool {
        let spent = chosen.iter().map(|one| directions(&one.price));
        let prices = spent.chain([directions(&relay.price)]);
        let [up, down] = prices.fold([0; 2], |[up, down], [u, d]| [up + u, down + d]);
        let rest = self.cheapest.map(|least| least * left as u64);
        up + rest[0] <= self.total[0] && down + rest[1] <= self.total[1]
    }
}

/// Msat per MiB, up and down.
fn directions(price: &Price) -> [u64; 2] {
    [price.up, price.down].map(|rate: Rate| rate.msat_per_mib().into())
}
