//! Cases in which the crate is wrong, with its answer beside ours.
//!
//! A row that fails says that one of the two changed: that the crate was mended (then its domain in
//! `exchange` and in `weir_cache::audit` may be widened), or that we broke.

use std::panic::catch_unwind;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};
use weir_cache::{
    NotModified, Policy, Profile, RequestDirectives, RequestHead, Reuse, Seq, StoredHead, freshen,
    judge_not_modified,
};

use super::{Answer, after, ask, crate_time, derive, fields, response};

/// What is done with a second request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// The response was not stored.
    NotStored,
    /// The stored response answers it.
    Reused,
    /// The stored response answers it, stale, and is refreshed.
    ReusedStale,
    /// The upstream is asked.
    Asked,
    /// The task dies.
    Panics,
}

use Use::{Asked, NotStored, Panics, Reused, ReusedStale};

/// One case: two requests, the second some seconds after the answer to the first.
struct Case {
    rule: &'static str,
    why: &'static str,
    requests: [&'static str; 2],
    status: u16,
    response: &'static str,
    /// Seconds between request and response.
    delay: u64,
    secs: u64,
    theirs: Use,
    ours: Use,
}

/// What most cases are.
const CASE: Case = Case {
    rule: "",
    why: "",
    requests: ["", ""],
    status: 200,
    response: "",
    delay: 0,
    secs: 1,
    theirs: Asked,
    ours: Reused,
};

/// The crate reuses what must not be.
const TOO_LAX: &[Case] = &[
    Case {
        rule: "RFC 9111 §5.2",
        why: "names of directives fold case",
        response: "Cache-Control: Private, max-age=60",
        theirs: Reused,
        ours: NotStored,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §5.2",
        why: "names of directives fold case",
        response: "Cache-Control: No-Store, max-age=60",
        theirs: Reused,
        ours: NotStored,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §5.2",
        why: "names of directives fold case",
        response: "Cache-Control: NO-CACHE, max-age=60\nETag: \"a\"",
        theirs: Reused,
        ours: Asked,
        ..CASE
    },
    Case {
        rule: "RFC 9110 §5.6.4",
        why: "a comma in a quoted string separates nothing",
        response: "Cache-Control: ext=\"a, max-age=3600\"",
        theirs: Reused,
        ours: NotStored,
        ..CASE
    },
    Case {
        rule: "RFC 9110 §5.5",
        why: "one byte above ASCII does not unsay a line",
        response: "Cache-Control: no-store, ext=\"é\"\nExpires: {date+60}",
        theirs: Reused,
        ours: NotStored,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §4.2.1",
        why: "a number behind a space is unusable",
        response: "Cache-Control: max-age= 60\nETag: \"a\"",
        theirs: Reused,
        ours: Asked,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §5.2",
        why: "a name before a space is none",
        response: "Cache-Control: max-age =60\nETag: \"a\"",
        theirs: Reused,
        ours: Asked,
        ..CASE
    },
    Case {
        rule: "RFC 9110 §5.6.4",
        why: "a string that is not closed is none",
        response: "Cache-Control: max-age=\"60\nETag: \"a\"",
        theirs: Reused,
        ours: Asked,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §4.1",
        why: "all lines of a selecting field count",
        requests: ["Cookie: a=1\nCookie: user=A", "Cookie: a=1\nCookie: user=B"],
        response: "Cache-Control: max-age=60\nVary: cookie",
        theirs: Reused,
        ours: Asked,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §5.2.2.4",
        why: "max-stale does not lift no-cache",
        requests: ["", "Cache-Control: max-stale"],
        response: "Cache-Control: max-age=60, no-cache\nETag: \"a\"",
        theirs: Reused,
        ours: Asked,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §5.2.2.10",
        why: "max-stale does not lift s-maxage",
        requests: ["", "Cache-Control: max-stale"],
        response: "Cache-Control: s-maxage=10",
        secs: 20,
        theirs: Reused,
        ours: Asked,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §5.2.2.8",
        why: "max-stale does not lift proxy-revalidate",
        requests: ["", "Cache-Control: max-stale"],
        response: "Cache-Control: max-age=10, proxy-revalidate",
        secs: 20,
        theirs: Reused,
        ours: Asked,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §3.5",
        why: "an s-maxage without a number shares nothing",
        requests: ["Authorization: x", ""],
        response: "Cache-Control: s-maxage=soon\nETag: \"a\"",
        theirs: Asked,
        ours: NotStored,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §5.1",
        why: "the first member of Age counts",
        response: "Cache-Control: max-age=3600\nAge: 7200, 0",
        theirs: Reused,
        ours: Asked,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §1.2.2",
        why: "an Age of 2^64 is large, not absent",
        response: "Cache-Control: max-age=3600\nAge: 18446744073709551616",
        theirs: Reused,
        ours: Asked,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §1.2.2",
        why: "an Age of 2^64 - 1 overflows nothing",
        response: "Cache-Control: max-age=3600\nAge: 18446744073709551615",
        theirs: Panics,
        ours: Asked,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §4.2.3",
        why: "an old Date is an age",
        response: "Cache-Control: max-age=60\nDate: {date-3600}",
        theirs: Reused,
        ours: Asked,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §4.2.3",
        why: "the time that the response took is an age",
        response: "Cache-Control: max-age=60",
        delay: 100,
        theirs: Reused,
        ours: Asked,
        ..CASE
    },
    Case {
        rule: "RFC 9110 §5.6.7",
        why: "a date has no other zone than GMT",
        response: "Date: {date}\nExpires: Mon, 15 Jun 2026 15:00:00 +0200\nETag: \"a\"",
        theirs: Reused,
        ours: Asked,
        ..CASE
    },
    Case {
        rule: "RFC 9110 §5.6.7",
        why: "a date has single spaces",
        response: "Date: {date}\nExpires: Mon,  15 Jun 2026 13:00:00 GMT\nETag: \"a\"",
        theirs: Reused,
        ours: Asked,
        ..CASE
    },
    Case {
        rule: "RFC 8246 §2",
        why: "immutable states no lifetime",
        response: "Cache-Control: immutable\nETag: \"a\"",
        secs: 86_000,
        theirs: Reused,
        ours: Asked,
        ..CASE
    },
    Case {
        rule: "RFC 9213 §2.2",
        why: "a targeted field governs",
        response: "CDN-Cache-Control: no-store\nCache-Control: max-age=60",
        theirs: Reused,
        ours: NotStored,
        ..CASE
    },
];

/// The crate refuses what is allowed.
const TOO_STRICT: &[Case] = &[
    Case {
        rule: "RFC 9213 §2.2",
        why: "a targeted field governs",
        response: "CDN-Cache-Control: max-age=60\nCache-Control: no-store",
        theirs: NotStored,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §3",
        why: "any final status is storable where freshness is stated",
        status: 403,
        response: "Cache-Control: max-age=60",
        theirs: NotStored,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §3",
        why: "any final status is storable where freshness is stated",
        status: 299,
        response: "Expires: {date+60}",
        theirs: NotStored,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §5.2.2.3",
        why: "must-understand lifts no-store from a known status",
        response: "Cache-Control: max-age=60, no-store, must-understand",
        theirs: NotStored,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §5.2.2.4",
        why: "no-cache with a list is about these fields",
        response: "Cache-Control: max-age=60, no-cache=\"x-a\"\nX-A: 1",
        ..CASE
    },
    Case {
        rule: "RFC 9111 §5.2.2.7",
        why: "private with a list is about these fields",
        response: "Cache-Control: max-age=60, private=\"x-a\"\nX-A: 1",
        theirs: NotStored,
        ..CASE
    },
    Case {
        rule: "RFC 9110 §5.6.7",
        why: "a date in the shape of RFC 850 is a date",
        response: "Date: {date}\nExpires: Monday, 15-Jun-26 13:00:00 GMT",
        ..CASE
    },
    Case {
        rule: "RFC 9110 §5.6.7",
        why: "a date in the shape of asctime is a date",
        response: "Date: {date}\nExpires: Mon Jun 15 13:00:00 2026",
        ..CASE
    },
    Case {
        rule: "RFC 9111 §1.2.2",
        why: "a lifetime of 2^64 is long, not zero",
        response: "Cache-Control: max-age=18446744073709551616",
        ..CASE
    },
    Case {
        rule: "RFC 9111 §7.3",
        why: "a cookie alone forbids nothing (the profile for conformance)",
        response: "Cache-Control: max-age=60\nSet-Cookie: a=1",
        ..CASE
    },
    Case {
        rule: "RFC 9111 §5.2.2.8",
        why: "proxy-revalidate is about stale responses",
        response: "Cache-Control: max-age=60, proxy-revalidate",
        ..CASE
    },
    Case {
        rule: "RFC 9111 §4.2.1",
        why: "a directive that repeats bans no stale use",
        requests: ["", "Cache-Control: max-stale"],
        response: "Cache-Control: max-age=10, max-age=20",
        secs: 15,
        ours: ReusedStale,
        ..CASE
    },
    Case {
        rule: "RFC 9111 §5.4",
        why: "Pragma means nothing in a response",
        response: "Date: {date}\nExpires: {date+60}\nPragma: no-cache",
        ..CASE
    },
    Case {
        rule: "RFC 5861 §3",
        why: "stale-while-revalidate allows stale use",
        response: "Cache-Control: max-age=10, stale-while-revalidate=60",
        secs: 20,
        ours: ReusedStale,
        ..CASE
    },
];

/// What the crate does, taken as it comes.
fn their_use(case: &Case) -> Use {
    let [first, second] = case.requests.map(fields);
    let answer = (StatusCode::from_u16(case.status).unwrap(), fields(case.response));
    let secs = case.secs;
    let judged = catch_unwind(move || {
        let stored = as_it_comes(&first, &answer);
        let reused = stored.before_request(&ask(&second), crate_time(secs));
        match reused {
            BeforeRequest::Fresh(_) => Reused,
            BeforeRequest::Stale { .. } if stored.is_storable() => Asked,
            BeforeRequest::Stale { .. } => NotStored,
        }
    });
    judged.unwrap_or(Panics)
}

fn as_it_comes(request: &HeaderMap, answer: &Answer) -> CachePolicy {
    let options = CacheOptions::default();
    CachePolicy::new_options(&ask(request), &response(answer), crate_time(0), options)
}

/// What we do under the profile that listens to clients.
fn our_use(case: &Case) -> Use {
    let policy = Policy::for_profile(Profile::Rfc);
    let [first, second] = case.requests.map(fields);
    let answer = (StatusCode::from_u16(case.status).unwrap(), fields(case.response));
    let Ok(head) = derive(&policy, &first, &answer, Duration::from_secs(case.delay)) else {
        return NotStored;
    };
    let asked = RequestDirectives::parse(&second);
    match head.judge(asked.as_ref(), after(case.secs)) {
        _ if !head.vary.matches(&second, &policy) => Asked,
        Reuse::Fresh => Reused,
        Reuse::StaleWhileRevalidate => ReusedStale,
        Reuse::Validate => Asked,
    }
}

#[test]
fn the_crate_reuses_what_must_not_be_and_refuses_what_may_be() {
    for case in TOO_LAX.iter().chain(TOO_STRICT) {
        let (rule, why) = (case.rule, case.why);
        assert_eq!(our_use(case), case.ours, "ours: {why} ({rule})\n{}", case.response);
        assert_eq!(their_use(case), case.theirs, "the crate: {why} ({rule})\n{}", case.response);
    }
}

fn lines(fields: &HeaderMap, name: &str) -> Vec<String> {
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    fields.get_all(name).iter().map(text).collect()
}

fn stored(text: &str) -> (StoredHead, CachePolicy) {
    let answer = (StatusCode::OK, fields(text));
    let none = HeaderMap::new();
    let ours = derive(&Policy::default(), &none, &answer, Duration::ZERO).unwrap();
    (ours, as_it_comes(&none, &answer))
}

#[test]
fn the_crate_damages_what_it_serves() {
    type Lines = &'static [&'static str];
    // (response, seconds later, field, lines from the crate, ours, rule and why).
    const CASES: &[(&str, u64, &str, Lines, Lines, &str)] = &[
        ("Link: a\nLink: b", 1, "link", &["b"], &["a", "b"], "RFC 9110 §5.3: every line counts"),
        (
            "Date: {date}",
            60,
            "date",
            &["Mon, 15 Jun 2026 12:01:00 +0000"],
            &["Mon, 15 Jun 2026 12:00:00 GMT"],
            "RFC 9110 §6.6.1: Date is the origin's, and GMT",
        ),
        (
            "Proxy-Authentication-Info: x",
            1,
            "proxy-authentication-info",
            &["x"],
            &[],
            "RFC 9111 §3.1: fields of a proxy are not stored",
        ),
        (
            "Proxy-Connection: close",
            1,
            "proxy-connection",
            &["close"],
            &[],
            "RFC 9110 §7.6.1: fields of a connection are not stored",
        ),
    ];
    for &(text, secs, name, theirs, ours, why) in CASES {
        let (head, policy) = stored(&format!("Cache-Control: max-age=99\n{text}"));
        assert_eq!(lines(&head.headers.to_map(0), name), ours, "ours: {why}");
        let served = policy.before_request(&ask(&HeaderMap::new()), crate_time(secs));
        let BeforeRequest::Fresh(parts) = served else { panic!("fresh: {why}") };
        assert_eq!(lines(&parts.headers, name), theirs, "the crate: {why}");
    }
}

