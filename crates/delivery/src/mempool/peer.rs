//! One peer over TCP.

use super::Network;
use super::p2p::{Connection, Event, PeerFailure, Role, SessionConfig, shake_hands};
use crate::Dial;
use coinfuse_wire::Instant;
use core::net::SocketAddr;
use core::time::Duration;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{self, timeout};

/// How to speak with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// Encrypted (BIP 324), and if the peer does not speak that, on a second connection without.
    #[default]
    PreferEncrypted,
    /// Encrypted or not at all.
    OnlyEncrypted,
    /// The first, unencrypted protocol.
    Plain,
}

/// What is the same for all peers.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) network: Network,
    pub(crate) transport: Transport,
    pub(crate) dial_timeout: Duration,
    pub(crate) session: SessionConfig,
    pub(crate) dialer: Arc<dyn Dial>,
    /// The zero of the sessions' clocks.
    pub(crate) epoch: time::Instant,
}

/// What somebody else does with a peer that is being spoken with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Wait for what comes.
    Wait,
    /// Ask it outright.
    Probe,
}

/// A connection whose greeting is under way.
struct Peer {
    stream: BufReader<TcpStream>,
    connection: Connection,
    epoch: time::Instant,
}

/// Speaks with one peer until it has nothing more to say, and gives the last event. `on_ready` is
/// called when the greeting is done.
pub(crate) async fn speak(
    setting: &Setting,
    address: SocketAddr,
    role: Role,
    seed: [u8; 32],
    mut wish: watch::Receiver<Wish>,
    mut on_ready: impl FnMut(),
) -> Event {
    let mut peer = match open(setting, address, role, seed).await {
        Ok(peer) => peer,
        Err(failure) => return Event::Failed(failure),
    };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        // Events first: at the greeting's end there may be more to say.
        while let Some(event) = peer.connection.poll_event() {
            if event.is_last() {
                return event;
            }
            on_ready();
            if *wish.borrow_and_update() == Wish::Probe {
                peer.connection.probe();
            }
        }
        if let Err(failure) = peer.transmit(setting.session.processing).await {
            return Event::Failed(failure);
        }
        peer.step(&mut buffer, &mut wish).await;
    }
}

async fn open(
    setting: &Setting,
    address: SocketAddr,
    role: Role,
    seed: [u8; 32],
) -> Result<Peer, PeerFailure> {
    let sealed = match setting.transport {
        Transport::Plain => None,
        Transport::OnlyEncrypted => Some(open_sealed(setting, address, seed).await?),
        Transport::PreferEncrypted => match open_sealed(setting, address, seed).await {
            Ok(opened) => Some(opened),
            // A peer that does not speak it hangs up, at once or after a while.
            Err(
                PeerFailure::Disconnected
                | PeerFailure::OtherProtocol
                | PeerFailure::HandshakeTimeout,
            ) => None,
            Err(failure) => return Err(failure),
        },
    };
    let (network, config, epoch) = (setting.network, setting.session, setting.epoch);
    let session_seed = derive(seed, b"session", 0);
    let (stream, connection) = match sealed {
        Some((stream, cipher)) => {
            let now = since(epoch);
            (
                stream,
                Connection::sealed(cipher, role, config, session_seed, now),
            )
        }
        None => {
            let stream = dial(setting, address).await?;
            let now = since(epoch);
            (
                stream,
                Connection::plain(network, role, config, session_seed, now),
            )
        }
    };
    Ok(Peer {
        stream,
        connection,
        epoch,
    })
}

async fn open_sealed(
    setting: &Setting,
    address: SocketAddr,
    seed: [u8; 32],
) -> Result<(BufReader<TcpStream>, bip324::CipherSession), PeerFailure> {
    let mut stream = dial(setting, address).await?;
    let key = derive(seed, b"key", 0);
    let handshake = shake_hands(&mut stream, setting.network.magic(), key);
    let cipher = timeout(setting.session.handshake, handshake)
        .await
        .map_err(|_| PeerFailure::HandshakeTimeout)??;
    Ok((stream, cipher))
}

async fn dial(setting: &Setting, address: SocketAddr) -> Result<BufReader<TcpStream>, PeerFailure> {
    match timeout(setting.dial_timeout, setting.dialer.dial(address)).await {
        Ok(Ok(stream)) => Ok(BufReader::new(stream)),
        _ => Err(PeerFailure::Disconnected),
    }
}

impl Peer {
    /// Writes what there is to write. A peer that does not read for so long is left.
    async fn transmit(&mut self, patience: Duration) -> Result<(), PeerFailure> {
        while let Some(bytes) = self.connection.poll_transmit() {
            match timeout(patience, self.stream.write_all(&bytes)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(PeerFailure::Disconnected),
                Err(_) => return Err(PeerFailure::Stalled),
            }
        }
        Ok(())
    }

    /// Waits for whatever comes first, and tells the connection.
    async fn step(&mut self, buffer: &mut [u8], wish: &mut watch::Receiver<Wish>) {
        let due = self.connection.poll_timeout();
        let timer = async {
            match due {
                Some(due) => time::sleep_until(self.epoch + due.since_epoch()).await,
                None => core::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = timer => self.connection.handle_timeout(since(self.epoch)),
            Ok(()) = wish.changed() => {
                if *wish.borrow_and_update() == Wish::Probe {
                    self.connection.probe();
                }
            }
            read = self.stream.read(buffer) => match read {
                Ok(0) | Err(_) => self.connection.disconnected(),
                Ok(len) => self.connection.receive(since(self.epoch), &buffer[..len]),
            },
        }
    }
}

fn since(epoch: time::Instant) -> Instant {
    Instant::from_epoch(epoch.elapsed())
}

/// A seed for one purpose out of the seed of many.
pub(crate) fn derive(seed: [u8; 32], purpose: &[u8], index: u64) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"coinfuse mempool seed")
        .chain_update(seed)
        .chain_update(purpose)
        .chain_update(index.to_be_bytes())
        .finalize()
        .into()
}
