//! Directives: a line with the status, the fields of a response, one more field line that may be
//! malformed, the fields of a request.

#![no_main]

use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, DATE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use weir_cache::{
    NotStorable, Policy, Profile, RequestDirectives, RequestHead, ResponseHead, Reuse, StoredHead,
    audit, governing, list_members, parse_age, parse_http_date,
};
use weir_fuzz::{ARRIVAL, Input, after, at_once, derive, field, fields, fresh_for};

/// Seconds after arrival at which a stored response is judged.
const INSTANTS: [u64; 8] = [0, 1, 9, 60, 3600, 86_400, 1 << 31, u64::MAX];

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let status = u16::try_from(input.number(900)).expect("three digits") + 100;
    let status = StatusCode::from_u16(status).expect("three digits");
    let response = fields(input.section());
    let extra = field(input.section());
    let request = fields(input.section());
    for profile in [Profile::Default, Profile::Rfc] {
        let policy = Policy::for_profile(profile);
        let head = derive(&policy, &request, status, &response);
        check_audit(&policy, &request, status, &response, &head);
        if let Ok(head) = &head {
            check_stored(head, &request);
            check_next_tier(&policy, head, &request);
        }
        if let Some((name, value)) = &extra
            && is_malformed(&response, name, value)
        {
            let with = before(&response, name, value);
            let first = derive(&policy, &request, status, &with);
            let last = derive(&policy, &request, status, &behind(&response, name, value));
            for with in [&first, &last] {
                assert!(fresh_for(with) <= fresh_for(&head), "{name}: {value:?} made it fresher");
            }
            if states_expired(&policy, &with, name, value) {
                assert_eq!(fresh_for(&first), Duration::ZERO, "{value:?} was passed over");
            }
        }
    }
});

/// The crate that gives a second opinion has the same one.
fn check_audit(
    policy: &Policy,
    request: &HeaderMap,
    status: StatusCode,
    response: &HeaderMap,
    found: &Result<StoredHead, NotStorable>,
) {
    let request = RequestHead { method: &Method::GET, headers: request, target_uri: None };
    let response = ResponseHead { status, headers: response.clone() };
    assert_eq!(audit(policy, &request, &response, at_once(), found), None);
}

/// What holds of every stored head at every time.
fn check_stored(head: &StoredHead, request: &HeaderMap) {
    assert!(!head.headers.contains(&AGE) && head.headers.contains(&DATE));
    let asked = RequestDirectives::parse(request);
    let mut last_age = Duration::ZERO;
    let mut stale = false;
    for secs in INSTANTS {
        let now = after(secs);
        let age = head.plan.current_age(now);
        assert!(age >= last_age, "nothing grows younger");
        assert!(age >= parse_age(&head.headers.to_map(0)));
        let judged = head.judge(None, now);
        assert!(judged != Reuse::Fresh || (head.plan.is_fresh(now) && !head.plan.validate_always));
        assert!(judged != Reuse::StaleWhileRevalidate || !head.plan.stale_banned);
        assert!(!stale || judged != Reuse::Fresh, "nothing grows fresh again");
        assert_eq!(head.plan.is_fresh(now), age < head.plan.lifetime());
        let left = head.plan.ttl_secs(now);
        assert!((left >= 0) == (age <= head.plan.lifetime()), "{left}");
        if let Some(asked) = &asked {
            check_asked(head, asked, now);
        }
        last_age = age;
        stale |= judged != Reuse::Fresh;
    }
}

/// A client only ever restricts, but for max-stale, and that never beats the response.
fn check_asked(head: &StoredHead, asked: &RequestDirectives, now: weir_cache::Timestamp) {
    let judged = head.judge(Some(asked), now);
    assert!(judged != Reuse::Fresh || head.judge(None, now) == Reuse::Fresh);
    assert!(judged != Reuse::StaleWhileRevalidate || !head.plan.stale_banned);
    assert!(!asked.no_cache || judged == Reuse::Validate);
}

