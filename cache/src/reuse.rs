//! Whether a stored response may answer a request at a given moment (RFC 9111 §4 and §4.2.4).
//!
//! That it was stored for this key and variant, and that no purge matches it, was looked up before.
//!
//! # Invariants
//!
//! 1. What the response bans nobody allows: neither a client nor the operator makes a response
//!    with must-revalidate, proxy-revalidate, s-maxage or no-cache usable when stale.
//! 2. Stale windows are measured on the age since the origin, so that a chain of tiers does not
//!    multiply them.

use crate::plan::Plan;
use crate::policy::Policy;
use crate::request_directives::{MaxStale, RequestDirectives};
use crate::stored::StoredHead;
use crate::time::Timestamp;

/// How a stored response may be used for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// As it is.
    Fresh,
    /// As it is, while it is validated out of band (RFC 5861 §3).
    StaleWhileRevalidate,
    /// Only after the upstream confirmed it (RFC 9111 §4.3).
    Validate,
}

/// What kept the upstream from answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It answered with a 5xx status.
    ServerError,
    /// No usable response came at all.
    Unreachable,
}

impl StoredHead {
    /// Decides how the response may be used at `now`.
    ///
    /// `request` holds the directives of the client, `None` where it gave none or is not listened
    /// to. only-if-cached is not looked at here: it forbids forwarding, not reuse. A response that
    /// a client accepts past its lifetime (max-stale) is refreshed out of band like any other stale
    /// one.
    pub fn judge(&self, request: Option<&RequestDirectives>, now: Timestamp) -> Reuse {
        let plan = &self.plan;
        let asked = request.copied().unwrap_or_default();
        if plan.validate_always || asked.no_cache || is_refused(plan, &asked, now) {
            return Reuse::Validate;
        }
        if plan.is_fresh(now) {
            return Reuse::Fresh;
        }
        if !plan.stale_banned
            && (is_accepted_stale(plan, &asked, now) || in_window(plan, &asked, now))
        {
            return Reuse::StaleWhileRevalidate;
        }
        Reuse::Validate
    }

    /// Says whether the response may stand in for an answer that failed (RFC 5861 §4).
    ///
    /// The window of the response counts where it states one. Otherwise the operator's does, of which
    /// there is one for each failure (RFC 9111 §4.2.4).
    pub fn may_stand_in(&self, failure: Failure, policy: &Policy, now: Timestamp) -> bool {
        if self.plan.stale_banned || self.plan.validate_always {
            return false;
        }
        let default = match failure {
            Failure::ServerError => policy.stale_if_error,
            Failure::Unreachable => policy.stale_if_unreachable,
        };
        self.plan.staleness(now) < self.plan.stale_if_error().unwrap_or(default)
    }
}

/// Says whether the client finds the response too old or too close to its end
/// (RFC 9111 §5.2.1.1 and §5.2.1.3).
fn is_refused(plan: &Plan, asked: &RequestDirectives, now: Timestamp) -> bool {
    let age = plan.current_age(now);
    let too_old = asked.max_age.is_some_and(|max_age| max_age.is_zero() || age > max_age);
    let left = plan.lifetime().saturating_sub(age);
    too_old || asked.min_fresh.is_some_and(|min_fresh| left < min_fresh)
}

/// Says whether the client accepts the response as stale as it is (RFC 9111 §5.2.1.2).
fn is_accepted_stale(plan: &Plan, asked: &RequestDirectives, now: Timestamp) -> bool {
    match asked.max_stale {
        None => false,
        Some(MaxStale::Any) => true,
        Some(MaxStale::Within(bound)) => plan.staleness(now) <= bound,
    }
}

