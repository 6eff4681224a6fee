//! The task that owns the swarm.

mod commands;
mod compare;
mod dht;
mod exchange;
mod listen;
mod peers;
mod timers;

pub(crate) use commands::Command;

use crate::behaviour::{self, Behaviour, BehaviourEvent};
use crate::book::{Book, BookLimits};
use crate::cache;
use crate::clock::Clock;
use crate::config::{DiscoveryConfig, Role, Timing};
use crate::draw::Draw;
use crate::error::StartError;
use crate::keys::derive;
use crate::news::News;
use crate::outbox::Outbox;
use crate::session::{InFlight, Session, Untimely};
use crate::sources::Sources;
use crate::store::Store;
use coinfuse_directory::{Descriptor, Directory};
use coinfuse_wire::Instant;
use compare::Checking;
use core::time::Duration;
use dht::Lookup;
use exchange::{Asked, CHECKERS, Telling};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use libp2p::request_response::OutboundRequestId;
use libp2p::swarm::{ListenError, SwarmEvent};
use libp2p::{PeerId, Swarm, kad};
use peers::Peers;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use timers::Timers;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

/// All that a node is. Nothing in it waits: what takes time comes back as an event.
pub(crate) struct Node {
    swarm: Swarm<Behaviour>,
    role: Role,
    private_addresses: bool,
    timing: Timing,
    clock: Clock,
    started: tokio::time::Instant,
    draw: Draw,
    timers: Timers,

    own: Option<Arc<Descriptor>>,
    announced: bool,
    peers: Peers,
    sources: Sources,
    sessions: HashMap<PeerId, Session>,
    in_flight: InFlight,
    checking: FuturesUnordered<Checking>,
    asked: HashMap<OutboundRequestId, Asked>,
    outbox: Outbox,
    telling: FuturesUnordered<Telling>,
    checkers: Arc<Semaphore>,
    untimely: Untimely,
    /// From when on it may be said again that there is no memory.
    no_memory: Instant,
    news: News,
    lookups: HashMap<kad::QueryId, Lookup>,
    routed_version: Option<u64>,

    commands: mpsc::Receiver<Command>,
    shown: watch::Sender<Arc<Directory>>,
    shown_version: u64,
    cache_file: Option<PathBuf>,
    /// The version that is being written, once it is.
    saving: Option<JoinHandle<Option<u64>>>,
    saved_version: u64,
}

impl Node {
    /// A node that listens, and knows what was kept of the directory.
    pub(crate) async fn start(
        config: DiscoveryConfig,
        commands: mpsc::Receiver<Command>,
        shown: watch::Sender<Arc<Directory>>,
    ) -> Result<Self, StartError> {
        let mut draw = Draw::new(derive(&config.seed, "draws"));
        let limits = BookLimits {
            relays: config.limits.relays,
            per_subnet: config.limits.relays_per_subnet,
            private: config.private_addresses,
        };
        let store = Store::new(Book::new(limits, draw.number()));
        let swarm = behaviour::swarm(&config, store).map_err(|_| StartError::Keys)?;
        let mut node = Self {
            sources: Sources::of(*swarm.local_peer_id(), &config),
            swarm,
            role: config.role,
            private_addresses: config.private_addresses,
            timing: config.timing,
            clock: config.clock.clone(),
            started: tokio::time::Instant::now(),
            draw,
            timers: Timers::new(config.timing.meet),
            own: None,
            announced: false,
            peers: Peers::new(),
            sessions: HashMap::new(),
            in_flight: InFlight::new(),
            checking: FuturesUnordered::new(),
            asked: HashMap::new(),
            outbox: Outbox::new(config.limits.answers, config.limits.answers_per_subnet),
            telling: FuturesUnordered::new(),
            checkers: Arc::new(Semaphore::new(CHECKERS)),
            untimely: Untimely::default(),
            no_memory: Instant::ZERO,
            news: News::new(config.timing.gather),
            lookups: HashMap::new(),
            routed_version: None,
            commands,
            shown,
            shown_version: 0,
            cache_file: config.cache_file.clone(),
            saving: None,
            saved_version: 0,
        };
        node.load().await;
        node.listen(&config).await?;
        Ok(node)
    }

