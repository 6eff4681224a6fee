//! The last words of a link, which a full congestion window must not hold back.
//!
//! quinn-proto up to 0.11.19 judges a packet with CONNECTION_CLOSE by all that still waits on the
//! link. When that has to wait for the congestion window, so has the close; and since a closed link
//! hears no acknowledgement, it is never sent. The peer then writes on until its idle time-out.
//! A link that has just begun comes to this without any traffic, by a probe of the path's MTU,
//! which fills half of its window. Upstream has mended it since; with a release that contains
//! this, the file can go.

use core::any::Any;
use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Whether a link is being closed, alone or with its whole endpoint. Clones tell the same.
#[derive(Clone, Default)]
pub(super) struct Parting {
    own: Arc<AtomicBool>,
    endpoint: Arc<AtomicBool>,
}

impl Parting {
    /// For a link of the endpoint that `self` is for.
    pub(super) fn for_link(&self) -> Self {
        Self {
            own: Arc::default(),
            endpoint: Arc::clone(&self.own),
        }
    }

    /// From now on nothing holds a packet back. To be followed by the close at once.
    pub(super) fn begin(&self) {
        self.own.store(true, Ordering::Release);
    }

    fn has_begun(&self) -> bool {
        self.own.load(Ordering::Acquire) || self.endpoint.load(Ordering::Acquire)
    }
}

impl ControllerFactory for Parting {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(UntilParting {
            controller: Arc::new(CubicConfig::default()).build(now, current_mtu),
            parting: Self::clone(&self),
        })
    }
}

/// Cubic, quinn's default, until the link is being closed.
struct UntilParting {
    controller: Box<dyn Controller>,
    parting: Parting,
}

impl Controller for UntilParting {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.controller.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.controller.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.controller
            .on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.controller
            .on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.controller.on_mtu_update(new_mtu);
    }

    /// Beyond 2^32 packets are not paced either.
    fn window(&self) -> u64 {
        match self.parting.has_begun() {
            true => u64::MAX,
            false => self.controller.window(),
        }
    }

    fn metrics(&self) -> ControllerMetrics {
        self.controller.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self {
            controller: self.controller.clone_box(),
            parting: self.parting.clone(),
        })
    }

    fn initial_window(&self) -> u64 {
        self.controller.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The window of a link before and after `begin`.
    fn windows(link: &Parting, begin: impl FnOnce()) -> (u64, u64) {
        #[allow(clippy::disallowed_methods, reason = "nothing depends on it")]
        let controller = Arc::new(link.clone()).build(Instant::now(), 1_200);
        // A path that changes takes a copy along.
        let copy = controller.clone_box();
        let before = controller.window();
        begin();
        assert_eq!(controller.window(), copy.window());
        (before, copy.window())
    }

    #[test]
    fn the_window_opens_for_the_link_that_is_closed_and_no_other() {
        let endpoint = Parting::default();
        let (link, other) = (endpoint.for_link(), endpoint.for_link());
        let (before, after) = windows(&link, || link.begin());
        assert!(before < 20_000 && after == u64::MAX);
        assert_eq!(windows(&other, || link.begin()), (before, before));
    }

    #[test]
    fn the_window_opens_for_all_links_of_an_endpoint_that_is_closed() {
        let endpoint = Parting::default();
        let (link, other) = (endpoint.for_link(), Parting::default().for_link());
        let (before, after) = windows(&link, || endpoint.begin());
        assert_eq!(after, u64::MAX);
        assert_eq!(windows(&other, || endpoint.begin()), (before, before));
    }
}
