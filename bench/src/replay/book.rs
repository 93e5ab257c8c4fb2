//! What is remembered of a run beside the counters: when it was warm, and how it went over time.
//!
//! For all engines: it is told the counters before each request and reads no clock.

use super::counts::{Counted, Interval, Outcome, Run, TierRun};
use super::setup::Setup;
use super::workload::Workload;

/// Parts into which the time is cut for plots.
const INTERVALS: u64 = 100;

/// What is remembered of the run beside the counters.
#[derive(Debug)]
pub struct Book {
    warms_until: usize,
    is_warm: bool,
    span_ms: u64,
    /// Counters when the warm-up was over.
    at_warm: Counted,
    /// Counters when the present interval began.
    at_interval: Counted,
    interval: u64,
    intervals: Vec<Interval>,
    depths: [[u64; 5]; 6],
}

impl Book {
    /// An empty one for a log and how it is played.
    #[must_use]
    pub fn new(workload: &Workload, setup: &Setup) -> Self {
        let share = setup.warmup.clamp(0.0, 1.0) * workload.len() as f64;
        // A share of a length is at most the length.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the length"
        )]
        let warms_until = share as usize;
        Self {
            warms_until,
            is_warm: false,
            span_ms: workload.span_ms(),
            at_warm: Counted::default(),
            at_interval: Counted::default(),
            interval: 0,
            intervals: Vec::new(),
            depths: [[0; 5]; 6],
        }
    }

    /// Looks at the clock before the request that is at place `at`.
    pub fn turn_to(&mut self, at: usize, at_ms: u64, counted: &Counted) {
        if at == self.warms_until {
            self.at_warm = counted.clone();
            self.is_warm = true;
        }
        let interval = u128::from(at_ms) * u128::from(INTERVALS) / (u128::from(self.span_ms) + 1);
        let interval = u64::try_from(interval).unwrap_or(INTERVALS);
        if interval != self.interval {
            self.end_interval(counted);
            self.interval = interval;
        }
    }

    fn end_interval(&mut self, counted: &Counted) {
        let from_ms =
            u128::from(self.interval) * (u128::from(self.span_ms) + 1) / u128::from(INTERVALS);
        let from_ms = u64::try_from(from_ms).unwrap_or(u64::MAX);
        self.intervals.push(Interval { from_ms, counted: counted.since(&self.at_interval) });
        self.at_interval = counted.clone();
    }

    /// Notes what became of a client's request and how far it went.
    pub fn note(&mut self, outcome: Outcome, depth: usize) {
        if self.is_warm
            && let Some(count) =
                self.depths.get_mut(outcome.index()).and_then(|by_depth| by_depth.get_mut(depth))
        {
            *count += 1;
        }
    }

    /// The run, once everything was played.
    #[must_use]
    pub fn close(mut self, counted: Counted, tiers: Vec<TierRun>) -> Run {
        self.end_interval(&counted);
        if !self.is_warm {
            self.at_warm = counted.clone();
        }
        let warm = counted.since(&self.at_warm);
        let Self { intervals, depths, .. } = self;
        Run { tiers, warm, cold: counted, intervals, depths }
    }
}
