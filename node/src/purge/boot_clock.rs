//! What clock do leases run on?
//!
//! Not on cache time, which tests and the lab move, nor on a clock that stands still while the machine
//! is suspended: a node that wakes up must know that it has been away.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use weir_cache::Timestamp;

/// The time since the machine was started, suspensions included.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BootClock;

impl BootClock {
    /// The present moment. Costs one read of the clock, without a system call.
    pub(crate) fn now(self) -> Timestamp {
        let time = clock_gettime(ClockId::Boottime);
        let since = Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        );
        Timestamp::ZERO.saturating_add(since)
    }
}
