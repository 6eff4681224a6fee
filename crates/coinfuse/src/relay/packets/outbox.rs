//! Packets that wait for a neighbour.

use super::mailboxes::LaneId;
use coinfuse_onion::Frame;
use coinfuse_wire::RelayId;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::Notify;

/// Who packets wait for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Addressee {
    /// A relay, on a lane that we open.
    Relay(RelayId),
    /// Whoever opened a lane here.
    Lane(LaneId),
}

/// Why a packet was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotQueued {
    /// Nobody serves this addressee's queue; see [`Outboxes::open`].
    Closed,
    /// There is no room, in the queue or in all.
    Full,
}

/// A bounded queue for each neighbour. Each has one task that empties it, and a neighbour that
/// does not read fills its own queue only.
pub(super) struct Outboxes {
    queues: HashMap<Addressee, Queue>,
    bytes: usize,
    limits: OutboxLimits,
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutboxLimits {
    /// Bytes for one neighbour.
    pub(super) bytes: usize,
    /// Bytes for all.
    pub(super) total: usize,
    /// Neighbours.
    pub(super) queues: usize,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Wakes the task that empties the queue.
    wake: Arc<Notify>,
}

impl Outboxes {
    pub(super) fn new(limits: OutboxLimits) -> Self {
        Self {
            queues: HashMap::new(),
            bytes: 0,
            limits,
        }
    }

    /// Makes a queue for a neighbour that has none, and says what wakes its task; `None` if there
    /// are too many.
    pub(super) fn open(&mut self, to: Addressee) -> Option<Arc<Notify>> {
        if self.queues.len() >= self.limits.queues && !self.queues.contains_key(&to) {
            return None;
        }
        Some(Arc::clone(&self.queues.entry(to).or_default().wake))
    }

    /// Whether a neighbour has a queue.
    pub(super) fn is_open(&self, to: Addressee) -> bool {
        self.queues.contains_key(&to)
    }

    /// Queues a frame.
    pub(super) fn push(&mut self, to: Addressee, frame: Frame) -> Result<(), NotQueued> {
        let queue = self.queues.get_mut(&to).ok_or(NotQueued::Closed)?;
        let len = frame.kind().body_len();
        if queue.bytes + len > self.limits.bytes || self.bytes + len > self.limits.total {
            return Err(NotQueued::Full);
        }
        queue.bytes += len;
        self.bytes += len;
        queue.frames.push_back(frame);
        queue.wake.notify_one();
        Ok(())
    }

    /// The next frame for a neighbour.
    pub(super) fn pop(&mut self, to: Addressee) -> Option<Frame> {
        let queue = self.queues.get_mut(&to)?;
        let frame = queue.frames.pop_front()?;
        let len = frame.kind().body_len();
        queue.bytes -= len;
        self.bytes -= len;
        Some(frame)
    }

    /// Ends a queue; how many frames were in it.
    pub(super) fn close(&mut self, to: Addressee) -> usize {
        let Some(queue) = self.queues.remove(&to) else {
            return 0;
        };
        self.bytes -= queue.bytes;
        queue.frames.len()
    }

    /// Ends a queue if nothing is in it; true if it is ended.
    pub(super) fn close_if_empty(&mut self, to: Addressee) -> bool {
        let empty = self
            .queues
            .get(&to)
            .is_none_or(|queue| queue.frames.is_empty());
        if empty {
            self.close(to);
        }
        empty
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coinfuse_wire::PacketSize;

    const ALICE: Addressee = Addressee::Relay(RelayId::new([1; 32]));
    const BOB: Addressee = Addressee::Lane(LaneId(1));
    const LEN: usize = PacketSize::Small.len();

    fn packet(byte: u8) -> Frame {
        Frame::Packet(PacketSize::Small, vec![byte; LEN])
    }

    fn outboxes(each: usize, total: usize) -> Outboxes {
        Outboxes::new(OutboxLimits {
            bytes: each * LEN,
            total: total * LEN,
            queues: 2,
        })
    }

    #[test]
    fn packets_come_out_in_the_order_in_which_they_came() {
        let mut boxes = outboxes(3, 9);
        assert_eq!(boxes.push(ALICE, packet(1)), Err(NotQueued::Closed));
        boxes.open(ALICE).unwrap();
        boxes.push(ALICE, packet(1)).unwrap();
        boxes.open(ALICE).unwrap();
        boxes.push(ALICE, packet(2)).unwrap();
        assert!(!boxes.close_if_empty(ALICE));
        assert!(
            [1, 2]
                .into_iter()
                .all(|byte| boxes.pop(ALICE) == Some(packet(byte)))
        );
        assert!(boxes.pop(ALICE).is_none());
        assert!(boxes.close_if_empty(ALICE));
        assert_eq!(boxes.push(ALICE, packet(1)), Err(NotQueued::Closed));
    }

    #[test]
    fn a_neighbour_that_does_not_read_fills_its_own_queue_only() {
        let mut boxes = outboxes(2, 9);
        boxes.open(ALICE).unwrap();
        boxes.open(BOB).unwrap();
        let tries = [(); 3].map(|()| boxes.push(ALICE, packet(1)));
        assert_eq!(tries, [Ok(()), Ok(()), Err(NotQueued::Full)]);
        assert_eq!(boxes.push(BOB, packet(1)), Ok(()));
        assert_eq!(boxes.close(ALICE), 2);
    }

    #[test]
    fn all_queues_together_are_bounded() {
        let mut boxes = outboxes(9, 2);
        boxes.open(ALICE).unwrap();
        boxes.open(BOB).unwrap();
        boxes.push(ALICE, packet(1)).unwrap();
        boxes.push(BOB, packet(1)).unwrap();
        assert_eq!(boxes.push(BOB, packet(1)), Err(NotQueued::Full));
        // What is taken out or given up makes room.
        boxes.pop(ALICE).unwrap();
        boxes.push(BOB, packet(2)).unwrap();
        assert_eq!(boxes.close(BOB), 2);
        boxes.open(BOB).unwrap();
        boxes.push(BOB, packet(1)).unwrap();
        assert!(
            boxes.open(Addressee::Lane(LaneId(9))).is_none(),
            "too many neighbours"
        );
    }
}
