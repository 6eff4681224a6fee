//! The network as an operator writes it down.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use thiserror::Error;

use super::{LoopbackLightning, NetworkError};

/// Which loopback network to use, as written in a configuration file: `loopback` or
/// `loopback:ADDRESS:PORT`.
///
/// ```
/// use coinfuse_mint::LoopbackSetting;
///
/// let setting: LoopbackSetting = "loopback:127.0.0.1:9735".parse()?;
/// assert_eq!(setting, LoopbackSetting::At(([127, 0, 0, 1], 9735).into()));
/// assert!("loopback:192.0.2.1:9735".parse::<LoopbackSetting>().is_err());
/// # Ok::<(), coinfuse_mint::loopback::NotASetting>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopbackSetting {
    /// One of this process's own.
    Own,
    /// The one whose books the process at this loopback address keeps.
    At(SocketAddr),
}

/// Not a way to write a [`LoopbackSetting`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be \"loopback\" or \"loopback:ADDRESS:PORT\" with a loopback address")]
pub struct NotASetting;

impl LoopbackSetting {
    /// Opens a network of our own or connects to the other process's.
    pub async fn open(self) -> Result<LoopbackLightning, NetworkError> {
        match self {
            Self::Own => Ok(LoopbackLightning::new()),
            Self::At(addr) => LoopbackLightning::connect(addr).await,
        }
    }
}

impl FromStr for LoopbackSetting {
    type Err = NotASetting;

    fn from_str(text: &str) -> Result<Self, NotASetting> {
        let rest = text.strip_prefix("loopback").ok_or(NotASetting)?;
        if rest.is_empty() {
            return Ok(Self::Own);
        }
        let addr: SocketAddr = rest
            .strip_prefix(':')
            .ok_or(NotASetting)?
            .parse()
            .map_err(|_| NotASetting)?;
        if addr.ip().is_loopback() {
            Ok(Self::At(addr))
        } else {
            Err(NotASetting)
        }
    }
}

impl fmt::Display for LoopbackSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("loopback"),
            Self::At(addr) => write!(f, "loopback:{addr}"),
        }
    }
}
