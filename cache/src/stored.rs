//! What is kept of a response head, and how it is made from what came.
//!
//! The body, and where both are kept, is the store's. A head is never changed in place: a
//! validation makes a new one.
//!
//! # Invariants
//!
//! 1. The fields hold nothing of the connection they came on, no Age, and always a Date, which is
//!    the one the origin sent if it sent any.
//! 2. Field lines are kept one by one and in order; a second Link or Set-Cookie line is not lost.
//! 3. A head keeps nothing of the connection's buffer alive, which would cost a stored response several
//!    times its size.

use std::borrow::Cow;

use http::header::{
    AGE, CONTENT_LENGTH, DATE, ETAG, EXPIRES, HeaderName, LAST_MODIFIED, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SET_COOKIE, VARY,
};
use http::{HeaderMap, StatusCode};

use crate::date::format_http_date;
use crate::directives::{ResponseDirectives, Scope};
use crate::fields::Fields;
use crate::guise;
use crate::hop::{Direction, OF_HOP, named_by_connection, strip_hop_by_hop};
use crate::not_storable::NotStorable;
use crate::plan::Plan;
use crate::policy::Policy;
use crate::purge::Tags;
use crate::seq::Seq;
use crate::storable::{self, RequestHead, ResponseHead, Timing};
use crate::targeted::{Governing, governing};
use crate::time::UnixTime;
use crate::vary::VaryRule;

/// The head of a stored response with all that later uses need to know.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredHead {
    /// The status as it came.
    pub status: StatusCode,
    /// The fields to answer with; Age is to be added.
    pub headers: Fields,
    /// How long and in which ways it may be used.
    pub plan: Plan,
    /// Which requests it answers.
    pub vary: VaryRule,
    /// The purges that it already reflects.
    pub as_of: Seq,
    /// The labels by which it can be purged.
    pub tags: Tags,
}

impl StoredHead {
    /// Makes what is to be stored of `response`, the answer to `request`.
    ///
    /// # Errors
    ///
    /// The first reason why it must not be stored. The response may still be passed on, and what is
    /// stored already stays: a newer response that cannot be stored does not remove an older one.
    pub fn derive(
        policy: &Policy,
        request: &RequestHead<'_>,
        response: &ResponseHead,
        timing: Timing,
        as_of: Seq,
    ) -> Result<Self, NotStorable> {
        let governing = governing(&response.headers, &policy.targets);
        let stated_only = guise::needs_statement(policy, response);
        let policy = &if stated_only {
            Cow::Owned(guise::by_statement_only(policy))
        } else {
            Cow::Borrowed(policy)
        };
        storable::check(policy, request, response, &governing)?;
        let answered = guise::with_reflection(policy, request.headers, &response.headers);
        let vary =
            VaryRule::derive(&answered, request.headers, policy).ok_or(NotStorable::VaryAny)?;
        let plan = Plan::derive(policy, &governing, response.status, &answered, timing);
        let headers = kept_fields(&answered, &governing.directives, timing.response.wall);
        if headers.contains(&SET_COOKIE) && !storable::allows_set_cookie(policy, &governing) {
            return Err(NotStorable::SetCookie);
        }
        let tags = Tags::of(&response.headers);
        let head = Self { status: response.status, headers, plan, vary, as_of, tags };
        head.check_use(&governing)?;
        Ok(head)
    }

    /// Says whether there is anything an upstream could be asked about (RFC 9110 §8.8).
    pub fn has_validator(&self) -> bool {
        self.headers.contains(&ETAG) || self.headers.contains(&LAST_MODIFIED)
    }

    /// Refuses what could be neither reused nor validated.
    fn check_use(&self, governing: &Governing) -> Result<(), NotStorable> {
        let plan = &self.plan;
        let never_fresh = plan.lifetime().is_zero() || plan.validate_always;
        if !never_fresh || self.has_validator() || has_stale_window(plan) {
            return Ok(());
        }
        let directives = &governing.directives;
        let stated = directives.max_age.or(directives.s_maxage).is_some()
            || directives.no_cache.is_some()
            || plan.heuristic
            || plan.rule.is_some()
            || (!governing.targeted && self.headers.contains(&EXPIRES));
        Err(if stated { NotStorable::ZeroLifetime } else { NotStorable::NoFreshness })
    }
}

fn has_stale_window(plan: &Plan) -> bool {
    let windows = [plan.stale_while_revalidate(), plan.stale_if_error()];
    !plan.stale_banned && windows.iter().flatten().any(|window| !window.is_zero())
}

