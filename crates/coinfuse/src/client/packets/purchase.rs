//! Buying vouchers for journeys, many at once.

use super::journey::{Errand, Journey, Leg, Prefix, Tag};
use super::route::Route;
use super::stock::Ready;
use super::{AskError, Packets};
use crate::client::payer::{HopAccount, Payer};
use crate::client::{ClientError, Inner};
use crate::clock::random;
use coinfuse_circuit::AccountToken;
use coinfuse_directory::{Descriptor, PacketNeed};
use coinfuse_onion::OnionKey;
use coinfuse_voucher::{Bought, Order};
use coinfuse_wire::{Msat, RelayId, UnixTime};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// More journeys than so many times what is wanted are not held: those that there are cannot be
/// made now, and will be.
const MOST: usize = 4;

/// A leg that is yet to be paid for.
struct Unpaid {
    relay: Arc<Descriptor>,
    account: [u8; 32],
    fee: Msat,
}

impl Inner {
    /// Buys the next journey and what the stock lacks, in one purchase. Only the journey, if the
    /// money or the cap is not enough.
    pub(super) async fn buy_now(
        &self,
        errand: Errand,
        excluded: &BTreeSet<RelayId>,
        route: Route,
    ) -> Result<Ready, AskError> {
        let mut routes = vec![route];
        for _ in 0..self.lack(errand) {
            routes.extend(self.draw(errand, excluded).ok());
        }
        let need = self.need(errand);
        let bought = match self.purchase(errand, &need, &routes).await {
            Err(ClientError::OutOfMoney | ClientError::CapReached) if routes.len() > 1 => {
                routes.truncate(1);
                self.purchase(errand, &need, &routes).await?
            }
            bought => bought?,
        };
        self.packets.stock().add(bought);
        let ready = self.take(errand, excluded, u32::MAX);
        let first = routes.first().and_then(|route| route.there.first());
        // What was just bought can be used, unless the relays have changed meanwhile.
        ready.ok_or_else(|| match first {
            Some(relay) => ClientError::BadDescriptor(relay.relay).into(),
            None => AskError::Stopped,
        })
    }

    /// Buys what the stock lacks.
    pub(super) async fn restock(&self, errand: Errand) -> Result<(), AskError> {
        let _one_at_a_time = self.packets.buying.lock().await;
        self.catch_up().await;
        self.sweep_stock();
        let avoided: BTreeSet<_> = self.payer.avoided(self.clock.now()).into_iter().collect();
        let mut routes = Vec::new();
        for _ in 0..self.lack(errand) {
            let route = self.draw(errand, &avoided);
            routes.push(route.or_else(|_| self.draw(errand, &BTreeSet::new()))?);
        }
        let need = self.need(errand);
        let bought = self.purchase(errand, &need, &routes).await?;
        self.packets.stock().add(bought);
        Ok(())
    }

    fn lack(&self, errand: Errand) -> usize {
        let level = self.config.packets.level(errand.size);
        let able = self.in_stock(errand);
        let (all, _) = self.packets.stock().len();
        level
            .saturating_sub(able)
            .min(level.saturating_mul(MOST).saturating_sub(all))
    }

    /// One purchase for all routes. What a mint without an answer may have sold is looked for before
    /// the next one.
    async fn purchase(
        &self,
        errand: Errand,
        need: &PacketNeed,
        routes: &[Route],
    ) -> Result<Vec<Journey>, ClientError> {
        let (unix, prefix) = (self.clock.unix(), self.packets.prefix);
        let mut drafts: Vec<_> = routes
            .iter()
            .map(|route| draft(errand, need, route, &prefix))
            .collect();
        let mut spares = self.use_spares(&drafts, unix);
        let bought = buy(&self.payer, unix, &drafts, &spares).await;
        let bought = match bought {
            Ok(bought) => bought,
            Err(error) => {
                let unused = spares.drain().map(|(_, voucher)| voucher);
                self.packets.stock().put_back_spares(unused);
                self.packets.unfinished.store(true, Ordering::Relaxed);
                self.packets.used.notify_one();
                if let ClientError::NoCommonMint(relay) | ClientError::BadDescriptor(relay) = error
                {
                    self.packets.blames().lost([relay], self.clock.now());
                }
                return Err(error);
            }
        };
        spares.extend(bought.into_iter().map(|voucher| (voucher.account, voucher)));
        let journeys = drafts.iter_mut();
        Ok(journeys.map(|draft| draft.complete(&mut spares)).collect())
    }

    /// Vouchers that are left over go first.
    fn use_spares(&self, drafts: &[Draft], unix: UnixTime) -> HashMap<[u8; 32], Bought> {
        let mut stock = self.packets.stock();
        let legs = drafts.iter().flat_map(Draft::unpaid);
        legs.filter_map(|leg| {
            let spare = stock.take_spare(&leg.relay, leg.fee, unix)?;
            Some((leg.account, spare))
        })
        .collect()
    }

