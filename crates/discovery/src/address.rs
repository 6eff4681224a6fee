//! Addresses of peers, in our own types and in libp2p's.

use coinfuse_directory::PeerKey;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;
use libp2p::identity::PublicKey;
use libp2p::multiaddr::Protocol;
use libp2p::multihash::Multihash;
use libp2p::{Multiaddr, PeerId};
use thiserror::Error;

/// A peer that can be asked for the directory: its key, and where it listens.
///
/// As text it is a multiaddress, which is what a list of bootstrap peers is made of.
///
/// ```
/// use coinfuse_discovery::PeerAddress;
///
/// let text = "/ip4/192.0.2.7/tcp/4434/p2p/12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";
/// let peer: PeerAddress = text.parse()?;
/// assert_eq!(peer.address.port(), 4434);
/// assert_eq!(peer.to_string(), text);
/// # Ok::<(), coinfuse_discovery::PeerAddressError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerAddress {
    /// The key that the peer proves on each connection.
    pub key: PeerKey,
    /// Where it listens (TCP).
    pub address: SocketAddr,
}

/// Why a text is not the address of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PeerAddressError {
    /// It is not a multiaddress.
    #[error("not a multiaddress")]
    Syntax,
    /// It is one of another shape. Names are not taken: whoever answers for one could send its
    /// users to nowhere.
    #[error("expected /ip4/ADDRESS/tcp/PORT/p2p/PEER or the same with ip6")]
    Shape,
    /// The peer's id is not that of an Ed25519 key.
    #[error("the peer's id is not that of an Ed25519 key")]
    Key,
}

impl FromStr for PeerAddress {
    type Err = PeerAddressError;

    fn from_str(text: &str) -> Result<Self, PeerAddressError> {
        let multiaddr: Multiaddr = text.parse().map_err(|_| PeerAddressError::Syntax)?;
        let Some(Protocol::P2p(peer)) = multiaddr.iter().last() else {
            return Err(PeerAddressError::Shape);
        };
        Ok(Self {
            address: to_socket(&multiaddr).ok_or(PeerAddressError::Shape)?,
            key: key_of(&peer).ok_or(PeerAddressError::Key)?,
        })
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = Protocol::P2p(peer_id(&self.key));
        write!(f, "{}", to_multiaddr(self.address).with(peer))
    }
}

/// What a public key begins with in libp2p's encoding: type Ed25519, 32 bytes.
const ED25519_PREFIX: [u8; 4] = [0x08, 0x01, 0x12, 0x20];
/// The multihash that is no hash, under which libp2p names small keys.
const IDENTITY_HASH: u64 = 0;

/// libp2p's name for a key. Says nothing about the key's being a point on the curve.
pub(crate) fn peer_id(key: &PeerKey) -> PeerId {
    let encoded = [&ED25519_PREFIX[..], key.as_bytes()].concat();
    let hash = Multihash::wrap(IDENTITY_HASH, &encoded).expect("36 bytes fit into a multihash");
    PeerId::from_multihash(hash).expect("the identity multihash names a peer")
}

/// The key that a name stands for; `None` if it is not an Ed25519 key.
pub(crate) fn key_of(peer: &PeerId) -> Option<PeerKey> {
    let hash = peer.as_ref();
    if hash.code() != IDENTITY_HASH {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(hash.digest()).ok()?;
    Some(PeerKey::new(key.try_into_ed25519().ok()?.to_bytes()))
}

pub(crate) fn to_multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}

/// The address of whom a connection is with.
pub(crate) fn to_ip(multiaddr: &Multiaddr) -> Option<IpAddr> {
    match multiaddr.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// The socket address in `/ip4/../tcp/..` or `/ip6/../tcp/..`, with or without `/p2p/..` after it.
pub(crate) fn to_socket(multiaddr: &Multiaddr) -> Option<SocketAddr> {
    let ip = to_ip(multiaddr)?;
    let mut parts = multiaddr.iter().skip(1);
    let Protocol::Tcp(port) = parts.next()? else {
        return None;
    };
    match (parts.next(), parts.next()) {
        (None | Some(Protocol::P2p(_)), None) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::identity::Keypair;

    #[test]
    fn a_key_and_the_name_of_a_peer_are_the_same_thing() {
        let pair = Keypair::ed25519_from_bytes([7; 32]).unwrap();
        let peer = pair.public().to_peer_id();
        let key = key_of(&peer).unwrap();
        assert_eq!(peer_id(&key), peer);
        assert_eq!(
            key.as_bytes(),
            &pair.public().try_into_ed25519().unwrap().to_bytes()
        );
    }

    #[test]
    fn only_an_address_a_port_and_a_key_are_taken() {
        let key = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";
        let parse = |text: String| text.parse::<PeerAddress>();
        assert!(parse(format!("/ip6/2001:db8::7/tcp/4434/p2p/{key}")).is_ok());
        for (text, error) in [
            (String::new(), PeerAddressError::Shape),
            ("192.0.2.7:4434".into(), PeerAddressError::Syntax),
            ("/ip4/192.0.2.7/tcp/4434".into(), PeerAddressError::Shape),
            (
                format!("/dns4/relay.example/tcp/4434/p2p/{key}"),
                PeerAddressError::Shape,
            ),
            (
                format!("/ip4/192.0.2.7/udp/4434/p2p/{key}"),
                PeerAddressError::Shape,
            ),
            (
                format!("/ip4/192.0.2.7/tcp/4434/p2p/{key}/p2p-circuit/p2p/{key}"),
                PeerAddressError::Shape,
            ),
            (
                "/ip4/192.0.2.7/tcp/4434/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".into(),
                PeerAddressError::Key,
            ),
        ] {
            assert_eq!(parse(text.clone()), Err(error), "{text}");
        }
    }
}
