//! The handshake of BIP 324, as the side that connects.

use super::PeerFailure;
use bip324::{
    CipherSession, Error, FillBytes, GarbageResult, Handshake, NUM_LENGTH_BYTES, ReceivedGarbage,
    Role, SentVersion, VersionResult,
};
use bitcoin::secp256k1::Secp256k1;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const KEY: usize = 64;
/// More than this does nobody put into a packet of the handshake.
const MAX_DECOY: usize = 4096;
/// Nor more packets than this.
const MAX_DECOYS: usize = 32;
/// BIP 324: at most 4095 bytes of garbage, and the terminator.
const MAX_GARBAGE: usize = 4095 + 16;

/// The one random value of a handshake.
struct Seed([u8; 32]);

impl FillBytes for Seed {
    fn fill_bytes(&mut self, dest: &mut [u8; 32]) {
        *dest = self.0;
    }
}

/// Agrees on keys with a peer that speaks BIP 324. Bytes beyond the handshake stay in the stream,
/// which should be buffered.
///
/// A peer that does not speak it closes the connection, or answers in the plain protocol:
/// [`PeerFailure::Disconnected`] or [`PeerFailure::OtherProtocol`]. `seed` is the secret key and
/// must not be used twice.
pub(crate) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    magic: [u8; 4],
    seed: [u8; 32],
) -> Result<CipherSession, PeerFailure> {
    let curve = Secp256k1::signing_only();
    let handshake = Handshake::new_with_rng(magic, Role::Initiator, &mut Seed(seed), &curve)
        .map_err(failure)?;
    let mut key = [0; KEY];
    let handshake = handshake.send_key(None, &mut key).map_err(failure)?;
    send(stream, &key).await?;

    let theirs = read::<_, KEY>(stream).await?;
    let handshake = handshake.receive_key(theirs).map_err(failure)?;
    let mut version = vec![0; Handshake::send_version_len(None)];
    let handshake = handshake
        .send_version(&mut version, None)
        .map_err(failure)?;
    send(stream, &version).await?;

    let mut garbage = Vec::new();
    receive_garbage(stream, handshake, &mut garbage).await
}

async fn receive_garbage<S: AsyncRead + Unpin>(
    stream: &mut S,
    mut handshake: Handshake<SentVersion>,
    garbage: &mut Vec<u8>,
) -> Result<CipherSession, PeerFailure> {
    // Byte by byte: what follows the terminator is not part of it. The caller's stream is buffered.
    garbage.extend(read::<_, 16>(stream).await?);
    loop {
        match handshake.receive_garbage(garbage).map_err(failure)? {
            GarbageResult::FoundGarbage { handshake, .. } => {
                return receive_version(stream, handshake).await;
            }
            GarbageResult::NeedMoreData(same) => handshake = same,
        }
        if garbage.len() >= MAX_GARBAGE {
            return Err(PeerFailure::OtherProtocol);
        }
        garbage.extend(read::<_, 1>(stream).await?);
    }
}

async fn receive_version<S: AsyncRead + Unpin>(
    stream: &mut S,
    mut handshake: Handshake<ReceivedGarbage<'_>>,
) -> Result<CipherSession, PeerFailure> {
    for _ in 0..MAX_DECOYS {
        let len = read::<_, NUM_LENGTH_BYTES>(stream).await?;
        let len = handshake.decrypt_packet_len(len).map_err(failure)?;
        if len > MAX_DECOY {
            return Err(PeerFailure::TooLong);
        }
        let mut packet = vec![0; len];
        let read = stream.read_exact(&mut packet).await;
        read.map_err(|_| PeerFailure::Disconnected)?;
        match handshake.receive_version(&mut packet).map_err(failure)? {
            VersionResult::Complete { cipher } => return Ok(cipher),
            VersionResult::Decoy(next) => handshake = next,
        }
    }
    Err(PeerFailure::Flood)
}

async fn read<S: AsyncRead + Unpin, const N: usize>(
    stream: &mut S,
) -> Result<[u8; N], PeerFailure> {
    let mut bytes = [0; N];
    match stream.read_exact(&mut bytes).await {
        Ok(_) => Ok(bytes),
        Err(_) => Err(PeerFailure::Disconnected),
    }
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Result<(), PeerFailure> {
    let sent = stream.write_all(bytes).await;
    sent.map_err(|_| PeerFailure::Disconnected)
}

fn failure(error: Error) -> PeerFailure {
    match error {
        Error::V1Protocol | Error::NoGarbageTerminator => PeerFailure::OtherProtocol,
        _ => PeerFailure::Malformed,
    }
}
