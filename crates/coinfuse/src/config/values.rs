//! Values that are more than a number or a text, with errors that say what is expected.

use coinfuse_directory::{ExitPolicy, MintUnit, MintUrl, PolicyError};
use coinfuse_wire::RelayId;
use core::fmt::Display;
use core::str::FromStr;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tracing::level_filters::LevelFilter;

/// A mint whose ecash is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptedMint {
    /// The mint's address. Required.
    #[serde(with = "text")]
    pub url: MintUrl,
    /// What its ecash counts in. Default `sat`.
    #[serde(with = "unit", default = "unit::default")]
    pub unit: MintUnit,
}

/// How much is logged. Destinations, addresses and secrets are not, at any level.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What ends the program or loses something.
    Error,
    /// And what somebody should look at.
    Warn,
    /// And what happens: starts, stops, payments in sums.
    #[default]
    Info,
    /// And why single circuits and streams end.
    Debug,
    /// And everything.
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

fn wrong<E: Error>(found: impl Display, expected: impl Display) -> E {
    E::custom(format_args!("found {found}, expected {expected}"))
}

/// A whole number from `MIN` to `MAX`.
pub(super) fn within<'de, const MIN: u64, const MAX: u64, T, D>(input: D) -> Result<T, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    let found = i64::deserialize(input)?;
    u64::try_from(found)
        .ok()
        .filter(|number| (MIN..=MAX).contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| wrong(found, format_args!("a whole number from {MIN} to {MAX}")))
}

/// An IP address and a port.
pub(super) mod socket {
    use super::*;
    use std::net::SocketAddr;

    const EXPECTED: &str = "an IP address and a port, like 0.0.0.0:4433 or [::]:4433";

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<SocketAddr, D::Error> {
        let found = String::deserialize(input)?;
        found
            .parse()
            .map_err(|_| wrong(format_args!("{found:?}"), EXPECTED))
    }
}

/// Anything that is read and written as text, and whose error says what is expected.
pub(super) mod text {
    use super::*;

    pub(in super::super) fn deserialize<'de, T, D>(input: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let found = String::deserialize(input)?;
        found
            .parse()
            .map_err(|why| D::Error::custom(format_args!("found {found:?}, but {why}")))
    }

    pub(in super::super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.collect_str(value)
    }
}

/// The same, or an empty text for none.
pub(super) mod optional_text {
    use super::*;

    pub(in super::super) fn deserialize<'de, T, D>(input: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let found = String::deserialize(input)?;
        if found.is_empty() {
            return Ok(None);
        }
        let value = found.parse().map(Some);
        value.map_err(|why| D::Error::custom(format_args!("found {found:?}, but {why}")))
    }

    pub(in super::super) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => out.collect_str(value),
            None => out.serialize_str(""),
        }
    }
}

/// Relays, by their ids.
pub(super) fn relays<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<RelayId>, D::Error> {
    let expected = "a relay's id: 64 of the digits 0 to 9 and a to f";
    let read = |found: &String| {
        let wrong = || wrong(format_args!("{found:?}"), expected);
        found.parse().map_err(|_| wrong())
    };
    let found = Vec::<String>::deserialize(input)?;
    found.iter().map(read).collect()
}

/// A list of texts.
pub(super) mod texts {
    use super::*;

    pub(in super::super) fn deserialize<'de, T, D>(input: D) -> Result<Vec<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let read = |found: &String| {
            let value = found.parse();
            value.map_err(|why| D::Error::custom(format_args!("found {found:?}: {why}")))
        };
        Vec::<String>::deserialize(input)?
            .iter()
            .map(read)
            .collect()
    }

    pub(in super::super) fn serialize<T: Display, S: Serializer>(
        values: &[T],
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.collect_seq(values.iter().map(ToString::to_string))
    }
}

/// `sat` or `msat`.
pub(super) mod unit {
    use super::*;

    pub(in super::super) const fn default() -> MintUnit {
        MintUnit::Sat
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<MintUnit, D::Error> {
        let found = String::deserialize(input)?;
        match found.as_str() {
            "sat" => Ok(MintUnit::Sat),
            "msat" => Ok(MintUnit::Msat),
            _ => Err(wrong(format_args!("{found:?}"), "\"sat\" or \"msat\"")),
        }
    }

    pub(in super::super) fn serialize<S: Serializer>(
        value: &MintUnit,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.collect_str(value)
    }
}

/// An exit policy as a list of rules.
pub(super) mod policy {
    use super::*;

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<ExitPolicy, D::Error> {
        let lines = Vec::<String>::deserialize(input)?;
        let flat = |line: &String| line.replace(['\n', '\r'], ",");
        let all = lines.iter().map(flat).collect::<Vec<_>>().join("\n");
        all.parse().map_err(
            |PolicyError {
                 line,
                 found,
                 expected,
                 ..
             }| {
                D::Error::custom(format_args!(
                    "rule {line}: found {found:?}, expected {expected}"
                ))
            },
        )
    }

    pub(in super::super) fn serialize<S: Serializer>(
        value: &ExitPolicy,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.collect_seq(value.rules().iter().map(ToString::to_string))
    }
}
