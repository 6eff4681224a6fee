//! A last hop that makes circuits, ends their streams, and says nothing.

use super::station::{LOOPBACK, unix};
use crate::support::Neighbour;
use coinfuse::link::Link;
use coinfuse_circuit::{IncomingCircuit, LaneHeader, Limits, OnionSecret, Quote, Seed, Welcome};
use coinfuse_directory::{
    Descriptor, DescriptorBody, Identity, LinkKey, OnionKey, RelayKeys, VoucherKey as PublishedKey,
};
use coinfuse_voucher::VoucherKey;
use coinfuse_wire::{Decode, Instant, Msat, Price, ServiceCode};
use std::time::Duration;

const SEED: [u8; 32] = [88; 32];

pub(crate) struct Mute {
    identity: Identity,
    descriptor: Descriptor,
    neighbour: Neighbour,
}

impl Mute {
    pub(crate) fn new() -> Self {
        let (identity, neighbour) = (Identity::from_seed(SEED), Neighbour::new(SEED[0]));
        let till = VoucherKey::from_secret_bytes(SEED).unwrap();
        let keys = RelayKeys {
            link: LinkKey::new(*neighbour.key.as_bytes()),
            onion: OnionKey::new(*OnionSecret::new(SEED).public().as_bytes()),
            voucher: PublishedKey::new(till.public_key().to_bytes()),
        };
        let mut body = DescriptorBody::new(&identity, keys, unix());
        body.addresses = vec![neighbour.address];
        // It is free, so that it needs no till.
        body.price = Price::FREE;
        body.exit_policy = LOOPBACK.parse().unwrap();
        body.services = [ServiceCode::EXIT].into_iter().collect();
        let descriptor = body.sign(&identity).unwrap();
        Self {
            identity,
            descriptor,
            neighbour,
        }
    }

    pub(crate) fn descriptor(&self) -> Descriptor {
        self.descriptor.clone()
    }

    /// Makes circuits on the link of its neighbour until this is dropped.
    pub(crate) async fn serve(mut self) {
        let link = self.neighbour.links.recv().await.unwrap();
        // They are kept: nobody hears that they have ended.
        let mut controls = Vec::new();
        while let Ok((mut send, mut recv)) = link.accept_bi().await {
            let mut header = [0; 8];
            recv.read_exact(&mut header[..1]).await.unwrap();
            let len = LaneHeader::len_from_kind(header[0]).unwrap();
            recv.read_exact(&mut header[1..len]).await.unwrap();
            match LaneHeader::from_bytes(&header[..len]).unwrap() {
                LaneHeader::Control {
                    suite, handshake, ..
                } => {
                    let mut hello = vec![0; usize::from(handshake)];
                    recv.read_exact(&mut hello).await.unwrap();
                    let answer = self.welcome(suite, &hello);
                    let mut bytes = vec![0];
                    bytes.extend((answer.len() as u16).to_be_bytes());
                    bytes.extend(answer);
                    send.write_all(&bytes).await.unwrap();
                    controls.push((send, recv));
                }
                _ => send.finish().unwrap(),
            }
        }
        keep(link, controls);
    }

    fn welcome(&self, suite: u8, hello: &[u8]) -> Vec<u8> {
        let (relay, key) = (self.identity.relay_id(), OnionSecret::new(SEED));
        let incoming = IncomingCircuit::read(&relay, &key, suite, hello, &Seed::new(SEED));
        let expires = unix().saturating_add(Duration::from_secs(600));
        let welcome = Welcome {
            quote: Quote::sign(Price::FREE, expires, &SEED),
            balance: Msat::ZERO,
            provisional: Msat::ZERO,
            result: None,
            mints: Vec::new(),
        };
        let now = Instant::from_epoch(Duration::ZERO);
        let answered = incoming.unwrap().welcome(&welcome, Limits::default(), now);
        answered.unwrap().1
    }
}

/// Until the link is gone.
fn keep<T>(_link: Link, _controls: T) {}
