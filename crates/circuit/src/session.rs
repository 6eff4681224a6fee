//! Sessions: the authenticated pair of a client and one hop, by Noise NK.
//!
//! ```text
//! NK:  <- s            the relay's onion key, known from its descriptor
//!      ...
//!      -> e, es        first message, with a payload only the relay can read
//!      <- e, ee        answer, with a payload only this client can read
//! ```
//!
//! The relay is authenticated, the client is anonymous. The prologue binds protocol, relay
//! identity and suite, so that a message for one relay or version means nothing to another.

use crate::cipher::Cipher;
use crate::{OnionKey, OnionSecret, Seed, Suite};
use coinfuse_wire::{Instant, RelayId};
use ring::hmac;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver, RingResolver};
use snow::types::{Cipher as NoiseCipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use thiserror::Error;
use zeroize::Zeroizing;

/// The longest handshake message, in bytes, with its payload.
pub const MAX_HANDSHAKE: usize = 6 * 1024;
/// What the handshake adds to a payload: an ephemeral key and a tag.
pub const HANDSHAKE_OVERHEAD: usize = 32 + 16;

/// A handshake message that does not lead to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SessionError {
    /// The message does not authenticate: made for another relay, another onion key or another
    /// suite, or altered on the way. A client should fetch the relay's descriptor anew.
    #[error("the handshake does not authenticate; the relay's onion key may have changed")]
    NotAuthentic,
    /// The message or its payload is longer than the protocol allows.
    #[error("the handshake message has {0} bytes, at most {MAX_HANDSHAKE} are allowed")]
    TooLong(usize),
}

/// The client's half of a handshake, waiting for the relay's answer.
#[derive(Debug)]
pub struct Initiator {
    suite: Suite,
    noise: Box<HandshakeState>,
}

impl Initiator {
    /// Starts a handshake: the state, and the message for the relay, which carries `payload`.
    pub fn start(
        suite: Suite,
        relay: &RelayId,
        key: &OnionKey,
        payload: &[u8],
        seed: &Seed,
    ) -> Result<(Self, Vec<u8>), SessionError> {
        let mut noise = builder(suite, &prologue(suite, relay), seed)
            .and_then(|builder| builder.remote_public_key(key.as_bytes()))
            .and_then(Builder::build_initiator)
            .map_err(|_| SessionError::NotAuthentic)?;
        let message = write(&mut noise, payload)?;
        Ok((
            Self {
                suite,
                noise: Box::new(noise),
            },
            message,
        ))
    }

    /// Reads the relay's answer: the session, and the answer's payload.
    pub fn finish(
        mut self,
        answer: &[u8],
        now: Instant,
    ) -> Result<(Session, Vec<u8>), SessionError> {
        let payload = read(&mut self.noise, answer)?;
        Ok((
            Session::split(self.suite, &mut self.noise, now, true),
            payload,
        ))
    }
}

/// The relay's half of a handshake, after the client's message was read.
#[derive(Debug)]
pub struct Responder {
    suite: Suite,
    noise: Box<HandshakeState>,
}

impl Responder {
    /// Reads a client's message: the state, and the payload.
    pub fn read(
        suite: Suite,
        relay: &RelayId,
        key: &OnionSecret,
        message: &[u8],
        seed: &Seed,
    ) -> Result<(Self, Vec<u8>), SessionError> {
        let mut noise = builder(suite, &prologue(suite, relay), seed)
            .and_then(|builder| builder.local_private_key(key.expose()))
            .and_then(Builder::build_responder)
            .map_err(|_| SessionError::NotAuthentic)?;
        let payload = read(&mut noise, message)?;
        Ok((
            Self {
                suite,
                noise: Box::new(noise),
            },
            payload,
        ))
    }

    /// Answers: the session, and the message for the client, which carries `payload`.
    pub fn answer(
        mut self,
        payload: &[u8],
        now: Instant,
    ) -> Result<(Session, Vec<u8>), SessionError> {
        let message = write(&mut self.noise, payload)?;
        Ok((
            Session::split(self.suite, &mut self.noise, now, false),
            message,
        ))
    }
}