/// A lower tier that gets what we stored, with its Age, holds it for no fresher than we do.
fn check_next_tier(policy: &Policy, head: &StoredHead, request: &HeaderMap) {
    for secs in [0, 30] {
        let mut headers = head.headers.to_map(1);
        headers.insert(AGE, HeaderValue::from(head.plan.age_secs(after(secs))));
        let lower = derive(policy, request, head.status, &headers);
        let ours = head.plan.lifetime().saturating_sub(head.plan.current_age(after(secs)));
        let ours = if head.plan.validate_always { Duration::ZERO } else { ours };
        // Age is printed in whole seconds.
        assert!(fresh_for(&lower) <= ours + Duration::from_secs(1), "{headers:?}");
    }
}

fn before(response: &HeaderMap, name: &HeaderName, value: &HeaderValue) -> HeaderMap {
    let mut with = HeaderMap::new();
    with.append(name, value.clone());
    for (name, value) in response {
        with.append(name, value.clone());
    }
    with
}

fn behind(response: &HeaderMap, name: &HeaderName, value: &HeaderValue) -> HeaderMap {
    let mut with = response.clone();
    with.append(name, value.clone());
    with
}

/// Says whether the line permits nothing by the grammar of its field, and stands alone where lines
/// of its field are one value.
fn is_malformed(response: &HeaderMap, name: &HeaderName, value: &HeaderValue) -> bool {
    let alone = !response.contains_key(name);
    let value = value.as_bytes();
    match name.as_str() {
        "cache-control" => !permits(value),
        // Structured fields join their lines before they are parsed (RFC 9213 §2.1).
        "cdn-cache-control" | "weir-cdn-cache-control" => alone && !is_dictionary(name, value),
        "expires" => parse_http_date(value, ARRIVAL).is_none(),
        "age" => alone && !value.is_empty() && !value.iter().all(u8::is_ascii_digit),
        "date" | "last-modified" => alone && parse_http_date(value, ARRIVAL).is_none(),
        _ => false,
    }
}

/// Says whether the line, being the first, states a lifetime that cannot be used: the response is
/// stale on arrival (RFC 9111 §4.2.1).
fn states_expired(
    policy: &Policy,
    with: &HeaderMap,
    name: &HeaderName,
    value: &HeaderValue,
) -> bool {
    let governing = governing(with, &policy.targets);
    let value = value.as_bytes().to_ascii_lowercase();
    let plain = !value.iter().any(|byte| b"\",".contains(byte));
    if governing.targeted || name != CACHE_CONTROL || !plain {
        return false;
    }
    let shared = value == b"s-maxage" || value.starts_with(b"s-maxage=");
    let own = value == b"max-age" || value.starts_with(b"max-age=");
    shared || (own && governing.directives.s_maxage.is_none())
}

/// Says whether the targeted field is one that governs; the other fields are then replaced, which
/// may make the response fresher lawfully.
fn is_dictionary(name: &HeaderName, value: &[u8]) -> bool {
    let headers =
        HeaderMap::from_iter([(name.clone(), HeaderValue::from_bytes(value).expect("it was one"))]);
    governing(&headers, std::slice::from_ref(name)).targeted
}

/// Says whether some member of a Cache-Control line is of the grammar of RFC 9111 §5.2 and permits
/// something, by itself or by lifting what another one forbids.
fn permits(line: &[u8]) -> bool {
    let headers =
        HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_bytes(line).expect("it was one"))]);
    list_members(&headers, &CACHE_CONTROL).any(|member| {
        let Ok(member) = std::str::from_utf8(member) else { return false };
        let (name, argument) = match member.split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (member, None),
        };
        match name.to_ascii_lowercase().as_str() {
            "max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error" => {
                argument.is_some_and(is_delta)
            }
            "public" | "immutable" | "must-understand" => argument.is_none(),
            // must-revalidate lifts what Authorization forbids; lists of fields drop Set-Cookie.
            "must-revalidate" | "no-cache" | "private" => true,
            _ => false,
        }
    })
}

fn is_delta(argument: &str) -> bool {
    let quoted = argument.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let digits = quoted.unwrap_or(argument).replace('\\', "");
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}
