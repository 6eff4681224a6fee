//! Tor's syntax for exit policies.

use super::{Action, AddressPattern, ExitPolicy, PortRange, Rule};
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;
use thiserror::Error;

/// Where a policy is wrong, and what should stand there. Its author, the operator, must act.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("exit policy, line {line}, column {column}: expected {expected}, found {found:?}")]
pub struct PolicyError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What would be right here.
    pub expected: &'static str,
    /// What stands here instead, at most a few dozen characters of it.
    pub found: String,
}

const RULE: &str = "accept, reject, accept6 or reject6";
const ADDRESS: &str = "*, *4, *6, private, an IPv4 address or an IPv6 address in brackets";
const ADDRESS_6: &str = "*, *6, private or an IPv6 address in brackets";
const MASK_4: &str = "a mask of 0 to 32 bits, or like 255.255.0.0";
const MASK_6: &str = "a mask of 0 to 128 bits";
const PORTS: &str = "*, a port of 1 to 65535, or a range like 80-90";
const END: &str = "a comma or the end of the line";
const FEWER: &str = "at most 128 rules";
const MAX_FOUND: usize = 40;

impl FromStr for ExitPolicy {
    type Err = PolicyError;

    /// Reads rules separated by commas or line ends:
    /// `accept|reject ADDRESS[/MASK][:PORT[-PORT]]`, where a missing port means all of them.
    /// `#` starts a comment that ends with the line.
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let content = line.split('#').next().unwrap_or_default();
            for piece in content.split(',').filter(|piece| !piece.trim().is_empty()) {
                let at = |wrong: Wrong<'_>| wrong.locate(index + 1, line);
                if rules.len() == Self::MAX_RULES {
                    return Err(at(Wrong {
                        expected: FEWER,
                        found: piece.trim(),
                    }));
                }
                rules.push(parse_rule(piece).map_err(at)?);
            }
        }
        Ok(Self { rules })
    }
}

impl FromStr for Rule {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        parse_rule(text).map_err(|wrong| wrong.locate(1, text))
    }
}

/// A mistake: `found` is a part of the line, which is how its column is known later.
struct Wrong<'a> {
    expected: &'static str,
    found: &'a str,
}

impl Wrong<'_> {
    fn locate(self, line: usize, whole: &str) -> PolicyError {
        let offset = self
            .found
            .as_ptr()
            .addr()
            .saturating_sub(whole.as_ptr().addr());
        let before = whole.get(..offset).unwrap_or(whole);
        PolicyError {
            line,
            column: before.chars().count() + 1,
            expected: self.expected,
            found: self.found.chars().take(MAX_FOUND).collect(),
        }
    }
}

fn parse_rule(text: &str) -> Result<Rule, Wrong<'_>> {
    let text = text.trim();
    let (word, rest) = split_word(text);
    let (action, only_v6) = match word {
        "accept" => (Action::Accept, false),
        "reject" => (Action::Reject, false),
        "accept6" => (Action::Accept, true),
        "reject6" => (Action::Reject, true),
        found => {
            return Err(Wrong {
                expected: RULE,
                found,
            });
        }
    };
    let (target, trailing) = split_word(rest.trim_start());
    if !trailing.trim().is_empty() {
        return Err(Wrong {
            expected: END,
            found: trailing.trim(),
        });
    }
    let (addresses, ports) = parse_target(target, only_v6)?;
    Ok(Rule {
        action,
        addresses,
        ports,
    })
}

fn split_word(text: &str) -> (&str, &str) {
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

fn parse_target(text: &str, only_v6: bool) -> Result<(AddressPattern, PortRange), Wrong<'_>> {
    let (addresses, after) = match text.strip_prefix('[') {
        Some(inside) => parse_v6(text, inside)?,
        None => parse_plain(text, only_v6)?,
    };
    let ports = match after.strip_prefix(':') {
        Some(ports) => parse_ports(ports)?,
        None if after.is_empty() => PortRange::ALL,
        None => {
            return Err(Wrong {
                expected: "a colon and ports",
                found: after,
            });
        }
    };
    Ok((addresses, ports))
}

