//! A relay that takes packets, on the runtime of the test.

use super::mint::PocketMint;
use crate::network::unix;
use crate::support::loopback;
use coinfuse::keys::{MasterSeed, Purpose};
use coinfuse::link::LinkLimits;
use coinfuse::relay::{
    ChannelPolicy, Channels, ExtendPolicy, MempoolService, PacketLimits, PacketSetup, PacketStats,
    Relay, RelayLimits, RelaySetup,
};
use coinfuse::store::{Ledger, LedgerConfig, PacketTotals};
use coinfuse_circuit::OnionSecret as CircuitSecret;
use coinfuse_directory::{
    Descriptor, DescriptorBody, Directory, Identity, OnionKey as CircuitKey, PacketPrice,
    RelayKeys, VoucherKey as PublishedVoucherKey,
};
use coinfuse_onion::{NextHop, OnionKey, PaymentBytes, RingConfig, Terms, Via};
use coinfuse_voucher::{Keyring, Policy, Verifier, Voucher, VoucherKey, VoucherPublicKey};
use coinfuse_wire::{Encode, Msat, Price, RelayId};
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tempfile::TempDir;

/// What everything costs: fees of 2 for a small packet, 4 for a large one.
pub(crate) const PRICE: PacketPrice = PacketPrice {
    small: Msat::new(2),
    large: Msat::new(4),
    service: Msat::new(2),
    delay: Msat::new(1),
};

pub(crate) const MAX_DELAY: Duration = Duration::from_secs(30);

/// What a relay is like.
pub(crate) struct OfficePlan {
    pub(crate) price: PacketPrice,
    pub(crate) limits: PacketLimits,
    pub(crate) links: LinkLimits,
    pub(crate) mempool: Option<MempoolService>,
    pub(crate) tags: usize,
}

impl Default for OfficePlan {
    fn default() -> Self {
        Self {
            price: PRICE,
            limits: PacketLimits::default(),
            links: LinkLimits::default(),
            mempool: None,
            tags: 10_000,
        }
    }
}

pub(crate) struct Office {
    seed: MasterSeed,
    plan: OfficePlan,
    keyring: Keyring,
    folder: TempDir,
    listen: SocketAddr,
    relay: Option<Relay>,
}

impl Office {
    pub(crate) fn start(index: u8, mints: &[&PocketMint], plan: OfficePlan) -> Self {
        let mut keyring = Keyring::new();
        for mint in mints {
            keyring.merge(mint.keyring()).unwrap();
        }
        let mut office = Self {
            seed: MasterSeed::new([100 + index; 32]),
            plan,
            keyring,
            folder: tempfile::tempdir().unwrap(),
            listen: loopback(),
            relay: None,
        };
        office.open();
        office
    }

    fn open(&mut self) {
        let ledger = self.folder.path().join("ledger.redb");
        let ledger = Ledger::open(&ledger, LedgerConfig::default()).unwrap();
        let key = *self.seed.derive(Purpose::Voucher);
        let verifier = Verifier::new(self.voucher_key(), self.keyring.clone(), Policy::default());
        let setup = RelaySetup {
            channels: Channels::new(key, vec![], ledger, ChannelPolicy::default()).unwrap(),
            identity_seed: *self.seed.derive(Purpose::Identity),
            link_secret: self.seed.link_secret(),
            onion: self.circuit_secret(),
            listen: self.listen,
            price: Price::FREE,
            verifier: Arc::new(RwLock::new(verifier)),
            mints: vec![],
            exit: None,
            extend: ExtendPolicy::Anywhere,
            packets: Some(PacketSetup {
                keys: self.folder.path().join("packet-keys"),
                ring: RingConfig {
                    tags: self.plan.tags,
                    ..RingConfig::default()
                },
                price: self.plan.price,
                max_delay: MAX_DELAY,
                limits: self.plan.limits.clone(),
                mempool: self.plan.mempool.clone(),
            }),
            limits: RelayLimits::default(),
            link_limits: self.plan.links.clone(),
        };
        let relay = Relay::start(setup).unwrap();
        self.listen = relay.address();
        self.relay = Some(relay);
    }

    /// Ends it and starts it again on the same files, at another address.
    pub(crate) async fn restart(&mut self) {
        let relay = self.relay.take().unwrap();
        relay.shutdown().await;
        relay.ledger().close().await.unwrap();
        drop(relay);
        self.listen = loopback();
        self.open();
    }

    pub(crate) fn relay(&self) -> &Relay {
        self.relay.as_ref().unwrap()
    }

    pub(crate) fn id(&self) -> RelayId {
        self.identity().relay_id()
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::from_seed(*self.seed.derive(Purpose::Identity))
    }

    pub(crate) fn stats(&self) -> PacketStats {
        self.relay().stats().packets
    }

    /// What packets have paid, from the disk.
    pub(crate) fn paid(&self) -> PacketTotals {
        self.relay().ledger().totals().unwrap().packets
    }

    /// The key that packets are made for.
    pub(crate) fn key(&self) -> OnionKey {
        let offer = self.relay().packet_offer().unwrap();
        OnionKey::from_bytes(offer.key.as_bytes()).unwrap()
    }

    fn circuit_secret(&self) -> CircuitSecret {
        CircuitSecret::new(*self.seed.derive(Purpose::Onion { epoch: 0 }))
    }

    fn voucher_key(&self) -> VoucherKey {
        VoucherKey::from_secret_bytes(*self.seed.derive(Purpose::Voucher)).unwrap()
    }

    /// The key that vouchers for it are locked to.
    pub(crate) fn till(&self) -> VoucherPublicKey {
        self.voucher_key().public_key()
    }

    pub(crate) fn descriptor(&self) -> Descriptor {
        self.descriptor_at(self.listen)
    }

    /// What would be published if it were elsewhere.
    pub(crate) fn descriptor_at(&self, address: SocketAddr) -> Descriptor {
        let keys = RelayKeys {
            link: self.seed.link_secret().key(),
            onion: CircuitKey::new(*self.circuit_secret().public().as_bytes()),
            voucher: PublishedVoucherKey::new(self.till().to_bytes()),
        };
        let mut body = DescriptorBody::new(&self.identity(), keys, unix());
        body.packets = self.relay().packet_offer();
        body.addresses = vec![address];
        body.sign(&self.identity()).unwrap()
    }

    /// Lets it pass packets on to these.
    pub(crate) fn knows(&self, descriptors: impl IntoIterator<Item = Descriptor>) {
        let mut directory = Directory::new();
        directory.extend(descriptors);
        self.relay().set_directory(directory);
    }

    /// A hop over it, paid with a coin of this value.
    pub(crate) fn via(&self, mint: &PocketMint, units: u64, next: NextHop) -> Via {
        Via {
            key: self.key(),
            next,
            terms: paid(&mint.sell(&self.till(), units)),
        }
    }
}

pub(crate) fn paid(voucher: &Voucher) -> Terms {
    Terms::paid(PaymentBytes::new(voucher.to_bytes()).unwrap())
}
