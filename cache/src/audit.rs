//! Does a second opinion on storing agree with ours?
//!
//! The crate `http-cache-semantics` answers the same questions from code that nobody here wrote. It
//! is wrong in many cases (`tests/oracle_props.rs` lists them), so it is asked only where it is
//! right, about a message written anew in the one form that it reads as the standard does. Nothing
//! depends on its answer: a disagreement is for a counter and a log line, and one of the two is to
//! be mended. Costs about as much as deriving the stored head; meant for tests and staging.
//!
//! What the second opinion cannot see: how Cache-Control, Age and dates are read, because it gets
//! what we read; how old the response is on arrival; targeted fields and all else that
//! [`is_comparable`] leaves out.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::header::{AGE, AUTHORIZATION, CACHE_CONTROL, DATE, EXPIRES, LAST_MODIFIED, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_cache_semantics::{CacheOptions, CachePolicy};

use crate::date::{format_http_date, parse_http_date};
use crate::directives::{Lifetime, ResponseDirectives, Scope};
use crate::freshness::{corrected_initial_age, last_modified, response_date};
use crate::guise::Guise;
use crate::not_storable::NotStorable;
use crate::policy::Policy;
use crate::rules::LifetimeRule;
use crate::seq::Seq;
use crate::storable::{RequestHead, ResponseHead, Timing};
use crate::stored::StoredHead;
use crate::targeted::governing;
use crate::time::UnixTime;

/// The other side counts in whole seconds.
const GRANULARITY: Duration = Duration::from_secs(1);
/// The end of 9999, the last year that a date can name.
const LAST_SECOND: i64 = 253_402_300_799;

/// How the second opinion differs from ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disagreement {
    /// About how long the response stays fresh, counted from its arrival.
    FreshFor {
        /// What we say.
        ours: Duration,
        /// What the other side says, in whole seconds.
        theirs: Duration,
    },
    /// About whether the response may be stored; we say the opposite of `theirs`.
    Storable {
        /// What the other side says.
        theirs: bool,
    },
}

impl Disagreement {
    /// Returns the label for counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FreshFor { .. } => "fresh-for",
            Self::Storable { .. } => "storable",
        }
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FreshFor { ours, theirs } => write!(f, "fresh for {ours:?}, not {theirs:?}"),
            Self::Storable { theirs: true } => f.write_str("not storable, but only we say so"),
            Self::Storable { theirs: false } => f.write_str("storable, but only we say so"),
        }
    }
}

/// Compares `found`, what [`StoredHead::derive`] made of the same arguments, with a second opinion.
///
/// `None` where the two agree, and where the other side is known to be no judge. Where rules of the
/// site speak about the response, or its path does, what they were applied to is compared instead of `found`.
pub fn audit(
    policy: &Policy,
    request: &RequestHead<'_>,
    response: &ResponseHead,
    timing: Timing,
    found: &Result<StoredHead, NotStorable>,
) -> Option<Disagreement> {
    if policy.lifetime_rule != LifetimeRule::default() || policy.guise != Guise::Plain {
        let plain = Policy {
            lifetime_rule: LifetimeRule::default(),
            guise: Guise::Plain,
            ..policy.clone()
        };
        let found = StoredHead::derive(&plain, request, response, timing, Seq::default());
        return audit(&plain, request, response, timing, &found);
    }
    let ours = Opinion::ours(policy, found)?;
    let theirs = second_opinion(policy, request, response, timing)?;
    if ours.storable.is_some_and(|storable| storable != theirs.is_storable()) {
        return Some(Disagreement::Storable { theirs: theirs.is_storable() });
    }
    let fresh_for = theirs.time_to_live(system_time(timing.response.wall)?);
    let agrees = ours.fresh_for.abs_diff(fresh_for) <= GRANULARITY
        // The other side guesses without a bound.
        || (ours.capped && fresh_for >= ours.fresh_for);
    (!agrees).then_some(Disagreement::FreshFor { ours: ours.fresh_for, theirs: fresh_for })
}

/// What we found, in terms of the other side.
struct Opinion {
    /// `None` where we refuse what may be stored because nothing could be done with it.
    storable: Option<bool>,
    fresh_for: Duration,
    /// Whether the operator's bound cut a guessed lifetime.
    capped: bool,
}

