//! Money, bytes, and the price that connects them.

use crate::{Decode, DecodeError, Encode, Reader, Writer};
use core::fmt;

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $unit:literal) => {
        $(#[$doc])*
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            #[doc = "Nothing."]
            pub const ZERO: Self = Self(0);
            #[doc = "The largest value, used as *no limit*."]
            pub const MAX: Self = Self(u64::MAX);

            #[doc = concat!("So many ", $unit, ".")]
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            #[doc = concat!("The number of ", $unit, ".")]
            pub const fn get(self) -> u64 {
                self.0
            }

            #[doc = "The sum, or `None` when it does not fit."]
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            #[doc = "The difference, or `None` when `other` is the larger."]
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(difference) => Some(Self(difference)),
                    None => None,
                }
            }

            #[doc = "The sum, at most [`Self::MAX`]."]
            pub const fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            #[doc = "The difference, at least zero."]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            #[doc = "True for nothing."]
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }
        }

        impl Encode for $name {
            fn encode(&self, out: &mut Writer) {
                out.varint(self.0);
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.varint(stringify!($name)).map(Self)
            }
        }

        impl core::iter::Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                iter.fold(Self::ZERO, Self::saturating_add)
            }
        }
    };
}

quantity!(
    /// An amount of money in thousandths of a satoshi.
    Msat,
    "millisatoshi"
);
quantity!(
    /// A number of bytes carried, queued or allowed.
    ByteCount,
    "bytes"
);

impl Msat {
    /// So many whole satoshis; saturates.
    pub const fn from_sat(sat: u64) -> Self {
        Self(sat.saturating_mul(1000))
    }
}

impl fmt::Display for Msat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} msat", self.0)
    }
}

impl ByteCount {
    /// Bytes in one MiB, the unit that prices are quoted for.
    pub const MIB: Self = Self(1 << 20);

    /// So many MiB; saturates.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1 << 20))
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1 << 20 => write!(f, "{:.1} MiB", n as f64 / f64::from(1u32 << 20)),
            n if n >= 1 << 10 => write!(f, "{:.1} KiB", n as f64 / 1024.0),
            n => write!(f, "{n} B"),
        }
    }
}

/// The price of carrying bytes, in msat per MiB.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u32);

impl Rate {
    /// Free of charge.
    pub const FREE: Self = Self(0);

    /// A price in msat per MiB.
    pub const fn from_msat_per_mib(msat: u32) -> Self {
        Self(msat)
    }

    /// The price in msat per MiB.
    pub const fn msat_per_mib(self) -> u32 {
        self.0
    }

    /// What carrying `bytes` costs, rounded up to a whole msat and saturating.
    pub const fn charge(self, bytes: ByteCount) -> Msat {
        let product = self.0 as u128 * bytes.0 as u128;
        let msat = product.div_ceil(1 << 20);
        if msat > u64::MAX as u128 {
            Msat::MAX
        } else {
            Msat(msat as u64)
        }
    }

    /// The most bytes that `money` pays for: the largest `b` with `charge(b) <= money`.
    /// [`ByteCount::MAX`] when carrying is free.
    pub const fn affordable(self, money: Msat) -> ByteCount {
        if self.0 == 0 {
            return ByteCount::MAX;
        }
        let bytes = ((money.0 as u128) << 20) / self.0 as u128;
        if bytes > u64::MAX as u128 {
            ByteCount::MAX
        } else {
            ByteCount(bytes as u64)
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} msat/MiB", self.0)
    }
}

impl Encode for Rate {
    fn encode(&self, out: &mut Writer) {
        out.varint(self.0.into());
    }
}

impl Decode for Rate {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let got = reader.varint("Rate")?;
        u32::try_from(got)
            .map(Self)
            .map_err(|_| DecodeError::TooLarge {
                what: "Rate",
                got,
                max: u32::MAX.into(),
            })
    }
}

/// What carrying bytes costs, per direction.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// From the client: msat per MiB.
    pub up: Rate,
    /// To the client: msat per MiB.
    pub down: Rate,
}

impl Price {
    /// Free of charge.
    pub const FREE: Self = Self {
        up: Rate::FREE,
        down: Rate::FREE,
    };

    /// What `up` and `down` bytes cost together.
    pub fn charge(&self, up: ByteCount, down: ByteCount) -> Msat {
        self.up.charge(up).saturating_add(self.down.charge(down))
    }

    /// True if neither direction costs more than in `ceiling`.
    pub fn within(&self, ceiling: &Self) -> bool {
        self.up <= ceiling.up && self.down <= ceiling.down
    }
}

impl Encode for Price {
    fn encode(&self, out: &mut Writer) {
        out.value(&self.up);
        out.value(&self.down);
    }
}

impl Decode for Price {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            up: Rate::decode(reader)?,
            down: Rate::decode(reader)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn affordable_is_the_largest_amount_that_the_money_pays(rate in 1u32.., money in 0u64..1 << 50) {
            let (rate, money) = (Rate::from_msat_per_mib(rate), Msat::new(money));
            let bytes = rate.affordable(money);
            prop_assert!(rate.charge(bytes) <= money);
            prop_assert!(rate.charge(bytes.saturating_add(ByteCount::new(1))) > money);
        }

        #[test]
        fn charging_is_monotone(rate: u32, a in 0u64..1 << 62, b in 0u64..1 << 62) {
            let rate = Rate::from_msat_per_mib(rate);
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(rate.charge(ByteCount::new(low)) <= rate.charge(ByteCount::new(high)));
        }
    }

    #[test]
    fn sums_saturate_instead_of_wrapping() {
        assert_eq!(
            [Msat::MAX, Msat::new(1)].into_iter().sum::<Msat>(),
            Msat::MAX
        );
        assert_eq!(
            Rate::from_msat_per_mib(u32::MAX).charge(ByteCount::MAX),
            Msat::MAX
        );
        assert_eq!(Rate::FREE.affordable(Msat::ZERO), ByteCount::MAX);
    }
}
