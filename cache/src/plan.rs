//! What is known of a stored response for every later use, worked out once.
//!
//! A hit then costs two comparisons and no parsing.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::directives::{ResponseDirectives, Scope};
use crate::freshness::{corrected_initial_age, freshness_lifetime, last_modified, response_date};
use crate::policy::Policy;
use crate::rules::{RuleEffect, Ruled};
use crate::small::{Instant, Moment, Span, Window};
use crate::storable::Timing;
use crate::targeted::Governing;
use crate::time::{Timestamp, UnixTime};

/// How long a stored response may be used and in which ways (RFC 9111 §4.2), in 46 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    lifetime: Span,
    initial_age: Span,
    stale_while_revalidate: Window,
    stale_if_error: Window,
    last_modified: Moment,
    response_time: Instant,
    date: Moment,
    /// Whether each reuse must be validated first (RFC 9111 §5.2.2.4).
    pub validate_always: bool,
    /// Whether stale use is forbidden, whoever allows it (RFC 9111 §4.2.4).
    pub stale_banned: bool,
    /// Whether the lifetime was guessed from Last-Modified (RFC 9111 §4.2.2).
    pub heuristic: bool,
    /// Which key of a site's rule gave it its lifetime; `None` where that is its own.
    pub rule: Option<RuleEffect>,
}

/// What a [`Plan`] is made from and can be told as: the same in full.
///
/// Durations are kept to the nanosecond up to 146 years and to the microsecond up to 146,000; the two windows to the
/// second up to 2^31 of them and else to the millisecond up to 24 days; dates to the second, 17,000 years before and
/// after 1970. What is longer or further away is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// See [`Plan::lifetime`].
    pub lifetime: Duration,
    /// See [`Plan::stale_while_revalidate`].
    pub stale_while_revalidate: Option<Duration>,
    /// See [`Plan::stale_if_error`].
    pub stale_if_error: Option<Duration>,
    /// See [`Plan::validate_always`].
    pub validate_always: bool,
    /// See [`Plan::stale_banned`].
    pub stale_banned: bool,
    /// See [`Plan::initial_age`].
    pub initial_age: Duration,
    /// See [`Plan::response_time`].
    pub response_time: Timestamp,
    /// See [`Plan::date`].
    pub date: UnixTime,
    /// See [`Plan::last_modified`].
    pub last_modified: Option<UnixTime>,
    /// See [`Plan::heuristic`].
    pub heuristic: bool,
    /// See [`Plan::rule`].
    pub rule: Option<RuleEffect>,
}

impl From<Terms> for Plan {
    fn from(terms: Terms) -> Self {
        Self {
            lifetime: terms.lifetime.into(),
            initial_age: terms.initial_age.into(),
            stale_while_revalidate: terms.stale_while_revalidate.into(),
            stale_if_error: terms.stale_if_error.into(),
            last_modified: terms.last_modified.into(),
            response_time: terms.response_time.into(),
            date: Some(terms.date).into(),
            validate_always: terms.validate_always,
            stale_banned: terms.stale_banned,
            heuristic: terms.heuristic,
            rule: terms.rule,
        }
    }
}

impl Plan {
    /// Works out the plan of a response with `headers` that `governing` rules over.
    pub(crate) fn derive(
        policy: &Policy,
        governing: &Governing,
        status: StatusCode,
        headers: &HeaderMap,
        timing: Timing,
    ) -> Self {
        let directives = &governing.directives;
        let arrival = timing.response.wall;
        let own = freshness_lifetime(policy, governing, status, headers, arrival);
        let Ruled { lifetime, effect } = policy.lifetime_rule.apply(own, status);
        let duration = lifetime.map_or(Duration::ZERO, |lifetime| lifetime.duration);
        let terms = Terms {
            lifetime: duration,
            stale_while_revalidate: directives
                .stale_while_revalidate
                .or_else(|| default_window(policy.stale_while_revalidate, duration)),
            stale_if_error: directives.stale_if_error,
            validate_always: directives.no_cache == Some(Scope::All),
            stale_banned: is_stale_banned(directives),
            initial_age: corrected_initial_age(policy, headers, timing),
            response_time: timing.response.monotonic,
            date: response_date(headers, arrival),
            last_modified: last_modified(headers, arrival),
            heuristic: lifetime.is_some_and(|lifetime| lifetime.heuristic),
            rule: effect,
        };
        terms.into()
    }

