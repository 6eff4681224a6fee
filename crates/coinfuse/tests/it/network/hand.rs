//! A client that is worked by hand, to say what a proper one never says.

use super::station::{Station, unix};
use crate::support::{PATIENCE, dialler};
use coinfuse::link::{Link, LinkKey};
use coinfuse_circuit::{
    AccountToken, Assembler, CircuitNumber, ClientCircuit, ClientEvent, ClientOutput, HopPlan,
    LaneHeader, Limits, NextHop, Offer, OnionKey, PayResult, Record, Seed, Suite, TopUpPolicy,
};
use coinfuse_voucher::{Payment, Voucher};
use coinfuse_wire::{Encode, HopIndex, Instant, Msat, Price, Rate};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use tokio_util::io::poll_read_buf;

/// Different for each, as random ones would be.
fn seed() -> Seed {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    Seed::new([NEXT.fetch_add(1, Relaxed); 32])
}

/// A circuit of one hop.
pub(crate) struct Hand {
    machine: ClientCircuit,
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    assembler: Assembler,
    _link: Link,
}

impl Hand {
    /// Opens a circuit in the name of an account, without paying.
    pub(crate) async fn open(station: &Station, account: [u8; 32]) -> Self {
        let descriptor = station.descriptor();
        let ceiling = Rate::from_msat_per_mib(1_000_000);
        let plan = HopPlan {
            relay: descriptor.relay,
            onion_key: OnionKey::new(*descriptor.keys.onion.as_bytes()),
            suite: Suite::AesGcm,
            link: NextHop {
                link_key: *descriptor.keys.link.as_bytes(),
                addresses: descriptor.addresses.clone(),
            },
            ceiling: Price {
                up: ceiling,
                down: ceiling,
            },
            account: AccountToken::new(account),
            upstream: Msat::ZERO,
            offer: None,
        };
        let start = ClientCircuit::start(vec![plan], TopUpPolicy::default(), limits(), seed);
        let (mut machine, create) = start.unwrap();
        let key = LinkKey::new(*descriptor.keys.link.as_bytes());
        let link = dialler().dial(&descriptor.addresses, key, PATIENCE).await;
        let link = link.unwrap();
        let (mut send, mut recv) = link.open_bi().await.unwrap();
        let header = LaneHeader::Control {
            circuit: CircuitNumber(0),
            suite: create.suite.code(),
            handshake: create.handshake.len() as u16,
        };
        send.write_all(&header.to_bytes()).await.unwrap();
        send.write_all(&create.handshake).await.unwrap();
        let mut head = [0; 3];
        recv.read_exact(&mut head).await.unwrap();
        assert_eq!(head[0], 0, "the circuit was refused");
        let mut answer = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
        recv.read_exact(&mut answer).await.unwrap();
        machine.created(now(), unix(), &answer).unwrap();
        Self {
            machine,
            send,
            recv,
            assembler: Assembler::new(),
            _link: link,
        }
    }

    /// Presents vouchers, and hears what becomes of them.
    pub(crate) async fn present(&mut self, vouchers: Vec<Voucher>) -> PayResult {
        self.offer(Payment::new(vouchers).unwrap().to_bytes()).await
    }

    /// Presents any bytes.
    pub(crate) async fn offer(&mut self, payment: Vec<u8>) -> PayResult {
        let offer = Offer {
            method: Offer::VOUCHERS,
            payment,
        };
        let hop = HopIndex::default();
        self.machine.pay(now(), hop, offer, Msat::ZERO, None);
        loop {
            while let Some(output) = self.machine.poll_output() {
                match output {
                    ClientOutput::Transmit(bytes) => self.send.write_all(&bytes).await.unwrap(),
                    ClientOutput::Event(ClientEvent::Paid { result, .. }) => return result,
                    ClientOutput::Event(ClientEvent::Closed { reason, .. }) => {
                        panic!("closed: {reason}")
                    }
                    ClientOutput::Event(_) => {}
                }
            }
            let record = self.record().await;
            self.machine.control(now(), unix(), record).unwrap();
        }
    }

    /// What it may use.
    pub(crate) fn credit(&self) -> Msat {
        self.machine.credit(HopIndex::default()).unwrap().left()
    }

    async fn record(&mut self) -> Record {
        loop {
            if let Some(record) = self.assembler.take().unwrap() {
                return record;
            }
            let (recv, assembler) = (&mut self.recv, &mut self.assembler);
            let read = std::future::poll_fn(|cx| {
                poll_read_buf(std::pin::Pin::new(&mut *recv), cx, &mut assembler.buffer())
            });
            assert_ne!(read.await.unwrap(), 0, "the lane ended");
        }
    }
}

/// Nothing here takes long enough for the clock to matter.
fn now() -> Instant {
    Instant::from_epoch(std::time::Duration::ZERO)
}

fn limits() -> Limits {
    Limits::default()
}
