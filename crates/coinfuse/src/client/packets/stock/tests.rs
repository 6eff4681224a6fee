use super::*;
use crate::client::packets::blame::Blames;
use crate::client::packets::testing::{
    DAY, ERRAND, NOW, PREFIX, PRICE, bought, directory, id, journey, need, relay, voucher,
};
use coinfuse_directory::DescriptorBody;
use coinfuse_wire::{Instant, PacketSize};
use std::time::Duration;

fn town() -> Directory {
    directory((1..=6).map(|number| relay(number, |_| {})))
}

/// The town in which relay 3 is otherwise.
fn with_third(change: impl FnOnce(&mut DescriptorBody)) -> Directory {
    let mut town = town();
    let third = relay(3, |body| {
        body.sequence += 1;
        change(body);
    });
    town.insert(third).unwrap();
    town
}

fn take(stock: &mut Stock, directory: &Directory, excluded: &[u8]) -> Option<Ready> {
    let excluded = excluded.iter().map(|number| id(*number)).collect();
    let view = View {
        directory,
        now: NOW,
        excluded: &excluded,
        blames: &Weights::default(),
    };
    stock.take(ERRAND, &need(), &view, 5)
}

fn sweep(stock: &mut Stock, directory: &Directory, now: UnixTime) -> Msat {
    let excluded = BTreeSet::new();
    let view = View {
        directory,
        now,
        excluded: &excluded,
        blames: &Weights::default(),
    };
    stock.sweep(&view, |_| need())
}

fn stocked(journeys: impl IntoIterator<Item = Journey>) -> Stock {
    let mut stock = Stock::default();
    stock.add(journeys);
    stock
}

#[test]
fn what_an_earlier_run_has_bought_makes_the_same_journeys() {
    let mut stock = Stock::default();
    let mut purse = bought(1, &[1, 2, 3], &[4, 5, 1]);
    purse.extend(bought(2, &[2, 3], &[2]));
    purse.reverse();
    let total: Msat = purse.iter().map(|voucher| voucher.value).sum();
    // Somebody else's, for a circuit say.
    purse.push(voucher(1, 64, [9; 32], 30 * DAY));
    let mut reserved = Msat::ZERO;
    let mut reserve = |value| {
        reserved = reserved.saturating_add(value);
        true
    };
    stock.adopt(purse.clone(), &PREFIX, &mut reserve);
    // Again it changes nothing.
    stock.adopt(purse.clone(), &PREFIX, &mut reserve);
    assert_eq!((stock.len(), stock.value()), ((2, 0), total));
    assert_eq!(reserved, total);
    let all = [
        journey(1, &[1, 2, 3], &[4, 5, 1]),
        journey(2, &[2, 3], &[2]),
    ];
    for _ in all.iter() {
        let ready = take(&mut stock, &town(), &[]).unwrap();
        assert!(all.contains(&ready.journey));
        // In use is not to be taken in again.
        stock.adopt(purse.clone(), &PREFIX, |_| true);
    }
    assert!(take(&mut stock, &town(), &[]).is_none());
}

#[test]
fn a_journey_with_a_leg_missing_leaves_vouchers_over() {
    let mut purse = bought(1, &[1, 2, 3], &[4, 5, 1]);
    purse.remove(4);
    let mut stock = Stock::default();
    stock.adopt(purse, &PREFIX, |_| true);
    assert_eq!(stock.len(), (0, 5));
    let fee = Msat::new(60);
    let two = relay(2, |_| {});
    assert!(stock.take_spare(&relay(6, |_| {}), fee, NOW).is_none());
    let spare = stock.take_spare(&two, fee, NOW).unwrap();
    assert_eq!(spare.relay, id(2));
    assert!(stock.take_spare(&two, fee, NOW).is_none());
    // The voucher for the service is too good for a small fee, and not enough for a large one.
    let three = relay(3, |_| {});
    assert!(stock.take_spare(&three, Msat::new(63), NOW).is_none());
    assert!(stock.take_spare(&three, Msat::new(257), NOW).is_none());
    assert!(stock.take_spare(&three, Msat::new(64), NOW).is_some());
}

#[test]
fn vouchers_beyond_the_cap_are_left_alone() {
    let mut stock = Stock::default();
    // One journey, and nearly one voucher that is left over.
    let mut left = Msat::new(3 * 64 + 256 + 63);
    let reserve = |value| match left.checked_sub(value) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    let mut purse = bought(1, &[1, 2, 3], &[4]);
    purse.extend(bought(2, &[1, 2, 3], &[4]));
    purse.extend(bought(3, &[1], &[2, 3]).split_off(1));
    stock.adopt(purse, &PREFIX, reserve);
    assert_eq!(stock.len(), (1, 0));
    assert_eq!(stock.value(), Msat::new(3 * 64 + 256));
}