impl Opinion {
    /// `None` for refusals that the other side does not know.
    fn ours(policy: &Policy, found: &Result<StoredHead, NotStorable>) -> Option<Self> {
        let refused = |storable| Some(Self { storable, fresh_for: Duration::ZERO, capped: false });
        let plan = match found {
            Ok(head) => &head.plan,
            Err(NotStorable::Authorization | NotStorable::NoStore | NotStorable::Private) => {
                return refused(Some(false));
            }
            Err(NotStorable::NoFreshness | NotStorable::ZeroLifetime) => return refused(None),
            Err(
                NotStorable::Conditional
                | NotStorable::Disguised
                | NotStorable::ErrorStatus
                | NotStorable::Method
                | NotStorable::MustUnderstand
                | NotStorable::Partial
                | NotStorable::RequestNoStore
                | NotStorable::SetCookie
                | NotStorable::Status
                | NotStorable::TooManyFields
                | NotStorable::VaryAny,
            ) => return None,
        };
        let lifetime = if plan.validate_always { Duration::ZERO } else { plan.lifetime() };
        let bound = policy.heuristic.map(|rule| rule.max);
        Some(Self {
            storable: Some(true),
            fresh_for: lifetime.saturating_sub(plan.initial_age()),
            capped: plan.heuristic && bound == Some(lifetime),
        })
    }
}

/// Asks the other side; `None` outside the part of HTTP in which it is right.
fn second_opinion(
    policy: &Policy,
    request: &RequestHead<'_>,
    response: &ResponseHead,
    timing: Timing,
) -> Option<CachePolicy> {
    let governing = governing(&response.headers, &policy.targets);
    let directives = &governing.directives;
    if governing.targeted || !is_comparable(request, response, directives) {
        return None;
    }
    let mut asked = Request::new(());
    if let Some(credentials) = request.headers.get(AUTHORIZATION) {
        asked.headers_mut().insert(AUTHORIZATION, credentials.clone());
    }
    let mut answer = Response::new(());
    *answer.status_mut() = response.status;
    *answer.headers_mut() = canonical_fields(policy, &response.headers, directives, timing)?;
    let at = system_time(timing.response.wall)?;
    Some(CachePolicy::new_options(&asked, &answer, at, options(policy)))
}

/// Says whether the other side knows everything that counts about the exchange.
fn is_comparable(
    request: &RequestHead<'_>,
    response: &ResponseHead,
    directives: &ResponseDirectives,
) -> bool {
    let qualified = [&directives.no_cache, &directives.private]
        .iter()
        .any(|scope| matches!(scope, Some(Scope::Fields(_))));
    // It lets an s-maxage without a number share what Authorization protects.
    let half_shared = request.headers.contains_key(AUTHORIZATION)
        && directives.s_maxage == Some(Lifetime::Unusable);
    *request.method == Method::GET
        && is_known_status(response.status.as_u16())
        && !response.headers.contains_key(SET_COOKIE)
        && !directives.proxy_revalidate
        && !directives.must_understand
        && !qualified
        && !half_shared
}

