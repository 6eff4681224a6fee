//! Messages over a socket, plain or encrypted. Shares nothing with `coinfuse-delivery`, which it
//! is there to test.

use std::io;

use bip324::Role;
use bip324::futures::{Protocol, ProtocolReader, ProtocolWriter};
use bip324::io::Payload;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::p2p::Magic;
use bitcoin::p2p::message::{NetworkMessage, RawNetworkMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

const HEADER: usize = 24;
const MAX_PAYLOAD: usize = 4_000_000;

/// The commands that have a number in BIP 324, in its order from 1 on.
const NUMBERED: [&str; 28] = [
    "addr",
    "block",
    "blocktxn",
    "cmpctblock",
    "feefilter",
    "filteradd",
    "filterclear",
    "filterload",
    "getblocks",
    "getblocktxn",
    "getdata",
    "getheaders",
    "headers",
    "inv",
    "mempool",
    "merkleblock",
    "notfound",
    "ping",
    "pong",
    "sendcmpct",
    "tx",
    "getcfilters",
    "cfilter",
    "getcfheaders",
    "cfheaders",
    "getcfcheckpt",
    "cfcheckpt",
    "addrv2",
];

/// One end of a connection.
pub(super) enum Wire {
    Plain {
        stream: TcpStream,
        input: Vec<u8>,
        magic: Magic,
    },
    Sealed {
        reader: ProtocolReader<OwnedReadHalf>,
        writer: ProtocolWriter<OwnedWriteHalf>,
        magic: Magic,
    },
}

impl Wire {
    /// Waits for the first bytes, which tell which protocol the client speaks.
    pub(super) async fn accept(stream: TcpStream, magic: Magic, sealed: bool) -> io::Result<Self> {
        let mut first = [0; 4];
        while stream.peek(&mut first).await? < first.len() {
            stream.readable().await?;
        }
        if first == magic.to_bytes() {
            let input = Vec::new();
            return Ok(Self::Plain {
                stream,
                input,
                magic,
            });
        }
        if !sealed {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let (reader, writer) = stream.into_split();
        // Garbage and a decoy, which a client has to pass over.
        let garbage = Some(b"what a peer says before it says anything".to_vec());
        let decoys = Some(vec![b"nothing".to_vec()]);
        let bytes = magic.to_bytes();
        let protocol = Protocol::new(bytes, Role::Responder, garbage, decoys, reader, writer);
        let (reader, writer) = protocol.await.map_err(io::Error::other)?.into_split();
        Ok(Self::Sealed {
            reader,
            writer,
            magic,
        })
    }

    pub(super) fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed { .. })
    }

    /// The next message. Can be cancelled.
    pub(super) async fn read(&mut self) -> io::Result<NetworkMessage> {
        let whole = match self {
            Self::Plain { stream, input, .. } => read_plain(stream, input).await?,
            Self::Sealed { reader, magic, .. } => read_sealed(reader, *magic).await?,
        };
        let message = deserialize::<RawNetworkMessage>(&whole).map_err(io::Error::other)?;
        Ok(message.into_payload())
    }

    pub(super) async fn write(&mut self, message: NetworkMessage) -> io::Result<()> {
        match self {
            Self::Plain { stream, magic, .. } => {
                let raw = RawNetworkMessage::new(*magic, message);
                stream.write_all(&serialize(&raw)).await
            }
            Self::Sealed { writer, magic, .. } => {
                let contents = seal_contents(*magic, message);
                let packet = Payload::genuine(contents);
                writer.write(&packet).await.map_err(io::Error::other)
            }
        }
    }

    /// Bytes that are no message, in plain.
    pub(super) async fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain { stream, .. } => stream.write_all(bytes).await,
            Self::Sealed { writer, .. } => {
                let packet = Payload::genuine(bytes.to_vec());
                writer.write(&packet).await.map_err(io::Error::other)
            }
        }
    }
}

async fn read_plain(stream: &mut TcpStream, input: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    loop {
        if input.len() >= HEADER {
            let len = u32::from_le_bytes([input[16], input[17], input[18], input[19]]) as usize;
            if len > MAX_PAYLOAD {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if input.len() >= HEADER + len {
                return Ok(input.drain(..HEADER + len).collect());
            }
        }
        if stream.read_buf(input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Gives a packet's contents the envelope of the plain protocol, which the library reads.
async fn read_sealed(
    reader: &mut ProtocolReader<OwnedReadHalf>,
    magic: Magic,
) -> io::Result<Vec<u8>> {
    let packet = reader.read().await.map_err(io::Error::other)?;
    let (id, rest) = packet
        .contents()
        .split_first()
        .ok_or(io::ErrorKind::InvalidData)?;
    let (name, payload) = match *id {
        0 => rest
            .split_at_checked(12)
            .ok_or(io::ErrorKind::InvalidData)?,
        id => {
            let name = NUMBERED.get(usize::from(id) - 1);
            (name.ok_or(io::ErrorKind::InvalidData)?.as_bytes(), rest)
        }
    };
    Ok(envelope(magic, name, payload))
}

fn envelope(magic: Magic, name: &[u8], payload: &[u8]) -> Vec<u8> {
    use bitcoin::hashes::{Hash, sha256d};
    let mut whole = magic.to_bytes().to_vec();
    whole.extend_from_slice(name);
    whole.resize(16, 0);
    whole.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    whole.extend_from_slice(&sha256d::Hash::hash(payload).to_byte_array()[..4]);
    whole.extend_from_slice(payload);
    whole
}

fn seal_contents(magic: Magic, message: NetworkMessage) -> Vec<u8> {
    let name = message.cmd();
    let whole = serialize(&RawNetworkMessage::new(magic, message));
    let number = NUMBERED.iter().position(|numbered| *numbered == name);
    let mut contents = match number {
        Some(index) => vec![index as u8 + 1],
        None => [&[0], &whole[4..16]].concat(),
    };
    contents.extend_from_slice(&whole[HEADER..]);
    contents
}
