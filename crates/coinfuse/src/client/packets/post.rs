//! Lanes to first relays: packets go up, answers come down.

use super::AskError;
use crate::clock::{Clock, random};
use crate::lane::{FrameReader, FrameSender, LaneError, open_packet_lane};
use crate::link::{DialError, LinkKey, LinkLease, LinkPool};
use coinfuse_directory::Descriptor;
use coinfuse_onion::{Frame, Packet, ReplyBook, ReplyTicket};
use coinfuse_wire::{Instant, PacketSize, RelayId};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a relay may take to let a lane be opened, and to read a packet.
const SLOWEST: Duration = Duration::from_secs(20);

/// Packets that may wait for a lane.
const QUEUE: usize = 8;

/// The lanes of a client, and the answers that it waits for.
pub(super) struct Post {
    links: LinkPool,
    lanes: Mutex<HashMap<RelayId, Used>>,
    /// Held by whoever opens a lane to a relay, so that others wait for it: a relay lets few be
    /// opened.
    opening: Mutex<HashMap<RelayId, Arc<AsyncMutex<()>>>>,
    book: Book,
    clock: Clock,
    shutdown: CancellationToken,
}

struct Used {
    lane: Arc<Lane>,
    last: Instant,
}

/// A lane to one first relay. It ends when nobody holds it, or when its link does.
pub(super) struct Lane {
    /// The name for which answers come down here: this lane's own.
    pub(super) mailbox: [u8; 32],
    outbox: mpsc::Sender<Frame>,
    over: CancellationToken,
}

/// The answer, when it comes.
pub(super) type Answer = oneshot::Receiver<Vec<u8>>;

/// Who waits for which answer.
#[derive(Clone)]
struct Book(Arc<Mutex<ReplyBook<oneshot::Sender<Vec<u8>>>>>);

impl Book {
    fn lock(&self) -> MutexGuard<'_, ReplyBook<oneshot::Sender<Vec<u8>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came down a lane. All but an answer that is waited for is passed over: anybody who has
    /// a mailbox's name can send something there.
    fn receive(&self, now: Instant, size: PacketSize, bytes: &[u8]) {
        let answered = match size {
            PacketSize::Small => self.open::<{ coinfuse_onion::SMALL }>(now, bytes),
            PacketSize::Large => self.open::<{ coinfuse_onion::LARGE }>(now, bytes),
        };
        match answered {
            Some((asker, answer)) => drop(asker.send(answer)),
            None => tracing::debug!("a packet came that answers nothing"),
        }
    }

    fn open<const N: usize>(
        &self,
        now: Instant,
        bytes: &[u8],
    ) -> Option<(oneshot::Sender<Vec<u8>>, Vec<u8>)> {
        let packet = Packet::<N>::from_bytes(bytes).ok()?;
        self.lock().receive(now, packet).ok()
    }
}

impl Post {
    pub(super) fn new(
        links: LinkPool,
        max_waiting: usize,
        clock: Clock,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            links,
            lanes: Mutex::default(),
            opening: Mutex::default(),
            book: Book(Arc::new(Mutex::new(ReplyBook::new(max_waiting)))),
            clock,
            shutdown,
        }
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<RelayId, Used>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many answers are waited for.
    pub(super) fn waiting(&self) -> usize {
        let mut book = self.book.lock();
        book.retain(|asker| !asker.is_closed());
        book.len()
    }

    /// Waits for the answer to a question that is about to be sent.
    pub(super) fn expect(&self, ticket: ReplyTicket, within: Duration) -> Result<Answer, AskError> {
        let now = self.clock.now();
        let until = Instant::from_epoch(now.since_epoch().saturating_add(within));
        let (asker, answer) = oneshot::channel();
        let mut book = self.book.lock();
        // Those that nobody waits for any more take no room.
        book.expire(now);
        book.retain(|asker| !asker.is_closed());
        book.wait(ticket, until, asker)
            .map_err(|_| AskError::TooMany)?;
        Ok(answer)
    }