/// Says whether the response allows being used while it is validated (RFC 5861 §3).
fn in_window(plan: &Plan, asked: &RequestDirectives, now: Timestamp) -> bool {
    // RFC 9111 §5.2.1.1: a client that states max-age alone wants nothing stale.
    asked.max_age.is_none()
        && plan.stale_while_revalidate().is_some_and(|window| plan.staleness(now) < window)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fixture::{after, headers, stored, stored_under};

    const VALIDATOR: &str = "ETag: \"a\"";

    fn head(directives: &str) -> StoredHead {
        stored(&format!("{VALIDATOR}\nCache-Control: {directives}")).unwrap()
    }

    #[test]
    fn a_response_is_reused_as_far_as_it_and_the_client_allow() {
        use Reuse::{Fresh, StaleWhileRevalidate, Validate};
        // (response, request, seconds since arrival, expected, why); RFC 9111 §4.2 and §5.2.1.
        const CASES: &[(&str, &str, u64, Reuse, &str)] = &[
            ("max-age=10", "", 9, Fresh, "within its lifetime"),
            ("max-age=10", "", 10, Validate, "its lifetime is over"),
            ("max-age=10, no-cache", "", 0, Validate, "validated every time"),
            ("max-age=10, no-cache=\"x\"", "", 0, Fresh, "only that field is affected"),
            ("max-age=10, must-revalidate", "", 9, Fresh, "fresh use is not banned"),
            ("s-maxage=10", "", 9, Fresh, "fresh use is not banned"),
            ("max-age=10, stale-while-revalidate=5", "", 14, StaleWhileRevalidate, "in the window"),
            ("max-age=10, stale-while-revalidate=5", "", 15, Validate, "past the window"),
            ("max-age=10, stale-while-revalidate=5, must-revalidate", "", 12, Validate, "banned"),
            ("max-age=10, stale-while-revalidate=5, proxy-revalidate", "", 12, Validate, "banned"),
            ("s-maxage=10, stale-while-revalidate=5", "", 12, Validate, "banned by s-maxage"),
            ("max-age=10", "no-cache", 1, Validate, "the client wants validation"),
            ("max-age=10", "max-age=5", 5, Fresh, "just young enough"),
            ("max-age=10", "max-age=5", 6, Validate, "too old for the client"),
            ("max-age=10", "max-age=0", 0, Validate, "the client wants nothing stored"),
            ("max-age=10", "min-fresh=3", 7, Fresh, "fresh for long enough"),
            ("max-age=10", "min-fresh=3", 8, Validate, "too close to its end"),
            ("max-age=10", "max-stale", 999, StaleWhileRevalidate, "however stale"),
            ("max-age=10", "max-stale=5", 15, StaleWhileRevalidate, "stale within the bound"),
            ("max-age=10", "max-stale=5", 16, Validate, "staler than that"),
            ("max-age=10, must-revalidate", "max-stale", 11, Validate, "the response rules"),
            ("max-age=10, proxy-revalidate", "max-stale", 11, Validate, "the response rules"),
            ("s-maxage=10", "max-stale", 11, Validate, "the response rules"),
            ("max-age=10, no-cache", "max-stale", 1, Validate, "the response rules"),
            (
                "max-age=10, stale-while-revalidate=9",
                "max-age=60",
                12,
                Validate,
                "a client that states max-age wants nothing stale",
            ),
            ("max-age=10", "nothing-to-see-here", 9, Fresh, "unknown directives"),
        ];
        for &(response, request, secs, expected, why) in CASES {
            let asked = RequestDirectives::parse(&headers(&format!("Cache-Control: {request}")));
            let found = head(response).judge(asked.as_ref(), after(secs));
            assert_eq!(found, expected, "{why}\n{response} | {request} | {secs}");
        }
        assert_eq!(head("max-age=10").judge(None, after(9)), Fresh, "a client that is not heard");
    }

    #[test]
    fn age_on_arrival_uses_up_the_stale_window_too() {
        let fields = "Cache-Control: max-age=1, stale-while-revalidate=60\nAge: 50";
        let head = stored(fields).unwrap();
        assert_eq!(head.judge(None, after(10)), Reuse::StaleWhileRevalidate);
        assert_eq!(head.judge(None, after(11)), Reuse::Validate, "not 60 s at every tier");
    }

    #[test]
    fn a_stale_response_stands_in_only_as_far_as_allowed() {
        use Failure::{ServerError, Unreachable};
        const DAY: u64 = 86_400;
        // (response, failure, seconds since arrival, expected, why); RFC 5861 §4, RFC 9111 §4.2.4.
        const CASES: &[(&str, Failure, u64, bool, &str)] = &[
            ("max-age=10", ServerError, 11, false, "an answer is an answer"),
            ("max-age=10, stale-if-error=5", ServerError, 14, true, "in the window"),
            ("max-age=10, stale-if-error=5", ServerError, 15, false, "past the window"),
            ("max-age=10, stale-if-error=5", Unreachable, 14, true, "no answer is an error too"),
            ("max-age=10, stale-if-error=5", Unreachable, 15, false, "the response states the end"),
            ("max-age=10", Unreachable, DAY, true, "the operator's window"),
            ("max-age=10", Unreachable, DAY + 10, false, "past it"),
            ("max-age=10, must-revalidate", Unreachable, 11, false, "banned"),
            ("max-age=10, proxy-revalidate", Unreachable, 11, false, "banned"),
            ("s-maxage=10", Unreachable, 11, false, "banned"),
            ("max-age=10, no-cache", Unreachable, 1, false, "banned"),
            ("max-age=9, must-revalidate, stale-if-error=9", ServerError, 10, false, "banned"),
        ];
        for &(response, failure, secs, expected, why) in CASES {
            let found = head(response).may_stand_in(failure, &Policy::default(), after(secs));
            assert_eq!(found, expected, "{why}\n{response} | {failure:?} | {secs}");
        }
    }

    #[test]
    fn the_windows_of_the_operator_count_where_the_response_states_none() {
        use Failure::{ServerError, Unreachable};
        let policy = Policy {
            stale_while_revalidate: Duration::from_secs(5),
            stale_if_error: Duration::from_secs(20),
            stale_if_unreachable: Duration::from_secs(40),
            ..Policy::default()
        };
        // (response, seconds since arrival, reuse, for a 5xx, for no answer, why)
        type Case = (&'static str, u64, Reuse, bool, bool, &'static str);
        const CASES: &[Case] = &[
            ("max-age=10", 14, Reuse::StaleWhileRevalidate, true, true, "in all windows"),
            ("max-age=10", 15, Reuse::Validate, true, true, "past the first"),
            ("max-age=10", 30, Reuse::Validate, false, true, "past the second"),
            ("max-age=10", 50, Reuse::Validate, false, false, "past all"),
            ("max-age=10, stale-while-revalidate=0", 11, Reuse::Validate, true, true, "its own"),
            ("max-age=10, stale-if-error=0", 11, Reuse::StaleWhileRevalidate, false, false, "own"),
            ("max-age=10, must-revalidate", 11, Reuse::Validate, false, false, "banned"),
            ("max-age=0", 1, Reuse::Validate, true, true, "never fresh, so not reused unasked"),
        ];
        for &(response, secs, reuse, on_error, unreachable, why) in CASES {
            let fields = format!("{VALIDATOR}\nCache-Control: {response}");
            let head = stored_under(&policy, &fields).unwrap();
            assert_eq!(head.judge(None, after(secs)), reuse, "{why}\n{response} | {secs}");
            let stands_in = |failure| head.may_stand_in(failure, &policy, after(secs));
            assert_eq!(stands_in(ServerError), on_error, "{why}\n{response} | {secs}");
            assert_eq!(stands_in(Unreachable), unreachable, "{why}\n{response} | {secs}");
        }
    }
}
