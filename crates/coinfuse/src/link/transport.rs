//! QUIC's parameters, from [`LinkLimits`].

use super::LinkLimits;
use super::parting::Parting;
use quinn::{IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};
use std::sync::Arc;

/// Streams that a circuit takes: the control lane and the data lane.
pub(super) const STREAMS_PER_CIRCUIT: u32 = 2;
/// Streams for one-shot packets, beside those of circuits: one, and one that replaces it.
const PACKET_LANES: u32 = 2;

/// Which side of the handshake a configuration is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Keeps the link alive.
    Dialling,
    /// Answers.
    Dialled,
}

/// The configuration of one link.
pub(super) fn transport_config(
    limits: &LinkLimits,
    side: Side,
    parting: Parting,
) -> Arc<TransportConfig> {
    let streams = limits
        .max_circuits
        .saturating_mul(STREAMS_PER_CIRCUIT)
        .saturating_add(PACKET_LANES);
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(streams.into())
        .max_concurrent_uni_streams(0u32.into())
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0)
        .stream_receive_window(varint(limits.stream_receive_window.get()))
        // No window for the connection beside the streams': see `LinkLimits::stream_receive_window`.
        // Not even one of exactly their sum: quinn announces new room only by the eighth of a
        // window, so the last live stream would wait for ever.
        .receive_window(VarInt::MAX)
        .send_window(limits.send_window.get())
        .max_idle_timeout(IdleTimeout::try_from(limits.idle_timeout).ok())
        .mtu_discovery_config(Some(mtu_discovery(limits.max_udp_payload)))
        .congestion_controller_factory(Arc::new(parting))
        // The spin bit would show the round trip to every observer on the path.
        .allow_spin(false);
    if side == Side::Dialling {
        config.keep_alive_interval(Some(limits.keep_alive.min(limits.idle_timeout / 3)));
    }
    Arc::new(config)
}

/// Only the search's upper end is raised: a higher start (`initial_mtu`) is a black hole wherever
/// the path does not carry it.
fn mtu_discovery(upper_bound: u16) -> MtuDiscoveryConfig {
    let mut config = MtuDiscoveryConfig::default();
    config.upper_bound(upper_bound);
    config
}

fn varint(value: u64) -> VarInt {
    VarInt::from_u64(value).unwrap_or(VarInt::MAX)
}
