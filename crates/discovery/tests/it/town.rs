//! Networks for tests.

use coinfuse_directory::{
    Descriptor, DescriptorBody, Directory, Identity, LinkKey, OnionKey, PeerKey, RelayKeys,
    SourceOffer, VoucherKey,
};
use coinfuse_discovery::{Clock, Discovery, DiscoveryConfig, PeerAddress, Timing};
use coinfuse_wire::{RelayId, UnixTime};
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;

/// No test waits longer for what should happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Times of a network in a hurry, and without announcements in the DHT.
pub(crate) fn hurried() -> Timing {
    let mut timing = Timing::default();
    timing.compare = Duration::from_secs(2);
    timing.retry = Duration::from_secs(1);
    timing.settle = Duration::from_secs(3600);
    timing
}

/// A clock that a test moves.
#[derive(Debug, Clone)]
pub(crate) struct Time(Arc<AtomicU64>);

impl Time {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_800_000_000)))
    }

    pub(crate) fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_secs(), Ordering::Relaxed);
    }

    pub(crate) fn clock(&self) -> Clock {
        let time = self.clone();
        Clock::from_fn(move || time.now())
    }
}

fn seed(number: u16, purpose: u8) -> [u8; 32] {
    let mut seed = [purpose; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    seed
}

pub(crate) fn identity(number: u16) -> Identity {
    Identity::from_seed(seed(number, 1))
}

/// A descriptor of relay `number` from `now` on, with whatever `change` does to it.
pub(crate) fn descriptor(
    number: u16,
    now: UnixTime,
    change: impl FnOnce(&mut DescriptorBody),
) -> Descriptor {
    let identity = identity(number);
    let keys = RelayKeys {
        link: LinkKey::new([0x11; 32]),
        onion: OnionKey::new([0x22; 32]),
        voucher: VoucherKey::new([0x02; 33]),
    };
    let mut body = DescriptorBody::new(&identity, keys, now);
    body.addresses.push("127.0.0.1:4433".parse().unwrap());
    change(&mut body);
    body.sign(&identity)
        .expect("a test's descriptor is in bounds")
}

/// A public peer key and address as a descriptor names them.
pub(crate) fn offer(peer: &PeerAddress) -> SourceOffer {
    SourceOffer {
        key: peer.key,
        addresses: vec![peer.address],
    }
}

/// A relay that runs, until this is dropped.
pub(crate) struct Relay {
    number: u16,
    time: Time,
    pub(crate) node: Discovery,
}

impl Relay {
    pub(crate) fn id(&self) -> RelayId {
        identity(self.number).relay_id()
    }

    pub(crate) fn address(&self) -> PeerAddress {
        self.node.addresses()[0]
    }

    /// Publishes a descriptor that is newer than the last.
    pub(crate) async fn publish(&self, change: impl FnOnce(&mut DescriptorBody)) {
        let before = known(&self.node).get(&self.id()).map(|one| one.sequence);
        let descriptor = descriptor(self.number, self.time.now(), |body| {
            body.sequence = body.sequence.max(before.map_or(0, |before| before + 1));
            body.source = self.node.offer();
            change(body);
        });
        self.node.publish(descriptor).await.expect("it is new");
    }
}

/// What nodes of a test have in common.
pub(crate) struct Town {
    pub(crate) time: Time,
    pub(crate) timing: Timing,
}

impl Town {
    pub(crate) fn new() -> Self {
        Self {
            time: Time::new(),
            timing: hurried(),
        }
    }

    fn furnish(&self, config: &mut DiscoveryConfig, bootstrap: &[PeerAddress]) {
        config.bootstrap = bootstrap.to_vec();
        config.private_addresses = true;
        config.timing = self.timing;
        config.clock = self.time.clock();
    }

    /// The key that a relay proves to its peers, whether or not it runs.
    pub(crate) fn key_of_relay(&self, number: u16) -> PeerKey {
        coinfuse_discovery::peer_key(seed(number, 2))
    }

    /// A relay that has published a descriptor.
    pub(crate) async fn relay(&self, number: u16, bootstrap: &[PeerAddress]) -> Relay {
        let relay = self.silent_relay(number, bootstrap).await;
        relay.publish(|_| {}).await;
        relay
    }

    /// A relay that has published nothing.
    pub(crate) async fn silent_relay(&self, number: u16, bootstrap: &[PeerAddress]) -> Relay {
        let anywhere = "127.0.0.1:0".parse().unwrap();
        self.relay_at(anywhere, number, bootstrap).await
    }

    /// A relay that listens here, and has published nothing.
    pub(crate) async fn relay_at(
        &self,
        address: SocketAddr,
        number: u16,
        bootstrap: &[PeerAddress],
    ) -> Relay {
        self.relay_with(number, bootstrap, |config| config.listen = vec![address])
            .await
    }

    /// A relay that is configured by `change`, and has published nothing.
    pub(crate) async fn relay_with(
        &self,
        number: u16,
        bootstrap: &[PeerAddress],
        change: impl FnOnce(&mut DiscoveryConfig),
    ) -> Relay {
        let mut config = DiscoveryConfig::relay(seed(number, 2), seed(number, 3));
        self.furnish(&mut config, bootstrap);
        config.listen = vec!["127.0.0.1:0".parse().unwrap()];
        change(&mut config);
        let node = Discovery::start(config).await.expect("it starts");
        Relay {
            number,
            time: self.time.clone(),
            node,
        }
    }

    /// Relays that all know the first of them at first, and all of them when this returns.
    pub(crate) async fn relays(&self, count: u16) -> Vec<Relay> {
        let first = self.relay(0, &[]).await;
        let bootstrap = [first.address()];
        let mut relays = vec![first];
        for number in 1..count {
            relays.push(self.relay(number, &bootstrap).await);
        }
        for relay in &relays {
            until(&relay.node, |directory| directory.len() == relays.len()).await;
        }
        relays
    }

    pub(crate) async fn client(&self, bootstrap: &[PeerAddress]) -> Discovery {
        self.client_with(bootstrap, |_| {}).await
    }

    pub(crate) async fn client_with(
        &self,
        bootstrap: &[PeerAddress],
        change: impl FnOnce(&mut DiscoveryConfig),
    ) -> Discovery {
        let mut config = DiscoveryConfig::client([7; 32]);
        self.furnish(&mut config, bootstrap);
        change(&mut config);
        Discovery::start(config).await.expect("it starts")
    }
}

/// A client that has room for only so many relays, and knows as many: what it finds in the DHT
/// comes from others.
pub(crate) async fn forgetful(town: &Town, bootstrap: &[PeerAddress], room: usize) -> Discovery {
    let client = town
        .client_with(bootstrap, |config| {
            config.limits.relays = room;
            // It learns nothing more after the beginning.
            config.timing.compare = Duration::from_secs(3600);
        })
        .await;
    eventually(async || {
        let sources = client.status().await.unwrap().sources;
        let heard = sources.iter().filter(|one| one.heard.is_some());
        (heard.count() >= 2).then_some(())
    })
    .await;
    until(&client, |directory| directory.len() == room).await;
    client
}

/// Looks up a relay that the asker does not have in his book, until it is found.
pub(crate) async fn find_elsewhere(asker: &Discovery, relay: RelayId) -> Arc<Descriptor> {
    assert!(known(asker).get(&relay).is_none(), "nobody would be asked");
    eventually(async || asker.look_up(relay).await.unwrap()).await
}

/// Waits until a node's directory is as it should be; says how long that took.
pub(crate) async fn until(node: &Discovery, wanted: impl Fn(&Directory) -> bool) -> Duration {
    let started = tokio::time::Instant::now();
    let mut directory = node.directory();
    let reached = directory.wait_for(|directory| wanted(directory));
    if tokio::time::timeout(PATIENCE, reached).await.is_err() {
        panic!(
            "not in {PATIENCE:?}; {} relays are known",
            known(node).len()
        );
    }
    started.elapsed()
}

/// What a node knows now.
pub(crate) fn known(node: &Discovery) -> Arc<Directory> {
    node.directory().borrow().clone()
}

/// Asks again and again until the answer is as it should be.
pub(crate) async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let answered = tokio::time::timeout(PATIENCE, asking).await;
    answered.expect("what should happen happens in time")
}
