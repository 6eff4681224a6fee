//! Journeys that are paid for ahead, so that purchase and use cannot be timed together.

use super::blame::Weights;
use super::journey::{Errand, Journey, Leg, Prefix, Tag};
use coinfuse_directory::{Descriptor, Directory, PacketNeed};
use coinfuse_onion::OnionKey;
use coinfuse_voucher::{Bought, MintId, VoucherId, VoucherPublicKey};
use coinfuse_wire::{Msat, RelayId, UnixTime};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::mints::mint_id;

/// Relays take no voucher that is locked for less than they need to redeem it: a week, as a rule.
const LOCKED_FOR: Duration = Duration::from_secs(8 * 24 * 3600);

/// A voucher that is left over is used for a fee of a quarter of it, and for none that is lower.
const MOST_WASTE: u64 = 4;

/// What there is of journeys, and of vouchers that belong to none that can be made.
#[derive(Default)]
pub(super) struct Stock {
    journeys: Vec<Journey>,
    spares: Vec<Bought>,
    /// In use, and not given away yet.
    out: HashSet<VoucherId>,
}

/// What a relay says of itself now, as far as a journey needs it.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) directory: &'a Directory,
    pub(super) now: UnixTime,
    pub(super) excluded: &'a BTreeSet<RelayId>,
    pub(super) blames: &'a Weights,
}

/// A relay on a journey that can be made now.
#[derive(Clone)]
pub(super) struct Stop {
    pub(super) relay: Arc<Descriptor>,
    pub(super) key: OnionKey,
    /// The longest that it may be asked to wait; it is paid for that.
    pub(super) delay: Duration,
    pub(super) voucher: Option<Bought>,
}

/// A journey that can be made now, with the stops of its legs.
#[derive(Clone)]
pub(super) struct Ready {
    pub(super) journey: Journey,
    pub(super) there: Vec<Stop>,
    pub(super) back: Vec<Stop>,
}

impl Stock {
    /// Takes in what the purse has: vouchers that stood there at the start, or that a purchase
    /// without an answer has brought after all. `reserve` says whether so much may be used.
    pub(super) fn adopt(
        &mut self,
        bought: Vec<Bought>,
        prefix: &Prefix,
        mut reserve: impl FnMut(Msat) -> bool,
    ) {
        let known: HashSet<_> = self.known().collect();
        let mut groups: BTreeMap<u64, Vec<(Tag, Bought)>> = BTreeMap::new();
        for voucher in bought {
            let Some(tag) = Tag::of(&voucher.account, prefix) else {
                continue;
            };
            if !known.contains(&voucher.id) {
                groups.entry(tag.number).or_default().push((tag, voucher));
            }
        }
        let (mut whole, mut parts) = (Vec::new(), Vec::new());
        for group in groups.into_values() {
            match complete(group) {
                Ok(journey) => whole.push(journey),
                Err(vouchers) => parts.extend(vouchers),
            }
        }
        whole.retain(|journey| reserve(journey.value()));
        parts.retain(|voucher| reserve(voucher.value));
        self.journeys.extend(whole);
        self.spares.extend(parts);
    }

    fn known(&self) -> impl Iterator<Item = VoucherId> {
        let journeys = self.journeys.iter().flat_map(Journey::vouchers);
        let vouchers = journeys.chain(&self.spares);
        vouchers
            .map(|voucher| voucher.id)
            .chain(self.out.iter().copied())
    }

    pub(super) fn add(&mut self, journeys: impl IntoIterator<Item = Journey>) {
        self.journeys.extend(journeys);
    }

    /// The least blame of the journeys that can be made now.
    pub(super) fn lightest(
        &self,
        errand: Errand,
        need: &PacketNeed,
        view: &View<'_>,
    ) -> Option<u32> {
        let able = self.journeys.iter();
        let able = able.filter(|journey| journey.errand == errand);
        able.filter(|journey| view.stops(journey, need).is_some())
            .map(|journey| view.weight(journey))
            .min()
    }

