//! One layer: how it is put on, checked and taken off.

use crate::key::{NotAKey, OnionKey, OnionSecret, Shared};
use crate::packet::{Packet, zeros};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use coinfuse_wire::{DecodeError, Reader, Writer};
use ring::hmac;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

const HMAC_LEN: usize = 32;

/// Why a packet was not peeled. On the wire all of them are the same: silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PeelError {
    /// Altered on the way, made for another key, or with other associated data.
    #[error("the packet is not authentic")]
    Mac,
    /// The maker of the packet wrote a length that does not fit.
    #[error("the payload does not fit the packet")]
    Frame(#[from] DecodeError),
    /// The key for the next hop would not be a key; nobody can bring this about.
    #[error("no key for the next hop")]
    NextKey(#[from] NotAKey),
}

/// The payloads are too long for the region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the hops need {need} bytes and the region has {room}")]
pub struct TooLong {
    /// Bytes that all hops' payloads need with their frames.
    pub need: usize,
    /// Bytes that the region has.
    pub room: usize,
}

/// What one layer is made with: `rho` and `mu` of BOLT-4.
pub(crate) struct LayerKeys {
    pub(crate) rho: Zeroizing<[u8; 32]>,
    pub(crate) mu: Zeroizing<[u8; 32]>,
}

impl LayerKeys {
    pub(crate) fn of(shared: &Shared) -> Self {
        Self {
            rho: shared.key(b"rho"),
            mu: shared.key(b"mu"),
        }
    }

    pub(crate) fn mac(&self, region: &[u8], associated: &[u8]) -> [u8; HMAC_LEN] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.mu);
        let mut context = hmac::Context::with_key(&key);
        context.update(region);
        context.update(associated);
        let mut out = [0; HMAC_LEN];
        out.copy_from_slice(context.sign().as_ref());
        out
    }

    /// Whether every byte of the packet is as its maker wrote it.
    fn verify<const N: usize>(&self, packet: &Packet<N>, associated: &[u8]) -> bool {
        // ring's own comparison wants the message in one piece.
        let mac = self.mac(&*packet.region, associated);
        mac.ct_eq(&packet.hmac).into()
    }
}

/// A packet that was found authentic, and what takes its outermost layer off.
pub(crate) struct Authentic<const N: usize> {
    packet: Packet<N>,
    keys: LayerKeys,
    shared: Shared,
}

impl<const N: usize> Authentic<N> {
    /// Whether `secret` is the key for which the outermost layer was made: one point
    /// multiplication and one HMAC. Hands the packet back if not.
    pub(crate) fn check(
        secret: &OnionSecret,
        packet: Packet<N>,
        associated: &[u8],
    ) -> Result<Self, Packet<N>> {
        let shared = secret.agree(&packet.ephemeral);
        Self::check_shared(shared, packet, associated)
    }

    /// The same for a secret that is known already.
    pub(crate) fn check_shared(
        shared: Shared,
        packet: Packet<N>,
        associated: &[u8],
    ) -> Result<Self, Packet<N>> {
        let keys = LayerKeys::of(&shared);
        if !keys.verify(&packet, associated) {
            return Err(packet);
        }
        Ok(Self {
            packet,
            keys,
            shared,
        })
    }

    /// What the hop and the maker of the packet share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Takes the layer off.
    pub(crate) fn peel(self) -> Result<(Peeled<N>, Shared), PeelError> {
        let Packet {
            ephemeral, region, ..
        } = self.packet;
        let (payload, rest) = take_off(&self.keys, region)?;
        let Some((region, hmac)) = rest else {
            let next = None;
            return Ok((Peeled { payload, next }, self.shared));
        };
        let ephemeral = ephemeral.times(&self.shared.factor(&ephemeral)?)?;
        let next = Some(Packet {
            ephemeral,
            region,
            hmac,
        });
        Ok((Peeled { payload, next }, self.shared))
    }
}

/// What a hop finds in a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peeled<const N: usize> {
    /// The payload without its length.
    pub payload: Vec<u8>,
    /// The packet for the next hop; `None` at the last one.
    pub next: Option<Packet<N>>,
}