#[test]
fn the_crate_loses_what_a_304_brings() {
    type Lines = &'static [&'static str];
    // (stored, 304, field, lines after it from the crate, ours, rule and why).
    const CASES: &[(&str, &str, &str, Lines, Lines, &str)] = &[
        ("", "X-New: 1", "x-new", &[], &["1"], "RFC 9111 §3.2: fields are added"),
        ("Link: a", "Link: b\nLink: c", "link", &["b"], &["b", "c"], "RFC 9111 §3.2: all lines"),
        ("Age: 50", "", "age", &["50"], &["0"], "RFC 9111 §4.3.4: age restarts"),
    ];
    let none = HeaderMap::new();
    for &(text, update, name, theirs, ours, why) in CASES {
        let etag = "ETag: \"a\"\n";
        let (head, policy) = stored(&format!("{etag}Cache-Control: max-age=99\n{text}"));
        let update = fields(&format!("{etag}{update}"));
        assert_eq!(lines(&freshened(&head, &update), name), ours, "ours: {why}");
        let answer = response(&(StatusCode::NOT_MODIFIED, update));
        let after = policy.after_response(&ask(&none), &answer, crate_time(0));
        let AfterResponse::NotModified(_, parts) = after else { panic!("it applies: {why}") };
        assert_eq!(lines(&parts.headers, name), theirs, "the crate: {why}");
    }
}

