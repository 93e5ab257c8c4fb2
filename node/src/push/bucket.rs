//! How long must the next request wait, so that no more than so many a second go out?
//!
//! A token bucket without a counter: it keeps the time at which it would be full again. Pure; the
//! present is an argument.

use std::time::Duration;

use weir_cache::Timestamp;

/// Part of a second that may go out at once.
const BURST_PART: u32 = 10;

/// Spreads events over time.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    /// Time between two events.
    interval: Duration,
    /// How far ahead of the pace events may run.
    slack: Duration,
    /// When the next event would come if all kept exactly to the pace.
    due: Timestamp,
}

impl Bucket {
    /// At most `per_second` events a second, and a tenth of those at once; zero for no limit.
    pub(super) fn new(per_second: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        let burst = (per_second / BURST_PART).max(1);
        Self { interval, slack: interval * (burst - 1), due: Timestamp::ZERO }
    }

    /// Takes the place of one event at `now`; returns how long it must wait for it.
    pub(super) fn reserve(&mut self, now: Timestamp) -> Duration {
        let due = self.due.max(now);
        self.due = due.saturating_add(self.interval);
        due.saturating_since(now).saturating_sub(self.slack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::ZERO.saturating_add(Duration::from_millis(millis))
    }

    #[test]
    fn events_keep_to_the_pace_after_a_small_burst() {
        let mut bucket = Bucket::new(20);
        let waits: Vec<u128> = (0..5).map(|_| bucket.reserve(at(1_000)).as_millis()).collect();
        assert_eq!(waits, [0, 0, 50, 100, 150], "a tenth of a second's worth goes at once");
        assert_eq!(bucket.reserve(at(9_000)), Duration::ZERO, "rest is not saved up");
        assert_eq!(bucket.reserve(at(9_000)), Duration::ZERO);
        assert_eq!(bucket.reserve(at(9_000)).as_millis(), 50);
    }

    #[test]
    fn a_slow_pace_has_no_burst_and_none_at_all_never_waits() {
        let mut slow = Bucket::new(1);
        assert_eq!(slow.reserve(at(0)), Duration::ZERO);
        assert_eq!(slow.reserve(at(0)), Duration::from_secs(1));
        let mut free = Bucket::new(0);
        assert!((0..1_000).all(|_| free.reserve(at(5)) == Duration::ZERO));
    }

    #[test]
    fn no_stretch_of_time_has_more_events_than_the_pace_and_the_burst() {
        let mut bucket = Bucket::new(100);
        let mut sent = Vec::new();
        let mut now = at(0);
        for step in 0..1_000_u64 {
            now = now.saturating_add(Duration::from_millis(step % 7));
            sent.push(now.saturating_add(bucket.reserve(now)));
        }
        for (index, first) in sent.iter().enumerate() {
            let within = sent[index..]
                .iter()
                .filter(|at| at.saturating_since(*first) < Duration::from_secs(1))
                .count();
            assert!(within <= 110, "{within} in the second after event {index}");
        }
    }
}
