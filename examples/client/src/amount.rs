//! An amount as a person types it.

use coinfuse_wire::Msat;
use std::str::FromStr;

/// A positive amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amount(Msat);

impl Amount {
    pub(crate) const fn msat(self) -> Msat {
        self.0
    }
}

impl FromStr for Amount {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a whole number with or without its unit, like 1000, \
                                1000sat or 500000msat";
        let (digits, factor) = match text.strip_suffix("msat") {
            Some(digits) => (digits, 1),
            None => (text.strip_suffix("sat").unwrap_or(text), 1000),
        };
        let number: u64 = digits.trim_end().parse().map_err(|_| EXPECTED)?;
        match number.checked_mul(factor) {
            None => Err("more than there is"),
            Some(0) => Err("nothing cannot be paid"),
            Some(msat) => Ok(Self(Msat::new(msat))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_satoshis() {
        let read = |text: &str| text.parse().map(|Amount(msat)| msat.get());
        assert_eq!(read("21"), Ok(21_000));
        assert_eq!(read("21sat"), Ok(21_000));
        assert_eq!(read("21 msat"), Ok(21));
        for bad in ["", "sat", "-1", "1.5", "0", "1btc", "99999999999999999999"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
