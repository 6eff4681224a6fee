//! What a circuit carried and cost.

use super::channels::HopChannels;
use coinfuse_circuit::{Credit, Price};
use coinfuse_wire::{ByteCount, Msat, RelayId};
use core::time::Duration;

/// What one hop of a circuit carried and was paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HopReport {
    /// The relay.
    pub relay: RelayId,
    /// Its price on this circuit.
    pub price: Price,
    /// Metered bytes from the client.
    pub up: ByteCount,
    /// Metered bytes to the client.
    pub down: ByteCount,
    /// Put into the circuit's pools: vouchers, channels, and what the account held before.
    pub paid: Msat,
    /// What carrying has cost.
    pub used: Msat,
    /// What is left and stays the account's.
    pub left: Msat,
    /// What was paid through channels, of this and of earlier circuits of the same account.
    pub channels: HopChannels,
    /// How many of a thousand tries the relay passes, by what this client saw of it lately.
    pub reliability: Option<u32>,
    /// Bytes per second that the relay was measured with, if it was.
    pub measured: Option<ByteCount>,
}

impl HopReport {
    pub(super) fn new(
        relay: RelayId,
        credit: &Credit,
        channels: HopChannels,
        (reliability, measured): (Option<u32>, Option<ByteCount>),
    ) -> Self {
        Self {
            relay,
            price: Price {
                up: credit.up.rate(),
                down: credit.down.rate(),
            },
            up: credit.up.carried(),
            down: credit.down.carried(),
            paid: credit.paid(),
            used: credit.used(),
            left: credit.left(),
            channels,
            reliability,
            measured,
        }
    }
}

/// An open circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitReport {
    /// How long it took to build, payments included.
    pub built_in: Duration,
    /// Its hops, in order.
    pub hops: Vec<HopReport>,
}
