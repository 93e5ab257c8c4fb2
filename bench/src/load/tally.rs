//! What came of the requests? Counts and latencies of one thread, and the sum of all threads.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};

use super::answer::Answer;
use super::connection::{Fault, FaultKind};
use super::outcome::CacheOutcome;

/// Longer ones are counted as this.
const LATENCY_MAX: Duration = Duration::from_secs(60 * 60);
/// Figures that stay exact: 0.1 %.
const FIGURES: u8 = 3;
/// A start that much after its time counts as late. Timers and the scheduler account for less.
const LATE_AFTER: Duration = Duration::from_millis(1);

/// Latencies in nanoseconds; 270 KiB each, whatever they hold.
pub(crate) fn latencies() -> Result<Histogram<u64>, CreationError> {
    Histogram::new_with_bounds(1, nanos(LATENCY_MAX), FIGURES)
}

/// A duration as a histogram holds it.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.min(LATENCY_MAX).as_nanos()).unwrap_or(u64::MAX)
}

/// What the answers of one outcome amount to.
#[derive(Debug)]
pub(crate) struct Sort {
    pub(crate) requests: u64,
    pub(crate) body_bytes: u64,
    pub(crate) latencies: Histogram<u64>,
}

/// Counts and latencies.
#[derive(Debug)]
pub(crate) struct Tally {
    expected_interval: u64,
    sorts: [Option<Sort>; CacheOutcome::ALL.len()],
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) faults: [u64; FaultKind::ALL.len()],
    /// The first fault of each kind, in words.
    pub(crate) fault_texts: [Option<String>; FaultKind::ALL.len()],
    /// Of requests that had no whole answer in time; they are at least that late.
    pub(crate) timeouts: Histogram<u64>,
    pub(crate) bytes: u64,
    pub(crate) reopened: u64,
    pub(crate) misses_asked: u64,
    pub(crate) starts: Histogram<u64>,
    /// Sent late although a connection was free: the driver's doing.
    pub(crate) late_free: u64,
    /// Sent late because every connection waited for an answer.
    pub(crate) late_busy: u64,
    pub(crate) untaken: u64,
}

impl Tally {
    /// Nothing yet; zero as `expected_interval` corrects nothing.
    pub(crate) fn new(expected_interval: Duration) -> Result<Self, CreationError> {
        Ok(Self {
            expected_interval: nanos(expected_interval),
            sorts: [const { None }; CacheOutcome::ALL.len()],
            statuses: BTreeMap::new(),
            faults: [0; FaultKind::ALL.len()],
            fault_texts: [const { None }; FaultKind::ALL.len()],
            timeouts: latencies()?,
            bytes: 0,
            reopened: 0,
            misses_asked: 0,
            starts: latencies()?,
            late_free: 0,
            late_busy: 0,
            untaken: 0,
        })
    }

    /// Counts a whole answer.
    pub(crate) fn on_answer(&mut self, answer: &Answer, latency: Duration) {
        *self.statuses.entry(answer.status).or_default() += 1;
        let interval = self.expected_interval;
        let Some(slot) = self.sorts.get_mut(answer.outcome.index()) else { return };
        if slot.is_none() {
            // The bounds are those that `new` has had taken.
            *slot =
                latencies().ok().map(|latencies| Sort { requests: 0, body_bytes: 0, latencies });
        }
        let Some(sort) = slot else { return };
        sort.requests += 1;
        sort.body_bytes = sort.body_bytes.saturating_add(answer.body_bytes);
        record(&mut sort.latencies, latency, interval);
    }

    /// Counts a request that has no whole answer.
    pub(crate) fn on_fault(&mut self, fault: &Fault, latency: Duration) {
        let index = fault.kind().index();
        if let Some(count) = self.faults.get_mut(index) {
            *count += 1;
        }
        if let Some(text) = self.fault_texts.get_mut(index).filter(|text| text.is_none()) {
            *text = Some(fault.text());
        }
        if fault.kind() == FaultKind::Timeout {
            record(&mut self.timeouts, latency, self.expected_interval);
        }
    }

    /// Counts how long after its time a request was sent; `had_free`, if a connection was free when it was due.
    pub(crate) fn on_start(&mut self, late: Duration, had_free: bool) {
        record(&mut self.starts, late, 0);
        if late > LATE_AFTER {
            let count = if had_free { &mut self.late_free } else { &mut self.late_busy };
            *count += 1;
        }
    }

    /// What the answers with this outcome amount to; `None` if there are none.
    pub(crate) fn sort(&self, outcome: CacheOutcome) -> Option<&Sort> {
        self.sorts.get(outcome.index()).and_then(Option::as_ref)
    }

