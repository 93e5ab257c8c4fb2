//! What time is it? The one place of the node that reads a clock.
//!
//! Everything that decides about freshness takes [`Now`] from here, so that tests and the lab can
//! move time. Network timeouts are not cache time: they use tokio's timers.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use weir_cache::{Now, Present, Stamp, Timestamp, UnixTime};

/// A source of cache time.
pub trait Clock: Send + Sync + 'static {
    /// The present moment, monotonic and on the wall.
    fn now(&self) -> Now;

    /// The same moment so that another run of the node can place it.
    fn present(&self) -> Present;
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    began: Instant,
    /// Which start of the machine this is.
    boot: u64,
}

impl SystemClock {
    /// A clock whose monotonic time starts at zero.
    #[must_use]
    pub fn new() -> Self {
        Self { began: Instant::now(), boot: boot_number() }
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

    fn present(&self) -> Present {
        let stamp = Stamp {
            boot: self.boot,
            boot_micros: clock_micros(ClockId::Boottime).unsigned_abs(),
            wall_micros: clock_micros(ClockId::Realtime),
        };
        Present { stamp, monotonic: self.now().monotonic }
    }
}

/// What the system calls this start of the machine; a random number where it does not say, so that nothing
/// stored before is taken to be of this one.
fn boot_number() -> u64 {
    let mut bytes = [0; 8];
    match std::fs::read("/proc/sys/kernel/random/boot_id") {
        Ok(id) => blake3::Hasher::new().update(&id).finalize_xof().fill(&mut bytes),
        // Without randomness the number is zero, and ages go by the wall clock or are too long.
        Err(_) => drop(getrandom::fill(&mut bytes)),
    }
    u64::from_le_bytes(bytes)
}

fn clock_micros(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000)
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
    boot: AtomicU64,
}

impl ManualClock {
    /// A clock that starts at the machine's present wall time and at one hour of monotonic time.
    #[must_use]
    pub fn new() -> Self {
        Self {
            monotonic_micros: AtomicU64::new(3_600_000_000),
            wall_secs: AtomicI64::new(wall_secs()),
            remainder_micros: AtomicU64::new(0),
            boot: AtomicU64::new(1),
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

    /// Has the machine been started again, so that only the wall clock tells how long things have lasted.
    pub fn reboot(&self) {
        self.boot.fetch_add(1, Relaxed);
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

    fn present(&self) -> Present {
        let Now { monotonic, wall } = self.now();
        let part = i64::try_from(self.remainder_micros.load(Relaxed)).unwrap_or(0);
        let stamp = Stamp {
            boot: self.boot.load(Relaxed),
            boot_micros: monotonic.as_micros(),
            wall_micros: wall.as_secs().saturating_mul(1_000_000).saturating_add(part),
        };
        Present { stamp, monotonic }
    }
}
