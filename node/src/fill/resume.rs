//! A body that breaks off goes on from the next byte, from whoever has it.
//!
//! Whether it may, and whether an answer is the rest, is judged in `weir-cache`; here it is asked for,
//! first from another server than the one that failed. Readers wait on progress meanwhile, so all of it
//! ends when no byte has come for `upstream.idle_timeout`.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::time::{Instant, sleep, timeout_at};
use weir_cache::{Continued, ResponseHead, Resumption};

use super::pump::Pump;
use super::run::{FillWork, get};
use crate::metrics::Reason;
use crate::telemetry::chain;
use crate::upstream::{Answer, FillError, OutRequest};

/// How long the second attempt in a row waits; each further one twice as long.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest that an attempt waits.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Bytes after which a body that goes on counts as moving again.
const PROGRESS_BYTES: u64 = 64 * 1024;
/// How often a body may break off without moving: whoever sends it does not have more of it.
const BREAKS_MAX: u32 = 3;

/// How often a body has broken off without moving in between.
#[derive(Debug, Default)]
pub(super) struct Breaks {
    /// Times that it broke off.
    breaks: u32,
    /// Times that its rest was asked for.
    attempts: u32,
    /// Where it last moved to.
    at: u64,
}

impl Breaks {
    /// Notes that the body broke off at byte `at`; returns whether its rest is worth asking for.
    fn note(&mut self, at: u64) -> bool {
        if at.saturating_sub(self.at) >= PROGRESS_BYTES {
            *self = Self { at, ..Self::default() };
        }
        self.breaks = self.breaks.saturating_add(1);
        self.breaks <= BREAKS_MAX
    }

    /// How long the next attempt waits: the first one not at all.
    fn next_pause(&mut self) -> Duration {
        let doublings = self.attempts.checked_sub(1);
        self.attempts = self.attempts.saturating_add(1);
        let pause = |doublings: u32| PAUSE.saturating_mul(1 << doublings.min(16)).min(PAUSE_MAX);
        doublings.map_or(Duration::ZERO, pause)
    }
}

/// How a body that broke off goes on.
pub(super) enum Resumed {
    /// With the answer that the pump now has.
    GoesOn,
    /// Not at all: only its end was missing.
    Ended,
}

impl Pump<'_> {
    /// Finds the rest of the body, which broke off with `broke`.
    ///
    /// # Errors
    ///
    /// `broke` where there is none in time, or none may be asked for; [`FillError::Changed`] where there
    /// is another body now; [`FillError::Abandoned`] where nobody waits any more.
    pub(super) async fn resume(
        &mut self,
        work: &FillWork,
        broke: FillError,
    ) -> Result<Resumed, FillError> {
        let upstreams = &self.running.node.upstreams;
        upstreams.note_broken(&self.upstream, &broke);
        let resumption = Resumption::of(&self.head.response).filter(|_| work.method == Method::GET);
        let Some(resumption) = resumption else { return Err(broke) };
        let received = self.running.fill().body.received();
        if !self.breaks.note(received) {
            self.count("failed");
            return Err(broke);
        }
        tracing::info!(target_uri = %work.keyed.target, error = %chain(&broke), "a body broke off; its rest is asked for");
        let until = Instant::now() + self.idle;
        loop {
            let pause = self.breaks.next_pause();
            if Instant::now() + pause >= until {
                self.count("failed");
                return Err(broke);
            }
            self.while_wanted(sleep(pause)).await?;
            let asking =
                upstreams.send(&work.site.upstream, self.rest(work, &resumption, received));
            match self.while_wanted(timeout_at(until, asking)).await? {
                Ok(Ok(answer)) => match self.adopt(&resumption, received, answer) {
                    Adopted::Yes(resumed) => return Ok(resumed),
                    Adopted::NotNow => {}
                    Adopted::Changed(error) => return Err(error),
                },
                Ok(Err(error)) => tracing::debug!(error = %chain(&error), "no rest of a body"),
                Err(_elapsed) => {}
            }
        }
    }

    /// The request for what follows the first `received` bytes.
    fn rest(&self, work: &FillWork, resumption: &Resumption, received: u64) -> OutRequest {
        let mut headers = work.request.headers.clone();
        resumption.ask(received, &mut headers);
        OutRequest { avoid: Some(Arc::clone(&self.upstream)), ..get(work, headers) }
    }

    /// Goes on with `answer` if it is the rest of the body.
    fn adopt(&mut self, resumption: &Resumption, received: u64, answer: Answer) -> Adopted {
        let Answer { status, headers, body, upstream, .. } = answer;
        let (skip, ends_at) = match resumption.judge(received, &ResponseHead { status, headers }) {
            Continued::Rest(left) => (0, Some(received.saturating_add(left))),
            Continued::Again(skip) => (skip, self.head.content_length),
            Continued::Nothing => {
                self.count("ended");
                return Adopted::Yes(Resumed::Ended);
            }
            Continued::NotNow => return Adopted::NotNow,
            Continued::Changed => {
                self.count("changed");
                let upstream = upstream.authority().to_owned();
                return Adopted::Changed(FillError::Changed { upstream, received });
            }
        };
        self.count("continued");
        (self.body, self.upstream) = (body, upstream);
        (self.skip, self.ends_at) = (skip, ends_at);
        Adopted::Yes(Resumed::GoesOn)
    }

    fn count(&self, reason: &'static str) {
        self.running.node.metrics.fills_resumed.get_or_create(&Reason { reason }).inc();
    }

    /// What `doing` comes to, unless everybody leaves meanwhile and finishing is not worth it.
    async fn while_wanted<T>(&self, doing: impl Future<Output = T>) -> Result<T, FillError> {
        let mut doing = std::pin::pin!(doing);
        tokio::select! {
            biased;
            done = &mut doing => return Ok(done),
            () = self.running.fill().body.deserted() => {}
        }
        if self.is_given_up() {
            return Err(FillError::Abandoned);
        }
        // It is worth finishing, and stays so until more bytes come.
        Ok(doing.await)
    }
}

/// What an answer to the request for the rest is to the pump.
enum Adopted {
    /// It goes on with it.
    Yes(Resumed),
    /// It tells nothing.
    NotNow,
    /// It ends the body.
    Changed(FillError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_wait_longer_each_time_until_the_body_moves() {
        let mut breaks = Breaks::default();
        assert!(breaks.note(0));
        let pauses = |breaks: &mut Breaks, count| -> Vec<_> {
            (0..count).map(|_| breaks.next_pause().as_millis()).collect()
        };
        assert_eq!(pauses(&mut breaks, 7), [0, 100, 200, 400, 800, 1_600, 2_000]);
        assert!(breaks.note(PROGRESS_BYTES - 1));
        assert_eq!(pauses(&mut breaks, 2), [2_000, 2_000], "a few bytes are no progress");
        assert!(breaks.note(3 * PROGRESS_BYTES));
        assert_eq!(pauses(&mut breaks, 2), [0, 100]);
        breaks.attempts = u32::MAX;
        assert_eq!(pauses(&mut breaks, 1), [2_000]);
    }

    #[test]
    fn a_body_that_breaks_off_at_one_place_is_given_up() {
        let mut breaks = Breaks::default();
        let noted: Vec<_> = (0..4).map(|_| breaks.note(7)).collect();
        assert_eq!(noted, [true, true, true, false]);
        assert!(breaks.note(7 + PROGRESS_BYTES), "it moved");
    }
}
