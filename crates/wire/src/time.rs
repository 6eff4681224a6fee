//! Time is always an argument.

use crate::{Decode, DecodeError, Encode, Reader, Writer};
use core::ops::{Add, Sub};
use core::time::Duration;

/// A point on a monotonic clock that the caller owns: time since an epoch of the caller's choice.
///
/// The runtime feeds it from the operating system, a simulation from a variable.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The caller's epoch.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The instant that lies `since_epoch` after the caller's epoch.
    pub const fn from_epoch(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// Time since the caller's epoch.
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// Time since `earlier`; zero if `earlier` is in fact later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by))
    }
}

/// Civil time: seconds since 1970-01-01 UTC, as expiries and locktimes are written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// From seconds since 1970-01-01 UTC.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// Seconds since 1970-01-01 UTC.
    pub const fn secs(self) -> u64 {
        self.0
    }

    /// This time plus whole seconds of `by`; saturates.
    pub const fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by.as_secs()))
    }

    /// This time minus whole seconds of `by`; saturates at the epoch.
    pub const fn saturating_sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by.as_secs()))
    }

    /// Time since `earlier`; zero if `earlier` is in fact later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl Encode for UnixTime {
    fn encode(&self, out: &mut Writer) {
        out.u64(self.0);
    }
}

impl Decode for UnixTime {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.u64("UnixTime").map(Self)
    }
}
