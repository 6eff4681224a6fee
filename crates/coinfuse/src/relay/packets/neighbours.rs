//! Relays that packets are passed on to.

use super::Hub;
use super::outbox::Addressee;
use super::stats::Event;
use crate::lane::{FrameSender, open_packet_lane};
use crate::link::{LinkKey, LinkLease};
use coinfuse_onion::Frame;
use coinfuse_wire::RelayId;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How to reach a relay.
pub(super) struct Route {
    pub(super) key: LinkKey,
    /// Those that may be dialled.
    pub(super) addresses: Vec<SocketAddr>,
}

/// A lane to a neighbour, and the link on which it is.
struct Lane {
    sender: FrameSender,
    _link: LinkLease,
}

struct Neighbour {
    hub: Arc<Hub>,
    relay: RelayId,
    to: Addressee,
    lane: Option<Lane>,
}

/// The neighbour cannot be reached.
struct Lost;

/// Empties a neighbour's outbox until nothing has come for a while, or the neighbour is not there.
/// Nobody but this task waits for the neighbour.
pub(super) async fn run(hub: Arc<Hub>, relay: RelayId, wake: Arc<Notify>) {
    let stop = hub.stop.clone();
    let neighbour = Neighbour {
        to: Addressee::Relay(relay),
        relay,
        hub,
        lane: None,
    };
    let _stopped = stop.run_until_cancelled(neighbour.run(wake)).await;
}

impl Neighbour {
    async fn run(mut self, wake: Arc<Notify>) {
        let hub = Arc::clone(&self.hub);
        loop {
            loop {
                let Some(frame) = hub.outboxes().pop(self.to) else {
                    break;
                };
                if self.send(&frame).await.is_err() {
                    hub.counters.count(Event::Unreachable);
                    // What comes meanwhile shares the fate of what there is.
                    sleep(hub.limits.neighbour_pause).await;
                    let lost = hub.outboxes().close(self.to);
                    return hub.counters.add(Event::Unreachable, lost);
                }
                hub.counters.count(Event::Forwarded);
            }
            let idle = timeout(hub.limits.neighbour_idle, wake.notified()).await;
            if idle.is_err() && hub.outboxes().close_if_empty(self.to) {
                return;
            }
        }
    }

    /// Sends a frame; once more on a new lane, if the one there was is lost. A packet that so
    /// comes twice is refused the second time.
    async fn send(&mut self, frame: &Frame) -> Result<(), Lost> {
        if let Some(lane) = &mut self.lane
            && lane.sender.send(frame).await.is_ok()
        {
            return Ok(());
        }
        self.lane = None;
        let lane = self.lane.insert(open(&self.hub, &self.relay).await?);
        lane.sender.send(frame).await.map_err(|_| Lost)
    }
}

async fn open(hub: &Hub, relay: &RelayId) -> Result<Lane, Lost> {
    // Where it is now: it may have moved.
    let route = hub.route(relay).ok_or(Lost)?;
    let link = hub.links.get(route.key, &route.addresses).await;
    let link = link.map_err(|_| Lost)?;
    // A neighbour that gives no stream is as good as away.
    let limit = hub.links.endpoint().limits().handshake_timeout;
    let opened = timeout(limit, open_packet_lane(&link, Some(&hub.identity))).await;
    // Nothing comes down a lane on which no mailbox was asked for: its reader is let go.
    let (sender, _) = opened.map_err(|_| Lost)?.map_err(|_| Lost)?;
    Ok(Lane {
        sender,
        _link: link,
    })
}
