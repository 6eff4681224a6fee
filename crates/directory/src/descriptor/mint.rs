//! Whose ecash a relay takes.

use coinfuse_wire::{Decode, DecodeError, Encode, Reader, Writer};
use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// The address of a mint, in one form: lowercase scheme and host, no slash at the end.
///
/// A relay wrote it, so it is a *name* to compare with the mints that a client chose for itself,
/// and not a page to fetch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MintUrl(String);

/// Why a text is not the address of a mint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MintUrlError {
    /// Only these two schemes are spoken.
    #[error("a mint's address starts with http:// or https://")]
    Scheme,
    /// There is no host, or there is a user name before it.
    #[error("after the scheme of a mint's address comes a host, without a user name")]
    Host,
    /// A blank, a control character, `?`, `#` or something outside ASCII.
    #[error("a mint's address has no blanks, no query, no fragment and only ASCII characters")]
    Character,
    /// Longer than [`MintUrl::MAX_LEN`].
    #[error("a mint's address has at most {} characters", MintUrl::MAX_LEN)]
    TooLong,
}

impl MintUrl {
    /// The longest address, in bytes.
    pub const MAX_LEN: usize = 200;

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MintUrl {
    type Err = MintUrlError;

    fn from_str(text: &str) -> Result<Self, MintUrlError> {
        let legal = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'\\');
        let text = text.trim_end_matches('/');
        if text.len() > Self::MAX_LEN {
            return Err(MintUrlError::TooLong);
        }
        if !text.bytes().all(legal) {
            return Err(MintUrlError::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(MintUrlError::Scheme)?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err(MintUrlError::Scheme);
        }
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if host.is_empty() || host.starts_with(':') || host.contains('@') {
            return Err(MintUrlError::Host);
        }
        Ok(Self(format!(
            "{scheme}://{}{path}",
            host.to_ascii_lowercase()
        )))
    }
}

impl fmt::Display for MintUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a mint counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum MintUnit {
    /// Thousandths of a satoshi.
    Msat = 1,
    /// Satoshis.
    Sat = 2,
}

impl fmt::Display for MintUnit {
    /// As Cashu writes it: `msat` or `sat`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Msat => "msat",
            Self::Sat => "sat",
        })
    }
}

/// A mint whose ecash a relay takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MintOffer {
    /// Where the mint is.
    pub url: MintUrl,
    /// What its ecash counts in.
    pub unit: MintUnit,
    /// True if the relay is this mint: it issued the coins that it takes.
    pub issuer: bool,
}

const ISSUER: u8 = 0x80;

impl Encode for MintOffer {
    fn encode(&self, out: &mut Writer) {
        out.u8(self.unit as u8 | if self.issuer { ISSUER } else { 0 });
        out.bytes(self.url.0.as_bytes());
    }
}

impl Decode for MintOffer {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "mint offer";
        let head = reader.u8(WHAT)?;
        let unit = match head & !ISSUER {
            1 => MintUnit::Msat,
            2 => MintUnit::Sat,
            got => {
                return Err(DecodeError::Unknown {
                    what: "mint unit",
                    got: got.into(),
                });
            }
        };
        let text = reader.text(MintUrl::MAX_LEN, WHAT)?;
        let url: MintUrl = text
            .parse()
            .map_err(|_| DecodeError::Invalid { what: WHAT })?;
        if url.as_str() != text {
            return Err(DecodeError::NotCanonical { what: WHAT });
        }
        Ok(Self {
            url,
            unit,
            issuer: head & ISSUER != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mint_url_has_one_form() {
        let same = [
            "HTTPS://Mint.Example/Bitcoin/",
            "https://mint.example/Bitcoin",
        ];
        assert_eq!(same[0].parse::<MintUrl>(), same[1].parse::<MintUrl>());
        assert_eq!(same[1].parse::<MintUrl>().unwrap().to_string(), same[1]);
    }

    #[test]
    fn what_is_not_a_mint_url_says_why() {
        for (text, why) in [
            ("mint.example", MintUrlError::Scheme),
            ("file:///etc/passwd", MintUrlError::Scheme),
            ("http://", MintUrlError::Scheme),
            ("http://:80", MintUrlError::Host),
            ("http://user:word@mint.example", MintUrlError::Host),
            ("http://mint.example/a b", MintUrlError::Character),
            ("http://mint.example/?x=1", MintUrlError::Character),
            ("http://münze.example", MintUrlError::Character),
            (
                &format!("http://{}", "m".repeat(200)),
                MintUrlError::TooLong,
            ),
        ] {
            assert_eq!(text.parse::<MintUrl>(), Err(why), "{text}");
        }
    }
}
