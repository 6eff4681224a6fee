//! A relay that can be started, frozen, killed and started again.

use coinfuse::keys::{MasterSeed, Purpose};
use coinfuse::link::LinkLimits;
use coinfuse::relay::{
    ChannelPolicy, Channels, ExtendPolicy, MempoolService, PacketLimits, PacketSetup, Relay,
    RelayLimits, RelaySetup,
};
use coinfuse::store::{Ledger, LedgerConfig};
use coinfuse::treasury::{Treasury, TreasuryConfig};
use coinfuse_circuit::OnionSecret;
use coinfuse_delivery::{Exit, ExitConfig, SystemResolver};
use coinfuse_directory::{
    Descriptor, DescriptorBody, ExitPolicy, Identity, MintOffer, OnionKey, PacketPrice, RelayKeys,
    VoucherKey as PublishedVoucherKey,
};
use coinfuse_onion::RingConfig;
use coinfuse_testkit::{DelayedUdp, LinkConfig};
use coinfuse_voucher::{Keyring, MintId, Policy, PurseConfig, Unit, Verifier, VoucherKey};
use coinfuse_wire::{Msat, Price, Rate, UnixTime};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, RwLock, mpsc as std_mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot};

/// What may be reached on this machine.
pub(crate) const LOOPBACK: &str = "accept 127.0.0.1:*";

type MakeExit = Arc<dyn Fn() -> Exit + Send + Sync>;

/// What a relay is like.
#[derive(Clone)]
pub(crate) struct RelayPlan {
    pub(crate) rate: Rate,
    /// What its descriptor says.
    pub(crate) policy: &'static str,
    /// What else its descriptor says.
    pub(crate) describe: fn(&mut DescriptorBody),
    /// What it does.
    pub(crate) exit: Option<MakeExit>,
    pub(crate) limits: RelayLimits,
    pub(crate) links: LinkLimits,
    /// The path to it.
    pub(crate) path: Option<LinkConfig>,
    /// What packets cost, if it takes any.
    pub(crate) packets: Option<PacketPrice>,
    /// Delivery to the Bitcoin network, for packets.
    pub(crate) mempool: Option<MempoolService>,
    /// False for a relay that publishes the mint and does not accept it.
    pub(crate) accepts_the_mint: bool,
}

impl Default for RelayPlan {
    fn default() -> Self {
        Self {
            rate: super::town::PRICE,
            policy: "",
            describe: |_| {},
            exit: None,
            limits: RelayLimits::default(),
            links: LinkLimits::default(),
            path: None,
            packets: None,
            mempool: None,
            accepts_the_mint: true,
        }
    }
}

impl RelayPlan {
    /// What the relay needs to take packets, with its keys in this file.
    fn packets(&self, keys: PathBuf) -> Option<PacketSetup> {
        self.packets.map(|price| PacketSetup {
            keys,
            ring: RingConfig {
                tags: 10_000,
                ..RingConfig::default()
            },
            price,
            max_delay: Duration::from_secs(60),
            limits: PacketLimits::default(),
            mempool: self.mempool.clone(),
        })
    }

    /// An exit to this machine.
    pub(crate) fn exit() -> Self {
        Self::exit_by(LOOPBACK, || {
            Exit::new(exit_config(LOOPBACK), SystemResolver)
        })
    }

    /// An exit that says one thing and does what it does.
    pub(crate) fn exit_by(
        policy: &'static str,
        make: impl Fn() -> Exit + Send + Sync + 'static,
    ) -> Self {
        Self {
            policy,
            exit: Some(Arc::new(make)),
            ..Self::default()
        }
    }
}

pub(crate) fn exit_config(policy: &str) -> ExitConfig {
    ExitConfig::new(policy.parse().unwrap())
}

/// A relay and its place in the world.
pub(crate) struct Station {
    seed: MasterSeed,
    plan: RelayPlan,
    ledger: PathBuf,
    keyring: Keyring,
    /// Those of the one mint; none for a relay that takes no channels.
    keysets: Vec<cashu::KeySet>,
    offer: MintOffer,
    listen: SocketAddr,
    path: Option<DelayedUdp>,
    running: Option<Running>,
}

type Job = Box<dyn FnOnce() + Send>;

