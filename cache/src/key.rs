//! Under which key is a response to this request stored?
//!
//! The key covers the site, the target after the site's query rule, and the request headers and
//! cookies that the site chose. The method is not part of it: GET and HEAD share a key. `Vary`
//! selects among the responses under one key and is no part of it either.
//!
//! # Invariants
//!
//! 1. Requests that differ in any of these get different keys (up to collisions of BLAKE3).
//! 2. The target returned with a key is the one that was digested. It goes upstream, so what does
//!    not count for the key is not seen by the origin either.

use std::fmt;

use http::HeaderMap;
use http::HeaderName;

use crate::access::Granted;
use crate::canonical::Canonical;
use crate::canonical::Group;
use crate::canonical::KeyText;
use crate::canonical::Value;
use crate::cookie::cookie_values;
use crate::policy::Profile;
use crate::query::QueryRule;
use crate::target::Target;

/// What a site counts beside scheme, host and path.
///
/// Names are used in the order given; changing the order changes every key of the site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRules {
    /// Which query parameters count, and in which order.
    pub query: QueryRule,
    /// Request headers that count. A header that is absent differs from an empty one, and lines
    /// count as they are sent.
    pub headers: Vec<HeaderName>,
    /// Cookies that count, by name; case-sensitive. The other cookies must not reach the origin
    /// with a request whose response may be stored, or they must be selected by `Vary`.
    pub cookies: Vec<String>,
}

impl KeyRules {
    /// Returns the rules of a site that states none: the whole query, sorted except in
    /// [`Profile::Rfc`], no headers and no cookies.
    pub fn for_profile(profile: Profile) -> Self {
        let sort = match profile {
            Profile::Default => true,
            Profile::Rfc => false,
        };
        Self { query: QueryRule { sort, ..QueryRule::default() }, ..Self::default() }
    }
}

/// BLAKE3 digest of the canonical form of a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey([u8; 32]);

/// A request's key, with the texts it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed {
    /// Key of the stored response.
    pub key: CacheKey,
    /// What was digested, readable.
    pub text: KeyText,
    /// Target after the query rule; the one to ask the upstream for.
    pub target: Target,
}

impl CacheKey {
    /// Derives the key of a granted request to `site` under its rules.
    pub fn derive(
        site: &str,
        rules: &KeyRules,
        granted: Granted,
        request_headers: &HeaderMap,
    ) -> Keyed {
        let target = granted.into_target();
        let query = target.query().and_then(|query| rules.query.apply(query));
        let target = target.with_query(query);
        let mut canonical = Canonical::new(site, &target);
        for name in &rules.headers {
            let lines = request_headers.get_all(name).iter();
            let values = lines.map(|line| Value::Plain(line.as_bytes()));
            canonical.select(Group::Header, name.as_str(), values);
        }
        for name in &rules.cookies {
            canonical.select(Group::Cookie, name, cookie_values(request_headers, name));
        }
        let (digest, text) = canonical.finish();
        Keyed { key: Self(digest), text, target }
    }

    /// Makes a key from its stored bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Bytes of the digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::HeaderValue;
    use http::Method;
    use http::header::COOKIE;

    use super::*;
    use crate::access::OpenGate;
    use crate::access::check;

