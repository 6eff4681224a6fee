//! The relay, and the neighbours on both sides of it.

use crate::mint::{COIN, Mint, seed, unix};
use coinfuse::link::{Link, LinkEndpoint, LinkLimits, LinkSecret};
use coinfuse::relay::{
    ChannelPolicy, Channels, ExtendPolicy, PacketLimits, PacketSetup, PacketStats, Relay,
    RelayLimits, RelaySetup,
};
use coinfuse::store::{Ledger, LedgerConfig};
use coinfuse_circuit::{LaneHeader, OnionSecret as CircuitSecret};
use coinfuse_directory::{
    Descriptor, DescriptorBody, Directory, Identity, OnionKey as CircuitKey, PacketKey,
    PacketOffer, PacketPrice, RelayKeys, VoucherKey as PublishedVoucherKey,
};
use coinfuse_onion::{
    Destination, Frame, INTRODUCTION_LABEL, Introduction, LARGE, NextHop, OnionKey, OnionSecret,
    Packet, Question, RingConfig, SMALL, Terms, Via,
};
use coinfuse_voucher::{Policy, Verifier, VoucherKey};
use coinfuse_wire::{Encode, Msat, PacketSize, Price, ServiceCode};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock, mpsc as std_mpsc};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The seeds of the three.
const NEAR: u8 = 1;
const UNDER: u8 = 2;
const FAR: u8 = 3;

fn anywhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn identity(seed: u8) -> Identity {
    Identity::from_seed([seed; 32])
}

fn price() -> PacketPrice {
    PacketPrice {
        small: Msat::new(COIN),
        large: Msat::new(COIN),
        ..PacketPrice::default()
    }
}

/// What the relay knows of a neighbour.
fn descriptor(seed: u8, address: SocketAddr) -> Descriptor {
    let keys = RelayKeys {
        link: LinkSecret::from_seed([seed; 32]).key(),
        onion: CircuitKey::new([seed; 32]),
        voucher: PublishedVoucherKey::new([2; 33]),
    };
    let mut body = DescriptorBody::new(&identity(seed), keys, unix());
    body.addresses = vec![address];
    body.packets = Some(PacketOffer {
        key: PacketKey::new([2; 33]),
        good_until: body.expires,
        price: price(),
        max_delay: Duration::ZERO,
    });
    body.sign(&identity(seed)).expect("a descriptor")
}

/// Runs something on a thread of its own, for as long as the process lives; what it makes first.
fn elsewhere<T: Send + 'static, F: Future<Output = ()>>(
    name: &str,
    work: impl FnOnce(std_mpsc::Sender<T>) -> F + Send + 'static,
) -> T {
    let (made, first) = std_mpsc::channel();
    let thread = std::thread::Builder::new().name(name.into());
    let spawned = thread.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(work(made));
    });
    spawned.expect("a thread");
    first.recv().expect("it begins")
}

/// The relay that is measured.
pub(crate) struct Under {
    relay: Arc<Relay>,
    key: OnionKey,
}

impl Under {
    pub(crate) fn start(folder: &Path, mint: &Mint, far: &Far) -> Self {
        let setup = setup(folder, mint);
        let relay = elsewhere("relay", |made| async move {
            let relay = Arc::new(Relay::start(setup).expect("a relay"));
            made.send(Arc::clone(&relay)).expect("somebody waits");
            core::future::pending::<()>().await;
        });
        let mut directory = Directory::new();
        directory.extend([
            descriptor(FAR, far.address),
            descriptor(NEAR, relay.address()),
        ]);
        relay.set_directory(directory);
        let offer = relay.packet_offer().expect("an offer");
        let key = OnionKey::from_bytes(offer.key.as_bytes()).expect("a key");
        Self { relay, key }
    }

    pub(crate) fn stats(&self) -> PacketStats {
        self.relay.stats().packets
    }

    /// A packet over this relay to the far neighbour.
    pub(crate) fn packet(&self, mint: &Mint, size: PacketSize) -> Vec<u8> {
        let via = [Via {
            key: self.key,
            next: NextHop::Relay(identity(FAR).relay_id()),
            terms: Terms::paid(mint.sell(&voucher_key().public_key())),
        }];
        let to = Destination {
            key: OnionSecret::from_seed(&[7; 32]).public_key(),
            service: ServiceCode::MEMPOOL,
            instruction: vec![],
            terms: Terms::default(),
        };
        let question = Question {
            via: &via,
            to: &to,
            message: b"a transaction",
            reply: None,
        };
        match size {
            PacketSize::Small => build::<SMALL>(question),
            PacketSize::Large => build::<LARGE>(question),
        }
    }
}

fn build<const N: usize>(question: Question<'_>) -> Vec<u8> {
    let packet: Packet<N> = question.build(&seed()).expect("a short message");
    packet.to_bytes()
}

fn voucher_key() -> VoucherKey {
    VoucherKey::from_secret_bytes([9; 32]).expect("a key")
}

