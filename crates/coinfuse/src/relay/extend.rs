//! Where a relay extends circuits to.

use coinfuse_circuit::{ExtendRefusal, NextHop};
use coinfuse_directory::AddressClass;
use std::net::SocketAddr;

/// Which addresses a relay dials when a client asks it to extend.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum ExtendPolicy {
    /// None: circuits end here.
    Nowhere,
    /// Public addresses only, so that nobody reaches the operator's own network through the relay.
    #[default]
    Public,
    /// Any address; for networks on one machine or in one house.
    Anywhere,
}

impl ExtendPolicy {
    /// The addresses of `next` that may be dialled.
    pub fn judge(self, next: &NextHop) -> Result<Vec<SocketAddr>, ExtendRefusal> {
        let allowed = |address: &&SocketAddr| match self {
            Self::Nowhere => false,
            Self::Public => AddressClass::of(address.ip()).is_global(),
            Self::Anywhere => true,
        };
        let addresses: Vec<_> = next.addresses.iter().filter(allowed).copied().collect();
        match (self, addresses.is_empty()) {
            (Self::Nowhere, _) => Err(ExtendRefusal::NotOffered),
            (_, true) => Err(ExtendRefusal::AddressRefused),
            (_, false) => Ok(addresses),
        }
    }
}