    /// Takes out one of the journeys that can be made now and have least blame; `lot` chooses among
    /// them.
    pub(super) fn take(
        &mut self,
        errand: Errand,
        need: &PacketNeed,
        view: &View<'_>,
        lot: u64,
    ) -> Option<Ready> {
        let least = self.lightest(errand, need, view)?;
        let fit = |journey: &Journey| journey.errand == errand && view.weight(journey) == least;
        let able = self.journeys.iter().enumerate();
        let able = able.filter(|(_, journey)| fit(journey));
        let mut able: Vec<_> = able
            .filter_map(|(place, journey)| Some((place, view.stops(journey, need)?)))
            .collect();
        let chosen = usize::try_from(lot % (able.len() as u64).max(1)).ok()?;
        if chosen >= able.len() {
            return None;
        }
        let (place, mut there) = able.swap_remove(chosen);
        let journey = self.journeys.swap_remove(place);
        self.out.extend(journey.voucher_ids());
        Some(Ready {
            back: there.split_off(journey.there.len()),
            there,
            journey,
        })
    }

    /// The journey was not made after all.
    pub(super) fn put_back(&mut self, journey: Journey) {
        self.settle(&journey);
        self.journeys.push(journey);
    }

    /// The journey's vouchers are given away.
    pub(super) fn settle(&mut self, journey: &Journey) {
        for id in journey.voucher_ids() {
            self.out.remove(&id);
        }
    }

    /// How many journeys could be made now.
    pub(super) fn count(&self, errand: Errand, need: &PacketNeed, view: &View<'_>) -> usize {
        let able = self.journeys.iter();
        let able = able.filter(|journey| journey.errand == errand);
        able.filter(|journey| view.stops(journey, need).is_some())
            .count()
    }

    /// What there are journeys for, if only some that cannot be made.
    pub(super) fn errands(&self) -> BTreeSet<Errand> {
        self.journeys.iter().map(|journey| journey.errand).collect()
    }

    /// Breaks up the journeys that a relay's new price or key has made impossible, and drops what no
    /// relay takes any more, which comes back after its locktime; the value of that.
    pub(super) fn sweep(&mut self, view: &View<'_>, need: impl Fn(Errand) -> PacketNeed) -> Msat {
        let is_broken = |journey: &mut Journey| view.breaks(journey, &need(journey.errand));
        let broken: Vec<_> = self.journeys.extract_if(.., is_broken).collect();
        for journey in broken {
            self.spares.extend(journey.vouchers().cloned());
        }
        let old = self
            .spares
            .extract_if(.., |voucher| !is_locked_long_enough(voucher, view.now));
        old.map(|voucher| voucher.value).sum()
    }

    /// A voucher that is left over, for a relay and a fee.
    pub(super) fn take_spare(
        &mut self,
        relay: &Descriptor,
        fee: Msat,
        now: UnixTime,
    ) -> Option<Bought> {
        let fits = |voucher: &Bought| {
            pays(voucher, relay, fee)
                && voucher.value.get() <= fee.get().saturating_mul(MOST_WASTE)
                && is_locked_long_enough(voucher, now)
        };
        let place = self.spares.iter().position(fits)?;
        Some(self.spares.swap_remove(place))
    }

    /// A spare was not needed after all.
    pub(super) fn put_back_spares(&mut self, vouchers: impl IntoIterator<Item = Bought>) {
        self.spares.extend(vouchers);
    }

    /// Journeys and vouchers that are left over.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.journeys.len(), self.spares.len())
    }

    /// What all of it is worth.
    pub(super) fn value(&self) -> Msat {
        let journeys: Msat = self.journeys.iter().map(Journey::value).sum();
        let spares: Msat = self.spares.iter().map(|voucher| voucher.value).sum();
        journeys.saturating_add(spares)
    }
}

