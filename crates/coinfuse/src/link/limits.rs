//! Every knob of a link.

use super::HandshakeRates;
use coinfuse_wire::ByteCount;
use core::time::Duration;

/// What a [`LinkEndpoint`](super::LinkEndpoint) allows and how its links are tuned.
///
/// The defaults let one stream carry 100 Mbit/s over a path of 100 ms with room to spare, and
/// suit a relay with a few GiB of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkLimits {
    /// Circuits per link that the peer may open. Default 256.
    ///
    /// A circuit takes two streams: its control lane and its data lane. Costs memory only while
    /// circuits are open; see [`Self::stream_receive_window`] for the worst case.
    pub max_circuits: u32,

    /// Bytes that a peer may send on one stream before we have read them. Default 4 MiB.
    ///
    /// This caps a stream at `window / round trip`: 4 MiB is 335 Mbit/s at 100 ms, more than three
    /// times what such a path of 100 Mbit/s needs (measured: 95.8 Mbit/s once it has started, 86 to
    /// 89 over the first 12 s; 62 with 1 MiB). Worst case: a hostile peer fills the windows of all
    /// its streams while we read none, `2 * max_circuits * stream_receive_window` per link, 2 GiB with
    /// the defaults. So whoever owns the circuits must close those that stay stalled. There is
    /// on purpose no window for the connection as a whole: with one, a few stalled circuits would
    /// stop every other circuit on the link, paid ones included, for the price of not reading.
    pub stream_receive_window: ByteCount,

    /// Bytes written to all streams of a link and not yet acknowledged. Default 16 MiB.
    ///
    /// This caps a link at `window / round trip`: 1.3 Gbit/s at 100 ms. Worst case that many bytes
    /// per link. Stalled streams take no share of it: bytes are accepted only within the peer's
    /// windows, and peers acknowledge what they receive, read or not.
    pub send_window: ByteCount,

    /// The largest UDP payload that is searched for on a path, and accepted. Default 6,500 bytes;
    /// at least 1,200, at most 65,527.
    ///
    /// The search starts at 1,200 and keeps what the path carries: about 1,452 on the internet, all of
    /// it on loopback and jumbo frames. Segmentation offload sends ten packets per system
    /// call and those must fit into 65,535 bytes, so more than 6,550 costs speed. The endpoint's
    /// receive buffer is 2,048 times this: 13 MiB with the default, once per endpoint. Measured on
    /// loopback: 2.0 CPU-seconds per GiB for both ends at 1,452, 1.05 at 6,500.
    pub max_udp_payload: u16,

    /// Bytes asked of the operating system for each of the socket's two buffers. Default 4 MiB.
    ///
    /// With the usual 208 KiB a relay under load loses packets by the hundred. Systems grant no more
    /// than `net.core.rmem_max` and `wmem_max`; a smaller grant is logged once, with what to do.
    pub socket_buffer: ByteCount,

    /// How long a link may hear nothing from its peer before it is lost. Default 30 s.
    ///
    /// The shorter of both sides' values counts. It is for paths that fail, and for relays that die
    /// and stay away: one that closes says so, and one that was killed does when it is started again.
    /// Streams outlast a path that fails for less, so a value of some seconds makes clients on the move
    /// lose their downloads; and a packet whose next relay is dead is lost with any value.
    pub idle_timeout: Duration,

    /// How often the dialling side sends a sign of life on a silent link. Default 10 s.
    ///
    /// Costs some 80 bytes each way. At most a third of [`Self::idle_timeout`] is used.
    pub keep_alive: Duration,

    /// How long a handshake may take, as dialler and as the dialled side. Default 10 s.
    pub handshake_timeout: Duration,

    /// Handshakes under way as the dialled side. Default 512.
    ///
    /// Worst case some 40 KiB each. At the limit newcomers are refused.
    pub max_handshakes: usize,

    /// Links open at once, in both directions, before newcomers are refused. Default 8,192.
    ///
    /// An idle link costs some 30 KiB.
    pub max_links: usize,

    /// Dials under way in a [`LinkPool`](super::LinkPool). Default 256.
    ///
    /// Worst case some 40 KiB each and two packets a second. At the limit a dial
    /// fails at once with [`DialError::Busy`](super::DialError::Busy).
    pub max_dials: usize,

    /// How long a pooled link stays open when no circuit uses it. Default 60 s.
    pub unused_timeout: Duration,

    /// How many handshakes are accepted, per address and in total.
    pub handshake_rates: HandshakeRates,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self {
            max_circuits: 256,
            stream_receive_window: ByteCount::from_mib(4),
            send_window: ByteCount::from_mib(16),
            max_udp_payload: 6_500,
            socket_buffer: ByteCount::from_mib(4),
            idle_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            max_handshakes: 512,
            max_links: 8_192,
            max_dials: 256,
            unused_timeout: Duration::from_secs(60),
            handshake_rates: HandshakeRates::default(),
        }
    }
}
