//! What is a run to ask, how often and for how long? The bounds of it, checked before anything is sent.

use std::time::Duration;

use super::asking::{Asking, AskingError};

/// More connections than a machine has ports for one address.
const CONNECTIONS_MAX: usize = 60_000;
const THREADS_MAX: usize = 256;
/// Arrivals a second; above it the times between them are below what a timer tells apart.
const RATE_MAX: f64 = 10_000_000.0;
/// Of `expected_interval`: a correction records one value for each interval in an answer's time.
const INTERVAL_MIN: Duration = Duration::from_micros(100);
/// Of one answer. It bounds how long a run outlives its end.
const TIMEOUT_MAX: Duration = Duration::from_secs(10 * 60);
/// Of a run and of its warm-up.
const SPAN_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const PIDS_MAX: usize = 1_024;

/// A run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is asked.
    pub asking: Asking,
    /// Where to ask in place of the hosts of the URLs: `host:port`.
    pub connect: Option<String>,
    /// When a request is sent.
    pub pace: Pace,
    /// When the run is over.
    pub until: Until,
    /// How long to ask before anything counts.
    pub warmup: Duration,
    /// Connections in all, 1 to 60,000, shared out to the threads; each has one request in flight at most.
    pub connections: usize,
    /// Threads, 1 to 256 and no more than connections.
    pub threads: usize,
    /// How long one answer may take, from sending (connecting included) to its last byte; at most 10 minutes.
    pub timeout: Duration,
    /// What chances are drawn from: keys, misses and arrivals repeat with it.
    pub seed: u64,
    /// Processes whose CPU time is read before and after: the server's.
    pub pids: Vec<u32>,
}

/// When a request is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// When a connection is free: as fast as answers come.
    Closed {
        /// How often a client would have asked; corrects latencies for the requests that were not sent while an answer
        /// was late (`record_correct` of `HdrHistogram`). At least 100 µs; `None` records what was seen.
        expected_interval: Option<Duration>,
    },
    /// When it is due, whether or not answers come; latencies count from then.
    Open {
        /// Requests a second, above 0 and at most 10,000,000.
        rate: f64,
        /// How they are spread.
        arrivals: Arrivals,
    },
}

/// How arrivals are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// At equal distances.
    Constant,
    /// At exponential distances, as those of clients who know nothing of each other.
    Poisson,
}

/// When a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When so many requests, after the warm-up, have been sent and answered.
    Requests(u64),
    /// When so much time has gone by after the warm-up.
    Elapsed(Duration),
}

/// Why a plan makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// What is asked makes none.
    #[error(transparent)]
    Asking(#[from] AskingError),
    /// A number is outside of its range.
    #[error("{what} must be {range}")]
    Range {
        /// Which number.
        what: &'static str,
        /// What it may be.
        range: &'static str,
    },
}

impl Plan {
    /// Checks the numbers and the relations between them.
    ///
    /// # Errors
    ///
    /// [`PlanError::Range`] for the first number that is out of its range.
    pub fn check(&self) -> Result<(), PlanError> {
        let pace = match self.pace {
            Pace::Closed { expected_interval } => {
                expected_interval.is_none_or(|interval| interval >= INTERVAL_MIN)
            }
            Pace::Open { .. } => true,
        };
        let rate = match self.pace {
            Pace::Closed { .. } => true,
            Pace::Open { rate, .. } => rate > 0.0 && rate <= RATE_MAX,
        };
        let until = match self.until {
            Until::Requests(requests) => requests > 0,
            Until::Elapsed(span) => !span.is_zero() && span <= SPAN_MAX,
        };
        let connections = (1..=CONNECTIONS_MAX).contains(&self.connections);
        let threads = (1..=THREADS_MAX.min(self.connections)).contains(&self.threads);
        let timeout = !self.timeout.is_zero() && self.timeout <= TIMEOUT_MAX;
        let checks = [
            (connections, "the number of connections", "1 to 60000"),
            (threads, "the number of threads", "1 to 256, and at most that of connections"),
            (rate, "the rate", "above 0 and at most 10000000 requests a second"),
            (pace, "the expected interval", "at least 100us"),
            (until, "the length of the run", "above 0 and at most 7 days"),
            (self.warmup <= SPAN_MAX, "the warm-up", "at most 7 days"),
            (timeout, "the timeout", "above 0 and at most 10 minutes"),
            (self.pids.len() <= PIDS_MAX, "the number of processes", "at most 1024"),
        ];
        match checks.into_iter().find(|(holds, ..)| !holds) {
            Some((_, what, range)) => Err(PlanError::Range { what, range }),
            None => Ok(()),
        }
    }
}
