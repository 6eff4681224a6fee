//! When to pay, and how much: early, in few sizes, and never for all hops at once.

use crate::credit::Pool;
use crate::{MAX_CIPHERTEXT, Seed};
use coinfuse_wire::{ByteCount, Msat, Price};
use ring::hmac;

/// How a client keeps its pools filled.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct TopUpPolicy {
    /// A pool is filled when it is good for fewer bytes than a threshold, drawn for each top-up
    /// between this and twice this. Should cover a payment's round trip at full speed: default
    /// 16 MiB, a tenth of a second at 160 MB/s.
    pub low_water: ByteCount,
    /// A downstream top-up is for about so many bytes. Default 32 MiB.
    pub increment_down: ByteCount,
    /// An upstream top-up is for about so many bytes. Default 8 MiB, which then doubles with each
    /// top-up until it reaches `increment_down`: most circuits hardly send.
    pub increment_up: ByteCount,
}

impl Default for TopUpPolicy {
    fn default() -> Self {
        Self {
            low_water: ByteCount::from_mib(16),
            increment_down: ByteCount::from_mib(32),
            increment_up: ByteCount::from_mib(8),
        }
    }
}

impl TopUpPolicy {
    /// What a circuit's first payment to a hop should be: the upstream and the downstream part.
    /// Together they are a power of two, so that one coin pays for both.
    pub fn first_payment(&self, price: &Price) -> (Msat, Msat) {
        let up = price.up.charge(self.increment_up);
        let both = up.saturating_add(price.down.charge(self.increment_down));
        if both.is_zero() {
            return (Msat::ZERO, Msat::ZERO);
        }
        (up, round_up(both).saturating_sub(up))
    }
}

/// A direction of a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client.
    Up,
    /// To the client.
    Down,
}

/// Decides for one pool.
#[derive(Debug)]
pub(super) struct Filler {
    low_water: ByteCount,
    threshold: ByteCount,
    increment: ByteCount,
    max_increment: ByteCount,
    /// A top-up was asked for and its result is not known yet.
    waiting: bool,
}

impl Filler {
    pub(super) fn new(policy: &TopUpPolicy, direction: Direction, dice: &mut Dice) -> Self {
        let (low_water, increment) = match direction {
            Direction::Down => (policy.low_water, policy.increment_down),
            // Small, because an upload is announced by what it sends: see `wants`.
            Direction::Up => (half(policy.increment_up), policy.increment_up),
        };
        // A pool that cannot carry the largest record must ask, and for no less than that, or
        // everybody waits for ever.
        let record = ByteCount::new(MAX_CIPHERTEXT as u64);
        let (low_water, increment) = (low_water.max(record), increment.max(record));
        let mut filler = Self {
            low_water,
            threshold: low_water,
            increment,
            max_increment: policy.increment_down.max(increment),
            waiting: false,
        };
        filler.draw(dice);
        filler
    }

    /// How much the pool wants now, if anything. Asks once, until [`settle`](Self::settle).
    pub(super) fn wants(&mut self, pool: &Pool) -> Option<Msat> {
        if self.waiting || pool.affordable() >= self.threshold {
            return None;
        }
        self.waiting = true;
        Some(round_up(pool.rate().charge(self.increment)))
    }

    /// The payment that was asked for has come, or will not come.
    pub(super) fn settle(&mut self, paid: bool, dice: &mut Dice) {
        self.waiting = false;
        if paid {
            let doubled = self.increment.saturating_add(self.increment);
            self.increment = doubled.min(self.max_increment);
            // A pool that is refilled keeps as much in hand as it is refilled with.
            self.low_water = self.low_water.max(half(self.increment));
            self.draw(dice);
        }
    }

    fn draw(&mut self, dice: &mut Dice) {
        let spread = dice.below(self.low_water.get());
        self.threshold = self.low_water.saturating_add(ByteCount::new(spread));
    }
}

/// Amounts are powers of two, so that one coin pays them and few sizes occur.
pub(super) fn round_up(amount: Msat) -> Msat {
    Msat::new(
        amount
            .get()
            .max(1)
            .checked_next_power_of_two()
            .unwrap_or(1 << 63),
    )
}

const fn half(bytes: ByteCount) -> ByteCount {
    ByteCount::new(bytes.get() / 2)
}

/// Random numbers out of a seed.
#[derive(Debug)]
pub(super) struct Dice {
    key: hmac::Key,
    drawn: u64,
}

impl Dice {
    pub(super) fn new(seed: &Seed) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, seed.expose()),
            drawn: 0,
        }
    }

    /// A number in `0..bound`; 0 for a bound of 0. The bias is below 2^-20 for bounds that occur.
    fn below(&mut self, bound: u64) -> u64 {
        let tag = hmac::sign(&self.key, &self.drawn.to_be_bytes());
        self.drawn += 1;
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&tag.as_ref()[..8]);
        u64::from_be_bytes(bytes).checked_rem(bound).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coinfuse_wire::Rate;
    #[test]
    fn a_pool_asks_once_and_again_when_it_was_filled_and_used() {
        let mut dice = Dice::new(&Seed::new([1; 32]));
        let policy = TopUpPolicy::default();
        let mut filler = Filler::new(&policy, Direction::Down, &mut dice);
        let mut pool = Pool::new(Rate::from_msat_per_mib(100));
        assert_eq!(
            filler.wants(&pool),
            Some(Msat::new(4096)),
            "32 MiB, rounded up"
        );
        assert_eq!(filler.wants(&pool), None, "already asked");
        pool.add(Msat::new(4096));
        filler.settle(true, &mut dice);
        assert_eq!(filler.wants(&pool), None, "filled");
        pool.count(ByteCount::from_mib(26));
        assert!(filler.wants(&pool).is_some());
    }

    #[test]
    fn thresholds_differ_and_stay_within_twice_the_low_water() {
        let mut dice = Dice::new(&Seed::new([1; 32]));
        let policy = TopUpPolicy::default();
        let draws: Vec<_> = (0..20)
            .map(|_| {
                Filler::new(&policy, Direction::Down, &mut dice)
                    .threshold
                    .get()
            })
            .collect();
        let low = policy.low_water.get();
        assert!(
            draws
                .iter()
                .all(|threshold| (low..2 * low).contains(threshold))
        );
        assert!(draws.windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_free_pool_never_asks() {
        let mut dice = Dice::new(&Seed::new([1; 32]));
        let mut filler = Filler::new(&TopUpPolicy::default(), Direction::Up, &mut dice);
        assert_eq!(filler.wants(&Pool::new(Rate::FREE)), None);
    }
}
