//! How does a node say what its cache did (RFC 9211, and `X-Cache` for people)?
//!
//! The names are those of the standard and serve as labels in logs and metrics too. Which of them
//! is true of a request is decided elsewhere; that a hit has no forward reason is kept here.

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use http::HeaderName;

use crate::member::append_member;
use crate::member::push_item;

/// `Cache-Status`.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Largest number a structured field can hold (RFC 9651 §3.3.1).
const INTEGER_MAX: i64 = 999_999_999_999_999;

/// Why a request went upstream (RFC 9211 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ForwardReason {
    /// The cache was configured not to handle this request.
    Bypass,
    /// The method requires it.
    Method,
    /// Nothing was stored under the key.
    UriMiss,
    /// Something was stored under the key, but nothing that `Vary` lets this request use.
    VaryMiss,
    /// Nothing was stored, and it is not known which of the two above was the case.
    Miss,
    /// The stored response is fresh, but the request does not accept it.
    Request,
    /// The stored response is stale.
    Stale,
    /// The stored response holds only a part of what was asked for.
    Partial,
}

impl ForwardReason {
    /// Returns the token of the `fwd` parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

impl fmt::Display for ForwardReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One cache's member of `Cache-Status`.
///
/// Made by [`CacheStatus::hit`] or [`CacheStatus::forwarded`]; then set what else is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheStatus {
    /// Name of the cache.
    pub cache: Cow<'static, str>,
    /// Whether the stored response was used without going upstream. If so, `forward` and what
    /// depends on it are not written (RFC 9211 §2.2).
    pub hit: bool,
    /// Why the request went upstream; `None` if it did not.
    pub forward: Option<ForwardReason>,
    /// Status of the upstream's answer, where it differs from the one sent (RFC 9211 §2.3).
    pub forward_status: Option<u16>,
    /// Freshness lifetime left, in seconds; negative for a stale response (RFC 9211 §2.4).
    pub ttl: Option<i64>,
    /// Whether the upstream's answer was stored.
    pub stored: bool,
    /// Whether the request shared another one's way upstream.
    pub collapsed: bool,
    /// What else is to be said; a token or a short text.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// A request answered from the store.
    pub fn hit(cache: impl Into<Cow<'static, str>>) -> Self {
        Self { hit: true, ..Self::new(cache) }
    }

    /// A request that went upstream because of `reason`.
    pub fn forwarded(cache: impl Into<Cow<'static, str>>, reason: ForwardReason) -> Self {
        Self { forward: Some(reason), ..Self::new(cache) }
    }

    /// A request of which only the cache's name is known, such as one that was refused.
    pub fn new(cache: impl Into<Cow<'static, str>>) -> Self {
        Self {
            cache: cache.into(),
            hit: false,
            forward: None,
            forward_status: None,
            ttl: None,
            stored: false,
            collapsed: false,
            detail: None,
        }
    }

    /// Appends this member behind those of the caches nearer to the origin (RFC 9211 §2), all on
    /// one line.
    pub fn append_to(&self, headers: &mut HeaderMap) {
        append_member(headers, &CACHE_STATUS, &self.to_string());
    }

    fn write_forward(&self, f: &mut fmt::Formatter<'_>, reason: ForwardReason) -> fmt::Result {
        write!(f, "; fwd={reason}")?;
        self.forward_status.map_or(Ok(()), |status| write!(f, "; fwd-status={status}"))
    }

    /// The forward reason, unless the response was a hit.
    fn went_upstream(&self) -> Option<ForwardReason> {
        self.forward.filter(|_| !self.hit)
    }
}

