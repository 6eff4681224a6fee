//! The choice of a path.

use super::candidates::{Candidates, shortages};
use super::search::Search;
use super::{Path, PathConstraints, SelectError, Shortage};
use crate::{Descriptor, Directory, History};
use std::sync::Arc;

/// Chooses a path: the same directory, constraints, history and seed give the same path.
///
/// `seed` is 32 fresh random bytes. If the history has [guards](crate::Guard), the first hop is the
/// first of them that will do. Then the last hop is drawn, because few relays will do, then the
/// others in order; each with its [weight](History::weight) as probability. Relays that could be the
/// last hop are drawn less for other places, by as much as they are needed for the last.
///
/// No two relays of a path have one operator tag, are of a family that both admit, or are in one
/// subnet (/16, for IPv6 /32; of global addresses only). When only the port of the target is known,
/// exits that open it to [most](crate::Coverage::Most) of the Internet are preferred.
///
/// ```
/// # use coinfuse_directory::{DescriptorBody, Identity, LinkKey, OnionKey, RelayKeys, VoucherKey};
/// # let keys = RelayKeys {
/// #     link: LinkKey::new([1; 32]),
/// #     onion: OnionKey::new([2; 32]),
/// #     voucher: VoucherKey::new([2; 33]),
/// # };
/// # let now = coinfuse_wire::UnixTime::from_secs(1_800_000_000);
/// use coinfuse_directory::{Directory, History, PathConstraints, select_path};
///
/// # let mut directory = Directory::new();
/// # for number in 1..9 {
/// #     let identity = Identity::from_seed([number; 32]);
/// #     let mut body = DescriptorBody::new(&identity, keys, now);
/// #     body.addresses.push(format!("1.{number}.0.1:4433").parse()?);
/// #     directory.insert(body.sign(&identity)?)?;
/// # }
/// let constraints = PathConstraints::new(3).fresh_at(now);
/// let mut history = History::new();
/// history.tend_guards(&directory, &constraints, now, [1; 32]);
///
/// let path = select_path(&directory, &constraints, &history, [2; 32])?;
/// assert_eq!(path.first().relay, history.guards()[0].relay);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn select_path(
    directory: &Directory,
    constraints: &PathConstraints,
    history: &History,
    seed: [u8; 32],
) -> Result<Path, SelectError> {
    let hops = constraints.hops;
    if !(1..=Path::MAX_HOPS).contains(&hops) {
        return Err(SelectError::HopCount { got: hops });
    }
    let candidates = Candidates::gather(directory, constraints, history);
    let mut search = Search::new(constraints, candidates, seed);
    let guarded = constraints.guarded && hops > 1 && !history.guards().is_empty();
    let guards = match guarded {
        true => usable_guards(directory, constraints, history),
        false => Vec::new(),
    };
    if guarded && guards.is_empty() {
        return Err(no_guard(directory, constraints));
    }
    let path = search.path(&guards);
    path.ok_or_else(|| no_path(directory, constraints, search.found))
}

/// The guards that will do, in order; those that are slow come after the others, and those that
/// failed just now after them.
fn usable_guards<'a>(
    directory: &'a Directory,
    constraints: &PathConstraints,
    history: &History,
) -> Vec<&'a Arc<Descriptor>> {
    let guards = history.guards().iter();
    let known = guards.filter_map(|guard| directory.get(&guard.relay));
    let mut usable: Vec<_> = known.filter(|one| constraints.may_carry(one)).collect();
    let rests = |one: &Descriptor| history.is_resting(&one.relay, constraints.now());
    usable.sort_by_key(|one| (rests(one), history.is_slow(one)));
    usable
}

fn no_guard(directory: &Directory, constraints: &PathConstraints) -> SelectError {
    let (middle, last) = shortages(directory, constraints);
    if !has_last(directory, constraints) {
        return SelectError::NoLastHop(last);
    }
    SelectError::NoGuard(Shortage {
        needed: 1,
        ..middle
    })
}

fn no_path(
    directory: &Directory,
    constraints: &PathConstraints,
    found: Option<usize>,
) -> SelectError {
    let (middle, last) = shortages(directory, constraints);
    if !has_last(directory, constraints) {
        return SelectError::NoLastHop(last);
    }
    SelectError::NotEnoughRelays(Shortage {
        found: found.unwrap_or(0),
        ..middle
    })
}

fn has_last(directory: &Directory, constraints: &PathConstraints) -> bool {
    let fits = |relay: &Arc<Descriptor>| constraints.check_last(relay).is_ok();
    directory.iter().any(fits)
}