    fn keyed(
        site: &str,
        rules: &KeyRules,
        target: &str,
        lines: &[(&'static str, &'static [u8])],
    ) -> Keyed {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_bytes(value).expect("well-formed value");
            headers.append(HeaderName::from_static(name), value);
        }
        let target = target.parse().expect("well-formed target");
        let granted = check(OpenGate, &Method::GET, target);
        CacheKey::derive(site, rules, granted.expect("GET is granted"), &headers)
    }

    fn rules() -> KeyRules {
        KeyRules {
            headers: vec![HeaderName::from_static("x-a")],
            cookies: vec!["lang".to_owned()],
            ..KeyRules::default()
        }
    }

    #[test]
    fn the_text_reads_as_what_was_digested() {
        type Lines = &'static [(&'static str, &'static [u8])];
        const CASES: &[(&str, Lines, &str, &str)] = &[
            ("www", &[], "www http://a.b/?x header(x-a) cookie(lang)", "absent values"),
            (
                "www",
                &[("x-a", b"v"), ("cookie", b"lang=de; other=1")],
                r#"www http://a.b/?x header(x-a="v") cookie(lang="de")"#,
                "one value each",
            ),
            (
                "www",
                &[("x-a", b""), ("x-a", b"v, w"), ("cookie", b"lang")],
                r#"www http://a.b/?x header(x-a="", x-a="v, w") cookie(lang~"lang")"#,
                "several lines, and a cookie that is none to some",
            ),
            (
                "my site",
                &[("x-a", b"\\\"\xc3\xa9\t")],
                r#""my site" http://a.b/?x header(x-a="\\\"\u00c3\u00a9\u0009") cookie(lang)"#,
                "quoted",
            ),
        ];
        for &(site, lines, expected, why) in CASES {
            let keyed = keyed(site, &rules(), "http://a.b/?x", lines);
            assert_eq!(keyed.text.as_str(), expected, "{why}");
            assert_eq!(keyed.text.to_string(), expected, "{why}");
            let resource = expected.split(" header").next();
            assert_eq!(Some(keyed.text.resource()), resource, "{why}");
        }
    }

    #[test]
    fn requests_that_differ_have_different_keys_and_texts() {
        let mut rules = rules();
        rules.headers.push(HeaderName::from_static("x-b"));
        let with =
            |lines: &[(&'static str, &'static [u8])]| keyed("www", &rules, "http://a.b/", lines);
        let plain = |site, target| keyed(site, &KeyRules::default(), target, &[]);
        let requests = [
            plain("www", "http://a.b/"),
            plain("ww", "http://a.b/"),
            plain("www http://a.b/", "http://a.b/"),
            plain("", "http://a.b/"),
            plain("\"\"", "http://a.b/"),
            plain("a", "http://httpa/"),
            plain("ahttp", "http://a/"),
            plain("www", "https://a.b/"),
            plain("www", "http://a.b:443/"),
            plain("www", "http://a.b/?"),
            plain("www", "http://a.b//"),
            plain("www", "http://a.b/x/k"),
            plain("www", "http://a.b/x%2Fk"),
            plain("www", "http://a.b/x?k"),
            plain("www", "http://a.b/x%3Fk"),
            plain("www", "http://a.b/x?k="),
            plain("www", "http://a.b/X?k"),
            plain("www", "http://a.b/x?a=1&a=2"),
            plain("www", "http://a.b/x?a=2&a=1"),
            plain("www", "http://a.b/x?a=1%26a=2"),
            with(&[]),
            with(&[("x-a", b"")]),
            with(&[("x-a", b""), ("x-a", b"")]),
            with(&[("x-a", b"a, b")]),
            with(&[("x-a", b"a"), ("x-a", b"b")]),
            with(&[("x-a", b"b"), ("x-a", b"a")]),
            with(&[("x-a", b"a\", x-a=\"b")]),
            with(&[("x-a", b"x-b")]),
            with(&[("x-b", b"x-b")]),
            with(&[("x-a", b"\\u00e9")]),
            with(&[("x-a", b"\xe9")]),
            with(&[("cookie", b"lang=")]),
            with(&[("cookie", b"lang")]),
            with(&[("cookie", b"lang=lang")]),
            with(&[("cookie", b"lang =")]),
            with(&[("cookie", b"lang=de; lang=fr")]),
            with(&[("cookie", b"lang=fr; lang=de")]),
        ];
        let keys: HashSet<_> = requests.iter().map(|keyed| keyed.key).collect();
        let texts: HashSet<_> = requests.iter().map(|keyed| keyed.text.as_str()).collect();
        assert_eq!(keys.len(), requests.len(), "{texts:#?}");
        assert_eq!(texts.len(), requests.len(), "{texts:#?}");
    }

    #[test]
    fn what_does_not_count_changes_neither_key_nor_upstream_target() {
        let mut rules = rules();
        rules.query.ignore = vec!["utm_*".parse().expect("well-formed pattern")];
        let first = keyed("www", &rules, "http://A.b:80/x/../%7Ey?b=2&a=1", &[]);
        let second = keyed(
            "www",
            &rules,
            "http://a.b/~y?a=1&utm_source=z&b=2",
            &[(COOKIE.as_str(), b"other=1"), ("x-b", b"1")],
        );
        assert_eq!(first, second);
        assert_eq!(first.target.uri(), "http://a.b/~y?a=1&b=2");
    }

    #[test]
    fn profiles_differ_in_sorting_only() {
        assert_eq!(KeyRules::for_profile(Profile::Default), KeyRules::default());
        let mut rfc = KeyRules::for_profile(Profile::Rfc);
        assert!(!rfc.query.sort, "the order of parameters may have a meaning");
        rfc.query.sort = true;
        assert_eq!(rfc, KeyRules::default());
    }

    #[test]
    fn a_key_is_the_digest_of_length_prefixed_parts_and_written_in_hexadecimal() {
        const FORM: &[&[u8]] = &[
            b"weir cache key\0\x01",
            b"\x03\0\0\0\0\0\0\0www",
            b"\x04\0\0\0\0\0\0\0http",
            b"\x03\0\0\0\0\0\0\0a.b",
            b"\x02\0\0\0\0\0\0\0/x",
            b"\x01\x03\0\0\0\0\0\0\0b=1",
            b"\x01\x03\0\0\0\0\0\0\0x-a\x01\x01\0\0\0\0\0\0\0v\0",
            b"\x02\x04\0\0\0\0\0\0\0lang\x02\x04\0\0\0\0\0\0\0lang\0",
        ];
        let lines: &[(&'static str, &'static [u8])] = &[("x-a", b"v"), ("cookie", b"lang")];
        let key = keyed("www", &rules(), "http://a.b/x?b=1", lines).key;
        // A stored response is found after an upgrade only while this form stays.
        let digest = blake3::hash(&FORM.concat());
        assert_eq!(key.to_string(), digest.to_hex().as_str());
        assert_eq!(CacheKey::from_bytes(*key.as_bytes()), key);
    }
}
