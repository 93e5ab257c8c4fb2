//! Which fields may follow a body, and who gets them (RFC 9110 §6.5)?
//!
//! A trailer comes when all decisions about its message have been made. So nothing that frames,
//! routes, authenticates, modifies or controls may come in one (RFC 9110 §6.5.1), and no trailer is
//! ever merged into the fields or stored: it is passed on or dropped.

use http::header::{
    ACCEPT_RANGES, AGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, COOKIE, DATE, EXPECT, EXPIRES, FORWARDED, HOST,
    LOCATION, MAX_FORWARDS, PRAGMA, RANGE, RETRY_AFTER, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE, VARY, VIA, WARNING, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::list::list_members;

/// The most trailer lines of one message, and names that it announces.
const LINES_MAX: usize = 32;
/// The most bytes of all of them.
const BYTES_MAX: usize = 8 * 1024;

const NEVER: [HeaderName; 30] = [
    ACCEPT_RANGES,
    AGE,
    AUTHORIZATION,
    CACHE_CONTROL,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_LOCATION,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    DATE,
    EXPECT,
    EXPIRES,
    FORWARDED,
    HOST,
    LOCATION,
    MAX_FORWARDS,
    PRAGMA,
    RANGE,
    RETRY_AFTER,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    VARY,
    VIA,
    WARNING,
    WWW_AUTHENTICATE,
];
const NEVER_BY_NAME: [&str; 9] = [
    "alt-svc",
    "authentication-info",
    "cache-status",
    "cdn-loop",
    "clear-site-data",
    "http2-settings",
    "keep-alive",
    "x-cache",
    "x-request-id",
];
/// What begins so is a condition, speaks to one hop, or names another target or peer.
const NEVER_PREFIXES: [&str; 5] = ["if-", "proxy-", "weir-", "x-forwarded-", "x-original-"];

/// Says whether the sender of a request wants trailers in the answer (RFC 9110 §10.1.4).
pub fn accepts_trailers(headers: &HeaderMap) -> bool {
    list_members(headers, &TE).any(|member| member.eq_ignore_ascii_case(b"trailers"))
}

/// Returns the names that a message announces as trailers and that may be passed on; `None` where
/// there is none.
///
/// To be read before the fields of the connection are removed.
pub fn announced_trailers(headers: &HeaderMap) -> Option<HeaderValue> {
    let connection: Vec<&[u8]> = list_members(headers, &CONNECTION).collect();
    let of_connection = |name: &HeaderName| {
        connection.iter().any(|member| member.eq_ignore_ascii_case(name.as_str().as_bytes()))
    };
    let mut names: Vec<HeaderName> = list_members(headers, &TRAILER)
        .filter_map(|member| HeaderName::from_bytes(member).ok())
        .filter(|name| may_be_trailer(name) && !of_connection(name))
        .take(LINES_MAX)
        .collect();
    names.dedup();
    let text = names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ");
    if text.is_empty() || text.len() > BYTES_MAX { None } else { HeaderValue::try_from(text).ok() }
}

/// Returns the trailers that may be passed on; `None` where there are none, or more than is passed.
pub fn passable_trailers(trailers: &HeaderMap) -> Option<HeaderMap> {
    let bytes = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().len().saturating_add(value.len())
    };
    let size = trailers.iter().map(bytes).fold(0, usize::saturating_add);
    if trailers.len() > LINES_MAX || size > BYTES_MAX {
        return None;
    }
    let mut passable = HeaderMap::new();
    for (name, value) in trailers.iter().filter(|(name, _)| may_be_trailer(name)) {
        passable.append(name, value.clone());
    }
    (!passable.is_empty()).then_some(passable)
}

fn may_be_trailer(name: &HeaderName) -> bool {
    let text = name.as_str();
    !NEVER.contains(name)
        && !NEVER_BY_NAME.contains(&text)
        && !NEVER_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        && !text.ends_with("-cache-control")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::headers;

    #[test]
    fn only_fields_that_decide_nothing_are_announced() {
        // (fields, announced, why); RFC 9110 §6.5.1 and §6.6.2.
        const CASES: &[(&str, &str, &str)] = &[
            ("Trailer: X-Sum", "x-sum", "one"),
            ("Trailer: A, ETag\nTrailer: Server-Timing", "a, etag, server-timing", "every line"),
            ("Trailer: Content-Length, Transfer-Encoding, TE, A", "a", "framing"),
            ("Trailer: Host, Forwarded, X-Forwarded-Host, Via, A", "a", "routing"),
            ("Trailer: Authorization, Set-Cookie, Cookie, WWW-Authenticate, A", "a", "identity"),
            ("Trailer: If-Match, Range, Expect, Max-Forwards, A", "a", "request modifiers"),
            (
                "Trailer: Cache-Control, CDN-Cache-Control, Age, Date, Vary, Expires, A",
                "a",
                "response control",
            ),
            ("Trailer: Content-Type, Content-Encoding, Content-Range, A", "a", "content format"),
            ("Trailer: Weir-As-Of, Proxy-Status, X-Cache, Cache-Status, A", "a", "our own"),
            ("Connection: a\nTrailer: A, B", "b", "fields of the connection"),
            ("Trailer: not a name, ,B", "b", "what is no name"),
            ("Trailer: Trailer", "", "nothing is left"),
            ("A: b", "", "nothing announced"),
        ];
        for &(fields, expected, why) in CASES {
            let announced = announced_trailers(&headers(fields));
            let announced = announced.as_ref().map_or("", |names| names.to_str().unwrap());
            assert_eq!(announced, expected, "{why}");
        }
    }

    #[test]
    fn trailers_are_filtered_and_bounded() {
        let passed = |fields: &str| passable_trailers(&headers(fields)).map_or(0, |map| map.len());
        assert_eq!(passed("A: 1\nA: 2\nSet-Cookie: x\nWeir-Failure: x\nVary: x"), 2);
        assert_eq!(passed("Age: 1"), 0);
        let lines = |count: usize| (0..count).map(|n| format!("X-{n}: y\n")).collect::<String>();
        assert_eq!(passed(&lines(LINES_MAX)), LINES_MAX);
        assert_eq!(passed(&lines(LINES_MAX.saturating_add(1))), 0, "too many");
        assert_eq!(passed(&format!("A: {}", "x".repeat(BYTES_MAX))), 0, "too large");
    }

    #[test]
    fn who_wants_trailers_says_so() {
        for (fields, wants) in [
            ("TE: trailers", true),
            ("TE: gzip;q=0.5, Trailers", true),
            ("TE: gzip", false),
            ("TE:", false),
            ("A: trailers", false),
        ] {
            assert_eq!(accepts_trailers(&headers(fields)), wants, "{fields}");
        }
    }
}
