//! How the upstream is asked whether a stored response still holds, and what its answer does.
//!
//! RFC 9111 §4.3. When to ask is decided in `reuse`; conditions of clients are answered in
//! `conditional`.
//!
//! # Invariants
//!
//! 1. A 304 that is about another response never changes ours, and never reaches a client that set
//!    no condition: the caller repeats the request without one.
//! 2. What is stored after a 304 was derived anew from the merged fields; nothing of the old plan
//!    survives.

use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderName, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderValue, Method};

use crate::date::{format_http_date, parse_http_date};
use crate::etag::{is_strong, is_weak, strongly_equal, weakly_equal};
use crate::not_storable::NotStorable;
use crate::policy::Policy;
use crate::seq::Seq;
use crate::storable::{FIELD_LINES_MAX, RequestHead, ResponseHead, Timing};
use crate::stored::{StoredHead, strip_unstored};
use crate::time::UnixTime;

impl StoredHead {
    /// Returns the ETag if it proves byte-for-byte equality (RFC 9110 §8.8.1); `None` if it is
    /// missing, weak or not quoted.
    pub fn strong_etag(&self) -> Option<HeaderValue> {
        self.headers.value(&ETAG).filter(|tag| is_strong(tag.as_bytes()))
    }
}

/// Turns a request into the question whether `stored` still holds (RFC 9111 §4.3.1).
///
/// The conditions and the range of the client go; the stored ETag and Last-Modified come in byte
/// for byte, even where they are malformed, because only their sender has to know them again. All
/// other fields stay, those that Vary nominates among them.
pub fn condition_on(stored: &StoredHead, request_headers: &mut HeaderMap) {
    for name in [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE] {
        request_headers.remove(name);
    }
    for (condition, validator) in [(IF_NONE_MATCH, ETAG), (IF_MODIFIED_SINCE, LAST_MODIFIED)] {
        if let Some(value) = stored.headers.value(&validator) {
            request_headers.insert(condition, value);
        }
    }
}

/// Removes the conditions under which an upstream would answer a plain miss with a 304.
///
/// The full response is fetched and stored first and the condition of the client evaluated against
/// it. If-Match and If-Unmodified-Since stay, for only the origin can answer them
/// (RFC 9111 §4.3.2); so do Range and If-Range.
pub fn strip_conditionals(headers: &mut HeaderMap) {
    headers.remove(IF_NONE_MATCH);
    headers.remove(IF_MODIFIED_SINCE);
}

/// What a 304 says about a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotModified {
    /// The stored response still holds.
    Applies,
    /// It is about another response: the stored one must go and the request be repeated without
    /// conditions.
    Mismatch,
}

/// Decides whether a 304 with `headers_304` is about `stored` (RFC 9111 §4.3.4).
pub fn judge_not_modified(stored: &StoredHead, headers_304: &HeaderMap) -> NotModified {
    let etag = headers_304.get(ETAG).map(HeaderValue::as_bytes);
    let applies = match etag {
        Some(tag) => stored.headers.get(&ETAG).is_some_and(|ours| {
            let equal = if is_weak(tag) { weakly_equal } else { strongly_equal };
            equal(&ours, tag)
        }),
        // Without any validator it is about the one response that was asked about.
        None => same_last_modified(stored, headers_304).unwrap_or(true),
    };
    if applies { NotModified::Applies } else { NotModified::Mismatch }
}

/// Compares Last-Modified, as bytes or as dates; `None` when the new fields have none.
fn same_last_modified(stored: &StoredHead, headers: &HeaderMap) -> Option<bool> {
    let theirs = headers.get(LAST_MODIFIED)?.as_bytes();
    let date = |value: &[u8]| parse_http_date(value, stored.plan.date());
    Some(stored.headers.get(&LAST_MODIFIED).is_some_and(|ours| {
        ours == *theirs || date(&ours).is_some_and(|ours| date(theirs) == Some(ours))
    }))
}

/// Returns the head of `stored` with the fields of a 304 that applies (RFC 9111 §3.2), as it goes
/// to the client.
///
/// All lines of a field that the 304 carries are replaced. Fields that describe the stored bytes
/// stay. Without Date in the 304, `arrival` takes its place (RFC 9110 §6.6.1): the old Date would
/// make the confirmed response as old as the one before.
pub fn merge_not_modified(
    stored: &StoredHead,
    headers_304: &HeaderMap,
    arrival: UnixTime,
) -> ResponseHead {
    let mut update = headers_304.clone();
    // Age of the 304 is needed to derive the new age, hence kept beside what is stripped.
    let age = update.get(AGE).cloned();
    strip_unstored(&mut update);
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE] {
        update.remove(name);
    }
    if !update.contains_key(DATE) {
        update.insert(DATE, format_http_date(arrival));
    }
    if let Some(age) = age {
        update.insert(AGE, age);
    }
    let mut headers = stored.headers.to_map(update.len());
    replace_fields(&mut headers, &update);
    ResponseHead { status: stored.status, headers }
}

