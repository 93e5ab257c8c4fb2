//! Is a server well enough to be asked? One state machine, fed with what requests and checks came to.
//!
//! ```text
//!            eject_after failures in a row, or bodies that broke          fall bad checks in a row
//!        ┌──────────────────────────► Ejected ◄───────── Up ─────────────────────► CheckedDown
//!        │                               │               ▲  ▲                          │
//!        │   time over: one request      │               │  └── ramp over              │ rise good
//!        │   tries it (without checks),  ▼               │                             │ checks
//!        └── or rise good checks ────► Starting ─────────┘ ◄───────────────────────────┘
//! ```
//!
//! Pure: time is an argument, nothing waits. Who is asked in place of a server that is out, and what
//! happens when all are, is decided in `group`.
//!
//! # Invariants
//!
//! 1. A server that is out for its requests' failures, without checks, is tried by one request at a time;
//!    the next may try it when `eject_for` has passed since. The time for which it is out doubles only
//!    when such a try fails, up to 32 times: what was under way when it failed first counts once.
//! 2. A server with checks comes back by checks alone.
//! 3. A server that was left out comes back with a tenth of its share, which grows to the whole over
//!    `slow_start` or the time that it was out, whichever is less.

use std::time::Duration;

use weir_cache::Timestamp;

/// How often the time for which a server is passed over doubles: to 32 times `eject_for`.
const DOUBLINGS_MAX: u32 = 5;
/// The whole of a server's share.
pub(super) const WHOLE: u32 = 1_000;
/// The share with which it starts.
const START: u32 = WHOLE / 10;

/// When a server is left out and how it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    /// Failures in a row after which it is left out.
    pub(super) eject_after: u32,
    /// Bodies in a row that break off after which it is left out.
    pub(super) broken_after: u32,
    /// How long it is left out the first time.
    pub(super) eject_for: Duration,
    /// How long its share grows; zero for at once.
    pub(super) slow_start: Duration,
}

/// How checks count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CheckRules {
    /// Good checks in a row that bring it back.
    pub(super) rise: u32,
    /// Bad checks in a row that take it out.
    pub(super) fall: u32,
}

/// What one check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The answer was a good one.
    Good,
    /// There was none in time, or a bad one.
    Bad,
    /// A parent says that it goes away.
    Leaving,
}

impl Verdict {
    /// The word it is counted under.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Leaving => "leaving",
        }
    }
}

/// What a server is to the requests that could go to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// Asked.
    Up,
    /// Asked, with a share that grows.
    Starting,
    /// Left out, because requests failed.
    Ejected,
    /// Left out, because checks failed.
    CheckedDown,
    /// Left out, because it says that it goes away.
    Leaving,
}

impl State {
    /// The word used in metrics, the admin API and the log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Starting => "starting",
            Self::Ejected => "ejected",
            Self::CheckedDown => "checked-down",
            Self::Leaving => "leaving",
        }
    }

    /// Whether it is asked.
    pub(crate) fn is_usable(self) -> bool {
        matches!(self, Self::Up | Self::Starting)
    }
}

/// A server's time of being left out.
#[derive(Debug, Clone, Copy)]
struct Out {
    why: State,
    since: Timestamp,
    /// When the next request may try it.
    until: Timestamp,
    /// Whether a request tries it.
    trying: bool,
    doublings: u32,
}

/// A server's return.
#[derive(Debug, Clone, Copy)]
struct Ramp {
    from: Timestamp,
    over: Duration,
}

/// The health of one server.
#[derive(Debug)]
pub(super) struct Health {
    rules: Rules,
    checks: Option<CheckRules>,
    failures: u32,
    broken: u32,
    good_checks: u32,
    bad_checks: u32,
    out: Option<Out>,
    ramp: Option<Ramp>,
    since: Timestamp,
}

