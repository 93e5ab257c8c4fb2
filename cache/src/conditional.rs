//! How the conditions of a client are answered from a stored response (RFC 9111 §4.3.2).
//!
//! Whether the stored response may be used at all was decided before; ranges are cut in `range`.

use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_LOCATION, DATE, ETAG, EXPIRES, HeaderName, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, VARY, VIA,
};
use http::{HeaderMap, StatusCode};

use crate::date::parse_http_date;
use crate::etag::{strongly_equal, weakly_equal};
use crate::fields::Fields;
use crate::list::tag_members;
use crate::stored::StoredHead;
use crate::time::UnixTime;

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Answer as if there were none.
    Proceed,
    /// Answer 304: the client has what is stored.
    NotModified,
    /// Answer 412: what is stored is not what the client expects.
    Failed,
}

/// Evaluates the conditions of a GET or HEAD against `stored`, in the order of RFC 9110 §13.2.2.
///
/// Conditions on responses other than 200 and 206 are ignored (RFC 9110 §13.2.1), and so are dates
/// that cannot be read.
pub fn evaluate(request_headers: &HeaderMap, stored: &StoredHead) -> Precondition {
    if !matches!(stored.status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
        return Precondition::Proceed;
    }
    if is_expectation_broken(request_headers, stored) {
        return Precondition::Failed;
    }
    if is_already_there(request_headers, stored) {
        return Precondition::NotModified;
    }
    Precondition::Proceed
}

/// Evaluates If-Match, else If-Unmodified-Since (RFC 9110 §13.1.1 and §13.1.4).
fn is_expectation_broken(request_headers: &HeaderMap, stored: &StoredHead) -> bool {
    if request_headers.contains_key(IF_MATCH) {
        return !names_tag(request_headers, &IF_MATCH, stored, strongly_equal);
    }
    let since = condition_date(request_headers, &IF_UNMODIFIED_SINCE, stored);
    since.zip(stored.plan.last_modified()).is_some_and(|(since, modified)| modified > since)
}

/// Evaluates If-None-Match, else If-Modified-Since (RFC 9110 §13.1.2 and §13.1.3).
fn is_already_there(request_headers: &HeaderMap, stored: &StoredHead) -> bool {
    if request_headers.contains_key(IF_NONE_MATCH) {
        return names_tag(request_headers, &IF_NONE_MATCH, stored, weakly_equal);
    }
    // RFC 9111 §4.3.2: without Last-Modified the date of the response itself is compared.
    let modified = stored.plan.last_modified().unwrap_or_else(|| stored.plan.date());
    condition_date(request_headers, &IF_MODIFIED_SINCE, stored)
        .is_some_and(|since| modified <= since)
}

/// Says whether the condition `name` holds `*` or a tag that is `equal` to the stored one.
fn names_tag(
    request_headers: &HeaderMap,
    name: &HeaderName,
    stored: &StoredHead,
    equal: fn(&[u8], &[u8]) -> bool,
) -> bool {
    let ours = stored.headers.get(&ETAG);
    request_headers
        .get_all(name)
        .iter()
        .flat_map(|line| tag_members(line.as_bytes()))
        .any(|tag| tag == b"*" || ours.is_some_and(|ours| equal(&ours, tag)))
}

fn condition_date(
    request_headers: &HeaderMap,
    name: &HeaderName,
    stored: &StoredHead,
) -> Option<UnixTime> {
    parse_http_date(request_headers.get(name)?.as_bytes(), stored.plan.date())
}

/// Returns the fields of a 304 made from those stored; Age is to be added.
///
/// `full` keeps everything but Content-Length: a lower tier freshens its own copy with it and must
/// learn what changed. Otherwise it is the set of RFC 9110 §15.4.5 with Last-Modified, the targeted
/// fields and what traces the path of the response.
pub fn not_modified_headers(mut headers: HeaderMap, full: bool) -> HeaderMap {
    headers.remove(CONTENT_LENGTH);
    if !full {
        let names: Vec<HeaderName> = headers.keys().cloned().collect();
        for name in names.iter().filter(|name| !belongs_in_304(name)) {
            headers.remove(name);
        }
    }
    headers
}