/// The keys of a session: for each lane, one to seal with and one to open with.
#[derive(Debug)]
pub struct Session {
    pub(crate) control: Duplex,
    pub(crate) data: Duplex,
}

#[derive(Debug)]
pub(crate) struct Duplex {
    pub(crate) seal: Cipher,
    pub(crate) open: Cipher,
}

impl Session {
    fn split(suite: Suite, noise: &mut HandshakeState, now: Instant, initiator: bool) -> Self {
        let (to_relay, to_client) = noise.dangerously_get_raw_split();
        let (to_relay, to_client) = (Zeroizing::new(to_relay), Zeroizing::new(to_client));
        let (sending, receiving) = if initiator {
            (&to_relay, &to_client)
        } else {
            (&to_client, &to_relay)
        };
        let lane = |label: &[u8]| Duplex {
            seal: Cipher::for_lane(suite, sending, label, now),
            open: Cipher::for_lane(suite, receiving, label, now),
        };
        Self {
            control: lane(b"coinfuse/1 control lane"),
            data: lane(b"coinfuse/1 data lane"),
        }
    }
}

fn prologue(suite: Suite, relay: &RelayId) -> Vec<u8> {
    let mut prologue = b"coinfuse/1 session".to_vec();
    prologue.push(suite.code());
    prologue.extend_from_slice(relay.as_bytes());
    prologue
}

fn builder<'a>(suite: Suite, prologue: &'a [u8], seed: &Seed) -> Result<Builder<'a>, snow::Error> {
    let params = suite.protocol_name().parse()?;
    Builder::with_resolver(params, Box::new(Resolver::new(seed))).prologue(prologue)
}

fn write(noise: &mut HandshakeState, payload: &[u8]) -> Result<Vec<u8>, SessionError> {
    let len = payload.len() + HANDSHAKE_OVERHEAD;
    if len > MAX_HANDSHAKE {
        return Err(SessionError::TooLong(len));
    }
    let mut message = vec![0; len];
    let written = noise
        .write_message(payload, &mut message)
        .map_err(|_| SessionError::NotAuthentic)?;
    message.truncate(written);
    Ok(message)
}

fn read(noise: &mut HandshakeState, message: &[u8]) -> Result<Vec<u8>, SessionError> {
    if message.len() > MAX_HANDSHAKE {
        return Err(SessionError::TooLong(message.len()));
    }
    let mut payload = vec![0; message.len()];
    let len = noise
        .read_message(message, &mut payload)
        .map_err(|_| SessionError::NotAuthentic)?;
    payload.truncate(len);
    Ok(payload)
}

/// Noise primitives from ring where it has them, from snow's defaults elsewhere, and randomness
/// from the caller's seed only.
struct Resolver {
    seed: hmac::Key,
}

impl Resolver {
    fn new(seed: &Seed) -> Self {
        Self {
            seed: hmac::Key::new(hmac::HMAC_SHA256, seed.expose()),
        }
    }
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SeededRng {
            seed: self.seed.clone(),
            block: 0,
        }))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        RingResolver
            .resolve_hash(choice)
            .or_else(|| DefaultResolver.resolve_hash(choice))
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn NoiseCipher>> {
        RingResolver
            .resolve_cipher(choice)
            .or_else(|| DefaultResolver.resolve_cipher(choice))
    }
}

/// HMAC-SHA256 in counter mode over the seed.
struct SeededRng {
    seed: hmac::Key,
    block: u64,
}

impl Random for SeededRng {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        for chunk in dest.chunks_mut(32) {
            let block = hmac::sign(&self.seed, &self.block.to_be_bytes());
            chunk.copy_from_slice(&block.as_ref()[..chunk.len()]);
            self.block += 1;
        }
        Ok(())
    }
}
