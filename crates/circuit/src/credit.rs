//! Metering and credit: what was carried, what was paid, and what may still be carried.
//!
//! A circuit has two pools at each hop, one per direction, so that each has one authority and
//! neither has to guess what the other has on its way: the client never sends upstream more than
//! is in the upstream pool, and the relay never sends downstream more than is in the downstream
//! pool. A relay can therefore tell an overrun exactly, with no grace.
//!
//! Both ends count the ciphertext of data-lane records that carry something for another hop or for
//! the stream. Control and padding for the hop itself are free, and bounded by a rate.

use crate::control::Reading;
use coinfuse_wire::{ByteCount, Msat, Price, Rate};
use thiserror::Error;

/// One direction's money and bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    rate: Rate,
    paid: Msat,
    carried: ByteCount,
}

/// A record does not fit what is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("carrying {bytes} more needs {missing} more")]
pub struct OutOfCredit {
    /// The record that was to be carried.
    pub bytes: ByteCount,
    /// What must be paid for it, at least.
    pub missing: Msat,
}

impl Pool {
    /// An empty pool at a price.
    pub const fn new(rate: Rate) -> Self {
        Self {
            rate,
            paid: Msat::ZERO,
            carried: ByteCount::ZERO,
        }
    }

    /// Adds money.
    pub fn add(&mut self, amount: Msat) {
        self.paid = self.paid.saturating_add(amount);
    }

    /// All that was ever added.
    pub const fn paid(&self) -> Msat {
        self.paid
    }

    /// All that was ever carried.
    pub const fn carried(&self) -> ByteCount {
        self.carried
    }

    /// What carrying has cost so far.
    pub const fn used(&self) -> Msat {
        self.rate.charge(self.carried)
    }

    /// The price.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// What is left.
    pub const fn left(&self) -> Msat {
        self.paid.saturating_sub(self.used())
    }

    /// How many more bytes are paid for.
    pub const fn affordable(&self) -> ByteCount {
        self.rate.affordable(self.paid).saturating_sub(self.carried)
    }

    /// Whether `bytes` more are paid for.
    pub fn check(&self, bytes: ByteCount) -> Result<(), OutOfCredit> {
        if bytes <= self.affordable() {
            return Ok(());
        }
        let cost = self.rate.charge(self.carried.saturating_add(bytes));
        Err(OutOfCredit {
            bytes,
            missing: cost.saturating_sub(self.paid),
        })
    }

    /// Counts `bytes` whether they are paid for or not: a relay may serve before its word that it
    /// was paid arrives.
    pub fn count(&mut self, bytes: ByteCount) {
        self.carried = self.carried.saturating_add(bytes);
    }

    /// Counts `bytes`, if they are paid for.
    pub fn carry(&mut self, bytes: ByteCount) -> Result<(), OutOfCredit> {
        self.check(bytes)?;
        self.count(bytes);
        Ok(())
    }
}

/// Both pools of a circuit at one hop.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// From the client.
    pub up: Pool,
    /// To the client.
    pub down: Pool,
}

impl Credit {
    /// Empty pools at a price.
    pub const fn new(price: Price) -> Self {
        Self {
            up: Pool::new(price.up),
            down: Pool::new(price.down),
        }
    }

    /// Adds `amount`, of which up to `upstream` goes to the upstream pool and the rest downstream.
    pub fn add(&mut self, amount: Msat, upstream: Msat) {
        let up = amount.min(upstream);
        self.up.add(up);
        self.down.add(amount.saturating_sub(up));
    }

    /// All that was ever added.
    pub const fn paid(&self) -> Msat {
        self.up.paid().saturating_add(self.down.paid())
    }

    /// What was used of it.
    pub const fn used(&self) -> Msat {
        self.up.used().saturating_add(self.down.used())
    }

    /// What is left of it, and stays the account's.
    pub const fn left(&self) -> Msat {
        self.up.left().saturating_add(self.down.left())
    }

    /// What was carried.
    pub const fn reading(&self) -> Reading {
        Reading {
            up: self.up.carried(),
            down: self.down.carried(),
        }
    }
}

/// The two ends count differently. Whoever said the number is wrong, or lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the other end counted {theirs:?} where this end counted {ours:?}")]
pub struct MeterMismatch {
    /// What this end counted.
    pub ours: Reading,
    /// What the other end said.
    pub theirs: Reading,
}

/// Checks a client's reading at a relay: what came upstream must agree exactly, since the reading
/// came in order behind it; what went downstream may still be on its way.
pub(crate) fn check_at_relay(ours: Reading, theirs: Reading) -> Result<(), MeterMismatch> {
    if theirs.up == ours.up && theirs.down <= ours.down {
        return Ok(());
    }
    Err(MeterMismatch { ours, theirs })
}

/// Checks a relay's reading at the client: the mirror of [`check_at_relay`].
pub(crate) fn check_at_client(ours: Reading, theirs: Reading) -> Result<(), MeterMismatch> {
    if theirs.down == ours.down && theirs.up <= ours.up {
        return Ok(());
    }
    Err(MeterMismatch { ours, theirs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_carries_what_is_paid_and_not_a_byte_more() {
        let mut pool = Pool::new(Rate::from_msat_per_mib(1000));
        assert!(pool.carry(ByteCount::new(1)).is_err());
        pool.add(Msat::new(1000));
        pool.carry(ByteCount::from_mib(1)).unwrap();
        assert_eq!(
            pool.carry(ByteCount::new(1)),
            Err(OutOfCredit {
                bytes: ByteCount::new(1),
                missing: Msat::new(1)
            })
        );
        assert_eq!((pool.left(), pool.used()), (Msat::ZERO, Msat::new(1000)));
    }

    #[test]
    fn money_is_split_as_wanted_and_none_is_lost() {
        let mut credit = Credit::new(Price::default());
        credit.add(Msat::new(100), Msat::new(30));
        credit.add(Msat::new(10), Msat::new(30));
        assert_eq!(
            (credit.up.paid(), credit.down.paid()),
            (Msat::new(40), Msat::new(70))
        );
    }

    #[test]
    fn readings_agree_exactly_where_they_are_in_order() {
        let reading = |up, down| Reading {
            up: ByteCount::new(up),
            down: ByteCount::new(down),
        };
        assert!(check_at_relay(reading(10, 10), reading(10, 4)).is_ok());
        assert!(check_at_relay(reading(10, 10), reading(9, 10)).is_err());
        assert!(check_at_relay(reading(10, 10), reading(10, 11)).is_err());
        assert!(check_at_client(reading(10, 10), reading(4, 10)).is_ok());
        assert!(check_at_client(reading(10, 10), reading(10, 9)).is_err());
    }
}
