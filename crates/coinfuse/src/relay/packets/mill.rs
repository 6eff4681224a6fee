//! The thread that peels.
//!
//! It takes packets in batches, judges each, has the vouchers of a batch written down with one
//! commit, and hands over what is to be done when that is on disk. While a batch is written the
//! next one is judged. No data moves on this thread, and nothing of it waits for the network.

use super::judge::{Admitted, Arrival, House, Work, judge};
use super::keys::Keys;
use super::stats::{Counters, Event};
use crate::clock::{Clock, random};
use crate::store::{Ledger, LedgerError};
use coinfuse_onion::NotFirst;
use coinfuse_voucher::Verifier;
use core::time::Duration;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Packets judged at once: some 10 ms of work.
const BATCH: usize = 64;
/// Batches that are being written down at once.
const COMMITS: usize = 4;
/// Packets that wait to be judged, of relays and of others each.
const WAITING: usize = 64;
/// Batches that wait to be acted on.
const READY: usize = 8;
/// How often the keys are looked after.
const TEND: Duration = Duration::from_secs(20);

/// What the mill works with.
pub(super) struct Mill {
    pub(super) house: House,
    pub(super) keys: Keys,
    pub(super) verifier: Arc<RwLock<Verifier>>,
    pub(super) ledger: Ledger,
    pub(super) counters: Arc<Counters>,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
    pub(super) ledger_failed: bool,
}

/// Where packets go in. Who waits for room waits in turn, each lane with one packet.
pub(super) struct Hopper {
    relays: mpsc::Sender<Arrival>,
    others: mpsc::Sender<Arrival>,
}

/// The running thread. Dropping it ends it and waits for that: then the ledger is let go of.
pub(super) struct MillThread {
    thread: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Hopper {
    /// Hands a packet over; waits while there is no room. `known` for a relay of the directory:
    /// those and all others are served by turns, so that neither can crowd the other out.
    pub(super) async fn put(&self, arrival: Arrival, known: bool) {
        let queue = if known { &self.relays } else { &self.others };
        // It fails when the relay is being shut down.
        let _over = queue.send(arrival).await;
    }
}

impl Drop for MillThread {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // It panicked if this fails, and has said so.
            let _ = thread.join();
        }
    }
}

impl Mill {
    /// Starts the thread: where packets go in, and where work comes out.
    pub(super) fn start(self) -> io::Result<(MillThread, Hopper, mpsc::Receiver<Vec<Work>>)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let (relays, from_relays) = mpsc::channel(WAITING);
        let (others, from_others) = mpsc::channel(WAITING);
        let (out, ready) = mpsc::channel(READY);
        let inlet = Inlet {
            relays: from_relays,
            others: from_others,
        };
        let stop = self.stop.child_token();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("coinfuse-packets".into())
            .spawn(move || {
                runtime.block_on(stopped.run_until_cancelled_owned(self.run(inlet, out)));
            })?;
        let thread = MillThread {
            thread: Some(thread),
            stop,
        };
        Ok((thread, Hopper { relays, others }, ready))
    }

    async fn run(mut self, mut inlet: Inlet, out: mpsc::Sender<Vec<Work>>) {
        let mut commits = JoinSet::new();
        let mut tend = interval(TEND);
        tend.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let ready = tokio::select! {
                Some(done) = commits.join_next() => self.settle(done),
                Some(batch) = inlet.batch(), if commits.len() < COMMITS => {
                    let (free, paid) = self.judge(&batch);
                    if !paid.is_empty() {
                        commits.spawn(collect(self.ledger.clone(), paid));
                        // Lets it begin before the next batch is judged.
                        tokio::task::yield_now().await;
                    }
                    free
                }
                _ = tend.tick() => {
                    self.keys.tend(self.clock.unix(), &random());
                    Vec::new()
                }
            };
            if !ready.is_empty() && out.send(ready).await.is_err() {
                return;
            }
        }
    }

    /// What of a batch is to be done at once, since it is free, and what when it is paid.
    fn judge(&mut self, batch: &[Arrival]) -> (Vec<Work>, Vec<Admitted>) {
        let now = self.clock.unix();
        let verifier = Arc::clone(&self.verifier);
        let verifier = verifier.read().unwrap_or_else(PoisonError::into_inner);
        let (mut free, mut paid) = (Vec::new(), Vec::new());
        for arrival in batch {
            match judge(&self.house, &self.keys.ring, &verifier, now, arrival) {
                Ok(admitted) if admitted.voucher.is_some() => paid.push(admitted),
                Ok(admitted) => free.extend(self.admit(admitted)),
                Err(event) => self.counters.count(event),
            }
        }
        (free, paid)
    }

    /// After the commit: what is to be done.
    fn settle(&mut self, done: Result<Committed, JoinError>) -> Vec<Work> {
        let Ok((admitted, taken)) = done else {
            return Vec::new();
        };
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => {
                // Once: it stays so until the relay is started again.
                if !core::mem::replace(&mut self.ledger_failed, true) {
                    tracing::error!(%error, "packets cannot be written down and are dropped");
                }
                self.counters.add(Event::Unrecorded, admitted.len());
                return Vec::new();
            }
        };
        let each = admitted.into_iter().zip(taken);
        let first = each.filter_map(|(admitted, first)| match first {
            true => self.admit(admitted),
            false => {
                self.counters.count(Event::Spent);
                None
            }
        });
        first.collect()
    }

    /// Remembers a packet; none of what came before.
    fn admit(&mut self, admitted: Admitted) -> Option<Work> {
        let refused = match self.keys.ring.remember(&admitted.tag) {
            Ok(()) => None,
            Err(NotFirst::Replayed) => Some(Event::Replayed),
            Err(NotFirst::Full) => {
                self.keys.change_early(self.clock.unix(), &random());
                // The spent set vouches for what was paid.
                admitted.voucher.is_none().then_some(Event::FilterFull)
            }
        };
        match refused {
            None => Some(admitted.work),
            Some(event) => {
                self.counters.count(event);
                None
            }
        }
    }
}

type Committed = (Vec<Admitted>, Result<Vec<bool>, LedgerError>);

async fn collect(ledger: Ledger, admitted: Vec<Admitted>) -> Committed {
    let vouchers = admitted
        .iter()
        .filter_map(|admitted| admitted.voucher.clone());
    let taken = ledger.collect(vouchers.collect()).await;
    (admitted, taken)
}

/// The other end of a [`Hopper`].
struct Inlet {
    relays: mpsc::Receiver<Arrival>,
    others: mpsc::Receiver<Arrival>,
}

impl Inlet {
    /// What waits, by turns; waits for the first. `None` when nobody is left to put anything in.
    async fn batch(&mut self) -> Option<Vec<Arrival>> {
        let first = tokio::select! {
            Some(arrival) = self.relays.recv() => arrival,
            Some(arrival) = self.others.recv() => arrival,
            else => return None,
        };
        let mut batch = vec![first];
        while batch.len() < BATCH {
            let (relay, other) = (self.relays.try_recv().ok(), self.others.try_recv().ok());
            if relay.is_none() && other.is_none() {
                break;
            }
            batch.extend(relay.into_iter().chain(other));
        }
        Some(batch)
    }
}
