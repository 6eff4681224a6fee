//! Where a stream wants to go.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr};
use core::str::FromStr;
use thiserror::Error;

/// A name in the DNS: lowercase, without a dot at the end, at most 253 bytes.
///
/// Labels are 1 to 63 characters of `a-z`, `0-9`, `-` and `_`; other scripts come as Punycode. The
/// last label is not a number, since some resolvers would take `127.1` or `0x7f000001` for an
/// address. Prints as `[scrubbed]`; [`expose`](Self::expose) gives the text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HostName(String);

/// The host of a [`Target`]. Prints as `[scrubbed]`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name, which only the exit resolves.
    Name(HostName),
    /// An address.
    Ip(IpAddr),
}

/// Where a stream wants to go: a host and a TCP port.
///
/// Parses from the authority of an HTTP/2 `CONNECT` request. Prints as `[scrubbed]`, because
/// destinations have no place in a log; [`authority`](Self::authority) gives the text.
///
/// ```
/// use coinfuse_delivery::Target;
///
/// let target: Target = "Example.com.:443".parse()?;
/// assert_eq!(target.authority(), "example.com:443");
/// assert_eq!(format!("{target} {target:?}"), "[scrubbed] [scrubbed]");
/// assert_eq!("[::1]:22".parse::<Target>()?.authority(), "[::1]:22");
/// # Ok::<(), coinfuse_delivery::TargetError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Target {
    host: Host,
    port: u16,
}

/// Why a text is not a target: whoever wrote it is at fault. Holds nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TargetError {
    /// There is no port after a colon.
    #[error("a target ends in a colon and a port")]
    NoPort,
    /// The port is not a number of 1 to 65535.
    #[error("a port is a number of 1 to 65535")]
    Port,
    /// The host is empty.
    #[error("the host is empty")]
    NoHost,
    /// Brackets that do not hold an IPv6 address, or an IPv6 address without them.
    #[error("an IPv6 address stands in brackets, without a zone")]
    Ipv6,
    /// The name or one of its labels is too long.
    #[error("a name has at most 253 characters, and 63 between two dots")]
    NameTooLong,
    /// Two dots without anything between them, or a dot in front.
    #[error("nothing stands between two dots of the name")]
    EmptyLabel,
    /// Another character than `a-z`, `0-9`, `-`, `_` and dots.
    #[error("a name has letters a-z, digits, - and _; other scripts come as Punycode")]
    Character,
    /// The name ends in a number and is not an IPv4 address.
    #[error("the name looks like an address and is not one")]
    LooksLikeAddress,
}

impl HostName {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 253;
    const MAX_LABEL: usize = 63;

    /// The name as text. Mind where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The last label, such as `com`.
    pub fn top_level(&self) -> &str {
        self.0.rsplit('.').next().unwrap_or_default()
    }
}

impl FromStr for HostName {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(TargetError::NoHost);
        }
        if text.len() > Self::MAX_LEN {
            return Err(TargetError::NameTooLong);
        }
        text.split('.').try_for_each(check_label)?;
        let name = Self(text.to_ascii_lowercase());
        if is_number(name.top_level()) {
            return Err(TargetError::LooksLikeAddress);
        }
        Ok(name)
    }
}

fn check_label(label: &str) -> Result<(), TargetError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match label.len() {
        0 => Err(TargetError::EmptyLabel),
        _ if !label.bytes().all(legal) => Err(TargetError::Character),
        len if len > HostName::MAX_LABEL => Err(TargetError::NameTooLong),
        _ => Ok(()),
    }
}

/// What the URL standard calls a number at the end of a host: decimal digits, or `0x` and hex.
fn is_number(label: &str) -> bool {
    let hex = label
        .strip_prefix("0x")
        .map(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    hex.unwrap_or_else(|| label.bytes().all(|byte| byte.is_ascii_digit()))
}

impl FromStr for Host {
    type Err = TargetError;

    /// Reads a name or an address, which is not in brackets here.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        match text.parse() {
            Ok(ip) => Ok(Self::Ip(ip)),
            Err(_) if text.contains(':') => Err(TargetError::Ipv6),
            Err(_) => text.parse().map(Self::Name),
        }
    }
}

impl Target {
    /// A host and a port, which is not 0.
    pub fn new(host: Host, port: u16) -> Result<Self, TargetError> {
        match port {
            0 => Err(TargetError::Port),
            port => Ok(Self { host, port }),
        }
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The target as the authority of a `CONNECT` request. Mind where it goes.
    pub fn authority(&self) -> String {
        match &self.host {
            Host::Name(name) => format!("{}:{}", name.0, self.port),
            Host::Ip(IpAddr::V4(ip)) => format!("{ip}:{}", self.port),
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (host, port) = text.rsplit_once(':').ok_or(TargetError::NoPort)?;
        // "[::1]" has no port, though it has colons.
        if port.ends_with(']') {
            return Err(TargetError::NoPort);
        }
        let host = match host.strip_prefix('[') {
            Some(inside) => Host::Ip(parse_bracketed(inside)?.into()),
            None if host.contains(':') => return Err(TargetError::Ipv6),
            None => host.parse()?,
        };
        Self::new(host, parse_port(port)?)
    }
}

fn parse_bracketed(inside: &str) -> Result<Ipv6Addr, TargetError> {
    let address = inside.strip_suffix(']').ok_or(TargetError::Ipv6)?;
    address.parse().map_err(|_| TargetError::Ipv6)
}

/// Digits only: no sign, which `u16::from_str` would take.
fn parse_port(text: &str) -> Result<u16, TargetError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TargetError::Port);
    }
    text.parse().map_err(|_| TargetError::Port)
}

macro_rules! scrubbed {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[scrubbed]")
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[scrubbed]")
            }
        }
    )*};
}

scrubbed!(HostName, Host, Target);

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}