/// The fields with which a confirmed response is served, Age included.
fn freshened(head: &StoredHead, update: &HeaderMap) -> HeaderMap {
    let none = HeaderMap::new();
    let request = RequestHead { method: &http::Method::GET, headers: &none, target_uri: None };
    let now = weir_cache::Now { monotonic: after(0), wall: super::ARRIVAL };
    let timing = weir_cache::Timing { request: now, response: now };
    let policy = Policy::default();
    let again = freshen(head, &policy, &request, update, timing, Seq::new(0)).unwrap();
    let mut served = again.headers.to_map(1);
    served.insert("age", again.plan.age_secs(after(0)).into());
    served
}

#[test]
fn a_304_without_a_validator_is_handed_to_the_client_by_the_crate() {
    // RFC 9111 §4.3.4: it is about the one response that was asked about.
    let (head, policy) = stored("ETag: \"a\"\nCache-Control: max-age=99");
    assert_eq!(judge_not_modified(&head, &HeaderMap::new()), NotModified::Applies);
    let answer = response(&(StatusCode::NOT_MODIFIED, HeaderMap::new()));
    let after = policy.after_response(&ask(&HeaderMap::new()), &answer, crate_time(9));
    let AfterResponse::Modified(_, parts) = after else { panic!("the crate takes it for new") };
    assert_eq!(parts.status, StatusCode::NOT_MODIFIED);
}