    /// Works until the last handle is gone, or it is told to stop.
    pub(crate) async fn run(mut self) {
        loop {
            let deadline = self.started + self.timers.next().since_epoch();
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                Some(done) = self.checking.next() => self.on_checked(done),
                Some(told) = self.telling.next() => self.on_told(told),
                command = self.commands.recv() => match command {
                    Some(Command::Stop(stopped)) => {
                        self.stop().await;
                        // Nothing listens any more when this is told.
                        drop(self);
                        let _gone = stopped.send(());
                        return;
                    }
                    Some(command) => self.on_command(command),
                    None => return self.stop().await,
                },
                () = tokio::time::sleep_until(deadline) => self.on_timers(),
            }
        }
    }

    /// Time since the node was started.
    fn now(&self) -> Instant {
        Instant::from_epoch(self.started.elapsed())
    }

    fn store(&mut self) -> &mut Store {
        self.swarm.behaviour_mut().kad.store_mut()
    }

    fn book(&mut self) -> &mut Book {
        &mut self.store().book
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Kad(event)) => self.on_kad(event),
            SwarmEvent::Behaviour(BehaviourEvent::Directory(event)) => self.on_exchange(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => self.on_identify(event),
            SwarmEvent::Behaviour(BehaviourEvent::Meet(event)) => self.on_meet(event),
            SwarmEvent::ConnectionEstablished {
                peer_id, endpoint, ..
            } => self.on_connected(peer_id, &endpoint),
            SwarmEvent::ConnectionClosed { peer_id, .. } => self.peers.disconnected(&peer_id),
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                self.on_unreachable(peer_id, &error);
            }
            SwarmEvent::IncomingConnectionError {
                error: ListenError::Denied { cause },
                ..
            } => self.on_refused(cause),
            _ => {}
        }
    }

    /// Takes in what was kept of the directory, away from the threads that move data.
    async fn load(&mut self) {
        let Some(path) = self.cache_file.clone() else {
            return;
        };
        let now = self.clock.now();
        let loading = tokio::task::spawn_blocking(move || cache::load(&path, now));
        for descriptor in loading.await.unwrap_or_default() {
            self.book().admit(descriptor);
        }
        self.saved_version = self.book().version();
        self.show();
    }

    /// Writes the directory down, if it has changed since it was written and is not being written.
    fn save(&mut self) {
        match self.saving.as_mut().map(FutureExt::now_or_never) {
            Some(None) => return,
            Some(Some(written)) => self.on_saved(written.unwrap_or_default()),
            None => {}
        }
        let version = self.book().version();
        let Some(path) = self.cache_file.clone() else {
            return;
        };
        if version == self.saved_version {
            return;
        }
        let directory = self.book().directory().clone();
        self.saving = Some(tokio::task::spawn_blocking(move || {
            let written = cache::save(&path, &directory);
            if let Err(error) = &written {
                tracing::warn!(%error, "the directory could not be kept; trying again later");
            }
            written.is_ok().then_some(version)
        }));
    }

    /// The version was written, or `None` could be.
    fn on_saved(&mut self, written: Option<u64>) {
        self.saving = None;
        self.saved_version = written.unwrap_or(self.saved_version);
    }

    async fn stop(&mut self) {
        // What is being written may be older than what is known now.
        for _ in 0..2 {
            if let Some(saving) = self.saving.take() {
                let written = saving.await;
                self.on_saved(written.unwrap_or_default());
            }
            self.save();
        }
        if let Some(saving) = self.saving.take() {
            let _failed = saving.await;
        }
    }

    /// Shows the directory to whoever watches it, if it has changed.
    fn show(&mut self) {
        let version = self.book().version();
        if version != self.shown_version {
            self.shown_version = version;
            let directory = Arc::new(self.book().directory().clone());
            self.shown.send_replace(directory);
        }
    }

    /// Has the directory shown if it has changed. That is more than news: a relay that moves to where
    /// there is no room leaves it.
    fn show_changes(&mut self) {
        if self.book().version() != self.shown_version {
            self.changed();
        }
    }

    /// The directory has changed: to be shown in a moment, since more may follow.
    fn changed(&mut self) {
        let soon = self.now() + Duration::from_millis(20);
        self.timers.show_by(soon);
    }
}
