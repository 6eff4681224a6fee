//! What a machine allows.

use crate::cipher::RekeyPolicy;
use coinfuse_wire::ByteCount;
use core::time::Duration;

/// The limits of one circuit at one end.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Limits {
    /// Free records (control, padding, readings) that may come at once from the client, and as many
    /// control records from the next hop. Default 256.
    pub control_burst: u32,
    /// Then one more each interval. Default 5 ms: 200 a second, at most 3.3 MB/s of unpaid
    /// control records per circuit.
    pub control_interval: Duration,
    /// A circuit with no record for so long is closed. Default 10 minutes.
    pub idle: Duration,
    /// How many bytes of data there are between two readings of the meter. Default 4 MiB.
    pub reading_every: ByteCount,
    /// When keys are changed.
    pub rekey: RekeyPolicy,
}

impl Limits {
    /// Never nothing: a reading must not be due again because it was said.
    pub(crate) fn reading_step(&self) -> ByteCount {
        self.reading_every.max(ByteCount::new(1))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            control_burst: 256,
            control_interval: Duration::from_millis(5),
            idle: crate::relay::DEFAULT_IDLE,
            reading_every: ByteCount::from_mib(4),
            rekey: RekeyPolicy::default(),
        }
    }
}