    /// The lane to a relay: the one that there is, or a new one.
    pub(super) async fn lane(&self, relay: &Descriptor) -> Result<Arc<Lane>, AskError> {
        if let Some(lane) = self.open_lane(&relay.relay) {
            return Ok(lane);
        }
        let opener = self.opener(relay.relay);
        let _one_at_a_time = opener.lock().await;
        if let Some(lane) = self.open_lane(&relay.relay) {
            return Ok(lane);
        }
        let failed = |error| AskError::Link {
            relay: relay.relay,
            error,
        };
        let key = LinkKey::new(*relay.keys.link.as_bytes());
        let link = self.links.get(key, &relay.addresses).await;
        let lane = self.start(link.map_err(failed)?).await;
        let lane = Arc::new(lane.map_err(failed)?);
        let used = Used {
            lane: Arc::clone(&lane),
            last: self.clock.now(),
        };
        self.lanes().insert(relay.relay, used);
        Ok(lane)
    }

    fn opener(&self, relay: RelayId) -> Arc<AsyncMutex<()>> {
        let mut opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        opening.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(opening.entry(relay).or_default())
    }

    fn open_lane(&self, relay: &RelayId) -> Option<Arc<Lane>> {
        let mut lanes = self.lanes();
        let used = lanes.get_mut(relay)?;
        if used.lane.over.is_cancelled() {
            return None;
        }
        used.last = self.clock.now();
        Some(Arc::clone(&used.lane))
    }

    async fn start(&self, link: LinkLease) -> Result<Lane, DialError> {
        let mailbox = random();
        let opening = async {
            let (mut sender, reader) = open_packet_lane(&link, None).await?;
            sender.send(&Frame::Mailbox(mailbox)).await?;
            Ok::<_, LaneError>((sender, reader))
        };
        let opened = timeout(SLOWEST, opening).await;
        let (sender, reader) = match opened {
            Ok(Ok(lane)) => lane,
            Ok(Err(_)) => return Err(DialError::Closing),
            Err(_) => return Err(DialError::Timeout),
        };
        let (outbox, inbox) = mpsc::channel(QUEUE);
        let over = self.shutdown.child_token();
        let task = LaneTask {
            link,
            book: self.book.clone(),
            clock: self.clock,
            over: over.clone(),
        };
        tokio::spawn(task.run(sender, reader, inbox));
        Ok(Lane {
            mailbox,
            outbox,
            over,
        })
    }

    /// Lets go of lanes that were not used for a while, and of those that are over.
    pub(super) fn sweep(&self, idle: Duration) {
        let now = self.clock.now();
        self.lanes().retain(|_, used| {
            let in_use = Arc::strong_count(&used.lane) > 1;
            let recent = now.saturating_since(used.last) < idle;
            !used.lane.over.is_cancelled() && (in_use || recent)
        });
        self.book.lock().expire(now);
    }
}

impl Lane {
    /// Sends a packet, and waits for its answer.
    pub(super) async fn exchange(
        &self,
        packet: Frame,
        answer: Answer,
        within: Duration,
    ) -> Result<Vec<u8>, AskError> {
        let exchange = async {
            self.outbox
                .send(packet)
                .await
                .map_err(|_| AskError::LinkLost)?;
            answer.await.map_err(|_| AskError::NoAnswer)
        };
        tokio::select! {
            biased;
            answer = timeout(within, exchange) => answer.unwrap_or(Err(AskError::NoAnswer)),
            () = self.over.cancelled() => Err(AskError::LinkLost),
        }
    }
}

/// What keeps a lane going.
struct LaneTask {
    link: LinkLease,
    book: Book,
    clock: Clock,
    over: CancellationToken,
}

impl LaneTask {
    async fn run(self, sender: FrameSender, reader: FrameReader, inbox: mpsc::Receiver<Frame>) {
        tokio::select! {
            () = send_all(sender, inbox) => {}
            () = self.receive_all(reader) => {}
            _ = self.link.closed() => {}
            () = self.over.cancelled() => {}
        }
        self.over.cancel();
    }

    async fn receive_all(&self, mut reader: FrameReader) {
        while let Ok(Some(Frame::Packet(size, bytes))) = reader.next().await {
            self.book.receive(self.clock.now(), size, &bytes);
        }
    }
}

async fn send_all(mut sender: FrameSender, mut inbox: mpsc::Receiver<Frame>) {
    while let Some(frame) = inbox.recv().await {
        if !matches!(timeout(SLOWEST, sender.send(&frame)).await, Ok(Ok(()))) {
            return;
        }
    }
}
