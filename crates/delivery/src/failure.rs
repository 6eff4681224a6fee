//! Why a stream could not be opened, in a form that travels.

use core::str::FromStr;
use std::io;
use thiserror::Error;

/// The response header in which the last hop names its reason; its value is
/// [`ExitFailure::token`].
pub const FAILURE_HEADER: &str = "coinfuse-failure";

macro_rules! failures {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $token:literal, $http:literal,
       $socks:literal, $text:literal;)*) => {
        /// Why the last hop did not open a stream.
        ///
        /// The same reason has five forms: a number and a token that never change, the status of
        /// the HTTP/2 response, the SOCKS5 reply (RFC 1928, section 6) that a client gives to its
        /// application, and a sentence. None says where the stream wanted to go.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum ExitFailure {
            $($(#[$doc])* #[error($text)] $name = $code,)*
        }

        impl ExitFailure {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The token for the header [`FAILURE_HEADER`].
            pub const fn token(self) -> &'static str {
                match self { $(Self::$name => $token,)* }
            }

            /// The status of the HTTP/2 response.
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $http,)* }
            }

            /// The SOCKS5 reply.
            pub const fn socks_reply(self) -> u8 {
                match self { $(Self::$name => $socks,)* }
            }
        }
    };
}

failures! {
    /// The last hop's own fault.
    Internal = 1, "internal", 500, 0x01, "the exit failed";
    /// The exit policy, or the guard before it, refuses every address of the target.
    PolicyRefused = 2, "policy-refused", 403, 0x02, "the exit's policy refuses this target";
    /// The name does not exist, or has no address.
    NoSuchName = 3, "no-such-name", 502, 0x04, "the exit finds no address for this name";
    /// The exit's resolver does not work at the moment.
    ResolverFailed = 4, "resolver-failed", 502, 0x01, "the exit's resolver failed";
    /// The exit's resolver did not answer in time.
    ResolveTimeout = 5, "resolve-timeout", 504, 0x04, "the exit's resolver did not answer in time";
    /// The target refused the connection.
    ConnectionRefused = 6, "connection-refused", 502, 0x05, "the target refused the connection";
    /// There is no way to the target's host.
    HostUnreachable = 7, "host-unreachable", 502, 0x04, "the target's host cannot be reached";
    /// There is no way to the target's network, such as IPv6 from an exit without it.
    NetworkUnreachable = 8, "network-unreachable", 502, 0x03, "the target's network cannot be reached";
    /// The target did not answer in time.
    ConnectTimeout = 9, "connect-timeout", 504, 0x06, "the target did not answer in time";
    /// This circuit has as many streams or lookups under way as it may.
    CircuitLimit = 10, "circuit-limit", 429, 0x01, "this circuit has too many streams at this exit";
    /// The relay has as many streams or lookups under way as it may.
    RelayLimit = 11, "relay-limit", 503, 0x01, "this exit has too many streams";
    /// The request does not name a target.
    BadTarget = 12, "bad-target", 400, 0x01, "the target is not a host and a port";
}

/// A text is not the token of a failure that is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not the token of a failure that is known here")]
pub struct UnknownFailure;

impl FromStr for ExitFailure {
    type Err = UnknownFailure;

    fn from_str(token: &str) -> Result<Self, UnknownFailure> {
        Self::ALL
            .iter()
            .copied()
            .find(|failure| failure.token() == token)
            .ok_or(UnknownFailure)
    }
}

impl ExitFailure {
    /// The number, which never changes.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The failure with this number, if it is known here.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|failure| failure.code() == code)
    }

    /// What a client makes of a response that is not a success: the reason in the header if it is
    /// known here, and else the nearest that the status tells.
    pub fn from_response(status: u16, token: Option<&str>) -> Self {
        token
            .and_then(|token| token.parse().ok())
            .unwrap_or(match status {
                400 => Self::BadTarget,
                403 => Self::PolicyRefused,
                429 => Self::CircuitLimit,
                502 => Self::HostUnreachable,
                503 => Self::RelayLimit,
                504 => Self::ConnectTimeout,
                _ => Self::Internal,
            })
    }

    /// Whether another exit may do better. Where not, the target itself has answered.
    pub const fn is_worth_another_exit(self) -> bool {
        !matches!(
            self,
            Self::NoSuchName | Self::ConnectionRefused | Self::BadTarget
        )
    }

    /// The reason for a failed attempt to connect.
    pub(crate) fn of_connecting(error: &io::Error) -> Self {
        match error.kind() {
            _ if is_out_of_files(error) => Self::RelayLimit,
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
                Self::ConnectionRefused
            }
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
                Self::NetworkUnreachable
            }
            io::ErrorKind::HostUnreachable => Self::HostUnreachable,
            io::ErrorKind::TimedOut => Self::ConnectTimeout,
            // No address of this family here: EADDRNOTAVAIL, EAFNOSUPPORT.
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported => {
                Self::NetworkUnreachable
            }
            io::ErrorKind::PermissionDenied => Self::HostUnreachable,
            _ => Self::Internal,
        }
    }

    /// Of several addresses' failures the one that tells most is reported.
    pub(crate) fn most_telling(self, other: Self) -> Self {
        let rank = |failure| match failure {
            Self::ConnectionRefused => 5,
            Self::RelayLimit => 4,
            Self::ConnectTimeout => 3,
            Self::HostUnreachable => 2,
            Self::NetworkUnreachable => 1,
            _ => 0,
        };
        if rank(other) > rank(self) {
            other
        } else {
            self
        }
    }
}

/// EMFILE and ENFILE: the same numbers on Linux, the BSDs and macOS.
fn is_out_of_files(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}
