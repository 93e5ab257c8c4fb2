//! What time is it? The one place of the node that reads a clock.
//!
//! Everything that decides about freshness takes [`Now`] from here, so that tests and the lab can
//! move time. Network timeouts are not cache time: they use tokio's timers.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use weir_cache::{Now, Timestamp, UnixTime};

/// A source of cache time.
pub trait Clock: Send + Sync + 'static {
    /// The present moment, monotonic and on the wall.
    fn now(&self) -> Now;
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    began: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at zero.
    #[must_use]
    pub fn new() -> Self {
        Self { began: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let micros = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now { monotonic: Timestamp::from_micros(micros), wall: UnixTime::from_secs(wall_secs()) }
    }
}

/// Seconds since 1970; negative when the machine's clock is set before it.
fn wall_secs() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |secs| -secs),
    }
}

/// A clock that stands still until it is moved; for tests.
#[derive(Debug)]
pub struct ManualClock {
    monotonic_micros: AtomicU64,
    wall_secs: AtomicI64,
    /// Micros that have not yet made up a whole wall second.
    remainder_micros: AtomicU64,
}

impl ManualClock {
    /// A clock that starts at the machine's present wall time and at one hour of monotonic time.
    #[must_use]
    pub fn new() -> Self {
        Self {
            monotonic_micros: AtomicU64::new(3_600_000_000),
            wall_secs: AtomicI64::new(wall_secs()),
            remainder_micros: AtomicU64::new(0),
        }
    }

    /// Moves both clocks forward by `by`.
    pub fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.monotonic_micros.fetch_add(micros, Relaxed);
        let total = self.remainder_micros.load(Relaxed).saturating_add(micros);
        self.remainder_micros.store(total % 1_000_000, Relaxed);
        self.wall_secs.fetch_add(i64::try_from(total / 1_000_000).unwrap_or(i64::MAX), Relaxed);
    }

    /// Steps the wall clock alone, as an operator or a time daemon would.
    pub fn step_wall(&self, secs: i64) {
        self.wall_secs.fetch_add(secs, Relaxed);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        Now {
            monotonic: Timestamp::from_micros(self.monotonic_micros.load(Relaxed)),
            wall: UnixTime::from_secs(self.wall_secs.load(Relaxed)),
        }
    }
}