    /// Takes in what earlier runs have bought. What is missing is bought at a random time.
    pub(in crate::client) async fn open_stock(&self) {
        self.adopt().await;
        if !self.packets.stock().errands().is_empty() {
            self.packets.used.notify_one();
        }
    }

    /// Finds what a purchase without an answer has brought, so that it is not bought again.
    pub(super) async fn catch_up(&self) {
        if !self.packets.unfinished.swap(false, Ordering::Relaxed) {
            return;
        }
        if !matches!(self.payer.purse().recover().await, Ok(0)) {
            self.packets.unfinished.store(true, Ordering::Relaxed);
        }
        self.adopt().await;
    }

    /// Takes in what the purse has and the stock does not know.
    async fn adopt(&self) {
        let bought = self.payer.purse().unsettled(None).await;
        let Packets { prefix, .. } = &self.packets;
        let reserve = |amount| self.payer.reserve(amount);
        self.packets.stock().adopt(bought, prefix, reserve);
    }

    fn sweep_stock(&self) {
        let nobody = BTreeSet::new();
        let gone = self.with_view(&nobody, |view| {
            self.packets.stock().sweep(view, |errand| self.need(errand))
        });
        self.payer.release_reserved(gone);
    }
}

/// A relay whose key for packets is none cannot be part of a route.
pub(super) fn check_keys(route: &Route) -> Result<(), RelayId> {
    let mut relays = route.there.iter().chain(&route.back);
    let is_bad = |relay: &&Arc<Descriptor>| {
        let key = relay.packets.as_ref().map(|offer| offer.key);
        key.is_none_or(|key| OnionKey::from_bytes(key.as_bytes()).is_err())
    };
    match relays.find(is_bad) {
        Some(relay) => Err(relay.relay),
        None => Ok(()),
    }
}

/// A journey whose legs are to be paid for.
struct Draft {
    journey: Journey,
    legs: Vec<Unpaid>,
}

fn draft(errand: Errand, need: &PacketNeed, route: &Route, prefix: &Prefix) -> Draft {
    let number = u64::from_be_bytes(random());
    let (there, back) = (route.there.len(), route.back.len());
    let legs = route.there.iter().chain(&route.back).enumerate();
    let legs = legs.map(|(place, relay)| {
        let short = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
        let tag = Tag {
            number,
            place: short(place),
            there: short(there),
            back: short(back),
            errand,
        };
        let asks_service = place + 1 == there;
        let fee = relay
            .packets
            .as_ref()
            .map(|offer| need.fee(offer, asks_service));
        Unpaid {
            relay: Arc::clone(relay),
            account: tag.to_account(prefix),
            fee: fee.unwrap_or(Msat::ZERO),
        }
    });
    let leg = |relay: &Arc<Descriptor>| Leg {
        relay: relay.relay,
        voucher: None,
    };
    Draft {
        legs: legs.collect(),
        journey: Journey {
            number,
            errand,
            there: route.there.iter().map(leg).collect(),
            back: route.back.iter().map(leg).collect(),
        },
    }
}

impl Draft {
    fn unpaid(&self) -> impl Iterator<Item = &Unpaid> {
        self.legs.iter().filter(|leg| !leg.fee.is_zero())
    }

    /// The journey with what was bought for it.
    fn complete(&mut self, vouchers: &mut HashMap<[u8; 32], Bought>) -> Journey {
        let mut journey = self.journey.clone();
        let legs = journey.there.iter_mut().chain(&mut journey.back);
        for (leg, unpaid) in legs.zip(&self.legs) {
            leg.voucher = vouchers.remove(&unpaid.account);
        }
        journey
    }
}

/// Buys for the legs for which there is nothing yet: one voucher each, so a fee is rounded up to a
/// power of two of what the mint counts in.
async fn buy(
    payer: &Payer,
    unix: UnixTime,
    drafts: &[Draft],
    spares: &HashMap<[u8; 32], Bought>,
) -> Result<Vec<Bought>, ClientError> {
    let mut orders: Vec<Order> = Vec::new();
    let legs = drafts.iter().flat_map(Draft::unpaid);
    for leg in legs.filter(|leg| !spares.contains_key(&leg.account)) {
        let account = HopAccount::at(&leg.relay, AccountToken::new(leg.account))?;
        let mut order = payer.order(&account, leg.fee).await?;
        let unit = order.mint.unit();
        let units = unit.units_for(leg.fee).checked_next_power_of_two();
        let amount = units.and_then(|units| unit.value(units));
        order.amount = amount.ok_or(ClientError::OutOfMoney)?;
        orders.push(order);
    }
    payer.purchase_ahead(unix, &orders).await
}