fn is_known_status(status: u16) -> bool {
    matches!(
        status,
        200 | 203 | 204 | 300 | 301 | 302 | 303 | 307 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

/// Writes what we read of the response in the form that the other side reads alike.
///
/// Age is our age on arrival, because the other side knows neither the delay nor the apparent age.
/// `None` for dates that it cannot hold.
fn canonical_fields(
    policy: &Policy,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    timing: Timing,
) -> Option<HeaderMap> {
    let arrival = timing.response.wall;
    let date = response_date(headers, arrival);
    let modified = last_modified(headers, arrival);
    if ![Some(date), Some(arrival), modified].into_iter().flatten().all(is_nameable) {
        return None;
    }
    let mut canonical = HeaderMap::new();
    canonical.insert(DATE, format_http_date(date));
    canonical.insert(AGE, corrected_initial_age(policy, headers, timing).as_secs().into());
    if let Some(modified) = modified {
        canonical.insert(LAST_MODIFIED, format_http_date(modified));
    }
    if headers.contains_key(EXPIRES) {
        canonical.insert(EXPIRES, canonical_expires(headers, arrival));
    }
    let line = canonical_directives(directives);
    if !line.is_empty() {
        canonical.insert(CACHE_CONTROL, HeaderValue::try_from(line).ok()?);
    }
    Some(canonical)
}

/// The earliest of the lines; `0` if one of them is no date (RFC 9111 §5.3).
fn canonical_expires(headers: &HeaderMap, arrival: UnixTime) -> HeaderValue {
    let read = |line: &HeaderValue| parse_http_date(line.as_bytes(), arrival);
    let dates: Option<Vec<UnixTime>> = headers.get_all(EXPIRES).iter().map(read).collect();
    let earliest = dates.and_then(|dates| dates.into_iter().min());
    earliest.map_or(HeaderValue::from_static("0"), format_http_date)
}

/// Writes directives on one line, each once and in lower case.
fn canonical_directives(directives: &ResponseDirectives) -> String {
    let flag = |on: bool, name: &str| on.then(|| name.to_owned());
    let lifetime = |stated: Option<Lifetime>, name: &str| {
        stated.map(|stated| match stated.usable() {
            Some(duration) => format!("{name}={}", duration.as_secs()),
            None => format!("{name}=unusable"),
        })
    };
    let written = [
        flag(directives.no_store, "no-store"),
        flag(directives.no_cache.is_some(), "no-cache"),
        flag(directives.private.is_some(), "private"),
        flag(directives.public, "public"),
        flag(directives.must_revalidate, "must-revalidate"),
        flag(directives.immutable, "immutable"),
        lifetime(directives.max_age, "max-age"),
        lifetime(directives.s_maxage, "s-maxage"),
    ];
    written.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn options(policy: &Policy) -> CacheOptions {
    #[expect(clippy::cast_possible_truncation, reason = "a share of a time needs seven digits")]
    let cache_heuristic = policy.heuristic.map_or(0.0, |rule| rule.fraction) as f32;
    CacheOptions {
        shared: true,
        cache_heuristic,
        // immutable states no lifetime (RFC 8246 §2).
        immutable_min_time_to_live: Duration::ZERO,
        ignore_cargo_cult: false,
    }
}

/// Dates before 1970 are no dates to the other side.
fn is_nameable(at: UnixTime) -> bool {
    (0..=LAST_SECOND).contains(&at.as_secs())
}

fn system_time(at: UnixTime) -> Option<SystemTime> {
    let since = Duration::from_secs(u64::try_from(at.as_secs()).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};

    use super::*;
    use crate::fixture::{at_once, headers, response};
    use crate::key::CacheKey;
    use crate::rules::RuleSet;

    const EXPIRES_LATER: &str = "Expires: {date+60}\nDate: {date}";

    fn found(request: &str, response: &ResponseHead) -> Result<StoredHead, NotStorable> {
        with_request(request, |request| {
            StoredHead::derive(&Policy::default(), request, response, at_once(), Seq::new(0))
        })
    }

    fn with_request<T>(fields: &str, ask: impl FnOnce(&RequestHead<'_>) -> T) -> T {
        let headers = headers(fields);
        ask(&RequestHead { method: &Method::GET, headers: &headers, target_uri: None })
    }

    fn is_asked(request: &str, response: &ResponseHead) -> bool {
        let policy = Policy::default();
        let ours = Opinion::ours(&policy, &found(request, response)).is_some();
        ours && with_request(request, |request| {
            second_opinion(&policy, request, response, at_once()).is_some()
        })
    }

    fn audited(
        request: &str,
        response: &ResponseHead,
        found: &Result<StoredHead, NotStorable>,
    ) -> Option<Disagreement> {
        with_request(request, |request| {
            audit(&Policy::default(), request, response, at_once(), found)
        })
    }

    #[test]
    fn the_two_agree_wherever_the_other_side_is_asked() {
        // (status, request, response, whether it is asked, why).
        const CASES: &[(u16, &str, &str, bool, &str)] = &[
            (
                200,
                "",
                "Cache-Control: Max-Age=\"60\", max-age=90",
                true,
                "our reading is handed on",
            ),
            (200, "", "Cache-Control: max-age=60, x=\"y, no-store\"\nAge: 7, 0", true, "the same"),
            (200, "", "Cache-Control: No-Store", true, "refused"),
            (200, "", "Cache-Control: private, max-age=60", true, "refused"),
            (200, "Authorization: x", "Cache-Control: max-age=60", true, "refused"),
            (200, "Authorization: x", "Cache-Control: s-maxage=60", true, "shared explicitly"),
            (200, "Authorization: x", "Cache-Control: s-maxage=x", false, "shared by half"),
            (200, "Cache-Control: no-store", "Cache-Control: max-age=60", true, "not listened to"),
            (200, "", EXPIRES_LATER, true, "Expires"),
            (
                200,
                "",
                "Expires: {date+60}\nExpires: x\nETag: \"a\"",
                true,
                "Expires that is no date",
            ),
            (200, "", "Expires: {date+60}\nDate: {date-500}", true, "old on arrival"),
            (302, "", EXPIRES_LATER, true, "a status that needs to be told"),
            (302, "", "ETag: \"a\"", true, "and was not"),
            (404, "", "Last-Modified: {date-1000}", true, "guessed"),
            (200, "", "Last-Modified: {date-99999999}", true, "guessed, up to a day"),
            (200, "", "Cache-Control: immutable\nETag: \"a\"", true, "no lifetime"),
            (200, "", "Cache-Control: no-cache, max-age=60\nETag: \"a\"", true, "never fresh"),
            (200, "", "Cache-Control: no-cache=\"a\", max-age=60", false, "qualified"),
            (200, "", "Cache-Control: max-age=60, proxy-revalidate", false, "read as never fresh"),
            (200, "", "Cache-Control: max-age=60, must-understand", false, "unknown"),
            (200, "", "Cache-Control: public, max-age=60\nSet-Cookie: a", false, "another policy"),
            (200, "", "CDN-Cache-Control: max-age=60", false, "unknown"),
            (200, "", "Cache-Control: max-age=60\nVary: *", false, "seen by us alone"),
            (500, "", EXPIRES_LATER, false, "a status it does not know"),
            (
                200,
                "",
                "Cache-Control: max-age=60\nDate: Wed, 31 Dec 1969 23:59:59 GMT",
                false,
                "1969",
            ),
        ];
        for &(status, request, fields, asked, why) in CASES {
            let response = response(status, fields);
            assert_eq!(is_asked(request, &response), asked, "{why}: {fields}");
            let found = found(request, &response);
            assert_eq!(audited(request, &response, &found), None, "{why}: {fields}");
        }
    }

    #[test]
    fn what_was_found_wrongly_is_noticed() {
        let response = response(200, EXPIRES_LATER);
        let right = found("", &response).unwrap();
        let longer = |secs| {
            let mut head = right.clone();
            let lifetime = head.plan.lifetime().saturating_add(Duration::from_secs(secs));
            head.plan = head.plan.with_lifetime(lifetime);
            audited("", &response, &Ok(head))
        };
        assert_eq!(longer(1), None, "the other side counts in whole seconds");
        let [ours, theirs] = [62, 60].map(Duration::from_secs);
        assert_eq!(longer(2), Some(Disagreement::FreshFor { ours, theirs }));
        let refused = audited("", &response, &Err(NotStorable::Private));
        assert_eq!(refused, Some(Disagreement::Storable { theirs: true }));
        let forbidden = crate::fixture::response(200, "Cache-Control: no-store");
        let stored = audited("", &forbidden, &Ok(right));
        assert_eq!(stored, Some(Disagreement::Storable { theirs: false }));
    }

    #[test]
    fn a_rule_of_the_site_is_no_disagreement() {
        let rules = RuleSet { rules: Vec::new(), jitter_percent: 100 };
        let response = response(200, EXPIRES_LATER);
        let key = CacheKey::from_bytes([128; 32]);
        let lifetime_rule = rules.lifetime_rule("/", &key, response.status);
        let ruled = Policy { lifetime_rule, ..Policy::default() };
        let (found, audited_with_rule) = with_request("", |request| {
            let found = StoredHead::derive(&ruled, request, &response, at_once(), Seq::new(0));
            let disagreement = audit(&ruled, request, &response, at_once(), &found);
            (found, disagreement)
        });
        assert!(audited("", &response, &found).is_some(), "the rule halves the lifetime");
        assert_eq!(audited_with_rule, None);
    }

    #[test]
    fn disagreements_have_a_label_and_a_text() {
        let [ours, theirs] = [2, 1].map(Duration::from_secs);
        let cases = [
            (Disagreement::FreshFor { ours, theirs }, "fresh-for", "fresh for 2s, not 1s"),
            (
                Disagreement::Storable { theirs: true },
                "storable",
                "not storable, but only we say so",
            ),
            (Disagreement::Storable { theirs: false }, "storable", "storable, but only we say so"),
        ];
        for (disagreement, label, text) in cases {
            assert_eq!((disagreement.as_str(), disagreement.to_string().as_str()), (label, text));
        }
    }

    /// Fields in spellings that the two sides read differently when they read for themselves.
    const FIELDS: &[&str] = &[
        "Cache-Control: Max-Age=60",
        "Cache-Control: max-age = 60",
        "Cache-Control: max-age=99999999999999999999, Public",
        "Cache-Control: s-maxage=\"30\", x=\"y, max-age=3600\"",
        "Cache-Control: MUST-REVALIDATE, immutable, s-maxage",
        "Cache-Control: Private",
        "Cache-Control: x=\"y, no-store",
        "Cache-Control: no-cache, stale-while-revalidate=60",
        "Pragma: no-cache",
        "Age: 18446744073709551615",
        "Age: 7, 0",
        "Age: x",
        "Date: {date-30}",
        "Date: x",
        "Expires: Monday, 15-Jun-26 13:00:00 GMT",
        "Expires: Mon Jun 15 13:00:00 2026",
        "Expires: {date+100}",
        "Expires: Mon, 15 Jun 2026 13:00:00 +0200",
        "Last-Modified: {date-5000}",
        "Last-Modified: {date-99999999}",
        "ETag: \"a\"",
        "Vary: accept",
        "Warning: 110 - x",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_spelling_divides_the_two(
            fields in subsequence(FIELDS, 0..8).prop_shuffle(),
            status in select(vec![200, 204, 302, 404, 500]),
            request in select(vec!["", "", "Authorization: x", "Cache-Control: no-cache"]),
        ) {
            let response = response(status, &fields.join("\n"));
            let found = found(request, &response);
            prop_assert_eq!(audited(request, &response, &found), None, "{:?}", found);
        }
    }
}
