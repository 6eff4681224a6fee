//! The few messages of the P2P protocol that a session says and hears.

use super::PeerFailure;
use bitcoin::consensus::encode::{self, serialize};
use bitcoin::p2p::ServiceFlags;
use bitcoin::p2p::address::Address;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::p2p::message_network::VersionMessage;
use bitcoin::{Transaction, Wtxid};

/// The longest payload that is listened to: an `inv` of 50,000 items, which is the most that the
/// protocol allows. Whoever sends more is left.
pub(crate) const MAX_PAYLOAD: usize = 50_000 * 36 + 3;

/// The version that brought `wtxidrelay` and `sendaddrv2` (BIP 339, BIP 155).
pub(crate) const PROTOCOL_VERSION: u32 = 70_016;

/// What every client says that broadcasts privately with Bitcoin Core from version 31 on
/// (`PushNodeVersion`): so that is what we say, and stand among them.
const USER_AGENT: &str = "/pynode:0.0.1/";

/// A message without its envelope.
pub(crate) struct Frame {
    pub(crate) command: Command,
    pub(crate) payload: Vec<u8>,
}

/// The commands that mean something to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Version,
    Verack,
    WtxidRelay,
    SendAddrV2,
    Inv,
    GetData,
    Tx,
    Ping,
    Pong,
    /// Passed over.
    Other,
}

impl Command {
    const NAMED: [(Self, &'static str); 9] = [
        (Self::Version, "version"),
        (Self::Verack, "verack"),
        (Self::WtxidRelay, "wtxidrelay"),
        (Self::SendAddrV2, "sendaddrv2"),
        (Self::Inv, "inv"),
        (Self::GetData, "getdata"),
        (Self::Tx, "tx"),
        (Self::Ping, "ping"),
        (Self::Pong, "pong"),
    ];

    /// From the twelve bytes of an envelope: the name, filled up with zeros.
    pub(crate) fn from_wire(bytes: [u8; 12]) -> Self {
        let named = |(_, name): &&(Self, &str)| pad(name) == bytes;
        let found = Self::NAMED.iter().find(named);
        found.map_or(Self::Other, |(command, _)| *command)
    }

    /// The twelve bytes of an envelope. `Other` is never sent.
    pub(crate) fn to_wire(self) -> [u8; 12] {
        let named = |(command, _): &&(Self, &str)| *command == self;
        let found = Self::NAMED.iter().find(named);
        pad(found.map_or("", |(_, name)| name))
    }

    /// From the one byte that stands for the commonest commands in BIP 324.
    pub(crate) fn from_short(id: u8) -> Self {
        let has_id = |(_, short): &&(Self, u8)| *short == id;
        let found = Self::SHORT.iter().find(has_id);
        found.map_or(Self::Other, |(command, _)| *command)
    }

    /// That byte, for a command that has one.
    pub(crate) fn to_short(self) -> Option<u8> {
        let is_this = |(command, _): &&(Self, u8)| *command == self;
        Self::SHORT.iter().find(is_this).map(|(_, id)| *id)
    }

    /// BIP 324, "Application layer specification".
    const SHORT: [(Self, u8); 5] = [
        (Self::GetData, 11),
        (Self::Inv, 14),
        (Self::Ping, 18),
        (Self::Pong, 19),
        (Self::Tx, 21),
    ];
}

fn pad(name: &str) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes
}

/// What a peer says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Version {
        version: u32,
        services: ServiceFlags,
        relay: bool,
    },
    Verack,
    WtxidRelay,
    Inv(Vec<Inventory>),
    GetData(Vec<Inventory>),
    /// Only which one it is.
    Tx(Wtxid),
    Ping(u64),
    Pong(u64),
    Other,
}

impl TryFrom<Frame> for Incoming {
    type Error = PeerFailure;

    fn try_from(frame: Frame) -> Result<Self, PeerFailure> {
        let payload = &frame.payload[..];
        Ok(match frame.command {
            Command::Version => read_version(payload)?,
            Command::Verack => Self::Verack,
            Command::WtxidRelay => Self::WtxidRelay,
            Command::Inv => Self::Inv(read(payload)?),
            Command::GetData => Self::GetData(read(payload)?),
            Command::Tx => Self::Tx(read::<Transaction>(payload)?.compute_wtxid()),
            Command::Ping => Self::Ping(read(payload)?),
            Command::Pong => Self::Pong(read(payload)?),
            Command::SendAddrV2 | Command::Other => Self::Other,
        })
    }
}

/// Leftover bytes are an error.
fn read<T: encode::Decodable>(payload: &[u8]) -> Result<T, PeerFailure> {
    encode::deserialize(payload).map_err(|_| PeerFailure::Malformed)
}

/// Later versions may add to the end of this one.
fn read_version(payload: &[u8]) -> Result<Incoming, PeerFailure> {
    let (message, _) = encode::deserialize_partial::<VersionMessage>(payload)
        .map_err(|_| PeerFailure::Malformed)?;
    Ok(Incoming::Version {
        version: message.version,
        services: message.services,
        relay: message.relay,
    })
}

/// What we say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outgoing {
    Version { nonce: u64, relay: bool },
    Verack,
    WtxidRelay,
    SendAddrV2,
    Inv(Vec<Inventory>),
    GetData(Vec<Inventory>),
    Tx(Vec<u8>),
    Ping(u64),
    Pong(u64),
}

impl Outgoing {
    pub(crate) fn into_frame(self) -> Frame {
        let (command, payload) = match self {
            Self::Version { nonce, relay } => (Command::Version, version(nonce, relay)),
            Self::Verack => (Command::Verack, Vec::new()),
            Self::WtxidRelay => (Command::WtxidRelay, Vec::new()),
            Self::SendAddrV2 => (Command::SendAddrV2, Vec::new()),
            Self::Inv(items) => (Command::Inv, serialize(&items)),
            Self::GetData(items) => (Command::GetData, serialize(&items)),
            Self::Tx(bytes) => (Command::Tx, bytes),
            Self::Ping(nonce) => (Command::Ping, serialize(&nonce)),
            Self::Pong(nonce) => (Command::Pong, serialize(&nonce)),
        };
        Frame { command, payload }
    }
}

/// Says nothing of us: no services, no clock, no addresses, no height.
fn version(nonce: u64, relay: bool) -> Vec<u8> {
    let nowhere = Address {
        services: ServiceFlags::NONE,
        address: [0; 8],
        port: 0,
    };
    serialize(&VersionMessage {
        version: PROTOCOL_VERSION,
        services: ServiceFlags::NONE,
        timestamp: 0,
        receiver: nowhere.clone(),
        sender: nowhere,
        nonce,
        user_agent: USER_AGENT.to_owned(),
        start_height: 0,
        relay,
    })
}