/// Returns the fields that are kept of a response (RFC 9111 §3.1).
fn kept_fields(headers: &HeaderMap, directives: &ResponseDirectives, arrival: UnixTime) -> Fields {
    let named = named_by_connection(headers, Direction::Response);
    let listed = [&directives.no_cache, &directives.private].map(|scope| listed(scope.as_ref()));
    let is_kept = |name: &HeaderName| {
        ![named.as_slice(), &OF_HOP, &UNSTORED].iter().any(|names| names.contains(name))
            && (decides_reuse(name) || !listed.iter().any(|names| names.contains(name)))
    };
    // RFC 9110 §6.6.1: without Date its age could not be told later on.
    let date = (!headers.contains_key(DATE)).then(|| format_http_date(arrival));
    let kept = headers.iter().filter(|(name, _)| is_kept(name));
    Fields::from_lines(kept.chain(date.as_ref().map(|date| (&DATE, date))))
}

/// Fields of one proxy or one moment.
static UNSTORED: [HeaderName; 4] = [
    AGE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
];

/// Removes the fields that belong to one connection, one proxy or one moment.
pub(crate) fn strip_unstored(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers, Direction::Response);
    for name in &UNSTORED {
        headers.remove(name);
    }
}

/// The fields that no-cache or private list (RFC 9111 §5.2.2.4 and §5.2.2.7). Those that later decisions rest on stay
/// all the same, so that no list can make a response fresher or more widely shared than it would be without the list.
fn listed(scope: Option<&Scope>) -> &[HeaderName] {
    match scope {
        Some(Scope::Fields(names)) => names,
        _ => &[],
    }
}

fn decides_reuse(name: &HeaderName) -> bool {
    [CONTENT_LENGTH, DATE, EXPIRES, VARY].contains(name) || name.as_str().ends_with("cache-control")
}

#[cfg(test)]
mod tests {
    use http::header::LINK;

    use super::*;
    use crate::fixture::{ARRIVAL, headers, stored};

    fn names(fields: &Fields) -> Vec<&str> {
        let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn only_fields_that_outlive_the_exchange_are_kept() {
        // (fields beside Cache-Control and Date, extra directives, names kept, why); RFC 9111 §3.1.
        const CASES: &[(&str, &str, &[&str], &str)] = &[
            ("Link: a", "", &["link"], "an ordinary field"),
            ("Connection: x\nX: 1\nKeep-Alive: 1\nTE: a\nUpgrade: b", "", &[], "hop by hop"),
            (
                "Proxy-Authenticate: a\nProxy-Authentication-Info: b\nProxy-Authorization: c",
                "",
                &[],
                "the proxy's own",
            ),
            ("Age: 5\nContent-Length: 3", "", &["content-length"], "Age is told anew each time"),
            ("A: 1\nB: 2\nC: 3", ", no-cache=\"a, b\"", &["c"], "listed by no-cache"),
            ("A: 1\nB: 2", ", private=\"A\", no-cache=\"b\"", &[], "listed by either"),
            ("Vary: a", ", private=\"vary, date\"", &["vary"], "what decides reuse stays"),
        ];
        for &(fields, directives, expected, why) in CASES {
            let head =
                stored(&format!("Cache-Control: max-age=9{directives}\nDate: {{date}}\n{fields}"))
                    .unwrap();
            let mut expected = [expected, &["cache-control", "date"]].concat();
            expected.sort_unstable();
            assert_eq!(names(&head.headers), expected, "{why}");
        }
    }

    #[test]
    fn repeated_lines_are_all_kept_in_order() {
        let head = stored("Cache-Control: max-age=9\nLink: a\nLink: b\nLink: a").unwrap();
        let links: Vec<_> = head.headers.get_all(&LINK).collect();
        assert_eq!(links, [b"a", b"b", b"a"]);
    }

    #[test]
    fn date_is_inserted_only_where_it_is_missing() {
        let date = |fields: &str| stored(fields).unwrap().headers.value(&DATE).unwrap();
        let old = headers("Date: {date-500}").get(DATE).cloned().unwrap();
        assert_eq!(date("Cache-Control: max-age=9\nDate: {date-500}"), old, "never rewritten");
        assert_eq!(date("Cache-Control: max-age=9"), format_http_date(ARRIVAL));
        assert_eq!(date("Cache-Control: max-age=9\nDate: junk"), "junk", "not even when unusable");
    }

    #[test]
    fn the_head_carries_what_it_reflects() {
        let head = stored("Cache-Control: max-age=9\nVary: A").unwrap();
        assert_eq!(head.as_of, Seq::new(7));
        assert_eq!(head.vary.names(), ["a"]);
        assert!(!head.has_validator());
    }
}
