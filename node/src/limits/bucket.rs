//! May one more event happen now, and if not, when?
//!
//! A token bucket as one number: instead of tokens and the time at which they were counted, the time at
//! which the bucket would be full again (the generic cell rate algorithm). Times are nanoseconds of one
//! monotonic clock; 64 bits of them last for 584 years.
//!
//! # Invariant
//!
//! In any stretch of `t`, both ends included, at most `burst + t / interval` events are admitted.

use std::time::Duration;

use crate::config::Rate;

/// How fast, and how much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Time between two events.
    interval: u64,
    /// How far the time at which the bucket is full may lie ahead.
    slack: u64,
}

impl Pace {
    /// Admits `rate`, and `burst` events at once: those of a second if `None`.
    pub(super) fn new(rate: Rate, burst: Option<u32>) -> Self {
        let burst = burst.unwrap_or_else(|| rate.of_a_second()).max(1);
        let interval = nanos(rate.interval()).max(1);
        Self { interval, slack: interval.saturating_mul(u64::from(burst - 1)) }
    }

    /// Takes a token at `now` from the bucket that is full at `full_at`; returns when it is full then.
    ///
    /// # Errors
    ///
    /// How long until there is a token. Nothing is taken then.
    pub(super) fn take(self, full_at: u64, now: u64) -> Result<u64, Duration> {
        let from = full_at.max(now);
        let ahead = from - now;
        if ahead > self.slack {
            return Err(Duration::from_nanos(ahead - self.slack));
        }
        Ok(from.saturating_add(self.interval))
    }
}

/// Nanoseconds of a duration, saturating.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    fn admitted(pace: Pace, times: &[u64]) -> Vec<u64> {
        let mut full_at = 0;
        let mut admitted = Vec::new();
        for now in times {
            if let Ok(next) = pace.take(full_at, *now) {
                full_at = next;
                admitted.push(*now);
            }
        }
        admitted
    }

    #[test]
    fn a_burst_then_the_rate() {
        let pace = Pace::new(Rate::per_second(10), Some(3));
        // (time in ms, expected wait in ms, why)
        let steps = [
            (0, None, "a full bucket"),
            (0, None, "its second token"),
            (0, None, "its last"),
            (0, Some(100), "empty"),
            (60, Some(40), "a refused one takes nothing"),
            (100, None, "one has come back"),
            (100, Some(100), "and is gone"),
            (250, None, "half a token is kept"),
            (300, None, "and made whole"),
            (10_000, None, "no more than the burst"),
            (10_000, None, "is saved"),
            (10_000, None, "however long"),
            (10_000, Some(100), "one rests"),
        ];
        let mut full_at = 0;
        for (millis, expected, why) in steps {
            match pace.take(full_at, millis * MS) {
                Ok(next) => {
                    assert_eq!(expected, None, "{why}");
                    full_at = next;
                }
                Err(wait) => assert_eq!(expected, Some(wait.as_millis()), "{why}"),
            }
        }
    }

    #[test]
    fn without_a_burst_those_of_a_second_come_at_once() {
        let at_once = |rate, burst| admitted(Pace::new(rate, burst), &[0; 100]).len();
        assert_eq!(at_once(Rate::per_second(50), None), 50);
        assert_eq!(at_once(Rate::per_minute(90), None), 2);
        assert_eq!(at_once(Rate::per_minute(1), None), 1);
        assert_eq!(at_once(Rate::per_second(50), Some(0)), 1, "never none");
    }

    #[test]
    fn the_ends_of_time_do_not_wrap() {
        let pace = Pace::new(Rate::per_minute(1), Some(2));
        assert_eq!(pace.take(u64::MAX, u64::MAX), Ok(u64::MAX));
        assert!(pace.take(u64::MAX, 0).is_err());
        assert_eq!(pace.take(0, u64::MAX), Ok(u64::MAX));
        let endless = Pace::new(Rate::per_minute(1), Some(u32::MAX));
        assert_eq!(endless.take(u64::MAX, 0), Ok(u64::MAX), "a burst beyond 64 bits is none");
    }

    proptest! {
        #[test]
        fn no_stretch_has_more_than_the_burst_and_the_rate(
            per_second in 1_u32..10_000,
            burst in 1_u32..200,
            steps in prop::collection::vec(0_u64..50_000_000, 1..400),
        ) {
            let pace = Pace::new(Rate::per_second(per_second), Some(burst));
            let times: Vec<u64> = steps
                .iter()
                .scan(0, |now, step| { *now += *step % 7 * *step / 7; Some(*now) })
                .collect();
            let admitted = admitted(pace, &times);
            for (first, begin) in admitted.iter().enumerate() {
                for (count, end) in admitted[first..].iter().enumerate() {
                    let most = u64::from(burst) + (end - begin) / pace.interval;
                    prop_assert!((count as u64) < most, "{} in a stretch for {most}", count + 1);
                }
            }
        }

        #[test]
        fn who_waits_as_told_is_admitted(full_at in 0_u64..1 << 40, now in 0_u64..1 << 40) {
            let pace = Pace::new(Rate::per_second(100), Some(5));
            if let Err(wait) = pace.take(full_at, now) {
                prop_assert!(wait > Duration::ZERO);
                let then = now + nanos(wait);
                prop_assert!(pace.take(full_at, then).is_ok());
                prop_assert!(pace.take(full_at, then - 1).is_err(), "and not before");
            }
        }
    }
}
