//! What Cache-Control and Pragma of a request ask for (RFC 9111 §5.2.1).
//!
//! Whether a client is obeyed at all is the operator's choice; see `Policy`.

use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};

use crate::directives::{Argument, split_directive};
use crate::list::list_members;

/// How stale a response the client accepts (RFC 9111 §5.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxStale {
    /// However long past its lifetime.
    Any,
    /// At most this long past its lifetime.
    Within(Duration),
}

/// The directives of a request. Absent and unusable ones are `false` or `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// The response must not be stored (§5.2.1.5).
    pub no_store: bool,
    /// A stored response must be validated first (§5.2.1.4).
    pub no_cache: bool,
    /// The oldest response that is accepted (§5.2.1.1).
    pub max_age: Option<Duration>,
    /// The stalest response that is accepted (§5.2.1.2).
    pub max_stale: Option<MaxStale>,
    /// How much longer the response must stay fresh (§5.2.1.3).
    pub min_fresh: Option<Duration>,
    /// Nothing must be forwarded (§5.2.1.7).
    pub only_if_cached: bool,
}

impl RequestDirectives {
    /// Reads what a request asks of caches; `None` if it has neither Cache-Control nor Pragma.
    ///
    /// Pragma counts only where there is no Cache-Control (RFC 9111 §5.4).
    pub fn parse(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key(CACHE_CONTROL) {
            return Some(Self::from_cache_control(headers));
        }
        headers.contains_key(PRAGMA).then(|| Self {
            no_cache: list_members(headers, &PRAGMA)
                .any(|member| member.eq_ignore_ascii_case(b"no-cache")),
            ..Self::default()
        })
    }

    fn from_cache_control(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for (name, argument) in list_members(headers, &CACHE_CONTROL).filter_map(split_directive) {
            directives.apply(&name, &argument);
        }
        directives
    }

    fn apply(&mut self, name: &[u8], argument: &Argument) {
        match name {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => self.max_age = self.max_age.or_else(|| argument.seconds()),
            b"min-fresh" => self.min_fresh = self.min_fresh.or_else(|| argument.seconds()),
            b"max-stale" if argument.is_absent() => {
                self.max_stale.get_or_insert(MaxStale::Any);
            }
            b"max-stale" => {
                self.max_stale =
                    self.max_stale.or_else(|| argument.seconds().map(MaxStale::Within));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::headers;

    #[test]
    fn clients_ask_in_cache_control_or_else_in_pragma() {
        // (fields, expected, why); RFC 9111 §5.2.1 and §5.4.
        let none = RequestDirectives::default();
        let secs = |secs| Some(Duration::from_secs(secs));
        let cases: &[(&str, Option<RequestDirectives>, &str)] = &[
            ("Accept: */*", None, "nothing is asked"),
            ("Pragma: No-Cache", Some(RequestDirectives { no_cache: true, ..none }), "Pragma"),
            ("Pragma: foo", Some(none), "other Pragmas mean nothing"),
            ("Pragma: no-cache\nCache-Control: x", Some(none), "Cache-Control silences Pragma"),
            (
                "Cache-Control: NO-CACHE, No-Store\nCache-Control: only-if-cached",
                Some(RequestDirectives {
                    no_cache: true,
                    no_store: true,
                    only_if_cached: true,
                    ..none
                }),
                "all lines, any case",
            ),
            (
                "Cache-Control: max-age=\"5\", min-fresh=6, max-stale=7",
                Some(RequestDirectives {
                    max_age: secs(5),
                    min_fresh: secs(6),
                    max_stale: Some(MaxStale::Within(Duration::from_secs(7))),
                    ..none
                }),
                "numbers",
            ),
            (
                "Cache-Control: max-stale",
                Some(RequestDirectives { max_stale: Some(MaxStale::Any), ..none }),
                "max-stale without a bound",
            ),
            ("Cache-Control: max-stale=x, max-age=-1, min-fresh", Some(none), "unusable: absent"),
        ];
        for (fields, expected, why) in cases {
            assert_eq!(RequestDirectives::parse(&headers(fields)), *expected, "{why}");
        }
    }
}
