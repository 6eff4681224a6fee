//! What is counted of packets: classes, never senders.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $event:ident => $field:ident,)*) => {
        /// Something that can become of a packet or its lane.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Event {
            $($event,)*
        }

        /// What became of packets since the relay started. On the wire all that is refused or
        /// dropped is silence; here it is counted, by class and not by sender.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct PacketStats {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl Counters {
            pub(super) fn read(&self) -> PacketStats {
                PacketStats {
                    $($field: self.0[Event::$event as usize].load(Relaxed),)*
                }
            }
        }

        const EVENTS: usize = [$(Event::$event),*].len();
    };
}

counters! {
    /// Packets that came.
    Received => received,
    /// Packets handed to another relay.
    Forwarded => forwarded,
    /// Packets handed to a mailbox.
    Delivered => delivered,
    /// Questions that a service of this relay was asked.
    Served => served,
    /// Answers sent, those that a service was not asked included.
    Answered => answered,
    /// Lanes ended, for a frame that may not come there or an introduction that proves nothing.
    BadLane => bad_lanes,
    /// Refused: the version is unknown.
    Version => bad_version,
    /// Refused: the ephemeral key is not a point.
    Point => bad_point,
    /// Refused: made for another key, or altered on the way.
    Mac => bad_mac,
    /// Refused: the payload or the hop record is not as specified.
    Record => bad_record,
    /// Refused: came before.
    Replayed => replayed,
    /// Refused: back to where it came from, or to this relay itself.
    Circle => circles,
    /// Refused: asks for a longer delay than is offered.
    Delay => long_delays,
    /// Refused: no payment, or one that is no voucher.
    Unpaid => unpaid,
    /// Refused: a voucher that this relay does not take, be it forged or for somebody else.
    Voucher => bad_vouchers,
    /// Refused: a good voucher worth less than the fee.
    Underpaid => underpaid,
    /// Refused: the voucher came before.
    Spent => spent,
    /// Refused: free of charge, and the replay filter is full.
    FilterFull => filter_full,
    /// Refused: the ledger could not be written.
    Unrecorded => unrecorded,
    /// Dropped: the next relay is not in the directory, takes no packets or has no address that
    /// may be dialled.
    NoRoute => no_route,
    /// Dropped: the next relay does not answer.
    Unreachable => unreachable,
    /// Dropped: as many packets wait for this neighbour, or for all, as may.
    Congested => congested,
    /// Dropped: nobody has asked for this mailbox, or its owner went away.
    NoMailbox => no_mailbox,
    /// Sent without the delay that was asked for: as many are held as may.
    Hurried => hurried,
}

/// The counters behind [`PacketStats`].
#[derive(Debug)]
pub(super) struct Counters([AtomicU64; EVENTS]);

impl Default for Counters {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; EVENTS])
    }
}

impl Counters {
    pub(super) fn count(&self, event: Event) {
        self.add(event, 1);
    }

    pub(super) fn add(&self, event: Event, more: usize) {
        self.0[event as usize].fetch_add(more as u64, Relaxed);
    }
}
