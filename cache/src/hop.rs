//! Which fields end at this hop and are neither forwarded nor stored (RFC 9110 §7.6.1).
//!
//! Connection may name further fields, and so may an attacker: `Connection: host` or
//! `Connection: content-length` has stripped framing and identity in other proxies. Fields that a
//! message, or a caching decision, stands on are therefore kept whoever names them.

use http::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, COOKIE, DATE, ETAG, EXPIRES,
    FORWARDED, HOST, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VARY, VIA,
};
use http::{HeaderMap, HeaderName};

use crate::list::list_members;

/// Which way a message goes; it decides which fields Connection cannot take away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Toward the origin. Identity, framing and loop detection are protected.
    Request,
    /// Toward the client. What decides about storing is protected.
    Response,
}

impl Direction {
    fn protects(self, name: &HeaderName) -> bool {
        match self {
            Self::Request => {
                KEPT_IN_REQUESTS.contains(name)
                    || KEPT_IN_REQUESTS_BY_NAME.contains(&name.as_str())
                    || name.as_str().starts_with("weir-")
            }
            Self::Response => {
                KEPT_IN_RESPONSES.contains(name) || name.as_str().ends_with("-cache-control")
            }
        }
    }
}

const KEPT_IN_REQUESTS: [HeaderName; 12] = [
    AGE,
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_LENGTH,
    COOKIE,
    DATE,
    ETAG,
    FORWARDED,
    HOST,
    SET_COOKIE,
    VARY,
    VIA,
];
const KEPT_IN_REQUESTS_BY_NAME: [&str; 4] =
    ["cdn-loop", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
const KEPT_IN_RESPONSES: [HeaderName; 7] =
    [AGE, CACHE_CONTROL, CONTENT_LENGTH, DATE, EXPIRES, SET_COOKIE, VARY];

/// The fields of a hop that need not be named.
pub(crate) static OF_HOP: [HeaderName; 8] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// Removes the fields that concern only the connection the message came on (RFC 9110 §7.6.1).
///
/// That is Connection, every field it names unless `direction` protects it, and the fields that
/// senders forget to name: Keep-Alive, Proxy-Connection, TE, Trailer, Transfer-Encoding, Upgrade
/// and HTTP2-Settings.
pub fn strip_hop_by_hop(headers: &mut HeaderMap, direction: Direction) {
    let named = named_by_connection(headers, direction);
    for name in named.iter().chain(&OF_HOP) {
        headers.remove(name);
    }
}

/// The fields that Connection names, without those that `direction` protects.
pub(crate) fn named_by_connection(headers: &HeaderMap, direction: Direction) -> Vec<HeaderName> {
    list_members(headers, &CONNECTION)
        .filter_map(|member| HeaderName::from_bytes(member).ok())
        .filter(|name| !direction.protects(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::headers;

    #[test]
    fn only_fields_of_this_hop_go() {
        // (direction, fields, names left, why); RFC 9110 §7.6.1.
        const CASES: &[(Direction, &str, &[&str], &str)] = &[
            (Direction::Response, "Connection: a, b\na: 1\nB: 2\nc: 3", &["c"], "named fields go"),
            (Direction::Response, "Connection: a\nConnection: b\na: 1\nb: 2", &[], "every line"),
            (
                Direction::Response,
                "Keep-Alive: 1\nProxy-Connection: x\nTE: x\nTrailer: x\nTransfer-Encoding: \
                 chunked\nUpgrade: x\nHTTP2-Settings: x\nLink: y",
                &["link"],
                "these need not be named",
            ),
            (
                Direction::Response,
                "Connection: content-length, cache-control, vary, set-cookie, age, date, expires, \
                 cdn-cache-control, host\nContent-Length: 1\nCache-Control: private\nVary: \
                 a\nSet-Cookie: a\nAge: 1\nDate: x\nExpires: 0\nCDN-Cache-Control: no-store\nHost: \
                 x",
                &[
                    "content-length",
                    "cache-control",
                    "vary",
                    "set-cookie",
                    "age",
                    "date",
                    "expires",
                    "cdn-cache-control",
                ],
                "a response cannot be made storable by naming what forbids it",
            ),
            (
                Direction::Request,
                "Connection: host, content-length, authorization, cookie, cdn-loop, via, \
                 forwarded, x-forwarded-for, weir-token, x\nHost: h\nContent-Length: \
                 1\nAuthorization: a\nCookie: c\nCDN-Loop: w\nVia: v\nForwarded: \
                 f\nX-Forwarded-For: 1\nWeir-Token: t\nX: y",
                &[
                    "host",
                    "content-length",
                    "authorization",
                    "cookie",
                    "cdn-loop",
                    "via",
                    "forwarded",
                    "x-forwarded-for",
                    "weir-token",
                ],
                "a client cannot strip identity, framing or loop detection",
            ),
            (
                Direction::Response,
                "Proxy-Authenticate: x\nConnection: ???,",
                &["proxy-authenticate"],
                "only storing drops Proxy-Authenticate; junk names nothing",
            ),
        ];
        for &(direction, fields, expected, why) in CASES {
            let mut headers = headers(fields);
            strip_hop_by_hop(&mut headers, direction);
            let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
            let mut expected = expected.to_vec();
            left.sort_unstable();
            expected.sort_unstable();
            assert_eq!(left, expected, "{why}");
        }
    }
}
