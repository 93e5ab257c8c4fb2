//! When is the next request due, and does it count? Arrivals of one thread, without a clock.
//!
//! Nothing is queued: whoever can send takes the next arrival, even if it was due long ago, so that a late server makes
//! late requests and not fewer of them.

use std::time::{Duration, Instant};

use super::plan::{Arrivals, Until};
use super::random::Random;

/// A request to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// When it should be sent.
    pub(crate) due: Instant,
    /// Whether it counts, or only warms up.
    pub(crate) counts: bool,
}

/// The turns of one thread.
#[derive(Debug)]
pub(crate) struct Schedule {
    warm_at: Instant,
    end_at: Option<Instant>,
    requests_left: u64,
    arrivals: Option<Stream>,
    next_due: Instant,
}

/// One thread's share of the arrivals.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) arrivals: Arrivals,
    /// A second, of this thread; above 0.
    pub(crate) rate: f64,
    /// How long after the begin the first of equally spaced ones is due, so that threads take turns.
    pub(crate) offset: Duration,
    pub(crate) random: Random,
}

impl Stream {
    fn gap(&mut self) -> Duration {
        let mean = 1.0 / self.rate;
        let gap = match self.arrivals {
            Arrivals::Constant => mean,
            Arrivals::Poisson => self.random.exponential(mean),
        };
        Duration::try_from_secs_f64(gap).unwrap_or(Duration::MAX)
    }
}

impl Schedule {
    /// From `begin` on: `until` counts from when `warmup` is over. `None` as `arrivals` makes turns due at once.
    pub(crate) fn new(
        begin: Instant,
        warmup: Duration,
        until: Until,
        arrivals: Option<Stream>,
    ) -> Self {
        let warm_at = begin + warmup;
        let (end_at, requests_left) = match until {
            Until::Requests(requests) => (None, requests),
            Until::Elapsed(span) => (Some(warm_at + span), u64::MAX),
        };
        let mut schedule = Self { warm_at, end_at, requests_left, arrivals, next_due: begin };
        if let Some(stream) = &mut schedule.arrivals {
            let first = match stream.arrivals {
                Arrivals::Constant => stream.offset,
                Arrivals::Poisson => stream.gap(),
            };
            schedule.next_due = far_after(begin, first);
        }
        schedule
    }

    /// Takes the next turn at `now`; `None` when there are no more.
    ///
    /// A turn may be due in the future: whoever takes it waits for it.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Turn> {
        if self.requests_left == 0 || self.end_at.is_some_and(|end| now >= end) {
            return None;
        }
        let due = if self.arrivals.is_some() { self.next_due } else { now };
        if self.end_at.is_some_and(|end| due >= end) {
            return None;
        }
        let counts = due >= self.warm_at;
        if counts {
            self.requests_left -= 1;
        }
        if let Some(stream) = &mut self.arrivals {
            self.next_due = far_after(due, stream.gap());
        }
        Some(Turn { due, counts })
    }

    /// How many arrivals were due before the end and were not taken; about as many, where they are random.
    pub(crate) fn untaken(&self) -> u64 {
        let (Some(end), Some(stream)) = (self.end_at, &self.arrivals) else { return 0 };
        let behind = end.saturating_duration_since(self.next_due.max(self.warm_at));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "below zero it stays at zero; beyond the range of a count it stays at its end"
        )]
        // What rounding adds to a whole number is no arrival.
        return (behind.as_secs_f64() * stream.rate - 1e-6).ceil() as u64;
    }
}

/// `time` and `later`; a time that is never reached where the clock has none.
fn far_after(time: Instant, later: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    time + later.min(NEVER)
}

/// The part of `total` that the thread with this `index` of `threads` takes; the parts add up.
pub(crate) fn share(total: u64, index: u64, threads: u64) -> u64 {
    let threads = threads.max(1);
    total / threads + u64::from(index < total % threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn stream(arrivals: Arrivals, rate: f64) -> Stream {
        Stream { arrivals, rate, offset: Duration::ZERO, random: Random::new(4) }
    }

    #[test]
    fn a_closed_loop_gives_turns_at_once_and_exactly_as_many() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(begin, SECOND, Until::Requests(3), None);
        assert_eq!(schedule.take(begin), Some(Turn { due: begin, counts: false }));
        let warm = begin + SECOND;
        for _ in 0..3 {
            assert_eq!(schedule.take(warm), Some(Turn { due: warm, counts: true }));
        }
        assert_eq!(schedule.take(warm), None);
    }

    #[test]
    fn a_closed_loop_ends_on_time() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(begin, SECOND, Until::Elapsed(SECOND), None);
        let last = begin + Duration::from_nanos(1_999_999_999);
        assert!(schedule.take(last).is_some_and(|turn| turn.counts));
        assert_eq!(schedule.take(begin + SECOND * 2), None);
        assert_eq!(schedule.untaken(), 0);
    }

    #[test]
    fn arrivals_keep_their_times_however_late_they_are_taken() {
        let begin = Instant::now();
        let arrivals = Some(stream(Arrivals::Constant, 4.0));
        let mut schedule = Schedule::new(begin, Duration::ZERO, Until::Elapsed(SECOND), arrivals);
        let late = begin + Duration::from_millis(900);
        let dues: Vec<_> =
            std::iter::from_fn(|| schedule.take(late)).map(|turn| turn.due).collect();
        let expected: Vec<_> = (0..4).map(|turn| begin + SECOND / 4 * turn).collect();
        assert_eq!(dues, expected);
    }

    #[test]
    fn arrivals_that_were_due_and_not_taken_are_told() {
        let begin = Instant::now();
        let arrivals = Some(stream(Arrivals::Constant, 100.0));
        let mut schedule = Schedule::new(begin, Duration::ZERO, Until::Elapsed(SECOND), arrivals);
        for _ in 0..40 {
            assert!(schedule.take(begin).is_some());
        }
        assert_eq!(schedule.take(begin + SECOND), None);
        assert_eq!(schedule.untaken(), 60);
    }

    #[test]
    fn random_arrivals_keep_their_rate_and_repeat() {
        let begin = Instant::now();
        let take = || {
            let arrivals = Some(stream(Arrivals::Poisson, 1_000.0));
            let mut schedule =
                Schedule::new(begin, Duration::ZERO, Until::Elapsed(SECOND * 10), arrivals);
            std::iter::from_fn(move || schedule.take(begin))
                .map(|turn| turn.due)
                .collect::<Vec<_>>()
        };
        let dues = take();
        // Standard deviation 100; six of them.
        assert!((9_400..10_600).contains(&dues.len()), "{}", dues.len());
        assert_eq!(take(), dues);
        assert!(dues.is_sorted());
    }

    #[test]
    fn warm_up_does_not_count_toward_the_requests() {
        let begin = Instant::now();
        let arrivals = Some(stream(Arrivals::Constant, 10.0));
        let mut schedule = Schedule::new(begin, SECOND, Until::Requests(5), arrivals);
        let turns: Vec<_> = std::iter::from_fn(|| schedule.take(begin)).collect();
        assert_eq!(turns.iter().filter(|turn| turn.counts).count(), 5);
        assert!((10..=11).contains(&turns.iter().filter(|turn| !turn.counts).count()));
    }

    #[test]
    fn shares_add_up() {
        for (total, threads) in [(1_000, 3), (2, 4), (0, 2), (7, 7), (5, 0)] {
            let sum: u64 = (0..threads.max(1)).map(|index| share(total, index, threads)).sum();
            assert_eq!(sum, total);
        }
    }
}
