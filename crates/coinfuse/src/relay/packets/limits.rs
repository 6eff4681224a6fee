//! What a relay allows itself and others for packets.

use coinfuse_wire::ByteCount;
use core::time::Duration;

/// The limits of a relay's packets. Together they bound the memory: at worst some 32 MiB of packets
/// on their way through the mill, [`Self::held_bytes`], [`Self::outbox_total`], the messages of
/// [`Self::questions`], and the replay filters.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PacketLimits {
    /// Frames a second on one link whose other end has not said which relay it is, or is none that
    /// the directory has; as many at once after a silence. Default 100: peeling takes some 0.2 ms.
    pub anonymous_rate: u32,
    /// The same for a relay that the directory has. Default 4,000.
    pub relay_rate: u32,
    /// Packet lanes at once on one link. Default 4.
    pub lanes_per_link: usize,
    /// Mailboxes of one lane; with one more the oldest is given up. Default 16.
    pub mailboxes_per_lane: usize,
    /// Mailboxes of all lanes. Default 65,536, some 10 MiB.
    pub mailboxes: usize,
    /// Packets that wait for their delay to end. Default 8,192. A packet that finds no place is
    /// sent without its delay.
    pub held: usize,
    /// Bytes of them. Default 64 MiB.
    pub held_bytes: ByteCount,
    /// Bytes that wait for one neighbour, relay or client. Default 8 MiB, four batches of large
    /// packets. One that finds no place is dropped.
    pub outbox: ByteCount,
    /// Bytes that wait for all neighbours. Default 64 MiB.
    pub outbox_total: ByteCount,
    /// Neighbours to which packets wait or were sent just now. Default 4,096.
    pub neighbours: usize,
    /// Questions that services have at once; further ones are told that the relay is busy.
    /// Default 256, each with its message.
    pub questions: usize,
    /// How long a link to a neighbour is kept for packets that may come. Default 60 s.
    pub neighbour_idle: Duration,
    /// How long a neighbour that could not be reached is left alone. Default 2 s.
    pub neighbour_pause: Duration,
}

impl Default for PacketLimits {
    fn default() -> Self {
        Self {
            anonymous_rate: 100,
            relay_rate: 4_000,
            lanes_per_link: 4,
            mailboxes_per_lane: 16,
            mailboxes: 65_536,
            held: 8_192,
            held_bytes: ByteCount::from_mib(64),
            outbox: ByteCount::from_mib(8),
            outbox_total: ByteCount::from_mib(64),
            neighbours: 4_096,
            questions: 256,
            neighbour_idle: Duration::from_secs(60),
            neighbour_pause: Duration::from_secs(2),
        }
    }
}