/// Replaces all lines of each field that `update` has.
fn replace_fields(headers: &mut HeaderMap, update: &HeaderMap) {
    for name in update.keys() {
        headers.remove(name);
    }
    let names: Vec<&HeaderName> = update.keys().collect();
    for name in names {
        for line in update.get_all(name) {
            // The map refuses only beyond 32,768 entries, far over what may be stored.
            if headers.len() <= FIELD_LINES_MAX {
                headers.append(name, line.clone());
            }
        }
    }
}

/// Makes what is to be stored after a 304 that applies (RFC 9111 §3.2 and §4.3.4).
///
/// `request` is the validation request; its method does not count. Everything is derived anew, the
/// variant too; where the 304 has no Age, age restarts.
///
/// # Errors
///
/// Why the merged response must not be stored any more. The stored one is then to be evicted, and
/// [`merge_not_modified`] gives the head for the client.
#[expect(clippy::too_many_arguments, reason = "what `StoredHead::derive` takes, for two responses")]
pub fn freshen(
    stored: &StoredHead,
    policy: &Policy,
    request: &RequestHead<'_>,
    headers_304: &HeaderMap,
    timing: Timing,
    as_of: Seq,
) -> Result<StoredHead, NotStorable> {
    let response = merge_not_modified(stored, headers_304, timing.response.wall);
    // What was stored for a POST or is validated by a HEAD is a response to GET all the same.
    let request = RequestHead { method: &Method::GET, ..*request };
    StoredHead::derive(policy, &request, &response, timing, as_of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{ARRIVAL, TARGET, after, headers, stored};
    use crate::reuse::Reuse;
    use crate::time::Now;

    fn sorted(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn a_validation_request_carries_our_conditions_instead_of_the_clients() {
        // (stored validators, expected conditions, why); RFC 9111 §4.3.1.
        const CASES: &[(&str, &[&str], &str)] = &[
            ("ETag: W/\"a\"", &["if-none-match: W/\"a\""], "weak tags too"),
            ("ETag: a", &["if-none-match: a"], "unquoted tags byte for byte"),
            ("Last-Modified: then", &["if-modified-since: then"], "dates byte for byte"),
            (
                "ETag: \"a\"\nLast-Modified: then",
                &["if-modified-since: then", "if-none-match: \"a\""],
                "both validators",
            ),
            ("Link: a", &[], "nothing to ask about"),
        ];
        for &(validators, expected, why) in CASES {
            let head = stored(&format!("Cache-Control: max-age=9\n{validators}")).unwrap();
            let mut request = headers(
                "If-None-Match: \"x\"\nIf-Match: \"x\"\nIf-Modified-Since: x\nIf-Unmodified-Since: \
                 x\nRange: bytes=0-1\nIf-Range: \"x\"\nAccept: a",
            );
            condition_on(&head, &mut request);
            assert_eq!(sorted(&request), [&["accept: a"], expected].concat(), "{why}");
        }
    }

    #[test]
    fn a_miss_goes_up_without_conditions_but_with_preconditions() {
        let mut request = headers(
            "If-None-Match: \"x\"\nIf-Modified-Since: x\nIf-Match: \"x\"\nIf-Unmodified-Since: \
             x\nRange: bytes=0-1\nIf-Range: \"x\"",
        );
        strip_conditionals(&mut request);
        assert_eq!(
            sorted(&request),
            ["if-match: \"x\"", "if-range: \"x\"", "if-unmodified-since: x", "range: bytes=0-1"]
        );
    }

    #[test]
    fn a_304_applies_when_its_validators_do() {
        use NotModified::{Applies, Mismatch};
        // (stored fields, fields of the 304, expected, why); RFC 9111 §4.3.4.
        const CASES: &[(&str, &str, NotModified, &str)] = &[
            ("ETag: \"a\"", "ETag: \"a\"", Applies, "equal strong tags"),
            ("ETag: \"a\"", "ETag: \"b\"", Mismatch, "other tag"),
            ("ETag: W/\"a\"", "ETag: \"a\"", Mismatch, "a strong tag wants a strong one"),
            ("ETag: \"a\"", "ETag: W/\"a\"", Applies, "a weak tag matches weakly"),
            ("ETag: W/\"a\"", "ETag: W/\"a\"", Applies, "equal weak tags"),
            ("Last-Modified: {date}", "ETag: \"a\"", Mismatch, "a tag we do not know"),
            ("Last-Modified: {date}", "Last-Modified: {date}", Applies, "equal dates"),
            ("Last-Modified: {date}", "Last-Modified: {date+1}", Mismatch, "other date"),
            ("Last-Modified: then", "Last-Modified: then", Applies, "equal bytes"),
            ("ETag: \"a\"", "Last-Modified: {date}", Mismatch, "a date we do not know"),
            (
                "ETag: \"a\"\nLast-Modified: {date}",
                "ETag: \"a\"\nLast-Modified: {date+1}",
                Applies,
                "the tag decides before the date",
            ),
            ("ETag: \"a\"", "Link: a", Applies, "no validator: the response we asked about"),
        ];
        for &(fields, fields_304, expected, why) in CASES {
            let head = stored(&format!("Cache-Control: max-age=9\n{fields}")).unwrap();
            assert_eq!(judge_not_modified(&head, &headers(fields_304)), expected, "{why}");
        }
    }

    #[test]
    fn fields_of_a_304_replace_all_lines_of_the_stored_ones() {
        // (stored fields, fields of the 304, expected beside Cache-Control, Date and ETag, why);
        // RFC 9111 §3.2.
        const CASES: &[(&str, &str, &[&str], &str)] = &[
            ("A: 1", "B: 2", &["a: 1", "b: 2"], "new fields are added, others stay"),
            ("A: 1\nA: 2", "A: 3", &["a: 3"], "two lines become one"),
            ("A: 1", "A: 2\nA: 3", &["a: 2", "a: 3"], "one line becomes two"),
            ("Content-Length: 5", "Content-Length: 0", &["content-length: 5"], "the length stays"),
            ("A: 1", "Connection: a\nA: 2\nKeep-Alive: x", &["a: 1"], "hop-by-hop fields do not"),
            ("A: 1", "Proxy-Authenticate: x", &["a: 1"], "nor those of proxies"),
            (
                "Content-Encoding: gzip",
                "Content-Encoding: br\nContent-Type: x",
                &["content-encoding: gzip", "content-type: x"],
                "the coding describes the stored bytes",
            ),
        ];
        for &(fields, fields_304, expected, why) in CASES {
            let common = "Cache-Control: max-age=9\nDate: {date}\nETag: \"a\"";
            let head = stored(&format!("{common}\n{fields}")).unwrap();
            let merged = merge_not_modified(&head, &headers(fields_304), ARRIVAL);
            let mut expected: Vec<String> =
                expected.iter().map(|line| (*line).to_owned()).collect();
            expected.extend(sorted(&headers(common)));
            expected.sort_unstable();
            assert_eq!(sorted(&merged.headers), expected, "{why}");
        }
    }

    /// Validates `fields` 100 s after arrival with a 304 of `fields_304`.
    fn freshened(fields: &str, request: &str, fields_304: &str) -> Result<StoredHead, NotStorable> {
        let old = stored(fields).unwrap();
        let now = Now {
            monotonic: after(100),
            wall: UnixTime::from_secs(ARRIVAL.as_secs().saturating_add(100)),
        };
        let request = headers(request);
        let request =
            RequestHead { method: &Method::HEAD, headers: &request, target_uri: Some(TARGET) };
        let timing = Timing { request: now, response: now };
        freshen(&old, &Policy::default(), &request, &headers(fields_304), timing, Seq::new(9))
    }

    #[test]
    fn a_confirmed_response_is_young_again() {
        let old = "Cache-Control: max-age=10\nETag: \"a\"\nDate: {date}\nAge: 5";
        // (fields of the 304, expected age at once, why); RFC 9111 §4.2.3.
        for (fields_304, age, why) in [
            ("Date: {date+100}", 0, "age restarts without Age"),
            ("Date: {date+100}\nAge: 7", 7, "a 304 out of another cache is as old as it says"),
            ("Link: a", 0, "without Date the arrival counts"),
        ] {
            let head = freshened(old, "", fields_304).unwrap();
            assert_eq!(head.plan.age_secs(after(100)), age, "{why}");
            assert_eq!(head.judge(None, after(100)), Reuse::Fresh, "{why}");
            assert!(!head.headers.contains(&AGE), "{why}");
        }
        assert_eq!(freshened(old, "", "Date: {date+100}").unwrap().as_of, Seq::new(9));
    }

    #[test]
    fn everything_is_derived_anew_after_a_304() {
        let old = "Cache-Control: max-age=10\nETag: \"a\"\nDate: {date}";
        let head =
            freshened(old, "A: 1", "Cache-Control: max-age=50, must-revalidate\nVary: A").unwrap();
        assert_eq!(head.plan.lifetime().as_secs(), 50);
        assert!(head.plan.stale_banned);
        assert!(head.vary.matches(&headers("A: 1"), &Policy::default()));
        assert!(!head.vary.matches(&headers("A: 2"), &Policy::default()));

        let refused = freshened(old, "", "Cache-Control: no-store").unwrap_err();
        assert_eq!(refused, NotStorable::NoStore);
        let refused = freshened(old, "", "Set-Cookie: session=other-client").unwrap_err();
        assert_eq!(refused, NotStorable::SetCookie, "a validation leaks no other client's cookie");
    }

    #[test]
    fn only_whole_quoted_tags_are_strong() {
        for (tag, strong) in [("\"a\"", true), ("W/\"a\"", false), ("a", false), ("\"", false)] {
            let head = stored(&format!("Cache-Control: max-age=9\nETag: {tag}")).unwrap();
            assert_eq!(head.strong_etag().is_some(), strong, "{tag}");
            assert!(head.has_validator());
        }
    }
}
