//! May a request be sent again, or would the retries of many be a second load?
//!
//! Each request to a group earns a part of a retry, and a little is earned by time, so that a quiet
//! group may retry at all. A retry spends a whole one. Pure but for its counters; time is an argument.
//!
//! # Invariant
//!
//! In any stretch of time, retries are at most the group's share of the requests in it, and
//! [`FLOOR_PER_SECOND`] for each second, and what was saved up before: [`SAVED_MAX`].

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use weir_cache::Timestamp;

/// Retries a second that are allowed whatever the requests.
const FLOOR_PER_SECOND: i64 = 5;
/// Retries that may be saved up by time.
const FLOOR_SAVED: i64 = 10;
/// Retries that may be saved up by requests.
const SAVED_MAX: i64 = 1_000;
/// One retry, in the units counted here.
const RETRY: i64 = 1_000;
/// Micros in which time earns one unit.
const UNIT_MICROS: u64 = 1_000_000 / (FLOOR_PER_SECOND * RETRY) as u64;

/// What is left for retries of one group.
#[derive(Debug)]
pub(super) struct Budget {
    /// Units that a request earns.
    earned: i64,
    left: AtomicI64,
    /// Until when time has been counted.
    counted_micros: AtomicU64,
}

impl Budget {
    /// Retries for `percent` of the requests.
    pub(super) fn new(percent: u8) -> Self {
        Self {
            earned: i64::from(percent) * RETRY / 100,
            left: AtomicI64::new(FLOOR_SAVED * RETRY),
            counted_micros: AtomicU64::new(0),
        }
    }

    /// Notes a request. Costs one atomic addition.
    pub(super) fn on_request(&self) {
        if self.left.load(Relaxed) < SAVED_MAX * RETRY {
            self.left.fetch_add(self.earned, Relaxed);
        }
    }

    /// Takes a retry at `now`; `false` when there is none left.
    pub(super) fn take(&self, now: Timestamp) -> bool {
        self.earn_by_time(now.as_micros());
        let spend = |left: i64| (left >= RETRY).then(|| left - RETRY);
        self.left.fetch_update(Relaxed, Relaxed, spend).is_ok()
    }

    fn earn_by_time(&self, now: u64) {
        let counted = self.counted_micros.load(Relaxed);
        let units = now.saturating_sub(counted) / UNIT_MICROS;
        let until = counted + units * UNIT_MICROS;
        // Whoever moves the mark adds what lies behind it.
        if units == 0
            || self.counted_micros.compare_exchange(counted, until, Relaxed, Relaxed).is_err()
        {
            return;
        }
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        let add = |left: i64| Some(left.max(left.saturating_add(units).min(FLOOR_SAVED * RETRY)));
        // The closure never refuses.
        self.left.fetch_update(Relaxed, Relaxed, add).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &Budget, tries: usize, millis: u64) -> usize {
        let now = Timestamp::from_micros(millis * 1_000);
        (0..tries).filter(|_| budget.take(now)).count()
    }

    #[test]
    fn a_quiet_group_has_a_few_retries_a_second() {
        let budget = Budget::new(20);
        assert_eq!(taken(&budget, 100, 0), 10, "what is saved up");
        assert_eq!(taken(&budget, 100, 0), 0);
        assert_eq!(taken(&budget, 100, 1_000), 5);
        assert_eq!(taken(&budget, 100, 1_199), 0);
        assert_eq!(taken(&budget, 100, 1_200), 1);
        assert_eq!(taken(&budget, 100, 3_600_000), 10, "rest is not saved up further");
        assert_eq!(taken(&budget, 100, 0), 0, "time that runs back earns nothing");
    }

    #[test]
    fn requests_earn_their_share() {
        for (percent, expected) in [(0, 0), (1, 10), (20, 200), (100, 1_000)] {
            let budget = Budget::new(percent);
            taken(&budget, 100, 0);
            (0..1_000).for_each(|_| budget.on_request());
            assert_eq!(taken(&budget, 10_000, 0), expected, "{percent} %");
        }
        let budget = Budget::new(100);
        (0..100_000).for_each(|_| budget.on_request());
        assert_eq!(taken(&budget, 10_000, 0), 1_000, "and no more is saved up");
    }

    /// Every request fails and wants two retries: the load that comes of it stays within the bound.
    #[test]
    fn retries_of_an_outage_are_a_share_of_its_requests() {
        for seed in 0..64_u64 {
            let budget = Budget::new(20);
            let (mut bits, mut now, mut retries) = (seed, 0_u64, 0);
            for _ in 0..20_000 {
                bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99_991);
                now += bits >> 62;
                budget.on_request();
                retries += taken(&budget, 2, now);
            }
            let floor = 10 + usize::try_from(now * 5 / 1_000).unwrap();
            assert!(retries <= 4_000 + floor, "seed {seed}: {retries} of 20,000 in {now} ms");
            assert!(retries >= 4_000, "seed {seed}: {retries}");
        }
    }
}
