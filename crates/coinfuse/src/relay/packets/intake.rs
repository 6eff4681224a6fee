//! Lanes that neighbours open, and how fast they are read.

use super::Hub;
use super::judge::Arrival;
use super::mailboxes::LaneId;
use super::outbox::Addressee;
use super::stats::Event;
use crate::lane::{FrameReader, FrameSender, LaneError, introduced};
use crate::link::Link;
use coinfuse_onion::Frame;
use coinfuse_wire::{Instant, RelayId, TokenBucket};
use core::time::Duration;
use quinn::{RecvStream, SendStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What one link is allowed, on all its packet lanes together.
pub(in crate::relay) struct Gate {
    anonymous: Allowance,
    relay: Allowance,
    lanes: AtomicUsize,
    max_lanes: usize,
}

/// So many a second, and as many at once.
struct Allowance {
    bucket: Mutex<TokenBucket>,
    interval: Duration,
}

impl Allowance {
    fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        let interval = Duration::from_secs(1) / per_second;
        Self {
            bucket: Mutex::new(TokenBucket::new(per_second, interval)),
            interval,
        }
    }

    fn take(&self, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(now)
    }
}

/// A place for a lane at its [`Gate`], until this is dropped.
struct Place(Arc<Gate>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lanes.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    pub(super) fn new(anonymous_rate: u32, relay_rate: u32, max_lanes: usize) -> Self {
        Self {
            anonymous: Allowance::new(anonymous_rate),
            relay: Allowance::new(relay_rate),
            lanes: AtomicUsize::new(0),
            max_lanes,
        }
    }

    fn enter(self: &Arc<Self>) -> Option<Place> {
        let place = Place(Arc::clone(self));
        let before = self.lanes.fetch_add(1, Ordering::Relaxed);
        (before < self.max_lanes).then_some(place)
    }
}

/// A lane, from the relay's side.
struct Lane {
    hub: Arc<Hub>,
    link: Link,
    place: Place,
    /// The relay that opened it, once it has said so.
    from: Option<RelayId>,
    id: LaneId,
    first: bool,
    /// Until the first mailbox is asked for.
    down: Option<SendStream>,
    /// Cancelled when the lane is over.
    over: CancellationToken,
}

/// Serves a packet lane until it ends or the neighbour breaks its rules. The lane's header has
/// been read.
pub(in crate::relay) async fn serve_lane(
    hub: Arc<Hub>,
    gate: Arc<Gate>,
    link: Link,
    recv: RecvStream,
    send: SendStream,
) {
    let Some(place) = gate.enter() else { return };
    let mut lane = Lane {
        id: hub.next_lane(),
        link,
        place,
        from: None,
        first: true,
        down: Some(send),
        over: hub.stop.child_token(),
        hub,
    };
    let over = lane.over.clone();
    let end = over.run_until_cancelled(lane.run(recv)).await;
    over.cancel();
    if let Some(Err(BadFrame)) = end {
        lane.hub.counters.count(Event::BadLane);
    }
    lane.hub.close_lane(lane.id);
}

/// A frame that may not come, or not there.
struct BadFrame;

impl Lane {
    /// Reads no faster than the neighbour is allowed to, and no faster than packets are peeled:
    /// what is not read fills the neighbour's own window on the link.
    async fn run(&mut self, recv: RecvStream) -> Result<(), BadFrame> {
        let mut reader = FrameReader::new(recv);
        loop {
            self.wait_for_allowance().await;
            match reader.next().await {
                Ok(Some(frame)) => self.take(frame).await?,
                Err(LaneError::Frame | LaneError::Truncated) => return Err(BadFrame),
                Ok(None) | Err(_) => return Ok(()),
            }
            self.first = false;
        }
    }

    async fn wait_for_allowance(&self) {
        let allowance = match self.is_known() {
            true => &self.place.0.relay,
            false => &self.place.0.anonymous,
        };
        while !allowance.take(self.hub.clock.now()) {
            sleep(allowance.interval).await;
        }
    }

    /// Anybody can make an identity; those in the directory are less easily had.
    fn is_known(&self) -> bool {
        self.from.is_some_and(|relay| self.hub.knows(&relay))
    }

    async fn take(&mut self, frame: Frame) -> Result<(), BadFrame> {
        match frame {
            Frame::Packet(size, bytes) => {
                self.hub.counters.count(Event::Received);
                let arrival = Arrival {
                    size,
                    bytes,
                    from: self.from,
                };
                self.hub.hopper.put(arrival, self.is_known()).await;
            }
            Frame::Mailbox(name) => self.open_mailbox(name),
            Frame::Introduction(introduction) if self.first => {
                self.from = Some(introduced(&self.link, &introduction).ok_or(BadFrame)?);
            }
            Frame::Introduction(_) => return Err(BadFrame),
        }
        Ok(())
    }

    fn open_mailbox(&mut self, name: [u8; 32]) {
        if let Some(send) = self.down.take() {
            let Some(wake) = self.hub.open_outbox(Addressee::Lane(self.id)) else {
                // Too many neighbours: this one may ask again.
                self.down = Some(send);
                return;
            };
            let down = send_down(Arc::clone(&self.hub), self.id, wake, FrameSender::new(send));
            tokio::spawn(self.over.clone().run_until_cancelled_owned(down));
        }
        self.hub.mailboxes().open(self.id, name);
    }
}

/// Sends what comes for a lane's mailboxes, until the lane ends.
async fn send_down(hub: Arc<Hub>, id: LaneId, wake: Arc<Notify>, mut sender: FrameSender) {
    let to = Addressee::Lane(id);
    loop {
        loop {
            let Some(frame) = hub.outboxes().pop(to) else {
                break;
            };
            if sender.send(&frame).await.is_err() {
                hub.counters.count(Event::NoMailbox);
                return hub.close_lane(id);
            }
            hub.counters.count(Event::Delivered);
        }
        wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_so_many_lanes_and_no_more() {
        let gate = Arc::new(Gate::new(1, 1, 2));
        let first = gate.enter().unwrap();
        let _second = gate.enter().unwrap();
        assert!(gate.enter().is_none() && gate.enter().is_none());
        drop(first);
        assert!(gate.enter().is_some());
    }
}
