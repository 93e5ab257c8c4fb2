//! How long would clients wait, if the links take so long?
//!
//! A model, and a simple one: a request costs the round trips of the links that it takes, each once. Queues, handshakes,
//! disks and the time of the origin are in nobody's log; put what you know of them into the links.

use std::str::FromStr;

use crate::replay::{OUTCOMES, Outcome, Run};

/// Round trips of the links from the client to the origin, in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Links(Vec<f64>);

/// Text that is no list of links, or one for another number of tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LatencyError {
    /// Not numbers with colons between.
    #[error(
        "expected round trips in milliseconds, the link of the client first, such as 20:5:30:80"
    )]
    NotNumbers,
    /// Too few or too many.
    #[error("expected {expected} links, from the client over each tier to the origin; got {given}")]
    WrongCount {
        /// One more than there are tiers.
        expected: usize,
        /// Those there.
        given: usize,
    },
}

impl FromStr for Links {
    type Err = LatencyError;

    fn from_str(text: &str) -> Result<Self, LatencyError> {
        let links = text.split(':').map(|link| {
            let ms: f64 = link.trim().parse().map_err(|_reason| LatencyError::NotNumbers)?;
            if ms.is_finite() && ms >= 0.0 { Ok(ms) } else { Err(LatencyError::NotNumbers) }
        });
        links.collect::<Result<_, _>>().map(Self)
    }
}

/// Modelled times of the requests with one outcome at the edge, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// The outcome; `None` for all requests.
    pub outcome: Option<Outcome>,
    /// Requests.
    pub requests: u64,
    /// Their mean.
    pub mean: f64,
    /// What so many percent do not exceed: 50, 95, 99 and 99.9.
    pub percentiles: [f64; 4],
}

/// Which percentiles are told, in thousandths.
const TOLD: [u64; 4] = [500, 950, 990, 999];

impl Links {
    /// Checks that there is a link to each tier and to the origin.
    ///
    /// # Errors
    ///
    /// [`LatencyError::WrongCount`].
    pub fn check(&self, tiers: usize) -> Result<(), LatencyError> {
        let (expected, given) = (tiers + 1, self.0.len());
        if expected == given { Ok(()) } else { Err(LatencyError::WrongCount { expected, given }) }
    }

    /// What the requests after the warm-up took, by outcome and all together; outcomes that none had are left out.
    #[must_use]
    pub fn latencies(&self, run: &Run) -> Vec<Latency> {
        let mut all = [0; 5];
        let mut latencies = Vec::new();
        for (outcome, depths) in OUTCOMES.into_iter().zip(run.depths) {
            for (sum, count) in all.iter_mut().zip(depths) {
                *sum += count;
            }
            latencies.extend(self.latency(Some(outcome), &depths));
        }
        latencies.extend(self.latency(None, &all));
        latencies
    }

    /// Of requests by how many links they took.
    fn latency(&self, outcome: Option<Outcome>, depths: &[u64; 5]) -> Option<Latency> {
        let requests: u64 = depths.iter().sum();
        if requests == 0 {
            return None;
        }
        let ms = |depth: usize| self.0.iter().take(depth).sum::<f64>();
        let sum: f64 = depths.iter().enumerate().map(|(depth, n)| ms(depth) * *n as f64).sum();
        let percentiles = TOLD.map(|permille| {
            let rank = u128::from(requests) * u128::from(permille);
            let mut seen = 0_u128;
            let found = depths.iter().position(|count| {
                seen += u128::from(*count) * 1_000;
                seen >= rank
            });
            ms(found.unwrap_or(depths.len()))
        });
        Some(Latency { outcome, requests, mean: sum / requests as f64, percentiles })
    }
}
