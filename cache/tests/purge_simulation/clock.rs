//! A node's own clock, which starts anywhere and runs a little fast or slow.

use weir_cache::Timestamp;

const MILLION: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// What it shows at the beginning of the world.
    offset: u64,
    /// Microseconds that it counts in a true second.
    rate: u64,
}

impl Clock {
    pub(crate) fn new(offset: u64, rate: u64) -> Self {
        Self { offset, rate }
    }

    /// What it shows at the true time `now`.
    pub(crate) fn show(self, now: u64) -> Timestamp {
        Timestamp::from_micros(self.offset + now * self.rate / MILLION)
    }

    /// The first true time at which it shows `local`.
    pub(crate) fn when(self, local: Timestamp) -> u64 {
        let passed = local.as_micros().saturating_sub(self.offset);
        (passed * MILLION).div_ceil(self.rate)
    }
}
