//! Doing what packets ask for: waiting, passing on, asking a service.

use super::hold::Hold;
use super::judge::{Job, Work};
use super::outbox::{Addressee, NotQueued};
use super::stats::Event;
use super::{Hub, neighbours, serve};
use coinfuse_onion::{Frame, NextHop};
use coinfuse_wire::{PacketSize, RelayId};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::sleep;

/// Does what the mill hands over, each thing at its time, until the relay stops.
pub(super) async fn run(hub: Arc<Hub>, mut ready: mpsc::Receiver<Vec<Work>>) {
    let bytes = usize::try_from(hub.limits.held_bytes.get()).unwrap_or(usize::MAX);
    let mut hold = Hold::new(hub.limits.held, bytes);
    loop {
        let now = hub.clock.now();
        while let Some(work) = hold.pop(now) {
            hub.act(work);
        }
        let until_next = hold
            .next_moment()
            .map(|moment| moment.saturating_since(now));
        tokio::select! {
            () = hub.stop.cancelled() => return,
            batch = ready.recv() => match batch {
                Some(batch) => {
                    batch.into_iter().for_each(|work| hub.act_later(&mut hold, work));
                    // Lets the neighbours' tasks empty their queues before the next batch.
                    yield_now().await;
                }
                None => return,
            },
            () = sleep(until_next.unwrap_or_default()), if until_next.is_some() => {}
        }
    }
}

impl Hub {
    fn act_later(self: &Arc<Self>, hold: &mut Hold<Work>, work: Work) {
        if work.delay.is_zero() {
            return self.act(work);
        }
        if let Err(work) = hold.insert(self.clock.now(), work.delay, work.len(), work) {
            self.counters.count(Event::Hurried);
            self.act(work);
        }
    }

    fn act(self: &Arc<Self>, work: Work) {
        match work.job {
            Job::Forward { next, bytes } => self.pass_on(next, work.size, bytes),
            Job::Serve(delivery) => serve::serve(self, work.size, *delivery),
        }
    }

    /// Queues a packet for its next hop, or drops it.
    pub(super) fn pass_on(self: &Arc<Self>, next: NextHop, size: PacketSize, bytes: Vec<u8>) {
        let frame = Frame::Packet(size, bytes);
        let queued = match next {
            NextHop::Relay(relay) => self.queue_for_relay(relay, frame),
            NextHop::Mailbox(name) => {
                let lane = self.mailboxes().find(&name);
                let to = lane.map(Addressee::Lane).ok_or(Event::NoMailbox);
                to.and_then(|to| self.push(to, frame, Event::NoMailbox))
            }
        };
        if let Err(event) = queued {
            self.counters.count(event);
        }
    }

    fn queue_for_relay(self: &Arc<Self>, relay: RelayId, frame: Frame) -> Result<(), Event> {
        let to = Addressee::Relay(relay);
        // What goes to itself would be refused where it arrives.
        if relay == self.id {
            return Err(Event::Circle);
        }
        if !self.outboxes().is_open(to) {
            self.route(&relay).ok_or(Event::NoRoute)?;
            let wake = self.open_outbox(to).ok_or(Event::Congested)?;
            tokio::spawn(neighbours::run(Arc::clone(self), relay, wake));
        }
        self.push(to, frame, Event::Congested)
    }

    fn push(&self, to: Addressee, frame: Frame, closed: Event) -> Result<(), Event> {
        let pushed = self.outboxes().push(to, frame);
        pushed.map_err(|error| match error {
            NotQueued::Closed => closed,
            NotQueued::Full => Event::Congested,
        })
    }
}