    /// Freshness lifetime, counted from the making at the origin; zero when there is none.
    pub fn lifetime(&self) -> Duration {
        self.lifetime.get()
    }

    /// The same plan with another lifetime.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime: lifetime.into(), ..self }
    }

    /// How old it was at `response_time`.
    pub fn initial_age(&self) -> Duration {
        self.initial_age.get()
    }

    /// How long past the lifetime it may be reused while it is validated; `None` for not at all.
    pub fn stale_while_revalidate(&self) -> Option<Duration> {
        self.stale_while_revalidate.get()
    }

    /// How long past the lifetime it may stand in for an error; `None` when the response is silent.
    pub fn stale_if_error(&self) -> Option<Duration> {
        self.stale_if_error.get()
    }

    /// When the response head came, on the monotonic clock of this node.
    pub fn response_time(&self) -> Timestamp {
        self.response_time.get()
    }

    /// When the origin made it: Date, or the arrival where Date is missing or unusable.
    pub fn date(&self) -> UnixTime {
        // It always is one.
        self.date.get().unwrap_or(UnixTime::from_secs(0))
    }

    /// The date in Last-Modified; `None` where it is missing or unusable.
    pub fn last_modified(&self) -> Option<UnixTime> {
        self.last_modified.get()
    }

    /// Returns the plan of a response whose head came `elapsed` before `now`, whatever `response_time`
    /// says: that was told by another run of the node, whose clock is not this one.
    ///
    /// If that was before this run began, the response is taken to have come when it began, older by
    /// the time before that.
    #[must_use]
    pub fn resumed(self, elapsed: Duration, now: Timestamp) -> Self {
        let run = now.saturating_since(Timestamp::ZERO);
        let before = elapsed.saturating_sub(run);
        let since = Timestamp::ZERO.saturating_add(run.saturating_sub(elapsed));
        let initial_age = self.initial_age().saturating_add(before).into();
        Self { initial_age, response_time: since.into(), ..self }
    }

    /// Returns how old the response is at `now` (RFC 9111 §4.2.3, `current_age`).
    ///
    /// Age counts from the origin, not from this hop. Never decreases while `now` increases.
    pub fn current_age(&self, now: Timestamp) -> Duration {
        let resident_time = now.saturating_since(self.response_time());
        self.initial_age().saturating_add(resident_time)
    }

    /// Says whether the response is fresh at `now` (RFC 9111 §4.2).
    ///
    /// A fresh response may still have to be validated; see `validate_always`.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.current_age(now) < self.lifetime()
    }

    /// Returns how long the response has been stale at `now`; zero while it is fresh.
    pub fn staleness(&self, now: Timestamp) -> Duration {
        self.current_age(now).saturating_sub(self.lifetime())
    }

    /// Returns the seconds of freshness left at `now`, rounded down; negative once stale
    /// (RFC 9211 §2.4, `ttl`).
    pub fn ttl_secs(&self, now: Timestamp) -> i64 {
        let age = self.current_age(now);
        match self.lifetime().checked_sub(age) {
            Some(left) => saturating_secs(left),
            None => {
                let over = age.saturating_sub(self.lifetime());
                let part = i64::from(over.subsec_nanos() > 0);
                saturating_secs(over).saturating_add(part).saturating_neg()
            }
        }
    }

    /// Returns the whole seconds of age at `now`, as the Age field states them (RFC 9111 §5.1).
    pub fn age_secs(&self, now: Timestamp) -> u64 {
        self.current_age(now).as_secs()
    }
}

