//! The Bitcoin networks.

use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// A Bitcoin network that transactions are handed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Network {
    /// The one with money in it.
    Mainnet,
    /// The public signet, with the default challenge.
    Signet,
    /// The fourth test network (BIP 94).
    Testnet4,
    /// A network of one's own, for tests.
    Regtest,
}

/// A text that names none of the networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a network is one of mainnet, signet, testnet4 and regtest")]
pub struct UnknownNetwork;

impl Network {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Mainnet, Self::Signet, Self::Testnet4, Self::Regtest];

    /// The four bytes that begin each message of the network (Bitcoin Core, `chainparams.cpp`;
    /// for signet the start of the hash of the default challenge, BIP 325).
    pub const fn magic(self) -> [u8; 4] {
        match self {
            Self::Mainnet => [0xF9, 0xBE, 0xB4, 0xD9],
            Self::Signet => [0x0A, 0x03, 0xCF, 0x40],
            Self::Testnet4 => [0x1C, 0x16, 0x3F, 0x28],
            Self::Regtest => [0xFA, 0xBF, 0xB5, 0xDA],
        }
    }

    /// Where nodes listen for each other, unless they are told otherwise.
    pub const fn p2p_port(self) -> u16 {
        match self {
            Self::Mainnet => 8333,
            Self::Signet => 38333,
            Self::Testnet4 => 48333,
            Self::Regtest => 18444,
        }
    }

    /// Where a node listens for JSON-RPC, unless it is told otherwise.
    pub const fn rpc_port(self) -> u16 {
        match self {
            Self::Mainnet => 8332,
            Self::Signet => 38332,
            Self::Testnet4 => 48332,
            Self::Regtest => 18443,
        }
    }

    /// The name as it is written in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Signet => "signet",
            Self::Testnet4 => "testnet4",
            Self::Regtest => "regtest",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Network {
    type Err = UnknownNetwork;

    fn from_str(text: &str) -> Result<Self, UnknownNetwork> {
        let named = |network: &Self| network.name() == text;
        Self::ALL.into_iter().find(named).ok_or(UnknownNetwork)
    }
}
