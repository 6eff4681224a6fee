//! Drawing ways there and back.

use super::blame::Weights;
use super::journey::Errand;
use coinfuse_directory::{
    Descriptor, Directory, History, MintUnit, MintUrl, PacketNeed, PathConstraints, SelectError,
    select_path,
};
use coinfuse_wire::{RelayId, UnixTime};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many journeys are looked at for one without blame.
const DRAWS: usize = 32;

/// What a journey has to be like.
#[derive(Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) errand: Errand,
    pub(super) hops: usize,
    pub(super) hops_back: usize,
    pub(super) need: PacketNeed,
    /// Those with the service that will do; all, if nothing is said.
    pub(super) lasts: Option<&'a BTreeSet<RelayId>>,
    /// Whose ecash there is.
    pub(super) mints: &'a [(MintUrl, MintUnit)],
    pub(super) excluded: &'a BTreeSet<RelayId>,
    pub(super) now: UnixTime,
}

/// The relays of a journey.
#[derive(Clone)]
pub(super) struct Route {
    /// Ends at the relay with the service.
    pub(super) there: Vec<Arc<Descriptor>>,
    /// Ends at the first relay of the way there.
    pub(super) back: Vec<Arc<Descriptor>>,
}

/// Draws a journey, from a random seed for each way.
///
/// The way back ends at the relay where the way there begins, to which the client has a link. It
/// never passes the relay with the service, and passes no other relay of the way there where it can
/// do without.
pub(super) fn draw(
    directory: &Directory,
    wish: &Wish<'_>,
    history: &History,
    [seed, seed_back]: [[u8; 32]; 2],
) -> Result<Route, SelectError> {
    let all = wish.constraints(wish.hops).ending_in(wish.errand.service);
    let constraints = match wish.lasts {
        Some(lasts) => all.ending_at(lasts.iter().copied()),
        None => all,
    };
    let there = select_path(directory, &constraints, history, seed)?;
    let (first, last) = (there.first().relay, there.last().relay);
    let back = wish
        .constraints(wish.hops_back)
        .without_guard()
        .ending_at([first])
        .exclude([last]);
    let others = there.hops().iter().map(|hop| hop.relay);
    let apart = back.clone().exclude(others.filter(|relay| *relay != first));
    let back = select_path(directory, &apart, history, seed_back)
        .or_else(|_| select_path(directory, &back, history, seed_back))?;
    Ok(Route {
        there: there.hops().to_vec(),
        back: back.hops().to_vec(),
    })
}

/// Draws again while there is blame; the route with least of it.
pub(super) fn lightest<E>(
    mut draw: impl FnMut() -> Result<Route, E>,
    blames: &Weights,
) -> Result<Route, E> {
    let weigh = |route: &Route| route.weight(blames);
    let mut best = draw()?;
    for _ in 1..DRAWS {
        if weigh(&best) == 0 {
            break;
        }
        let other = draw()?;
        if weigh(&other) < weigh(&best) {
            best = other;
        }
    }
    Ok(best)
}

impl Route {
    /// How much its relays are blamed.
    pub(super) fn weight(&self, blames: &Weights) -> u32 {
        let relays = self.there.iter().chain(&self.back);
        let last = self.there.last().map(|relay| relay.relay);
        blames.of(relays.map(|relay| relay.relay), last)
    }
}

impl Wish<'_> {
    /// What holds for the relays of all journeys.
    pub(super) fn constraints(&self, hops: usize) -> PathConstraints {
        PathConstraints::new(hops)
            .for_packets(self.need)
            .exclude(self.excluded.iter().copied())
            .pay_with(self.mints.iter().cloned())
            .fresh_at(self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::packets::testing::{ERRAND, NOW, directory, id, need, relay};
    use std::sync::LazyLock;

    fn wish(hops: usize, hops_back: usize, excluded: &BTreeSet<RelayId>) -> Wish<'_> {
        static MINTS: LazyLock<Vec<(MintUrl, MintUnit)>> =
            LazyLock::new(|| vec![("http://mint.example".parse().unwrap(), MintUnit::Msat)]);
        Wish {
            errand: ERRAND,
            hops,
            hops_back,
            need: need(),
            lasts: None,
            mints: &MINTS,
            excluded,
            now: NOW,
        }
    }

    fn ids(hops: &[Arc<Descriptor>]) -> Vec<RelayId> {
        hops.iter().map(|hop| hop.relay).collect()
    }

    #[test]
    fn the_way_back_ends_where_the_way_there_begins_and_has_nothing_else_of_it() {
        let directory = directory((1..=5).map(|number| relay(number, |_| {})));
        let nobody = BTreeSet::new();
        let (mut firsts, mut lasts) = (BTreeSet::new(), BTreeSet::new());
        for seed in 0..40 {
            let wish = wish(3, 3, &nobody);
            let route = draw(
                &directory,
                &wish,
                &History::new(),
                [[seed; 32], [seed + 100; 32]],
            )
            .unwrap();
            let (there, back) = (ids(&route.there), ids(&route.back));
            assert_eq!((there.len(), back.len()), (3, 3));
            assert_eq!(back[2], there[0]);
            assert!(back[..2].iter().all(|relay| !there.contains(relay)));
            firsts.insert(there[0]);
            lasts.insert(there[2]);
        }
        assert_eq!((firsts.len(), lasts.len()), (5, 5));
    }

    #[test]
    fn where_relays_are_few_the_ways_share_one_but_not_the_one_with_the_service() {
        let directory = directory((1..=4).map(|number| relay(number, |_| {})));
        let nobody = BTreeSet::new();
        for seed in 0..40 {
            let route = draw(
                &directory,
                &wish(3, 3, &nobody),
                &History::new(),
                [[seed; 32]; 2],
            )
            .unwrap();
            assert!(!ids(&route.back).contains(&ids(&route.there)[2]));
        }
    }

    #[test]
    fn too_few_relays_are_told_of() {
        let directory = directory((1..=3).map(|number| relay(number, |_| {})));
        let nobody = BTreeSet::new();
        let draw = |hops, back, excluded: &BTreeSet<_>| {
            draw(
                &directory,
                &wish(hops, back, excluded),
                &History::new(),
                [[1; 32]; 2],
            )
            .map(|_| ())
        };
        assert_eq!(draw(3, 2, &nobody), Ok(()));
        for (hops, back) in [(4, 1), (3, 3)] {
            let error = draw(hops, back, &nobody).unwrap_err();
            assert!(matches!(error, SelectError::NotEnoughRelays(_)), "{error}");
        }
        let excluded = BTreeSet::from([id(1)]);
        let error = draw(3, 2, &excluded).unwrap_err();
        assert!(error.to_string().contains("1 excluded"), "{error}");
    }
}