struct Running {
    relay: Arc<Relay>,
    jobs: mpsc::UnboundedSender<Job>,
    thread: JoinHandle<()>,
}

/// A relay whose runtime does nothing until this is dropped.
pub(crate) struct Frozen {
    _thaw: std_mpsc::Sender<()>,
}

impl Station {
    pub(crate) fn new(
        index: usize,
        plan: RelayPlan,
        ledger: PathBuf,
        keyring: Keyring,
        keysets: Vec<cashu::KeySet>,
        offer: MintOffer,
    ) -> Self {
        Self {
            seed: MasterSeed::new([100 + index as u8; 32]),
            plan,
            ledger,
            keyring,
            keysets,
            offer,
            listen: crate::support::loopback(),
            path: None,
            running: None,
        }
    }

    /// Starts it, again at the same address.
    pub(crate) async fn start(&mut self) {
        let (setup, policy) = (self.recipe(), self.plan.path);
        let (jobs, mut inbox) = mpsc::unbounded_channel::<Job>();
        let (ready, started) = oneshot::channel();
        // It logs to whom the test logs.
        let log = tracing::dispatcher::get_default(Clone::clone);
        let thread = std::thread::spawn(move || {
            let _log = tracing::dispatcher::set_default(&log);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let relay = Arc::new(Relay::start(setup()).unwrap());
                ready.send(relay).ok();
                while let Some(job) = inbox.recv().await {
                    job();
                }
            });
            // As the machine's power would go: nobody takes leave.
        });
        let relay = started.await.unwrap();
        self.listen = relay.address();
        if self.path.is_none() {
            self.path = policy.map(|path| DelayedUdp::start(self.listen, path).unwrap());
        }
        self.running = Some(Running {
            relay,
            jobs,
            thread,
        });
    }

    /// How to set the relay up on its own thread.
    fn recipe(&self) -> impl FnOnce() -> RelaySetup + Send + 'static {
        let (seed, plan, path) = (self.seed.clone(), self.plan.clone(), self.ledger.clone());
        let listen = self.listen;
        let packets = plan.packets(path.with_extension("packet-keys"));
        let (mints, keyring) = match plan.accepts_the_mint {
            true => (vec![self.offer.clone()], self.keyring.clone()),
            false => (vec![], Keyring::new()),
        };
        let (own, keysets) = (mints.iter().map(mint_id).collect(), self.keysets.clone());
        let open = move |seed: &MasterSeed| {
            let ledger = Ledger::open(&path, LedgerConfig::default()).unwrap();
            let key = *seed.derive(Purpose::Voucher);
            let policy = ChannelPolicy::default();
            let own: Vec<_> = own;
            let channels = Channels::new(key, own.clone(), ledger, policy).unwrap();
            for (mint, keyset) in own.iter().zip(&keysets) {
                channels.learn(mint, keyset).unwrap();
            }
            channels
        };
        move || RelaySetup {
            channels: open(&seed),
            identity_seed: *seed.derive(Purpose::Identity),
            link_secret: seed.link_secret(),
            onion: onion(&seed),
            listen,
            price: price(&plan),
            verifier: Arc::new(RwLock::new(Verifier::new(
                voucher_key(&seed),
                keyring,
                Policy::default(),
            ))),
            mints,
            exit: plan.exit.map(|make| make()),
            extend: ExtendPolicy::Anywhere,
            packets,
            limits: plan.limits,
            link_limits: plan.links,
        }
    }

    pub(crate) fn relay(&self) -> &Arc<Relay> {
        &self.running.as_ref().expect("the relay runs").relay
    }

    /// What packets cost from the next start on.
    pub(crate) fn charge_for_packets(&mut self, price: PacketPrice) {
        self.plan.packets = Some(price);
    }

    pub(crate) fn price(&self) -> Price {
        price(&self.plan)
    }

    /// Settles and redeems everything; what coins the relay has then.
    pub(crate) async fn settle_all(&self) -> Msat {
        let folder = self.ledger.with_extension("coins");
        let mint = mint_id(&self.offer);
        let mut purse = PurseConfig::new(folder, vec![mint], [9; 32]);
        purse.rate_limit = false;
        let verifier = Verifier::new(
            voucher_key(&self.seed),
            self.keyring.clone(),
            Policy::default(),
        );
        let verifier = Arc::new(RwLock::new(verifier));
        let channels = self.relay().channels().clone();
        let treasury = Treasury::start(TreasuryConfig::new(purse), verifier, channels).await;
        let treasury = treasury.unwrap();
        treasury.settle_now(true).await.unwrap();
        treasury.redeem_now().await.unwrap();
        let coins = treasury.earnings().await.unwrap().coins;
        treasury.shutdown().await;
        coins.into_values().sum()
    }

    /// Circuits that are open at it.
    pub(crate) fn open_circuits(&self) -> u64 {
        self.relay().stats().open_circuits
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        let Some(Running {
            relay,
            jobs,
            thread,
        }) = self.running.take()
        else {
            return;
        };
        drop(jobs);
        thread.join().unwrap();
        drop(relay);
    }

    /// Ends it in an orderly way.
    pub(crate) async fn shut_down(&mut self) {
        self.relay().shutdown().await;
        self.kill();
    }

    /// Stops its runtime until the guard is dropped: the slowest of relays.
    pub(crate) fn freeze(&self) -> Frozen {
        let (thaw, thawed) = std_mpsc::channel::<()>();
        let running = self.running.as_ref().expect("the relay runs");
        let blocking = move || while thawed.recv().is_ok() {};
        running.jobs.send(Box::new(blocking)).ok().unwrap();
        Frozen { _thaw: thaw }
    }

    /// Cuts the path to it and lays another one, which the next descriptor names.
    pub(crate) fn lay_new_path(&mut self) {
        let path = self.plan.path.expect("there was a path");
        self.path = None;
        self.path = Some(DelayedUdp::start(self.listen, path).unwrap());
    }

    /// What is published about it.
    pub(crate) fn descriptor(&self) -> Descriptor {
        self.descriptor_but(|_| {})
    }

    /// What would be published if it were elsewhere.
    pub(crate) fn descriptor_at(&self, address: SocketAddr) -> Descriptor {
        self.descriptor_but(|body| body.addresses = vec![address])
    }

    /// What would be published if something were different.
    pub(crate) fn descriptor_but(&self, change: impl FnOnce(&mut DescriptorBody)) -> Descriptor {
        let identity = Identity::from_seed(*self.seed.derive(Purpose::Identity));
        let keys = RelayKeys {
            link: self.seed.link_secret().key(),
            onion: OnionKey::new(*onion(&self.seed).public().as_bytes()),
            voucher: PublishedVoucherKey::new(voucher_key(&self.seed).public_key().to_bytes()),
        };
        let mut body = DescriptorBody::new(&identity, keys, unix());
        body.price = self.price();
        body.mints = vec![self.offer.clone()];
        body.exit_policy = match self.plan.policy {
            "" => ExitPolicy::default(),
            policy => policy.parse().unwrap(),
        };
        if !self.plan.policy.is_empty() {
            body.services = [coinfuse_wire::ServiceCode::EXIT].into_iter().collect();
        }
        if self.plan.mempool.is_some() {
            body.services.insert(coinfuse_wire::ServiceCode::MEMPOOL);
        }
        let running = self.running.as_ref();
        body.packets = running.and_then(|running| running.relay.packet_offer());
        body.addresses = vec![self.path.as_ref().map_or(self.listen, DelayedUdp::addr)];
        (self.plan.describe)(&mut body);
        change(&mut body);
        body.sign(&identity).unwrap()
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        self.kill();
    }
}

fn mint_id(offer: &MintOffer) -> MintId {
    MintId::new(&offer.url.to_string(), Unit::Msat).unwrap()
}

fn price(plan: &RelayPlan) -> Price {
    Price {
        up: plan.rate,
        down: plan.rate,
    }
}

fn onion(seed: &MasterSeed) -> OnionSecret {
    OnionSecret::new(*seed.derive(Purpose::Onion { epoch: 0 }))
}

fn voucher_key(seed: &MasterSeed) -> VoucherKey {
    VoucherKey::from_secret_bytes(*seed.derive(Purpose::Voucher)).unwrap()
}

/// The wall clock: vouchers and quotes have dates.
pub(crate) fn unix() -> UnixTime {
    #[allow(clippy::disallowed_methods, reason = "real relays are tested")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::from_secs(now.unwrap_or(Duration::ZERO).as_secs())
}