impl fmt::Display for CacheStatus {
    /// Writes the member in the order in which RFC 9211 §2 explains its parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&item(&self.cache))?;
        if self.hit {
            f.write_str("; hit")?;
        }
        if let Some(reason) = self.went_upstream() {
            self.write_forward(f, reason)?;
        }
        if let Some(ttl) = self.ttl {
            write!(f, "; ttl={}", ttl.clamp(INTEGER_MAX.saturating_neg(), INTEGER_MAX))?;
        }
        // Both describe a forwarded request (RFC 9211 §2.5, §2.6).
        let upstream = self.went_upstream().is_some();
        f.write_str(if upstream && self.stored { "; stored" } else { "" })?;
        f.write_str(if upstream && self.collapsed { "; collapsed" } else { "" })?;
        self.detail.map_or(Ok(()), |detail| write!(f, "; detail={}", item(detail)))
    }
}

fn item(text: &str) -> String {
    let mut item = String::new();
    push_item(&mut item, text);
    item
}

/// What the edge did, in one word, for `X-Cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum XCache {
    /// Answered from the store, fresh.
    Hit,
    /// Answered by the upstream.
    Miss,
    /// Answered from the store, stale.
    Stale,
    /// Answered by the upstream, past the store.
    Bypass,
}

impl XCache {
    /// Returns the value of the field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Miss => "MISS",
            Self::Stale => "STALE",
            Self::Bypass => "BYPASS",
        }
    }
}

impl fmt::Display for XCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn parameters_are_written_in_the_order_of_the_standard() {
        let miss = CacheStatus::forwarded("edge", ForwardReason::UriMiss);
        let cases = [
            (CacheStatus { ttl: Some(512), ..CacheStatus::hit("edge") }, "edge; hit; ttl=512"),
            (
                CacheStatus {
                    forward_status: Some(304),
                    ttl: Some(-3),
                    stored: true,
                    collapsed: true,
                    detail: Some("no-store"),
                    ..CacheStatus::forwarded("edge", ForwardReason::Stale)
                },
                "edge; fwd=stale; fwd-status=304; ttl=-3; stored; collapsed; detail=no-store",
            ),
            (CacheStatus { stored: true, ..miss.clone() }, "edge; fwd=uri-miss; stored"),
            (
                CacheStatus { hit: true, forward_status: Some(200), stored: true, ..miss },
                "edge; hit",
            ),
            (CacheStatus { collapsed: true, ..CacheStatus::new("edge") }, "edge"),
            (
                CacheStatus {
                    ttl: Some(i64::MIN),
                    detail: Some("set by site"),
                    ..CacheStatus::new(String::from("edge 0"))
                },
                "\"edge 0\"; ttl=-999999999999999; detail=\"set by site\"",
            ),
        ];
        for (status, expected) in cases {
            assert_eq!(status.to_string(), expected);
            let parsed = sfv::Parser::new(expected).parse::<sfv::List>();
            assert_eq!(
                parsed.map(|list| list.len()).ok(),
                Some(1),
                "a structured field: {expected}"
            );
        }
    }

    #[test]
    fn the_nearest_cache_comes_last_on_one_line() {
        let mut headers = HeaderMap::new();
        headers.append(CACHE_STATUS, HeaderValue::from_static("shield; fwd=uri-miss; stored"));
        headers.append(CACHE_STATUS, HeaderValue::from_static("regional; hit"));
        CacheStatus::hit("edge").append_to(&mut headers);
        let lines: Vec<_> = headers.get_all(CACHE_STATUS).iter().collect();
        assert_eq!(lines, ["shield; fwd=uri-miss; stored, regional; hit, edge; hit"]);
    }

    #[test]
    fn every_forward_reason_is_a_token_of_the_standard() {
        use ForwardReason::{Bypass, Method, Miss, Partial, Request, Stale, UriMiss, VaryMiss};
        let reasons = [Bypass, Method, UriMiss, VaryMiss, Miss, Request, Stale, Partial];
        let tokens = reasons.map(ForwardReason::as_str).join(" ");
        assert_eq!(tokens, "bypass method uri-miss vary-miss miss request stale partial");
        assert_eq!(
            [XCache::Hit, XCache::Miss, XCache::Stale, XCache::Bypass].map(XCache::as_str),
            ["HIT", "MISS", "STALE", "BYPASS"]
        );
    }
}
