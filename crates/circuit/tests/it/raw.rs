//! The wire format a second time, from `docs/spec/circuit.md` and not from the crate: an honest
//! peer to compare with, and one that can be made to lie.

use coinfuse_circuit::{Assembler, Record, Suite};
use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use snow::{Builder, HandshakeState};

pub(crate) const FORWARD: u8 = 0;
pub(crate) const STREAM: u8 = 1;
pub(crate) const CONTROL: u8 = 2;
pub(crate) const PADDING: u8 = 3;
pub(crate) const REKEY: u8 = 0x80;

/// One direction of one lane.
pub(crate) struct Key {
    suite: Suite,
    secret: [u8; 32],
    counter: u64,
}

impl Key {
    fn aead(&self) -> LessSafeKey {
        let algorithm = match self.suite {
            Suite::ChaChaPoly => &CHACHA20_POLY1305,
            _ => &AES_256_GCM,
        };
        LessSafeKey::new(UnboundKey::new(algorithm, &self.secret).unwrap())
    }

    fn nonce(&self, counter: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&match self.suite {
            Suite::ChaChaPoly => counter.to_le_bytes(),
            _ => counter.to_be_bytes(),
        });
        Nonce::assume_unique_for_key(nonce)
    }

    pub(crate) fn seal(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let mut buf = plaintext.to_vec();
        let nonce = self.nonce(self.counter);
        self.aead()
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut buf)
            .unwrap();
        self.counter += 1;
        if plaintext[0] & REKEY != 0 {
            self.rekey();
        }
        buf
    }

    pub(crate) fn open(&mut self, ciphertext: &[u8]) -> Vec<u8> {
        let mut buf = ciphertext.to_vec();
        let nonce = self.nonce(self.counter);
        let plaintext = self
            .aead()
            .open_in_place(nonce, Aad::empty(), &mut buf)
            .unwrap()
            .to_vec();
        self.counter += 1;
        if plaintext[0] & REKEY != 0 {
            self.rekey();
        }
        plaintext
    }

    fn rekey(&mut self) {
        let mut next = vec![0; 32];
        let nonce = self.nonce(u64::MAX);
        self.aead()
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut next)
            .unwrap();
        self.secret.copy_from_slice(&next[..32]);
    }
}

/// One end of a session.
pub(crate) struct Session {
    pub(crate) control_out: Key,
    pub(crate) control_in: Key,
    pub(crate) data_out: Key,
    pub(crate) data_in: Key,
}

impl Session {
    fn split(suite: Suite, noise: &mut HandshakeState, client: bool) -> Self {
        let (up, down) = noise.dangerously_get_raw_split();
        let (sending, receiving) = if client { (up, down) } else { (down, up) };
        let key = |split: &[u8; 32], label: &[u8]| Key {
            suite,
            secret: hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, split), label)
                .as_ref()
                .try_into()
                .unwrap(),
            counter: 0,
        };
        const CONTROL_LANE: &[u8] = b"coinfuse/1 control lane";
        const DATA_LANE: &[u8] = b"coinfuse/1 data lane";
        Self {
            control_out: key(&sending, CONTROL_LANE),
            control_in: key(&receiving, CONTROL_LANE),
            data_out: key(&sending, DATA_LANE),
            data_in: key(&receiving, DATA_LANE),
        }
    }
}

fn builder<'a>(suite: Suite, prologue: &'a [u8]) -> Builder<'a> {
    let name = match suite {
        Suite::ChaChaPoly => "Noise_NK_25519_ChaChaPoly_BLAKE2s",
        _ => "Noise_NK_25519_AESGCM_SHA256",
    };
    Builder::new(name.parse().unwrap())
        .prologue(prologue)
        .unwrap()
}

fn prologue(suite: Suite, relay: &[u8; 32]) -> Vec<u8> {
    [b"coinfuse/1 session", &[suite.code()][..], relay].concat()
}

/// A client's half of a handshake.
pub(crate) struct Client {
    suite: Suite,
    noise: HandshakeState,
}

impl Client {
    pub(crate) fn start(
        suite: Suite,
        relay: &[u8; 32],
        onion: &[u8; 32],
        hello: &[u8],
    ) -> (Self, Vec<u8>) {
        let mut noise = builder(suite, &prologue(suite, relay))
            .remote_public_key(onion)
            .unwrap()
            .build_initiator()
            .unwrap();
        let mut message = vec![0; hello.len() + 48];
        noise.write_message(hello, &mut message).unwrap();
        (Self { suite, noise }, message)
    }

    pub(crate) fn finish(mut self, answer: &[u8]) -> (Session, Vec<u8>) {
        let mut welcome = vec![0; answer.len()];
        let len = self.noise.read_message(answer, &mut welcome).unwrap();
        welcome.truncate(len);
        (Session::split(self.suite, &mut self.noise, true), welcome)
    }
}

/// A relay: the session, the answer, and what the client said.
pub(crate) fn relay(
    suite: Suite,
    relay: &[u8; 32],
    onion: &[u8; 32],
    handshake: &[u8],
    welcome: &[u8],
) -> (Session, Vec<u8>, Vec<u8>) {
    let mut noise = builder(suite, &prologue(suite, relay))
        .local_private_key(onion)
        .unwrap()
        .build_responder()
        .unwrap();
    let mut hello = vec![0; handshake.len()];
    let len = noise.read_message(handshake, &mut hello).unwrap();
    hello.truncate(len);
    let mut answer = vec![0; welcome.len() + 48];
    noise.write_message(welcome, &mut answer).unwrap();
    (Session::split(suite, &mut noise, false), answer, hello)
}

/// The plaintext of a record with a body.
pub(crate) fn plaintext(kind: u8, body: &[u8]) -> Vec<u8> {
    let class = [512, 2048, 8192, 16384]
        .into_iter()
        .find(|class| body.len() + 3 <= *class)
        .unwrap();
    let mut out = vec![kind];
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(body);
    out.resize(class, 0);
    out
}

/// The body in a plaintext.
pub(crate) fn body(plaintext: &[u8]) -> &[u8] {
    let len = u16::from_be_bytes([plaintext[1], plaintext[2]]);
    &plaintext[3..3 + usize::from(len)]
}

/// A ciphertext as it is on a lane.
pub(crate) fn wire(ciphertext: &[u8]) -> Vec<u8> {
    [&(ciphertext.len() as u16).to_be_bytes()[..], ciphertext].concat()
}

/// The one record on a lane.
pub(crate) fn from_wire(mut wire: &[u8]) -> Record {
    let mut assembler = Assembler::new();
    loop {
        assembler.feed(&mut wire);
        if let Some(record) = assembler.take().unwrap() {
            assert!(wire.is_empty() && assembler.is_between_records());
            return record;
        }
        assert!(!wire.is_empty(), "half a record");
    }
}
