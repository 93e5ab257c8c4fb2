//! When does each request come?
//!
//! The day has a night: four hours after its begin the rate is a fifth of what it is twelve hours later. A flash crowd
//! packs its part of the requests into a fifth of the time that they would take.

use std::f64::consts::TAU;
use std::time::Duration;

/// Parts of equal length into which the time is cut.
const PARTS: usize = 1_440;
const DAY_SECS: f64 = 86_400.0;

/// Times of requests in the order of their numbers.
#[derive(Debug)]
pub(super) struct Clock {
    /// Sums of the rates up to each part.
    sums: Vec<f64>,
    at: usize,
    part_ms: f64,
    last_ms: u64,
}

impl Clock {
    pub(super) fn new(span: Duration) -> Self {
        let part_secs = span.as_secs_f64() / PARTS as f64;
        let mut sum = 0.0;
        let sums = (0..PARTS).map(|part| {
            let of_day = part as f64 * part_secs / DAY_SECS - 4.0 / 24.0;
            sum += 0.6 - 0.4 * (TAU * of_day).cos();
            sum
        });
        Self { sums: sums.collect(), at: 0, part_ms: part_secs * 1_000.0, last_ms: 0 }
    }

    /// The time at which a share of all requests has come; shares never go down.
    pub(super) fn at_ms(&mut self, share: f64) -> u64 {
        let wanted = share.clamp(0.0, 1.0) * self.sums.last().copied().unwrap_or(0.0);
        while self.sums.get(self.at).is_some_and(|sum| *sum < wanted) {
            self.at += 1;
        }
        let before =
            self.at.checked_sub(1).and_then(|at| self.sums.get(at)).copied().unwrap_or(0.0);
        let after = self.sums.get(self.at).copied().unwrap_or(before);
        let within = if after > before { (wanted - before) / (after - before) } else { 0.0 };
        let ms = (self.at as f64 + within) * self.part_ms;
        // A product of a span in milliseconds; more than 2^63 of them are no log.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a time within the span"
        )]
        let ms = ms.max(0.0) as u64;
        self.last_ms = self.last_ms.max(ms);
        self.last_ms
    }
}
