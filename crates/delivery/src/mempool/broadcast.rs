//! Handing a submission to several peers, and looking for it at others.

use super::p2p::{Event, Role, SessionConfig};
use super::peer::{Setting, Transport, Wish, derive, speak};
use super::{Answer, Network, Rejection, Submission};
use crate::{Dial, SystemDialer};
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

/// What a peer that is slow to finish can cost, once the transaction was seen.
const FINISH_WITHIN: Duration = Duration::from_secs(1);

/// Which peers to use, and how.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PeerConfig {
    /// The peers, of which each submission uses a few, drawn anew. They should be independent of
    /// each other: an observer is worth nothing that belongs to who was handed the transaction.
    pub peers: Vec<SocketAddr>,
    /// To how many peers at once a submission is handed. Default 2.
    pub submit_to: usize,
    /// How many other peers are watched for it. Default 2. With none, a peer that asked for the
    /// transaction and processed it is taken at its word.
    pub observers: usize,
    /// How to speak with them. Default [`Transport::PreferEncrypted`].
    pub transport: Transport,
    /// For a TCP connection. Default 5 s.
    pub dial_timeout: Duration,
    /// From the first `inv` to an observer's announcement. Default 90 s: an announcement takes
    /// seconds at each node on the way.
    pub confirm_within: Duration,
    /// For observers to answer when they are asked outright at the end. Default 10 s.
    pub probe_within: Duration,
    /// The patience with each peer.
    pub session: SessionConfig,
}

impl PeerConfig {
    /// The defaults, for these peers.
    pub fn new(peers: Vec<SocketAddr>) -> Self {
        Self {
            peers,
            submit_to: 2,
            observers: 2,
            transport: Transport::default(),
            dial_timeout: Duration::from_secs(5),
            confirm_within: Duration::from_secs(90),
            probe_within: Duration::from_secs(10),
            session: SessionConfig::default(),
        }
    }
}

/// Hands submissions to the Bitcoin network by the P2P protocol.
///
/// Connections are opened for one submission and closed after it, so that a peer sees nothing that
/// ties two of them together.
#[derive(Clone)]
pub struct Broadcaster {
    setting: Setting,
    config: Arc<PeerConfig>,
}

impl Broadcaster {
    /// Uses the operating system's sockets.
    pub fn new(network: Network, config: PeerConfig) -> Self {
        Self::with_dialer(network, config, SystemDialer)
    }

    /// Uses connections of another kind: through a proxy, or for tests.
    pub fn with_dialer(network: Network, config: PeerConfig, dialer: impl Dial) -> Self {
        let setting = Setting {
            network,
            transport: config.transport,
            dial_timeout: config.dial_timeout,
            session: config.session,
            dialer: Arc::new(dialer),
            epoch: Instant::now(),
        };
        Self {
            setting,
            config: Arc::new(config),
        }
    }

    /// Hands a submission over at once and says what became of it. The seed must be random and
    /// used for nothing else.
    ///
    /// Takes as long as the time limits of the configuration allow; dropping the future gives up,
    /// and then the transaction may have been handed over or not.
    pub async fn broadcast(&self, submission: &Submission, seed: [u8; 32]) -> Answer {
        Round::new(self, submission, seed).run().await
    }
}

/// The life of one submission.
struct Round<'a> {
    broadcaster: &'a Broadcaster,
    submission: Arc<Submission>,
    seed: [u8; 32],
    /// Peers that were not used yet, in random order.
    fresh: VecDeque<SocketAddr>,
    opened: u64,
    submitters: JoinSet<Event>,
    observers: JoinSet<Event>,
    wish: watch::Sender<Wish>,
    /// Of observers that came too late to be told: they are asked as soon as they are ready.
    late_wish: watch::Sender<Wish>,
    delivered: bool,
    not_asked: bool,
}

/// How the observers' part ended.
#[derive(PartialEq, Eq)]
enum Sight {
    Seen,
    NotSeen,
    /// There is no observer, or none is left.
    Blind,
}

impl<'a> Round<'a> {
    fn new(broadcaster: &'a Broadcaster, submission: &Submission, seed: [u8; 32]) -> Self {
        Self {
            broadcaster,
            submission: Arc::new(submission.clone()),
            seed,
            fresh: shuffle(&broadcaster.config.peers, seed),
            opened: 0,
            submitters: JoinSet::new(),
            observers: JoinSet::new(),
            wish: watch::Sender::new(Wish::Wait),
            late_wish: watch::Sender::new(Wish::Probe),
            delivered: false,
            not_asked: false,
        }
    }

    async fn run(mut self) -> Answer {
        // First the observers, since nodes announce only what comes after they were met.
        self.place_observers().await;
        let deadline = Instant::now() + self.broadcaster.config.confirm_within;
        for _ in 0..self.broadcaster.config.submit_to.max(1) {
            self.submit_to_next();
        }
        let sight = match self.watch(deadline).await {
            Sight::NotSeen => self.probe().await,
            sight => sight,
        };
        if sight == Sight::Seen && !self.delivered {
            self.finish().await;
        }
        self.judge(sight)
    }

