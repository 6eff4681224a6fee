//! How fast relays are, by what the client's circuits carry.

use coinfuse_wire::{ByteCount, RelayId};
use core::time::Duration;
use std::collections::BTreeMap;

/// A transfer says something if it went on for so many seconds: shorter ones, like a page that is
/// loaded, end before they are fast.
const SHORTEST: u32 = 5;
/// In seconds: one that goes on is measured again.
const LONGEST: u32 = 60;
/// Bytes per second below which nothing waits to be carried, as far as can be told.
const BUSY: u64 = 32 << 10;

/// The transfers that go on over each relay, all circuits taken together.
#[derive(Debug, Default)]
pub(super) struct Transfers(BTreeMap<RelayId, Transfer>);

#[derive(Debug, Default, Clone, Copy)]
struct Transfer {
    seconds: u32,
    /// Bytes in its best second.
    best: u64,
}

impl Transfers {
    /// Takes what was carried in `elapsed`, a second or so, by each circuit. What comes out is measured:
    /// the best second of each transfer that has come to its end, or goes on for long.
    pub(super) fn second(
        &mut self,
        elapsed: Duration,
        carried: impl IntoIterator<Item = (RelayId, ByteCount)>,
    ) -> Vec<(RelayId, ByteCount)> {
        let mut rates: BTreeMap<RelayId, u64> = BTreeMap::new();
        for (relay, bytes) in carried {
            let rate = rates.entry(relay).or_default();
            *rate = rate.saturating_add(bytes.get());
        }
        rates
            .values_mut()
            .for_each(|bytes| *bytes = per_second(*bytes, elapsed));
        rates.retain(|_, rate| *rate >= BUSY);
        let mut ended = Vec::new();
        self.0.retain(|relay, transfer| {
            let goes_on = rates.contains_key(relay) && transfer.seconds < LONGEST;
            if !goes_on {
                ended.push((*relay, *transfer));
            }
            goes_on
        });
        for (relay, rate) in rates {
            let transfer = self.0.entry(relay).or_default();
            transfer.seconds += 1;
            transfer.best = transfer.best.max(rate);
        }
        let told = ended.into_iter().filter(|(_, one)| one.seconds >= SHORTEST);
        told.map(|(relay, one)| (relay, ByteCount::new(one.best)))
            .collect()
    }
}

fn per_second(bytes: u64, elapsed: Duration) -> u64 {
    let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    bytes.saturating_mul(1_000_000) / micros.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn relay(number: u8) -> RelayId {
        RelayId::new([number; 32])
    }

    fn kib(amount: u64) -> ByteCount {
        ByteCount::new(amount << 10)
    }

    /// What is measured of relay 1 when its circuits carry so many KiB, second by second.
    fn measured<const N: usize>(seconds: [u64; N]) -> Vec<ByteCount> {
        let mut transfers = Transfers::default();
        let carried = seconds.map(|amount| vec![(relay(1), kib(amount))]);
        let told = carried
            .into_iter()
            .flat_map(|one| transfers.second(SECOND, one));
        told.map(|(_, best)| best).collect()
    }

    #[test]
    fn the_best_second_of_a_transfer_counts_when_it_has_ended() {
        assert_eq!(measured([100, 900, 400, 400, 400]), []);
        assert_eq!(measured([100, 900, 400, 400, 400, 0]), [kib(900)]);
        assert_eq!(measured([100, 900, 400, 400, 400, 0, 0]), [kib(900)]);
    }

    #[test]
    fn a_short_transfer_and_a_trickle_say_nothing() {
        assert_eq!(measured([900, 900, 900, 900, 0]), []);
        assert_eq!(measured([900, 900, 31, 900, 900, 0]), []);
        assert_eq!(measured([31; 100]), []);
    }

    #[test]
    fn a_transfer_that_goes_on_is_measured_each_minute() {
        assert_eq!(measured([500; 60]), []);
        assert_eq!(measured([500; 150]), [kib(500), kib(500)]);
    }

    #[test]
    fn a_relay_is_as_fast_as_its_circuits_together() {
        let mut transfers = Transfers::default();
        let carried = || [1, 2, 1].map(|number| (relay(number), kib(300)));
        for _ in 0..5 {
            assert_eq!(transfers.second(SECOND, carried()), []);
        }
        let told = transfers.second(SECOND, []);
        assert_eq!(told, [(relay(1), kib(600)), (relay(2), kib(300))]);
    }

    #[test]
    fn a_second_that_took_two_counts_half() {
        let mut transfers = Transfers::default();
        for _ in 0..5 {
            transfers.second(2 * SECOND, [(relay(1), kib(600))]);
        }
        assert_eq!(transfers.second(SECOND, []), [(relay(1), kib(300))]);
        // And one that took none is not endless.
        transfers.second(Duration::ZERO, [(relay(1), ByteCount::new(u64::MAX))]);
    }
}
