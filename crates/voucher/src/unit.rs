//! What a coin counts: units, denominations, and the mint that stands behind it.

use cashu::{CurrencyUnit, MintUrl};
use coinfuse_wire::{Decode, DecodeError, Encode, Msat, Reader, Writer};
use core::fmt;
use core::str::FromStr;

/// The unit in which a mint counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// Thousandths of a satoshi.
    Msat,
    /// Satoshis.
    Sat,
}

impl Unit {
    /// The value of `count` units; `None` when it does not fit.
    pub const fn value(self, count: u64) -> Option<Msat> {
        match self {
            Self::Msat => Some(Msat::new(count)),
            Self::Sat => match count.checked_mul(1000) {
                Some(msat) => Some(Msat::new(msat)),
                None => None,
            },
        }
    }

    /// The fewest whole units that are worth `value`: a mint that counts satoshis rounds up.
    pub const fn units_for(self, value: Msat) -> u64 {
        match self {
            Self::Msat => value.get(),
            Self::Sat => value.get().div_ceil(1000),
        }
    }

    /// The name that Cashu gives to the unit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Msat => "msat",
            Self::Sat => "sat",
        }
    }

    /// The same as Cashu's type.
    pub const fn to_cashu(self) -> CurrencyUnit {
        match self {
            Self::Msat => CurrencyUnit::Msat,
            Self::Sat => CurrencyUnit::Sat,
        }
    }

    /// From Cashu's type; `None` for a unit that is not Bitcoin.
    pub const fn from_cashu(unit: &CurrencyUnit) -> Option<Self> {
        match unit {
            CurrencyUnit::Msat => Some(Self::Msat),
            CurrencyUnit::Sat => Some(Self::Sat),
            _ => None,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Unit {
    type Err = MintIdError;

    fn from_str(text: &str) -> Result<Self, MintIdError> {
        match text {
            "msat" => Ok(Self::Msat),
            "sat" => Ok(Self::Sat),
            _ => Err(MintIdError::Unit),
        }
    }
}

/// The amount of one coin: a power of two, in units of its keyset. One byte on the wire, the
/// exponent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Denomination(u8);

impl Denomination {
    /// The largest exponent.
    pub const MAX_EXPONENT: u8 = 63;

    /// Two to the power of `exponent`; `None` above 63.
    pub const fn from_exponent(exponent: u8) -> Option<Self> {
        if exponent <= Self::MAX_EXPONENT {
            Some(Self(exponent))
        } else {
            None
        }
    }

    /// From a number of units; `None` unless it is a power of two.
    pub const fn from_units(units: u64) -> Option<Self> {
        if units.is_power_of_two() {
            Some(Self(units.trailing_zeros() as u8))
        } else {
            None
        }
    }

    /// The exponent, 0 to 63.
    pub const fn exponent(self) -> u8 {
        self.0
    }

    /// The number of units.
    pub const fn units(self) -> u64 {
        1 << self.0
    }

    /// The fewest coins that make up `units`, the largest first.
    pub fn split(units: u64) -> impl Iterator<Item = Self> {
        (0..=Self::MAX_EXPONENT)
            .rev()
            .filter(move |bit| units >> bit & 1 == 1)
            .map(Self)
    }
}

impl Encode for Denomination {
    fn encode(&self, out: &mut Writer) {
        out.u8(self.0);
    }
}

impl Decode for Denomination {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "denomination";
        Self::from_exponent(reader.u8(WHAT)?).ok_or(DecodeError::Invalid { what: WHAT })
    }
}

/// Why a text does not name a mint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MintIdError {
    /// The address is not `http://...` or `https://...`.
    #[error("a mint's address starts with http:// or https:// and names a host")]
    Url,
    /// The unit is not a Bitcoin unit.
    #[error("the unit of a mint must be msat or sat")]
    Unit,
}

/// A mint and the unit in which it is used: where coins come from.
///
/// Compares by Cashu's normalised address, so a trailing slash or an upper-case host makes no
/// difference.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MintId {
    url: MintUrl,
    unit: Unit,
}

impl MintId {
    /// The mint at `url`, counting in `unit`.
    pub fn new(url: &str, unit: Unit) -> Result<Self, MintIdError> {
        let url = MintUrl::from_str(url).map_err(|_| MintIdError::Url)?;
        let text = url.to_string();
        let host = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.starts_with('/'))
            || url.join("v1").is_err()
        {
            return Err(MintIdError::Url);
        }
        Ok(Self { url, unit })
    }

    /// The address.
    pub const fn url(&self) -> &MintUrl {
        &self.url
    }

    /// The unit.
    pub const fn unit(&self) -> Unit {
        self.unit
    }
}

impl fmt::Display for MintId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.url, self.unit)
    }
}

impl fmt::Debug for MintId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MintId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_mint_that_counts_satoshis_rounds_up() {
        assert_eq!(Unit::Sat.units_for(Msat::new(1)), 1);
        assert_eq!(Unit::Sat.units_for(Msat::new(2000)), 2);
        assert_eq!(Unit::Sat.value(2), Some(Msat::new(2000)));
        assert_eq!(Unit::Sat.value(u64::MAX), None);
    }

    #[test]
    fn one_mint_has_one_name() {
        let name = |url| MintId::new(url, Unit::Msat);
        assert_eq!(
            name("https://Mint.Example/path/"),
            name("https://mint.example/path")
        );
        for bad in [
            "",
            "mint.example",
            "ftp://mint.example",
            "https://",
            "http:///x",
            "http://a b",
        ] {
            assert_eq!(name(bad), Err(MintIdError::Url), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_split_is_complete_and_minimal(units: u64) {
            let coins: Vec<_> = Denomination::split(units).collect();
            prop_assert_eq!(coins.iter().map(|c| c.units()).sum::<u64>(), units);
            prop_assert_eq!(coins.len(), units.count_ones() as usize);
            prop_assert!(coins.is_sorted_by(|a, b| a > b));
        }

        #[test]
        fn denominations_read_back(byte: u8) {
            match Denomination::from_bytes(&[byte]) {
                Ok(coin) => prop_assert_eq!(Denomination::from_units(coin.units()), Some(coin)),
                Err(_) => prop_assert!(byte > Denomination::MAX_EXPONENT),
            }
        }
    }
}