    /// Whole answers.
    pub(crate) fn answers(&self) -> u64 {
        self.sorts.iter().flatten().map(|sort| sort.requests).sum()
    }

    /// Requests without a whole answer.
    pub(crate) fn faulty(&self) -> u64 {
        self.faults.iter().sum()
    }

    /// All latencies, those of answers that did not come in time among them.
    pub(crate) fn all_latencies(&self) -> Result<Histogram<u64>, CreationError> {
        let mut all = latencies()?;
        for part in self.sorts.iter().flatten().map(|sort| &sort.latencies).chain([&self.timeouts])
        {
            add(&mut all, part);
        }
        Ok(all)
    }

    /// Adds what another thread has counted.
    pub(crate) fn add(&mut self, other: Self) {
        for (mine, theirs) in self.sorts.iter_mut().zip(other.sorts) {
            match (&mut *mine, theirs) {
                (Some(mine), Some(theirs)) => {
                    mine.requests += theirs.requests;
                    mine.body_bytes = mine.body_bytes.saturating_add(theirs.body_bytes);
                    add(&mut mine.latencies, &theirs.latencies);
                }
                (None, theirs) => *mine = theirs,
                (Some(_), None) => {}
            }
        }
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (mine, theirs) in self.faults.iter_mut().zip(other.faults) {
            *mine += theirs;
        }
        for (mine, theirs) in self.fault_texts.iter_mut().zip(other.fault_texts) {
            *mine = mine.take().or(theirs);
        }
        add(&mut self.timeouts, &other.timeouts);
        add(&mut self.starts, &other.starts);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.reopened += other.reopened;
        self.misses_asked += other.misses_asked;
        self.late_free += other.late_free;
        self.late_busy += other.late_busy;
        self.untaken = self.untaken.saturating_add(other.untaken);
    }
}

fn record(histogram: &mut Histogram<u64>, latency: Duration, interval: u64) {
    // Within bounds: `nanos` saw to that.
    histogram.record_correct(nanos(latency), interval).unwrap_or_default();
}

fn add(sum: &mut Histogram<u64>, part: &Histogram<u64>) {
    // Both have the same bounds.
    sum.add(part).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, outcome: CacheOutcome) -> Answer {
        Answer { status, outcome, body_bytes: 10, reusable: true }
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn threads_add_up() {
        let mut sum = Tally::new(Duration::ZERO).unwrap();
        for (status, outcome) in [(200, CacheOutcome::Hit), (404, CacheOutcome::Miss)] {
            let mut tally = Tally::new(Duration::ZERO).unwrap();
            tally.on_answer(&answer(200, CacheOutcome::Hit), MS);
            tally.on_answer(&answer(status, outcome), MS * 3);
            tally.on_fault(&Fault::Closed, MS);
            tally.on_fault(&Fault::Timeout, MS * 9);
            tally.on_start(MS * 2, true);
            tally.on_start(MS * 2, false);
            tally.on_start(MS / 2, true);
            sum.add(tally);
        }
        assert_eq!((sum.answers(), sum.faulty()), (4, 4));
        assert_eq!(
            sum.sort(CacheOutcome::Hit).map(|sort| (sort.requests, sort.body_bytes)),
            Some((3, 30))
        );
        assert_eq!(sum.sort(CacheOutcome::Stale).map(|sort| sort.requests), None);
        assert_eq!(sum.statuses, BTreeMap::from([(200, 3), (404, 1)]));
        assert_eq!((sum.late_free, sum.late_busy, sum.starts.len()), (2, 2, 6));
        let all = sum.all_latencies().unwrap();
        assert_eq!(all.len(), 6, "the answers and what was not answered in time");
        assert!(all.max() >= nanos(MS * 9));
    }

    #[test]
    fn an_expected_interval_fills_in_what_was_not_asked() {
        let mut tally = Tally::new(MS * 10).unwrap();
        tally.on_answer(&answer(200, CacheOutcome::Hit), MS * 100);
        let sort = tally.sort(CacheOutcome::Hit).unwrap();
        assert_eq!((sort.requests, sort.latencies.len()), (1, 10));
    }

    #[test]
    fn no_latency_is_out_of_range() {
        let mut tally = Tally::new(Duration::ZERO).unwrap();
        tally.on_answer(&answer(200, CacheOutcome::Hit), Duration::MAX);
        tally.on_answer(&answer(200, CacheOutcome::Hit), Duration::ZERO);
        assert_eq!(tally.sort(CacheOutcome::Hit).unwrap().latencies.len(), 2);
    }
}
