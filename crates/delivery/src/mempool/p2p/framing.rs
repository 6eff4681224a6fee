//! Envelopes: the plain one of the first protocol, and BIP 324's packets.

use super::PeerFailure;
use super::message::{Command, Frame, MAX_PAYLOAD};
use crate::mempool::Network;
use bip324::{CipherSession, NUM_LENGTH_BYTES, PacketType};
use bitcoin::hashes::{Hash, sha256d};

const HEADER: usize = 24;
/// The length of a command, where BIP 324 has no short id for it.
const COMMAND: usize = 12;

/// Takes messages out of bytes and puts them into bytes. Holds one incomplete message at most.
pub(crate) enum Framing {
    /// Magic, command, length, checksum, payload: anybody can read it.
    Plain(Plain),
    /// BIP 324: encrypted.
    Sealed(Box<Sealed>),
}

pub(crate) struct Plain {
    magic: [u8; 4],
    input: Vec<u8>,
}

pub(crate) struct Sealed {
    cipher: CipherSession,
    input: Vec<u8>,
    /// What is left of the packet whose length was decrypted: that can be done only once.
    expected: Option<usize>,
}

impl Framing {
    pub(crate) fn plain(network: Network) -> Self {
        Self::Plain(Plain {
            magic: network.magic(),
            input: Vec::new(),
        })
    }

    pub(crate) fn sealed(cipher: CipherSession) -> Self {
        Self::Sealed(Box::new(Sealed {
            cipher,
            input: Vec::new(),
            expected: None,
        }))
    }

    /// Takes bytes in; [`next`](Self::next) says what they make.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        match self {
            Self::Plain(plain) => plain.input.extend_from_slice(bytes),
            Self::Sealed(sealed) => sealed.input.extend_from_slice(bytes),
        }
    }

    /// The next message that is complete.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, PeerFailure> {
        match self {
            Self::Plain(plain) => plain.next(),
            Self::Sealed(sealed) => sealed.next(),
        }
    }

    pub(crate) fn put(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        match self {
            Self::Plain(plain) => plain.put(frame, out),
            Self::Sealed(sealed) => sealed.put(frame, out),
        }
    }
}

impl Plain {
    fn next(&mut self) -> Result<Option<Frame>, PeerFailure> {
        let Some((header, rest)) = self.input.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        if header[..4] != self.magic {
            return Err(PeerFailure::OtherProtocol);
        }
        let len = u32::from_le_bytes(part(header, 16)) as usize;
        if len > MAX_PAYLOAD {
            return Err(PeerFailure::TooLong);
        }
        let Some(payload) = rest.get(..len) else {
            return Ok(None);
        };
        if checksum(payload) != part::<4>(header, 20) {
            return Err(PeerFailure::Malformed);
        }
        let frame = Frame {
            command: Command::from_wire(part(header, 4)),
            payload: payload.to_vec(),
        };
        self.input.drain(..HEADER + len);
        Ok(Some(frame))
    }

    fn put(&self, frame: &Frame, out: &mut Vec<u8>) {
        let len = u32::try_from(frame.payload.len()).expect("we send no message of 4 GiB");
        out.extend_from_slice(&self.magic);
        out.extend_from_slice(&frame.command.to_wire());
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&checksum(&frame.payload));
        out.extend_from_slice(&frame.payload);
    }
}

fn part<const N: usize>(header: &[u8; HEADER], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&header[at..at + N]);
    part
}

fn checksum(payload: &[u8]) -> [u8; 4] {
    let hash = sha256d::Hash::hash(payload).to_byte_array();
    [hash[0], hash[1], hash[2], hash[3]]
}

impl Sealed {
    fn next(&mut self) -> Result<Option<Frame>, PeerFailure> {
        loop {
            let Some(len) = self.packet_len()? else {
                return Ok(None);
            };
            if self.input.len() < len {
                return Ok(None);
            }
            self.expected = None;
            let mut packet: Vec<u8> = self.input.drain(..len).collect();
            let opened = self.cipher.inbound().decrypt_in_place(&mut packet, None);
            let (kind, plain) = opened.map_err(|_| PeerFailure::Malformed)?;
            // Decoys are there to be passed over. The first byte is the packet's header.
            if kind == PacketType::Genuine {
                return open_contents(&plain[1..]).map(Some);
            }
        }
    }

    fn packet_len(&mut self) -> Result<Option<usize>, PeerFailure> {
        if self.expected.is_none() {
            let Some((len, _)) = self.input.split_first_chunk::<NUM_LENGTH_BYTES>() else {
                return Ok(None);
            };
            let len = self.cipher.inbound().decrypt_packet_len(*len);
            self.input.drain(..NUM_LENGTH_BYTES);
            self.expected = Some(len);
        }
        // A header byte, the command and the tag come on top of the payload.
        match self.expected {
            Some(len) if len > MAX_PAYLOAD + 1 + 1 + COMMAND + 16 => Err(PeerFailure::TooLong),
            expected => Ok(expected),
        }
    }

    fn put(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        let mut contents = Vec::with_capacity(1 + COMMAND + frame.payload.len());
        match frame.command.to_short() {
            Some(id) => contents.push(id),
            None => {
                contents.push(0);
                contents.extend_from_slice(&frame.command.to_wire());
            }
        }
        contents.extend_from_slice(&frame.payload);
        let cipher = self.cipher.outbound();
        out.extend(cipher.encrypt_to_vec(&contents, PacketType::Genuine, None));
    }
}

/// A command, as one byte or as zero and twelve, and the payload.
fn open_contents(contents: &[u8]) -> Result<Frame, PeerFailure> {
    let (id, rest) = contents.split_first().ok_or(PeerFailure::Malformed)?;
    let (command, payload) = match *id {
        0 => {
            let (name, payload) = rest
                .split_first_chunk::<COMMAND>()
                .ok_or(PeerFailure::Malformed)?;
            (Command::from_wire(*name), payload)
        }
        id => (Command::from_short(id), rest),
    };
    Ok(Frame {
        command,
        payload: payload.to_vec(),
    })
}
