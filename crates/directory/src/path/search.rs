//! The search for relays that can share a path.

use super::apart::{may_share_path, same_operator};
use super::candidates::Candidates;
use super::weighted::Weighted;
use super::{Path, PathConstraints};
use crate::draw::Draw;
use crate::{Coverage, Descriptor, Price};
use coinfuse_wire::Rate;
use core::cell::Cell;
use std::sync::Arc;

/// How many relays are tried for the places before one last hop, and how many in all, the last hops
/// counted, until the search is given up. It matters only where hardly any relays can share a path.
const TRIES_PER_LAST: u32 = 64;
const TRIES: u32 = 512;

pub(super) struct Search<'a> {
    rules: Rules<'a>,
    candidates: Candidates<'a>,
    /// As many fitting middles of distinct operators as a path has hops, if there are.
    operators: Vec<&'a Arc<Descriptor>>,
    draw: Draw,
    /// How many relays before the last one were found together at most; `None` without a last one.
    pub(super) found: Option<usize>,
}

type Chosen<'a> = Vec<&'a Arc<Descriptor>>;

impl<'a> Search<'a> {
    pub(super) fn new(
        constraints: &'a PathConstraints,
        mut candidates: Candidates<'a>,
        seed: [u8; 32],
    ) -> Self {
        let (operators, looked_at) = distinct_operators(&candidates.middles, constraints);
        if looked_at > 8 * constraints.hops {
            // Few fit: look at all once, and not again for each place.
            let fits = |one: &Weighted<'_>| constraints.may_carry(one.relay);
            candidates.middles.retain(fits);
        }
        let budget = |total| Budget::new(total, &candidates.middles);
        Self {
            operators,
            rules: Rules {
                constraints,
                budget: constraints.total.map(budget),
            },
            candidates,
            draw: Draw::new(seed),
            found: None,
        }
    }

    /// A path that starts at the first of the guards that will do, if some are given.
    pub(super) fn path(&mut self, guards: &[&'a Arc<Descriptor>]) -> Option<Path> {
        if guards.is_empty() {
            return self.path_from(None, TRIES);
        }
        let tries = TRIES / guards.len() as u32;
        let mut guards = guards.iter().copied();
        guards.find_map(|guard| self.path_from(Some(guard), tries))
    }

    fn path_from(&mut self, guard: Option<&'a Arc<Descriptor>>, mut tries: u32) -> Option<Path> {
        let guards = usize::from(guard.is_some());
        let mut chosen = Vec::from_iter(guard);
        for coverage in [Coverage::Most, Coverage::Listed] {
            let mut lasts = self.candidates.lasts.clone();
            while let Some(left) = tries.checked_sub(1) {
                let Some(last) = self.take_last(&mut lasts, &chosen, coverage) else {
                    break;
                };
                tries = left;
                chosen.push(last);
                if self.fill_before_last(&mut chosen, &mut tries) {
                    let last = chosen.remove(guards);
                    chosen.push(last);
                    return Some(Path::of(&chosen));
                }
                chosen.pop();
            }
        }
        None
    }

    fn fill_before_last(&mut self, chosen: &mut Chosen<'a>, tries: &mut u32) -> bool {
        let mut left = TRIES_PER_LAST.min(*tries);
        *tries -= left;
        let filled = self.fill(chosen, &mut left);
        *tries += left;
        filled
    }

    /// Fills the places that are left, going back where a choice leads nowhere.
    fn fill(&mut self, chosen: &mut Chosen<'a>, tries: &mut u32) -> bool {
        self.found = self.found.max(Some(chosen.len() - 1));
        if chosen.len() == self.rules.constraints.hops {
            return true;
        }
        if *tries == 0 {
            return false;
        }
        let mut free = self.candidates.middles.clone();
        while let Some(left) = tries.checked_sub(1) {
            let Some(next) = self.take_middle(&mut free, chosen) else {
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

    fn take_middle(
        &mut self,
        from: &mut Vec<Weighted<'a>>,
        chosen: &Chosen<'a>,
    ) -> Option<&'a Arc<Descriptor>> {
        let rules = &self.rules;
        let fits =
            |relay: &Descriptor| rules.allow(relay, chosen) && rules.constraints.may_carry(relay);
        Weighted::take_fit(from, &mut self.draw, fits).map(|one| one.relay)
    }

    /// A last hop before which the places can be filled, as far as operators go.
    fn take_last(
        &mut self,
        from: &mut Vec<Weighted<'a>>,
        chosen: &Chosen<'a>,
        coverage: Coverage,
    ) -> Option<&'a Arc<Descriptor>> {
        let (rules, found) = (&self.rules, Cell::new(self.found));
        let needed = rules.constraints.hops - chosen.len() - 1;
        let fits = |relay: &Descriptor| {
            if !rules.allow(relay, chosen) || rules.constraints.check_last(relay) != Ok(coverage) {
                return false;
            }
            let free = free_operators(&self.operators, chosen, relay);
            if free < needed {
                found.set(found.get().max(Some(chosen.len() + free)));
            }
            free >= needed
        };
        let last = Weighted::take_fit(from, &mut self.draw, fits).map(|one| one.relay);
        self.found = found.get();
        last
    }
}

/// How many of the operators are left for the other places. Each relay takes one away, whichever it
/// is, so where only operators matter, nothing leads nowhere that leaves enough.
fn free_operators(
    operators: &[&Arc<Descriptor>],
    chosen: &[&Arc<Descriptor>],
    last: &Descriptor,
) -> usize {
    let is_free = |one: &&&Arc<Descriptor>| {
        !same_operator(one, last) && !chosen.iter().any(|other| same_operator(one, other))
    };
    operators.iter().filter(is_free).count()
}

/// As many fitting relays of distinct operators as a path has hops, and how many were looked at.
fn distinct_operators<'a>(
    middles: &[Weighted<'a>],
    constraints: &PathConstraints,
) -> (Vec<&'a Arc<Descriptor>>, usize) {
    let mut found: Vec<&'a Arc<Descriptor>> = Vec::with_capacity(constraints.hops);
    for (looked_at, Weighted { relay, .. }) in middles.iter().enumerate() {
        if found.len() == constraints.hops {
            return (found, looked_at);
        }
        let is_new = !found.iter().any(|other| same_operator(relay, other));
        if is_new && constraints.may_carry(relay) {
            found.push(relay);
        }
    }
    (found, middles.len())
}

/// What holds for a path as a whole.
struct Rules<'a> {
    constraints: &'a PathConstraints,
    budget: Option<Budget>,
}

impl Rules<'_> {
    /// Whether a relay can be in one path with those that were chosen, for the money.
    fn allow(&self, relay: &Descriptor, chosen: &Chosen<'_>) -> bool {
        let left = self.constraints.hops - chosen.len() - 1;
        let affords = |budget: &Budget| budget.allows(relay, chosen, left);
        chosen.iter().all(|other| may_share_path(relay, other))
            && self.budget.as_ref().is_none_or(affords)
    }
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