/// Region and HMAC for the next hop.
type Next<const N: usize> = (Box<[u8; N]>, [u8; HMAC_LEN]);

fn take_off<const N: usize>(
    keys: &LayerKeys,
    mut region: Box<[u8; N]>,
) -> Result<(Vec<u8>, Option<Next<N>>), DecodeError> {
    let mut stream = stream(&keys.rho);
    stream.apply_keystream(&mut *region);
    let mut reader = Reader::new(&*region);
    let payload = reader.bytes(N, "payload")?.to_vec();
    let hmac: [u8; HMAC_LEN] = reader.array("next HMAC")?;
    if hmac == [0; HMAC_LEN] {
        return Ok((payload, None));
    }
    // What was taken from the front is made up for at the end: zeros under the same stream, which
    // the maker of the packet has foreseen.
    let used = N - reader.remaining();
    region.copy_within(used.., 0);
    let end = &mut region[N - used..];
    end.fill(0);
    stream.apply_keystream(end);
    Ok((payload, Some((region, hmac))))
}

/// A layer to be put on.
pub(crate) struct Layer {
    pub(crate) keys: LayerKeys,
    pub(crate) payload: Vec<u8>,
}

impl Layer {
    fn frame(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.bytes(&self.payload);
        out.into_bytes()
    }
}

/// What stands behind the last hop's payload.
pub(crate) enum Rest<'a> {
    /// Zeros under the last hop's layer.
    Zeros,
    /// The stream of a key, under the last hop's layer.
    Pad(&'a [u8; 32]),
    /// The stream of a key, over the last hop's layer: of a key that nobody else has this is as
    /// random under the layer as over it, and one pass over the region less.
    Random(&'a [u8; 32]),
}

/// Puts all layers on, the last hop's first.
pub(crate) fn wrap<const N: usize>(
    ephemeral: OnionKey,
    layers: &[Layer],
    rest: &Rest<'_>,
    associated: &[u8],
) -> Result<Packet<N>, TooLong> {
    let frames: Vec<_> = layers.iter().map(Layer::frame).collect();
    let need = frames.iter().map(|frame| frame.len() + HMAC_LEN).sum();
    if need > N {
        return Err(TooLong { need, room: N });
    }
    let mut region = zeros::<N>();
    if let Rest::Pad(key) | Rest::Random(key) = rest {
        stream(key).apply_keystream(&mut *region);
    }
    let mut random = matches!(rest, Rest::Random(_));
    let mut hmac = [0; HMAC_LEN];
    let mut filler = filler::<N>(layers, &frames);
    for (layer, frame) in layers.iter().zip(&frames).rev() {
        let used = frame.len() + HMAC_LEN;
        region.copy_within(..N - used, used);
        region[..frame.len()].copy_from_slice(frame);
        region[frame.len()..used].copy_from_slice(&hmac);
        let covered = if core::mem::take(&mut random) {
            used
        } else {
            N
        };
        stream(&layer.keys.rho).apply_keystream(&mut region[..covered]);
        // Only at the last hop: what the hops before it will have appended.
        let filler = core::mem::take(&mut filler);
        region[N - filler.len()..].copy_from_slice(&filler);
        hmac = layer.keys.mac(&*region, associated);
    }
    Ok(Packet {
        ephemeral,
        region,
        hmac,
    })
}

/// The end of the region as the last hop will see it: what all hops before append while they peel.
fn filler<const N: usize>(layers: &[Layer], frames: &[Vec<u8>]) -> Vec<u8> {
    let mut filler = Vec::new();
    let before_last = layers.len().saturating_sub(1);
    for (layer, frame) in layers.iter().zip(frames).take(before_last) {
        let start = N - filler.len();
        filler.resize(filler.len() + frame.len() + HMAC_LEN, 0);
        let mut stream = stream(&layer.keys.rho);
        stream.seek(start as u64);
        stream.apply_keystream(&mut filler);
    }
    filler
}

/// ChaCha20 with a key that is used once, therefore without a nonce.
pub(crate) fn stream(key: &[u8; 32]) -> ChaCha20 {
    ChaCha20::new(key.into(), &[0; 12].into())
}