#[test]
fn a_journey_is_made_only_while_its_relays_take_it() {
    let mine = || stocked([journey(1, &[1, 2, 3], &[4, 5, 1])]);
    assert!(take(&mut mine(), &town(), &[]).is_some());
    assert!(take(&mut mine(), &town(), &[6]).is_some());
    assert!(take(&mut mine(), &town(), &[5]).is_none(), "excluded");
    let mut smaller = town();
    smaller.remove(&id(4));
    assert!(take(&mut mine(), &smaller, &[]).is_none(), "gone");

    let offer = |body: &mut DescriptorBody, change: fn(&mut coinfuse_directory::PacketOffer)| {
        change(body.packets.as_mut().unwrap());
    };
    type Change<'a> = Box<dyn FnOnce(&mut DescriptorBody) + 'a>;
    let obstacles: [(&str, Change<'_>); 8] = [
        ("no packets", Box::new(|body| body.packets = None)),
        ("no service", Box::new(|body| body.services.clear())),
        ("no address", Box::new(|body| body.addresses.clear())),
        ("expired", Box::new(|body| body.expires = NOW)),
        ("another mint", Box::new(|body| body.mints.clear())),
        (
            "too dear",
            Box::new(|body| offer(body, |offer| offer.price.service = Msat::new(197))),
        ),
        (
            "a key that ends",
            Box::new(|body| offer(body, |offer| offer.good_until = UnixTime::from_secs(0))),
        ),
        (
            "another voucher key",
            Box::new(|body| body.keys.voucher = relay(2, |_| {}).keys.voucher),
        ),
    ];
    for (what, change) in obstacles {
        assert!(
            take(&mut mine(), &with_third(change), &[]).is_none(),
            "{what}"
        );
    }
    // A price that falls, or rises within what was paid, is in nobody's way.
    for service in [1, 196] {
        let town = with_third(|body| {
            offer(body, |_| {});
            body.packets.as_mut().unwrap().price.service = Msat::new(service);
        });
        assert!(take(&mut mine(), &town, &[]).is_some(), "{service}");
    }
    // Another size or service is another errand.
    let excluded = BTreeSet::new();
    let (directory, mut stock) = (town(), mine());
    let view = View {
        directory: &directory,
        now: NOW,
        excluded: &excluded,
        blames: &Weights::default(),
    };
    let large = Errand {
        size: PacketSize::Large,
        ..ERRAND
    };
    assert!(stock.take(large, &need(), &view, 0).is_none());
    assert_eq!(stock.count(ERRAND, &need(), &view), 1);
}

#[test]
fn a_journey_that_was_not_made_is_there_again() {
    let mut stock = stocked([journey(1, &[1, 2], &[1])]);
    let ready = take(&mut stock, &town(), &[]).unwrap();
    assert_eq!((ready.there.len(), ready.back.len()), (2, 1));
    assert_eq!(stock.len(), (0, 0));
    stock.put_back(ready.journey.clone());
    assert_eq!(
        take(&mut stock, &town(), &[]).unwrap().journey,
        ready.journey
    );
    stock.settle(&ready.journey);
    assert!(take(&mut stock, &town(), &[]).is_none());
}

#[test]
fn a_price_that_rises_leaves_vouchers_over_for_other_journeys() {
    let mine = || {
        stocked([
            journey(1, &[1, 2, 3], &[4, 5, 1]),
            journey(2, &[1, 2, 4], &[5, 6, 1]),
        ])
    };
    let mut stock = mine();
    assert_eq!(sweep(&mut stock, &town(), NOW), Msat::ZERO);
    assert_eq!(stock.len(), (2, 0));
    // A relay that is away for now may come back.
    let mut smaller = town();
    smaller.remove(&id(3));
    sweep(&mut stock, &smaller, NOW);
    assert_eq!(stock.len(), (2, 0));

    let dearer = with_third(|body| {
        let offer = body.packets.as_mut().unwrap();
        offer.price.service = PRICE.service.saturating_add(Msat::new(100));
    });
    sweep(&mut stock, &dearer, NOW);
    assert_eq!(stock.len(), (1, 6));
}

#[test]
fn what_relays_take_no_more_is_dropped_before_they_refuse_it() {
    let mut stock = stocked([journey(1, &[1, 2], &[1])]);
    let before = NOW.saturating_add(22 * DAY);
    assert_eq!(sweep(&mut stock, &town(), before), Msat::ZERO);
    let after = before.saturating_add(Duration::from_secs(1));
    assert_eq!(sweep(&mut stock, &town(), after), Msat::new(64 + 256 + 64));
    assert_eq!(stock.len(), (0, 0));
}

#[test]
fn the_lot_decides_which_journey_is_made() {
    let numbers = |lot| {
        let mut stock = stocked((0..3).map(|number| journey(number, &[1, 2], &[1])));
        let excluded = BTreeSet::new();
        let directory = town();
        let view = View {
            directory: &directory,
            now: NOW,
            excluded: &excluded,
            blames: &Weights::default(),
        };
        let ready = stock.take(ERRAND, &need(), &view, lot).unwrap();
        ready.journey.number
    };
    assert_eq!([0, 1, 2, 3].map(numbers), [0, 1, 2, 0]);
}

#[test]
fn a_journey_with_less_blame_goes_first() {
    let mut stock = stocked([
        journey(1, &[1, 2], &[1]),
        journey(2, &[3, 2], &[3]),
        journey(3, &[4, 2], &[4]),
    ]);
    let mut blames = Blames::default();
    let now = Instant::from_epoch(Duration::ZERO);
    blames.lost([1, 2, 3].map(id), now);
    blames.lost([id(3)], now);
    blames.not_served(id(2), now);
    let (excluded, directory) = (BTreeSet::new(), town());
    let view = View {
        directory: &directory,
        now: NOW,
        excluded: &excluded,
        blames: &blames.weights(now),
    };
    let mut take = || {
        let lightest = stock.lightest(ERRAND, &need(), &view);
        let ready = stock.take(ERRAND, &need(), &view, 7)?;
        Some((ready.journey.number, lightest?))
    };
    assert_eq!(
        [take(), take(), take()],
        [Some((3, 2)), Some((1, 3)), Some((2, 4))]
    );
    assert_eq!(take(), None);
}