/// `text` is `[` and then `inside`; gives the pattern and what follows it.
fn parse_v6<'a>(text: &'a str, inside: &'a str) -> Result<(AddressPattern, &'a str), Wrong<'a>> {
    let wrong = Wrong {
        expected: "an IPv6 address in brackets",
        found: text,
    };
    let Some((address, after)) = inside.split_once(']') else {
        return Err(wrong);
    };
    let Ok(address) = address.parse::<Ipv6Addr>() else {
        return Err(wrong);
    };
    let (mask, after) = split_mask(after);
    let prefix = match mask {
        None => Some(128),
        Some(mask) => parse_bits(mask),
    };
    prefix
        .and_then(|prefix| AddressPattern::v6(address, prefix))
        .map(|pattern| (pattern, after))
        .ok_or(Wrong {
            expected: MASK_6,
            found: mask.unwrap_or(text),
        })
}

/// A word or an IPv4 network; gives the pattern and what follows it.
fn parse_plain(text: &str, only_v6: bool) -> Result<(AddressPattern, &str), Wrong<'_>> {
    let (name, after) = text.split_at(text.find([':', '/']).unwrap_or(text.len()));
    let expected = if only_v6 { ADDRESS_6 } else { ADDRESS };
    let word = match name {
        "*" if only_v6 => Some(AddressPattern::AnyV6),
        "*" => Some(AddressPattern::Any),
        "*4" if !only_v6 => Some(AddressPattern::AnyV4),
        "*6" => Some(AddressPattern::AnyV6),
        "private" => Some(AddressPattern::Private),
        _ => None,
    };
    if let Some(word) = word {
        return Ok((word, after));
    }
    match name.parse::<Ipv4Addr>() {
        Ok(address) if !only_v6 => parse_v4_mask(address, text, after),
        _ => Err(Wrong {
            expected,
            found: text,
        }),
    }
}

fn parse_v4_mask<'a>(
    address: Ipv4Addr,
    text: &'a str,
    after: &'a str,
) -> Result<(AddressPattern, &'a str), Wrong<'a>> {
    let (mask, after) = split_mask(after);
    let prefix = match mask {
        None => Some(32),
        Some(mask) => parse_bits(mask).or_else(|| parse_netmask(mask)),
    };
    prefix
        .and_then(|prefix| AddressPattern::v4(address, prefix))
        .map(|pattern| (pattern, after))
        .ok_or(Wrong {
            expected: MASK_4,
            found: mask.unwrap_or(text),
        })
}

/// Takes `/mask` off the front, if there is one.
fn split_mask(after: &str) -> (Option<&str>, &str) {
    match after.strip_prefix('/') {
        Some(rest) => {
            let (mask, after) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
            (Some(mask), after)
        }
        None => (None, after),
    }
}

fn parse_bits(mask: &str) -> Option<u8> {
    parse_digits(mask).and_then(|bits| u8::try_from(bits).ok())
}

fn parse_netmask(mask: &str) -> Option<u8> {
    let bits = mask.parse::<Ipv4Addr>().ok()?.to_bits();
    // A network mask is ones and then zeros.
    (bits.leading_ones() + bits.trailing_zeros() == 32).then_some(bits.leading_ones() as u8)
}

fn parse_ports(text: &str) -> Result<PortRange, Wrong<'_>> {
    if text == "*" {
        return Ok(PortRange::ALL);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (parse_digits(first), parse_digits(last)) {
        (Some(first), Some(last)) => PortRange::new(first, last),
        _ => None,
    }
    .ok_or(Wrong {
        expected: PORTS,
        found: text,
    })
}

/// Digits only: no sign, which `u16::from_str` would take.
fn parse_digits(text: &str) -> Option<u16> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}
