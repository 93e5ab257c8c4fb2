//! How Accept-Encoding is reduced to the codings that origins in fact use.
//!
//! Browsers spell this field in many ways that mean the same; left alone, each spelling becomes a
//! variant. The reduced field also goes upstream, so what is stored is an answer to just that.

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

use crate::grammar::trim_ows;
use crate::list::list_members;

/// The codings that make a difference, in the order they are written.
const KNOWN: [&str; 3] = ["br", "gzip", "zstd"];

/// Replaces Accept-Encoding by the sorted list of the known codings it accepts (RFC 9110 §12.5.3).
///
/// The field is removed when none remains, and left alone when it refuses `identity`, because then
/// every coding that it names matters. An absent field stays absent.
pub fn reduce_accept_encoding(headers: &mut HeaderMap) {
    if !headers.contains_key(ACCEPT_ENCODING) {
        return;
    }
    let accepted = Accepted::parse(headers);
    if !accepted.accepts("identity", true) {
        return;
    }
    let kept: Vec<&str> =
        KNOWN.into_iter().filter(|coding| accepted.accepts(coding, false)).collect();
    headers.remove(ACCEPT_ENCODING);
    if !kept.is_empty() {
        let value = HeaderValue::try_from(kept.join(", "));
        headers.insert(ACCEPT_ENCODING, value.expect("coding names make a field value"));
    }
}

/// What a request says about codings: each one named, and whether it is acceptable.
struct Accepted(Vec<(Vec<u8>, bool)>);

impl Accepted {
    fn parse(headers: &HeaderMap) -> Self {
        Self(list_members(headers, &ACCEPT_ENCODING).filter_map(parse_member).collect())
    }

    /// Says whether `coding` is acceptable: by its own name, else by `*`, else by `default`.
    fn accepts(&self, coding: &str, default: bool) -> bool {
        self.named(coding.as_bytes()).or_else(|| self.named(b"*")).unwrap_or(default)
    }

    /// What is said of `coding` itself; a refusal outweighs a repetition.
    fn named(&self, coding: &[u8]) -> Option<bool> {
        let mut said = self.0.iter().filter(|(name, _)| name == coding).map(|(_, ok)| *ok);
        let first = said.next()?;
        Some(first && said.all(|ok| ok))
    }
}

/// Reads `coding;q=weight`; `None` when the weight cannot be read.
fn parse_member(member: &[u8]) -> Option<(Vec<u8>, bool)> {
    let mut parts = member.split(|&byte| byte == b';').map(trim_ows);
    let name = parts.next()?.to_ascii_lowercase();
    // RFC 9110 §8.4.1.3: x-gzip is gzip.
    let name = if name == b"x-gzip" { b"gzip".to_vec() } else { name };
    match parts.next() {
        None => Some((name, true)),
        Some(weight) => Some((name, is_positive_weight(weight)?)),
    }
}

/// Reads `q=0.5` and says whether it is more than nothing (RFC 9110 §12.4.2).
fn is_positive_weight(weight: &[u8]) -> Option<bool> {
    let [b'q' | b'Q', b'=', value @ ..] = weight else { return None };
    match value {
        [b'1'] => Some(true),
        [b'1', b'.', rest @ ..] if rest.len() <= 3 && rest.iter().all(|&b| b == b'0') => Some(true),
        [b'0'] => Some(false),
        [b'0', b'.', rest @ ..] if rest.len() <= 3 && rest.iter().all(u8::is_ascii_digit) => {
            Some(rest.iter().any(|&digit| digit != b'0'))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::headers;

    #[test]
    fn only_known_codings_remain() {
        // (request fields, expected value, why); RFC 9110 §12.5.3.
        const CASES: &[(&str, Option<&str>, &str)] = &[
            ("Accept-Encoding: gzip, deflate, br, zstd", Some("br, gzip, zstd"), "sorted"),
            ("Accept-Encoding: GZIP", Some("gzip"), "names fold case"),
            ("Accept-Encoding: x-gzip", Some("gzip"), "an old name"),
            ("Accept-Encoding: gzip\nAccept-Encoding: br", Some("br, gzip"), "all lines"),
            ("Accept-Encoding: gzip;q=0.001, br;q=0", Some("gzip"), "weight zero refuses"),
            ("Accept-Encoding: br ; q=0.000, gzip;Q=1.000", Some("gzip"), "spaces and zeros"),
            ("Accept-Encoding: *", Some("br, gzip, zstd"), "the star covers what is not named"),
            ("Accept-Encoding: *, br;q=0", Some("gzip, zstd"), "but not what is refused"),
            ("Accept-Encoding: gzip, gzip;q=0", None, "contradiction: refused"),
            ("Accept-Encoding: gzip;q=2, br;q=x, zstd;level=1", None, "unreadable weights"),
            ("Accept-Encoding: deflate", None, "nothing we know remains"),
            ("Accept-Encoding: identity", None, "identity alone says nothing new"),
            ("Accept-Encoding:", None, "empty"),
            ("Accept-Encoding: \"gzip", None, "junk"),
            ("Accept-Encoding: br, identity;q=0", Some("br, identity;q=0"), "identity refused"),
            ("Accept-Encoding: deflate, *;q=0", Some("deflate, *;q=0"), "refused by the star"),
            ("Accept-Encoding: br, identity, *;q=0", Some("br"), "identity named is acceptable"),
            ("Accept: x", None, "absent stays absent"),
        ];
        for &(fields, expected, why) in CASES {
            let mut headers = headers(fields);
            reduce_accept_encoding(&mut headers);
            let lines: Vec<&str> =
                headers.get_all(ACCEPT_ENCODING).iter().map(|v| v.to_str().unwrap()).collect();
            assert_eq!(lines, Vec::from_iter(expected), "{why}");
        }
    }

    #[test]
    fn reducing_twice_changes_nothing_more() {
        let mut once = headers("Accept-Encoding: zstd, gzip;q=0.5, deflate");
        reduce_accept_encoding(&mut once);
        let mut twice = once.clone();
        reduce_accept_encoding(&mut twice);
        assert_eq!(once, twice);
    }
}
