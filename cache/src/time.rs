//! Which instants the rules reckon with: one clock for durations, one for dates.
//!
//! Durations (age, delay, windows) are differences of [`Timestamp`]s, which no clock adjustment
//! can turn back. Dates in header fields are [`UnixTime`]s. Nothing here reads a clock: every
//! decision takes its instant as an argument, so that a test can state it.
//!
//! # Invariants
//!
//! 1. No operation panics or wraps; results saturate at the ends of their range.
//! 2. The difference to a later instant is zero, never negative.

use std::time::Duration;

/// An instant on the monotonic clock of this node, in microseconds since an arbitrary start.
///
/// Values of different nodes, or of different runs of one node, cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The start of the clock.
    pub const ZERO: Self = Self(0);

    /// Makes the instant `micros` microseconds after the start of the clock.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Returns the microseconds since the start of the clock.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Returns the time that passed since `earlier`; zero when `earlier` is in fact later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Returns the instant `duration` later, or the last representable one.
    pub fn saturating_add(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

/// An instant on the wall clock, in whole seconds since 1970-01-01T00:00:00Z; may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(i64);

impl UnixTime {
    /// Makes the instant `secs` seconds after the start of 1970.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs)
    }

    /// Returns the seconds since the start of 1970.
    pub const fn as_secs(self) -> i64 {
        self.0
    }

    /// Returns the time that passed since `earlier`; zero when `earlier` is in fact later.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        let secs = self.0.saturating_sub(earlier.0);
        Duration::from_secs(u64::try_from(secs).unwrap_or(0))
    }
}

/// One instant as both clocks of this node show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock, for ages and windows.
    pub monotonic: Timestamp,
    /// The wall clock, for comparison with dates in header fields.
    pub wall: UnixTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_saturate_at_zero_and_sums_at_the_end() {
        let (early, late) = (Timestamp::from_micros(5), Timestamp::from_micros(1_000_005));
        assert_eq!(late.saturating_since(early), Duration::from_secs(1));
        assert_eq!(early.saturating_since(late), Duration::ZERO, "time does not run backwards");
        assert_eq!(early.saturating_add(Duration::MAX).as_micros(), u64::MAX);
        assert_eq!(Timestamp::ZERO.saturating_add(Duration::from_micros(7)).as_micros(), 7);
    }

    #[test]
    fn wall_clock_differences_survive_the_extremes() {
        let (first, last) = (UnixTime::from_secs(i64::MIN), UnixTime::from_secs(i64::MAX));
        assert_eq!(last.saturating_since(first), Duration::from_secs(i64::MAX as u64));
        assert_eq!(first.saturating_since(last), Duration::ZERO);
        assert_eq!(
            UnixTime::from_secs(3).saturating_since(UnixTime::from_secs(-4)),
            Duration::from_secs(7)
        );
    }
}
