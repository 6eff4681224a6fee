//! What a relay says of itself beside its terms: how busy it is, and where.

use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// How busy a relay says it is. Coarse, so that watching it tells little about anybody's traffic.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Load {
    /// Less than a quarter of its capacity is used.
    #[default]
    Low = 0,
    /// Up to a half.
    Medium = 1,
    /// Up to three quarters.
    High = 2,
    /// More than that.
    Full = 3,
}

impl Load {
    /// From the number on the wire.
    pub const fn new(level: u8) -> Option<Self> {
        match level {
            0 => Some(Self::Low),
            1 => Some(Self::Medium),
            2 => Some(Self::High),
            3 => Some(Self::Full),
            _ => None,
        }
    }

    /// The number on the wire, 0 to 3.
    pub const fn level(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Full => "full",
        })
    }
}

impl Encode for Load {
    fn encode(&self, out: &mut Writer) {
        out.u8(self.level());
    }
}

impl Decode for Load {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "load";
        let got = reader.u8(WHAT)?;
        Self::new(got).ok_or(DecodeError::Unknown {
            what: WHAT,
            got: got.into(),
        })
    }
}

/// The country that a relay says it is in: two letters `A` to `Z`, as in ISO 3166-1.
///
/// A claim: it keeps an honest relay out of the paths of those who avoid its country. Whether the
/// two letters name a country is not checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

/// A text is not two letters of `A` to `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a country is two letters, such as NL")]
pub struct CountryError;

impl Country {
    /// The two letters.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).expect("two letters are text")
    }
}

impl FromStr for Country {
    type Err = CountryError;

    /// Lower case is taken as well.
    fn from_str(text: &str) -> Result<Self, CountryError> {
        let letters: [u8; 2] = text.as_bytes().try_into().map_err(|_| CountryError)?;
        if !letters.iter().all(u8::is_ascii_alphabetic) {
            return Err(CountryError);
        }
        Ok(Self(letters.map(|letter| letter.to_ascii_uppercase())))
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Encode for Country {
    fn encode(&self, out: &mut Writer) {
        out.put(&self.0);
    }
}

impl Decode for Country {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "country";
        let letters = reader.array(WHAT)?;
        if !letters.iter().all(u8::is_ascii_uppercase) {
            return Err(DecodeError::Invalid { what: WHAT });
        }
        Ok(Self(letters))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_two_letters_in_one_form() {
        assert_eq!("nl".parse::<Country>().unwrap().as_str(), "NL");
        assert_eq!(Country::from_bytes(b"NL").unwrap().to_string(), "NL");
        for text in ["", "N", "NLD", "N1", "ñ"] {
            assert_eq!(text.parse::<Country>(), Err(CountryError), "{text}");
        }
        let invalid = Err(DecodeError::Invalid { what: "country" });
        assert_eq!(Country::from_bytes(b"nl"), invalid);
    }

    #[test]
    fn there_are_four_levels_of_load() {
        for level in 0..=255 {
            assert_eq!(Load::new(level).is_some(), level < 4);
            assert_eq!(Load::from_bytes(&[level]).ok(), Load::new(level));
        }
        assert!(Load::Low < Load::Full);
    }
}
