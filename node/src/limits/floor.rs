//! Does a peer move bytes fast enough to be waited for?
//!
//! Only the time counts in which the peer could move a byte and did not: time spent waiting for others is
//! not its fault. Waiting is cut into windows of `timeout`; in each, the peer must move at least what the
//! rate says. What it moved before is no credit: whoever takes a megabyte at once and then a byte a
//! second is as slow as one who never hurried.
//!
//! ```text
//! moving ── wait ──► waiting ─┬─ moved ──► moving          the wait is added to the window
//!                             ├─ timeout without a byte ──► Stalled
//!                             └─ window over ─┬─ enough ──► waiting, next window
//!                                             └─ too little ──► Slow
//! ```

use std::time::{Duration, Instant};

use crate::config::Bandwidth;

/// Why a peer is not waited for any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooSlow {
    /// No byte moved for the whole timeout.
    Stalled,
    /// Too few moved over the timeout.
    Slow,
}

/// The least that a peer must move.
#[derive(Clone, Debug)]
pub(super) struct Floor {
    timeout: Duration,
    /// Bytes that a window must have.
    least: u64,
    /// When the present wait began; `None` while the peer is not waited for.
    since: Option<Instant>,
    /// When the part of the present wait began that belongs to this window.
    counted_from: Option<Instant>,
    /// Time of this window in earlier waits.
    waited: Duration,
    /// Bytes moved in this window.
    moved: u64,
}

impl Floor {
    /// Asks for a byte each `timeout` of waiting, and `rate` over it.
    pub(super) fn new(timeout: Duration, rate: Bandwidth) -> Self {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let least = rate.as_u64().saturating_mul(millis) / 1_000;
        let (since, counted_from) = (None, None);
        Self { timeout, least, since, counted_from, waited: Duration::ZERO, moved: 0 }
    }

    /// Notes that the peer moved `bytes` at `now`, or is not waited for any longer.
    pub(super) fn moved(&mut self, bytes: usize, now: Instant) {
        if let Some(from) = self.counted_from.take() {
            self.waited += now.saturating_duration_since(from);
        }
        self.since = None;
        self.moved = self.moved.saturating_add(bytes as u64);
    }

    /// Notes that the peer moved `bytes` without a wait.
    pub(super) fn moved_at_once(&mut self, bytes: usize) {
        self.moved = self.moved.saturating_add(bytes as u64);
    }

    /// Whether the peer is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// Notes that the peer is waited for at `now`; returns when to look again at the latest.
    ///
    /// # Errors
    ///
    /// [`TooSlow`] if it has been waited for too long.
    pub(super) fn waits(&mut self, now: Instant) -> Result<Instant, TooSlow> {
        let since = *self.since.get_or_insert(now);
        let from = *self.counted_from.get_or_insert(now);
        if now.saturating_duration_since(since) >= self.timeout {
            return Err(TooSlow::Stalled);
        }
        let window_end = from + self.timeout.saturating_sub(self.waited);
        if now < window_end {
            return Ok(window_end.min(since + self.timeout));
        }
        if self.moved < self.least {
            return Err(TooSlow::Slow);
        }
        (self.waited, self.moved, self.counted_from) = (Duration::ZERO, 0, Some(now));
        Ok(since + self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ByteSize;

    /// Plays steps of (milliseconds waited, bytes that then move); returns the verdict and when it fell.
    fn play(floor: &mut Floor, steps: &[(u64, usize)]) -> Option<(TooSlow, u128)> {
        let begin = Instant::now();
        let mut now = begin;
        for (millis, bytes) in steps {
            let moves_at = now + Duration::from_millis(*millis);
            loop {
                match floor.waits(now) {
                    Ok(look) if look > now && look < moves_at => now = look,
                    Ok(_) => break,
                    Err(why) => return Some((why, (now - begin).as_millis())),
                }
            }
            now = moves_at;
            floor.moved(*bytes, now);
        }
        None
    }

    fn floor(timeout_ms: u64, rate: u64) -> Floor {
        let rate = Bandwidth::per_second(ByteSize::from_bytes(rate));
        Floor::new(Duration::from_millis(timeout_ms), rate)
    }

    #[test]
    fn who_is_too_slow() {
        // A second of timeout, 1,000 bytes a second.
        type Case<'a> = (&'a [(u64, usize)], Option<(TooSlow, u128)>, &'a str);
        let drip: Vec<_> = (0..100).map(|_| (500, 1)).collect();
        let steady: Vec<_> = (0..100).map(|_| (500, 510)).collect();
        let mut spoilt = vec![(1, 1_000_000)];
        spoilt.extend(&drip);
        let cases: &[Case<'_>] = &[
            (&[(5_000, 1)], Some((TooSlow::Stalled, 1_000)), "nothing at all"),
            (&[(900, 2_000), (5_000, 1)], Some((TooSlow::Stalled, 1_900)), "nothing any more"),
            (&drip, Some((TooSlow::Slow, 1_000)), "a byte now and then"),
            (&steady, None, "just enough"),
            (&spoilt, Some((TooSlow::Slow, 2_000)), "an early rush is no credit"),
            (&[(0, 0); 1_000], None, "no wait is no fault"),
        ];
        for (steps, expected, why) in cases {
            assert_eq!(&play(&mut floor(1_000, 1_000), steps), expected, "{why}");
        }
    }

    #[test]
    fn without_a_rate_a_byte_now_and_then_will_do() {
        let drip: Vec<_> = (0..100).map(|_| (999, 1)).collect();
        assert_eq!(play(&mut floor(1_000, 0), &drip), None);
        assert_eq!(play(&mut floor(1_000, 0), &[(1_001, 1)]), Some((TooSlow::Stalled, 1_000)));
    }

    /// Time between a move and the next wait is ours, not the peer's.
    #[test]
    fn time_in_which_nothing_waits_does_not_count() {
        let mut floor = floor(1_000, 1_000);
        let mut now = Instant::now();
        for _ in 0..100 {
            assert!(floor.waits(now).is_ok());
            now += Duration::from_millis(1);
            floor.moved(10, now);
            assert!(!floor.is_waiting());
            now += Duration::from_secs(3_600);
        }
    }
}