fn setup(folder: &Path, mint: &Mint) -> RelaySetup {
    let ledger = Ledger::open(&folder.join("ledger.redb"), LedgerConfig::default());
    let ledger = ledger.expect("a ledger");
    let channels = Channels::new([9; 32], vec![], ledger, ChannelPolicy::default());
    let verifier = Verifier::new(voucher_key(), mint.keyring(), Policy::default());
    let mut limits = PacketLimits::default();
    limits.relay_rate = 1_000_000;
    RelaySetup {
        identity_seed: [UNDER; 32],
        link_secret: LinkSecret::from_seed([UNDER; 32]),
        onion: CircuitSecret::new([UNDER; 32]),
        listen: anywhere(),
        price: Price::FREE,
        verifier: Arc::new(RwLock::new(verifier)),
        mints: vec![],
        channels: channels.expect("channels"),
        exit: None,
        extend: ExtendPolicy::Anywhere,
        packets: Some(PacketSetup {
            keys: folder.join("packet-keys"),
            ring: RingConfig::default(),
            price: price(),
            max_delay: Duration::ZERO,
            limits,
            mempool: None,
        }),
        limits: RelayLimits::default(),
        link_limits: LinkLimits::default(),
    }
}

/// The neighbour that sends.
pub(crate) struct Near(mpsc::UnboundedSender<Vec<Vec<u8>>>);

impl Near {
    pub(crate) fn start(relay: &Under) -> Self {
        let address = relay.relay.address();
        Self(elsewhere("near", move |made| async move {
            let endpoint = LinkEndpoint::bind(anywhere(), None, LinkLimits::default());
            let endpoint = endpoint.expect("an endpoint");
            let key = LinkSecret::from_seed([UNDER; 32]).key();
            let link = endpoint.dial(&[address], key, Duration::from_secs(9)).await;
            let link = link.expect("a link");
            let mut lane = introduced(&link).await;
            let (packets, mut inbox) = mpsc::unbounded_channel::<Vec<Vec<u8>>>();
            made.send(packets).expect("somebody waits");
            while let Some(packets) = inbox.recv().await {
                for packet in packets {
                    let mut sizes = PacketSize::ALL.into_iter();
                    let size = sizes.find(|size| size.len() == packet.len());
                    let frame = Frame::Packet(size.expect("a packet"), packet).to_bytes();
                    lane.write_chunk(frame.into()).await.expect("a lane");
                }
            }
        }))
    }

    pub(crate) fn send(&self, packets: Vec<Vec<u8>>) {
        self.0.send(packets).expect("the neighbour");
    }
}

/// A packet lane of a relay.
async fn introduced(link: &Link) -> quinn::SendStream {
    let (mut send, _) = link.open_bi().await.expect("a lane");
    let exported = link.export_keying_material(INTRODUCTION_LABEL);
    let introduction = Frame::Introduction(Introduction {
        relay: identity(NEAR).relay_id(),
        signature: identity(NEAR).sign("coinfuse packet lane v1", &exported.expect("a link")),
    });
    let opening = [LaneHeader::Packets.to_bytes(), introduction.to_bytes()].concat();
    send.write_all(&opening).await.expect("a lane");
    send
}

/// The neighbour that counts.
pub(crate) struct Far {
    address: SocketAddr,
    packets: Arc<AtomicUsize>,
}

impl Far {
    pub(crate) fn start() -> Self {
        elsewhere("far", |made| async move {
            let secret = LinkSecret::from_seed([FAR; 32]);
            let endpoint = LinkEndpoint::bind(anywhere(), Some(&secret), LinkLimits::default());
            let endpoint = endpoint.expect("an endpoint");
            let packets = Arc::new(AtomicUsize::new(0));
            let far = Self {
                address: endpoint.local_address().expect("an address"),
                packets: Arc::clone(&packets),
            };
            made.send(far).expect("somebody waits");
            let count = |link: Link| {
                tokio::spawn(count(link, Arc::clone(&packets)));
            };
            endpoint.serve(CancellationToken::new(), count).await;
        })
    }

    /// How many have arrived.
    pub(crate) fn packets(&self) -> usize {
        self.packets.load(Ordering::Relaxed)
    }
}

async fn count(link: Link, packets: Arc<AtomicUsize>) {
    let (_send, mut recv) = link.accept_bi().await.expect("a lane");
    // The lane's header and the introduction.
    let mut opening = [0; 1 + 1 + 96];
    recv.read_exact(&mut opening).await.expect("a lane");
    loop {
        let mut kind = [0];
        if recv.read_exact(&mut kind).await.is_err() {
            return;
        }
        let mut missing = PacketSize::ALL[usize::from(kind[0]) - 1].len();
        while missing > 0 {
            match recv.read_chunk(missing, true).await {
                Ok(Some(chunk)) => missing -= chunk.bytes.len(),
                _ => return,
            }
        }
        packets.fetch_add(1, Ordering::Relaxed);
    }
}
