//! Reading the vectors, of which the names have changed over the years.

use coinfuse_onion::bolt4::{self, Fill};
use coinfuse_onion::{OVERHEAD, OnionKey, OnionSecret, Packet};
use coinfuse_wire::{Reader, TlvStream, Writer};
use serde_json::Value;

/// The sizes of region that are in vectors, in ours and in Lightning's larger messages.
macro_rules! with_size {
    ($bytes:expr, $call:ident $args:tt) => {
        match $bytes - coinfuse_onion::OVERHEAD {
            1300 => $call::<1300> $args,
            coinfuse_onion::SMALL => $call::<{ coinfuse_onion::SMALL }> $args,
            coinfuse_onion::LARGE => $call::<{ coinfuse_onion::LARGE }> $args,
            32_768 => $call::<32_768> $args,
            other => panic!("a region of {other} bytes"),
        }
    };
}
pub(super) use with_size;

/// A value in a file.
#[derive(Clone, Copy)]
pub(super) struct Json<'a>(&'a Value);

impl<'a> Json<'a> {
    pub(super) fn new(value: &'a Value) -> Self {
        Self(value)
    }

    pub(super) fn get(&self, name: &str) -> Option<Self> {
        self.0.get(name).map(Self)
    }

    pub(super) fn at(&self, name: &str) -> Self {
        self.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    pub(super) fn list(&self, name: &str) -> Vec<Self> {
        let list = self.get(name).and_then(|value| value.0.as_array());
        list.into_iter().flatten().map(Self).collect()
    }

    /// The fields `<name><number>`, with their numbers.
    pub(super) fn numbered(&self, name: &str) -> Vec<(u64, Self)> {
        let fields = self.0.as_object().into_iter().flatten();
        fields
            .filter_map(|(key, value)| Some((key.strip_prefix(name)?.parse().ok()?, Self(value))))
            .collect()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let text = self.0.as_str().expect("a string");
        hex::decode(text.replace(' ', "")).expect("hex")
    }

    pub(super) fn key(&self) -> OnionKey {
        key(&self.bytes())
    }

    pub(super) fn secret(&self) -> OnionSecret {
        OnionSecret::from_bytes(&self.bytes().try_into().unwrap()).unwrap()
    }

    /// The key under the first of the names that is there.
    pub(super) fn path_key(&self, names: &[&str]) -> Option<OnionKey> {
        names
            .iter()
            .find_map(|name| self.get(name))
            .map(|key| key.key())
    }

    pub(super) fn associated(&self) -> Vec<u8> {
        self.get("associated_data")
            .map(|data| data.bytes())
            .unwrap_or_default()
    }
}

pub(super) fn key(bytes: &[u8]) -> OnionKey {
    OnionKey::from_bytes(bytes.try_into().unwrap()).unwrap()
}

/// The value of a field of a TLV stream.
pub(super) fn field(stream: &[u8], kind: u64) -> Option<Vec<u8>> {
    let mut stream = TlvStream::new(Reader::new(stream));
    while let Some(field) = stream.next_field().unwrap() {
        if field.kind == kind {
            return Some(field.value.to_vec());
        }
    }
    None
}

/// A payload of a vector without the length before it.
pub(super) fn unframed(payload: &[u8]) -> Vec<u8> {
    let mut reader = Reader::new(payload);
    let bytes = reader.bytes(payload.len(), "payload").unwrap().to_vec();
    reader.finish().unwrap();
    bytes
}

/// Builds a packet and compares it. Both of BOLT-4's ways to fill it are in vectors.
pub(super) fn build<const N: usize>(
    session: &OnionSecret,
    hops: &[(OnionKey, Vec<u8>)],
    associated: &[u8],
    want: &[u8],
) {
    let hops: Vec<_> = hops
        .iter()
        .map(|(key, payload)| (*key, &payload[..]))
        .collect();
    let made = |fill| {
        let packet: Packet<N> = bolt4::build(session, &fill, &hops, associated).unwrap();
        packet.to_bytes()
    };
    assert!(
        made(Fill::Pad) == want || made(Fill::Zeros) == want,
        "the packet is another one"
    );
    assert_eq!(want.len(), N + OVERHEAD);
}

/// Peels a packet: the payload and the next packet.
pub(super) fn peel<const N: usize>(
    secret: &OnionSecret,
    packet: &[u8],
    associated: &[u8],
) -> (Vec<u8>, Option<Vec<u8>>) {
    let packet = Packet::<N>::from_bytes(packet).unwrap();
    let peeled = bolt4::peel(secret, packet, associated).unwrap();
    (peeled.payload, peeled.next.map(|next| next.to_bytes()))
}

/// Appends a field to a stream.
pub(super) fn put(out: &mut Writer, kind: u64, value: &[u8]) {
    out.varint(kind);
    out.bytes(value);
}