/// The operator's `window` for what has a lifetime at all: what never is fresh does not become reusable
/// by it.
fn default_window(window: Duration, lifetime: Duration) -> Option<Duration> {
    (!window.is_zero() && !lifetime.is_zero()).then_some(window)
}

fn saturating_secs(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Says whether a shared cache must not use the response stale (RFC 9111 §4.2.4).
///
/// s-maxage implies proxy-revalidate (RFC 9111 §5.2.2.10), even where its number is unusable.
fn is_stale_banned(directives: &ResponseDirectives) -> bool {
    directives.must_revalidate
        || directives.proxy_revalidate
        || directives.s_maxage.is_some()
        || directives.no_cache == Some(Scope::All)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{after, stored};

    #[test]
    fn age_and_ttl_count_from_the_origin() {
        let plan = stored("Cache-Control: max-age=100\nAge: 40").unwrap().plan;
        // (seconds since arrival, age, ttl, fresh); RFC 9111 §4.2.3.
        for (secs, age, ttl, fresh) in
            [(0, 40, 60, true), (59, 99, 1, true), (60, 100, 0, false), (90, 130, -30, false)]
        {
            let now = after(secs);
            assert_eq!((plan.age_secs(now), plan.ttl_secs(now)), (age, ttl), "{secs}");
            assert_eq!(plan.is_fresh(now), fresh, "{secs}");
        }
    }

    #[test]
    fn parts_of_seconds_are_kept_inside_and_cut_when_printed() {
        let plan = stored("Cache-Control: max-age=1").unwrap().plan;
        let at = |millis| after(0).saturating_add(Duration::from_millis(millis));
        assert!(plan.is_fresh(at(999)) && !plan.is_fresh(at(1000)));
        assert_eq!((plan.age_secs(at(999)), plan.ttl_secs(at(999))), (0, 0));
        assert_eq!(plan.ttl_secs(at(1001)), -1, "stale by any part of a second is negative");
    }

    #[test]
    fn an_instant_before_arrival_makes_nothing_younger() {
        let plan = stored("Cache-Control: max-age=100\nAge: 40").unwrap().plan;
        assert_eq!(plan.age_secs(Timestamp::ZERO), 40);
    }

    #[test]
    fn another_run_goes_on_with_the_age() {
        let plan = stored("Cache-Control: max-age=100\nAge: 40").unwrap().plan;
        let now = Timestamp::from_micros(20_000_000);
        // (seconds passed, age, seconds into this run at which it came)
        for (secs, age, came) in [(0, 40, 20), (15, 55, 5), (20, 60, 0), (50, 90, 0)] {
            let resumed = plan.resumed(Duration::from_secs(secs), now);
            assert_eq!(resumed.age_secs(now), age, "{secs}");
            assert_eq!(resumed.response_time(), Timestamp::from_micros(came * 1_000_000), "{secs}");
        }
        let resumed = plan.resumed(Duration::MAX, now);
        assert_eq!(resumed.current_age(now), Duration::MAX, "saturates");
        assert_eq!(resumed.resumed(Duration::MAX, now).current_age(now), Duration::MAX);
    }

    #[test]
    fn four_directives_ban_stale_use() {
        // (directives, banned, validate always); RFC 9111 §4.2.4.
        for (directives, banned, always) in [
            ("max-age=9", false, false),
            ("max-age=9, must-revalidate", true, false),
            ("max-age=9, proxy-revalidate", true, false),
            ("s-maxage=9", true, false),
            ("max-age=9, no-cache=\"a\"", false, false),
            ("max-age=9, no-cache", true, true),
        ] {
            let plan = stored(&format!("ETag: \"a\"\nCache-Control: {directives}")).unwrap().plan;
            assert_eq!((plan.stale_banned, plan.validate_always), (banned, always), "{directives}");
        }
    }
}