    fn judge(&self, sight: Sight) -> Answer {
        let trusting = self.broadcaster.config.observers == 0;
        match sight {
            Sight::Seen if self.delivered || !self.not_asked => self.accepted(),
            // Nobody wanted it from us, and yet it is there.
            Sight::Seen => Rejection::AlreadyKnown.into(),
            Sight::Blind if self.delivered && trusting => self.accepted(),
            Sight::Blind if self.delivered => Rejection::Unconfirmed.into(),
            _ if self.delivered || self.not_asked => Rejection::NotRelayed.into(),
            _ => Rejection::Unavailable.into(),
        }
    }

    fn accepted(&self) -> Answer {
        Answer::Accepted(self.submission.txid())
    }

    /// Opens connections until as many observers are ready as are wanted, or no peer is left but
    /// one to submit to, or it has taken as long as three peers that do nothing.
    async fn place_observers(&mut self) {
        let (on_ready, mut ready) = mpsc::unbounded_channel();
        let config = &self.broadcaster.config;
        let deadline = Instant::now() + 3 * (config.dial_timeout + config.session.handshake);
        let mut missing = config.observers;
        for _ in 0..missing {
            self.observe_next(&on_ready);
        }
        while missing > 0 && !self.observers.is_empty() {
            tokio::select! {
                biased;
                Some(()) = ready.recv() => missing -= 1,
                Some(_) = self.observers.join_next() => self.observe_next(&on_ready),
                () = sleep_until(deadline) => return,
            }
        }
    }

    fn observe_next(&mut self, on_ready: &mpsc::UnboundedSender<()>) {
        if self.fresh.len() > 1 {
            let on_ready = on_ready.clone();
            let role = Role::observe(&self.submission);
            let wish = self.wish.subscribe();
            let work = self.open_next(role, wish, move || {
                // The receiver is gone once there are enough.
                let _ = on_ready.send(());
            });
            if let Some(work) = work {
                self.observers.spawn(work);
            }
        }
    }

    /// In the place of an observer that was lost.
    fn observe_late(&mut self) {
        let role = Role::observe(&self.submission);
        let wish = self.late_wish.subscribe();
        if let Some(work) = self.open_next(role, wish, || {}) {
            self.observers.spawn(work);
        }
    }

    fn submit_to_next(&mut self) {
        let role = Role::Submit(Arc::clone(&self.submission));
        let wish = self.wish.subscribe();
        if let Some(work) = self.open_next(role, wish, || {}) {
            self.submitters.spawn(work);
        }
    }

    fn open_next(
        &mut self,
        role: Role,
        wish: watch::Receiver<Wish>,
        on_ready: impl FnMut() + Send + 'static,
    ) -> Option<impl Future<Output = Event> + Send + 'static> {
        let address = self.fresh.pop_front()?;
        let seed = derive(self.seed, b"peer", self.opened);
        self.opened += 1;
        let setting = self.broadcaster.setting.clone();
        Some(async move { speak(&setting, address, role, seed, wish, on_ready).await })
    }

    /// Until an observer has the transaction, or it is clear that waiting is in vain.
    async fn watch(&mut self, deadline: Instant) -> Sight {
        loop {
            if self.submitters.is_empty() && (!self.delivered || self.observers.is_empty()) {
                return self.not_seen();
            }
            tokio::select! {
                biased;
                Some(ended) = self.observers.join_next() => {
                    if matches!(ended, Ok(Event::Seen)) {
                        return Sight::Seen;
                    }
                    self.observe_late();
                }
                Some(ended) = self.submitters.join_next() => self.on_submitted(ended.ok()),
                () = sleep_until(deadline) => return self.not_seen(),
            }
        }
    }

    fn on_submitted(&mut self, ended: Option<Event>) {
        match ended {
            Some(Event::Delivered) => self.delivered = true,
            Some(Event::NotAsked) => self.not_asked = true,
            _ => self.submit_to_next(),
        }
    }

    /// Gives peers that are in the middle of it the time to take the rest, such as a package's
    /// other part.
    async fn finish(&mut self) {
        let deadline = Instant::now() + FINISH_WITHIN;
        while !self.delivered {
            match timeout_at(deadline, self.submitters.join_next()).await {
                Ok(Some(ended)) => self.delivered |= matches!(ended, Ok(Event::Delivered)),
                _ => return,
            }
        }
    }

    fn not_seen(&self) -> Sight {
        if self.observers.is_empty() {
            Sight::Blind
        } else {
            Sight::NotSeen
        }
    }

    /// Asks the observers outright: they do not announce what they announced before we met, and
    /// an announcement can take its time.
    async fn probe(&mut self) -> Sight {
        if !self.delivered && !self.not_asked {
            return Sight::Blind;
        }
        let deadline = Instant::now() + self.broadcaster.config.probe_within;
        for wish in [&self.wish, &self.late_wish] {
            let _ = wish.send(Wish::Probe);
        }
        while let Ok(Some(ended)) = timeout_at(deadline, self.observers.join_next()).await {
            if matches!(ended, Ok(Event::Seen)) {
                return Sight::Seen;
            }
        }
        self.not_seen()
    }
}

/// The peers in an order that follows from the seed, without repeats.
fn shuffle(peers: &[SocketAddr], seed: [u8; 32]) -> VecDeque<SocketAddr> {
    let mut keyed: Vec<([u8; 32], SocketAddr)> = Vec::with_capacity(peers.len());
    for (index, peer) in peers.iter().enumerate() {
        if !keyed.iter().any(|(_, known)| known == peer) {
            keyed.push((derive(seed, b"order", index as u64), *peer));
        }
    }
    keyed.sort_unstable_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, peer)| peer).collect()
}