fn belongs_in_304(name: &HeaderName) -> bool {
    [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, LAST_MODIFIED, VARY, VIA].contains(name)
        || name == "cache-status"
        || name.as_str().ends_with("-cache-control")
}

/// Says whether a Range may be answered in part (RFC 9110 §13.1.5); `true` without If-Range.
///
/// The tag must be strong and equal, a date byte-equal to Last-Modified: two parts of different
/// bodies must never be put together.
pub fn if_range_holds(request_headers: &HeaderMap, stored: &Fields) -> bool {
    let mut lines = request_headers.get_all(IF_RANGE).iter();
    let Some(condition) = lines.next() else { return true };
    if lines.next().is_some() {
        return false;
    }
    let condition = condition.as_bytes();
    if condition.starts_with(b"\"") || condition.starts_with(b"W/") {
        let etag = stored.get(&ETAG);
        return etag.is_some_and(|etag| strongly_equal(&etag, condition));
    }
    stored.get(&LAST_MODIFIED).is_some_and(|date| date == *condition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{headers, stored};

    #[test]
    fn conditions_are_evaluated_in_order() {
        use Precondition::{Failed, NotModified, Proceed};
        // (stored fields, request fields, expected, why); RFC 9110 §13.
        const CASES: &[(&str, &str, Precondition, &str)] = &[
            ("ETag: \"a\"", "Accept: x", Proceed, "no condition"),
            ("ETag: \"a\"", "If-None-Match: \"a\"", NotModified, "equal tags"),
            ("ETag: \"a\"", "If-None-Match: W/\"a\"", NotModified, "weak comparison"),
            ("ETag: W/\"a\"", "If-None-Match: \"a\"", NotModified, "weak comparison"),
            ("ETag: a", "If-None-Match: a", NotModified, "unquoted on both sides"),
            ("ETag: \"a\"", "If-None-Match: \"b\"", Proceed, "other tag"),
            ("ETag: \"a\"", "If-None-Match: \"x\", \"a\", \"y\"", NotModified, "in the middle"),
            ("ETag: \"a\"", "If-None-Match: \"x\"\nIf-None-Match: \"a\"", NotModified, "any line"),
            ("ETag: \"a,b\"", "If-None-Match: \"x\", \"a,b\"", NotModified, "a comma in a tag"),
            (
                "ETag: \"a\\\"",
                "If-None-Match: \"x\\\", \"a\\\"",
                NotModified,
                "a backslash in a tag",
            ),
            ("Link: x", "If-None-Match: *", NotModified, "a star matches whatever is there"),
            ("Link: x", "If-None-Match: \"a\"", Proceed, "nothing to match"),
            (
                "ETag: \"a\"\nLast-Modified: {date-50}",
                "If-None-Match: \"b\"\nIf-Modified-Since: {date}",
                Proceed,
                "If-None-Match comes first and silences If-Modified-Since",
            ),
            (
                "ETag: \"a\"\nLast-Modified: {date}",
                "If-None-Match: \"a\"\nIf-Modified-Since: {date-50}",
                NotModified,
                "in both directions",
            ),
            (
                "Last-Modified: {date}",
                "If-None-Match:\nIf-Modified-Since: {date}",
                Proceed,
                "an empty list is a list",
            ),
            ("Last-Modified: {date-5}", "If-Modified-Since: {date-5}", NotModified, "equal"),
            ("Last-Modified: {date-5}", "If-Modified-Since: {date-4}", NotModified, "later"),
            ("Last-Modified: {date-5}", "If-Modified-Since: {date-6}", Proceed, "modified since"),
            ("Date: {date-5}", "If-Modified-Since: {date-5}", NotModified, "Date stands in"),
            ("Date: {date-5}", "If-Modified-Since: {date-6}", Proceed, "Date stands in"),
            ("Link: x", "If-Modified-Since: {date}", NotModified, "the arrival stands in"),
            ("Last-Modified: {date-5}", "If-Modified-Since: now", Proceed, "unusable: ignored"),
            ("ETag: \"a\"", "If-Match: \"a\"", Proceed, "as expected"),
            ("ETag: \"a\"", "If-Match: \"b\"", Failed, "not as expected"),
            ("ETag: W/\"a\"", "If-Match: W/\"a\"", Failed, "strong comparison"),
            ("Link: x", "If-Match: *", Proceed, "something is there"),
            ("ETag: \"a\"", "If-Match: \"b\"\nIf-None-Match: \"a\"", Failed, "If-Match first"),
            (
                "ETag: \"a\"\nLast-Modified: {date}",
                "If-Match: \"a\"\nIf-Unmodified-Since: {date-5}",
                Proceed,
                "If-Match silences If-Unmodified-Since",
            ),
            ("Last-Modified: {date}", "If-Unmodified-Since: {date-5}", Failed, "modified since"),
            ("Last-Modified: {date-5}", "If-Unmodified-Since: {date-5}", Proceed, "not modified"),
            ("Last-Modified: {date}", "If-Unmodified-Since: now", Proceed, "unusable: ignored"),
            ("Link: x", "If-Unmodified-Since: {date-5}", Proceed, "no modification date"),
        ];
        for &(fields, request, expected, why) in CASES {
            let head = stored(&format!("Cache-Control: max-age=9\n{fields}")).unwrap();
            assert_eq!(evaluate(&headers(request), &head), expected, "{why}\n{fields} | {request}");
        }
    }

    #[test]
    fn errors_and_redirects_ignore_conditions() {
        let mut head = stored("Cache-Control: max-age=9\nETag: \"a\"").unwrap();
        let request = headers("If-None-Match: \"a\"");
        head.status = StatusCode::NOT_FOUND;
        assert_eq!(evaluate(&request, &head), Precondition::Proceed);
        head.status = StatusCode::PARTIAL_CONTENT;
        assert_eq!(evaluate(&request, &head), Precondition::NotModified);
    }

    #[test]
    fn a_304_to_a_client_is_short_and_to_a_tier_complete() {
        let stored = headers(
            "Cache-Control: a\nContent-Location: /\nDate: b\nETag: c\nExpires: d\nVary: \
             e\nLast-Modified: f\nVia: g\nCache-Status: h\nCDN-Cache-Control: i\nContent-Length: \
             5\nContent-Type: x\nLink: y\nLink: z",
        );
        let short = not_modified_headers(stored.clone(), false);
        assert_eq!(short.len(), 10);
        assert!(!short.contains_key("link") && !short.contains_key("content-type"));
        let full = not_modified_headers(stored.clone(), true);
        assert_eq!(full.len(), stored.len() - 1, "everything but Content-Length");
        assert_eq!(full.get_all("link").iter().count(), 2, "all lines");
        assert!(!full.contains_key(CONTENT_LENGTH));
    }

    #[test]
    fn a_part_is_given_only_of_what_the_client_has() {
        // (stored fields, request fields, expected, why); RFC 9110 §13.1.5.
        const CASES: &[(&str, &str, bool, &str)] = &[
            ("ETag: \"a\"", "Range: x", true, "no condition"),
            ("ETag: \"a\"", "If-Range: \"a\"", true, "equal strong tags"),
            ("ETag: \"a\"", "If-Range: \"b\"", false, "other tag"),
            ("ETag: W/\"a\"", "If-Range: W/\"a\"", false, "weak tags prove nothing"),
            ("Link: x", "If-Range: \"a\"", false, "no tag"),
            ("Last-Modified: {date}", "If-Range: {date}", true, "byte-equal date"),
            ("Last-Modified: {date}", "If-Range: {date+1}", false, "a later date is not equal"),
            ("Link: x", "If-Range: {date}", false, "no date"),
            ("ETag: \"a\"", "If-Range: \"a\"\nIf-Range: \"b\"", false, "two conditions"),
        ];
        for &(stored, request, expected, why) in CASES {
            assert_eq!(
                if_range_holds(&headers(request), &Fields::from(&headers(stored))),
                expected,
                "{why}"
            );
        }
    }
}