impl Health {
    /// A server that nothing is known of: well, and at its whole share.
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            checks: None,
            failures: 0,
            broken: 0,
            good_checks: 0,
            bad_checks: 0,
            out: None,
            ramp: None,
            since: Timestamp::ZERO,
        }
    }

    /// What the server is at `now`.
    pub(super) fn state(&self, now: Timestamp) -> State {
        match self.out {
            Some(out) => out.why,
            None if self.share(now) < WHOLE => State::Starting,
            None => State::Up,
        }
    }

    /// Since when it is asked, or left out.
    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// Failures in a row, with no answer between them.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether nothing needs remembering, so that an answer changes nothing.
    pub(super) fn is_plain(&self, now: Timestamp) -> bool {
        self.failures == 0 && self.broken == 0 && self.state(now) == State::Up
    }

    /// The part of its share that it gets, in thousandths; of no meaning while it is left out.
    pub(super) fn share(&self, now: Timestamp) -> u32 {
        let Some(ramp) = self.ramp else { return WHOLE };
        let passed = now.saturating_since(ramp.from);
        if passed >= ramp.over {
            return WHOLE;
        }
        let part = u128::from(WHOLE - START) * passed.as_micros() / ramp.over.as_micros().max(1);
        START + u32::try_from(part).unwrap_or(WHOLE - START)
    }

    /// Whether a request may try the server though it is left out.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.checks.is_none() && self.out.is_some_and(|out| out.until <= now)
    }

    /// Takes the right to try the server; `false` if another request has it.
    pub(super) fn begin_try(&mut self, now: Timestamp) -> bool {
        let due = self.is_due(now);
        if let Some(out) = self.out.as_mut().filter(|_| due) {
            out.until = now.saturating_add(self.rules.eject_for);
            out.trying = true;
        }
        due
    }

    /// Notes the head of an answer; returns whether the server comes back by it.
    pub(super) fn on_success(&mut self, now: Timestamp) -> bool {
        self.failures = 0;
        let back = self.out.is_some() && self.checks.is_none();
        if back {
            self.come_back(now);
        }
        back
    }

    /// Notes that a body came whole.
    pub(super) fn on_whole_body(&mut self) {
        self.broken = 0;
    }

    /// Notes that a request got no answer; returns whether the server is left out from here on.
    pub(super) fn on_failure(&mut self, now: Timestamp) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failures >= self.rules.eject_after && self.eject(now)
    }

    /// Notes that a body broke off or stalled; returns whether the server is left out from here on.
    pub(super) fn on_broken_body(&mut self, now: Timestamp) -> bool {
        self.broken = self.broken.saturating_add(1);
        self.broken >= self.rules.broken_after && self.eject(now)
    }

    fn eject(&mut self, now: Timestamp) -> bool {
        let Some(out) = &mut self.out else {
            let until = now.saturating_add(self.rules.eject_for);
            self.leave(Out { why: State::Ejected, since: now, until, trying: false, doublings: 0 });
            return true;
        };
        if out.trying {
            out.trying = false;
            out.doublings = (out.doublings + 1).min(DOUBLINGS_MAX);
            out.until = now.saturating_add(self.rules.eject_for.saturating_mul(1 << out.doublings));
        }
        false
    }

    /// Takes up, changes or ends checks. A server that only they could bring back is then as good as
    /// any other.
    pub(super) fn set_checks(&mut self, checks: Option<CheckRules>, now: Timestamp) {
        if self.checks.is_some() && checks.is_none() && self.out.is_some() {
            self.come_back(now);
        }
        if self.checks != checks {
            (self.good_checks, self.bad_checks) = (0, 0);
        }
        self.checks = checks;
    }

    /// Notes a check; returns whether the server is left out or comes back by it.
    pub(super) fn on_check(&mut self, verdict: Verdict, now: Timestamp) -> bool {
        let Some(CheckRules { rise, fall }) = self.checks else { return false };
        if verdict == Verdict::Good {
            (self.good_checks, self.bad_checks) = (self.good_checks.saturating_add(1), 0);
            let back = self.out.is_some() && self.good_checks >= rise;
            if back {
                self.failures = 0;
                self.come_back(now);
            }
            return back;
        }
        (self.good_checks, self.bad_checks) = (0, self.bad_checks.saturating_add(1));
        let why = match verdict {
            Verdict::Leaving => State::Leaving,
            Verdict::Good | Verdict::Bad => State::CheckedDown,
        };
        if verdict == Verdict::Bad && self.bad_checks < fall {
            return false;
        }
        self.take_out(why, now)
    }

    /// Leaves the server out because of its checks; returns whether that says more than was known.
    fn take_out(&mut self, why: State, now: Timestamp) -> bool {
        match &mut self.out {
            // One that said that it leaves is expected to fall silent.
            Some(out) if out.why == why || out.why == State::Leaving => false,
            Some(out) => {
                out.why = why;
                true
            }
            None => {
                self.leave(Out { why, since: now, until: now, trying: false, doublings: 0 });
                true
            }
        }
    }

    fn leave(&mut self, out: Out) {
        self.since = out.since;
        self.good_checks = 0;
        self.ramp = None;
        self.out = Some(out);
    }

    fn come_back(&mut self, now: Timestamp) {
        let Some(out) = self.out.take() else { return };
        let over = self.rules.slow_start.min(now.saturating_since(out.since));
        self.ramp = (!over.is_zero()).then_some(Ramp { from: now, over });
        self.since = now;
    }
}

#[cfg(test)]
#[path = "tests/health.rs"]
mod tests;