/// The journey for which vouchers were bought, if there is one for each of its legs.
fn complete(mut group: Vec<(Tag, Bought)>) -> Result<Journey, Vec<Bought>> {
    group.sort_by_key(|(tag, _)| tag.place);
    let vouchers = |group: Vec<(Tag, Bought)>| group.into_iter().map(|(_, voucher)| voucher);
    let Some((first, _)) = group.first() else {
        return Err(Vec::new());
    };
    let first = *first;
    let in_place = |(place, (tag, _)): (usize, &(Tag, Bought))| {
        let expected = Tag {
            place: u8::try_from(place).unwrap_or(u8::MAX),
            ..first
        };
        *tag == expected
    };
    let legs = usize::from(first.there) + usize::from(first.back);
    if group.len() != legs || !group.iter().enumerate().all(in_place) {
        return Err(vouchers(group).collect());
    }
    let mut there: Vec<_> = vouchers(group)
        .map(|voucher| Leg {
            relay: voucher.relay,
            voucher: Some(voucher),
        })
        .collect();
    let back = there.split_off(first.there.into());
    Ok(Journey {
        number: first.number,
        errand: first.errand,
        there,
        back,
    })
}

impl View<'_> {
    fn weight(&self, journey: &Journey) -> u32 {
        let relays = journey.legs().map(|(leg, _)| leg.relay);
        self.blames
            .of(relays, journey.there.last().map(|leg| leg.relay))
    }

    /// The stops of a journey, there and back, if it can be made.
    pub(super) fn stops(&self, journey: &Journey, need: &PacketNeed) -> Option<Vec<Stop>> {
        let service = journey.there.last()?.relay;
        let offers = |relay: &Arc<Descriptor>| relay.offers(journey.errand.service);
        if !self.directory.get(&service).is_some_and(offers) {
            return None;
        }
        let legs = journey.legs();
        legs.map(|(leg, asks)| self.stop(leg, asks, need)).collect()
    }

    /// Whether one of the vouchers will not do any more, though its relay is there.
    fn breaks(&self, journey: &Journey, need: &PacketNeed) -> bool {
        journey.legs().any(|(leg, asks_service)| {
            let relay = self.directory.get(&leg.relay);
            let offer = relay.and_then(|relay| relay.packets.as_ref());
            let (Some(relay), Some(offer), Some(voucher)) = (relay, offer, &leg.voucher) else {
                return false;
            };
            !pays(voucher, relay, need.fee(offer, asks_service))
                || !is_locked_long_enough(voucher, self.now)
        })
    }

    fn stop(&self, leg: &Leg, asks_service: bool, need: &PacketNeed) -> Option<Stop> {
        let relay = self.directory.get(&leg.relay)?;
        let offer = relay.packets.as_ref()?;
        let good = !self.excluded.contains(&leg.relay)
            && relay.is_fresh(self.now)
            && !relay.addresses.is_empty()
            && offer.good_until >= need.until;
        let fee = need.fee(offer, asks_service);
        let paid = match &leg.voucher {
            Some(voucher) => pays(voucher, relay, fee) && is_locked_long_enough(voucher, self.now),
            None => fee.is_zero(),
        };
        (good && paid).then_some(Stop {
            key: OnionKey::from_bytes(offer.key.as_bytes()).ok()?,
            delay: need.delay.min(offer.max_delay),
            relay: Arc::clone(relay),
            voucher: leg.voucher.clone(),
        })
    }
}

fn pays(voucher: &Bought, relay: &Descriptor, fee: Msat) -> bool {
    let takes = |mint: &MintId| {
        let mut mints = relay.mints.iter().filter_map(mint_id);
        mints.any(|own| own == *mint)
    };
    voucher.relay == relay.relay
        && voucher.value >= fee
        && VoucherPublicKey::from_bytes(relay.keys.voucher.as_bytes()) == Some(voucher.voucher_key)
        && takes(&voucher.mint)
}

fn is_locked_long_enough(voucher: &Bought, now: UnixTime) -> bool {
    voucher.voucher.locktime() >= now.saturating_add(LOCKED_FOR)
}

#[cfg(test)]
mod tests;
