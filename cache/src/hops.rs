//! Through which nodes has this message come (RFC 9110 §7.6.3, RFC 8586)?
//!
//! `Via` and `CDN-Loop` are appended to and read here. How many visits are too many, and the
//! answer to a loop, are the caller's.
//!
//! # Invariants
//!
//! 1. Whatever stands before our member, the readers find it. They split at every comma, also
//!    inside quotes and comments: a client that sends an opening quote alone must not be able to
//!    hide the members that follow. The price is that a quoted text can look like our member; only
//!    the request of the one who sent it suffers.
//! 2. Members already there stay.

use http::HeaderMap;
use http::HeaderName;
use http::Version;
use http::header::VIA;

use crate::member::append_member;
use crate::member::push_string;
use crate::member::token_of;

/// `CDN-Loop`.
const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// Who a node is in messages. A character that no token may hold is written as `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HopIdentity {
    /// Name of the whole CDN in `CDN-Loop`, the same on all nodes; a token such as `weir-4f1c`.
    pub cdn_id: String,
    /// Name of the node, different on each; a token such as `edge-0`.
    pub node: String,
    /// Name of the node's tier, such as `edge`.
    pub tier: String,
    /// Name of the node in `Via`; a token such as `edge-0.weir-4f1c`.
    pub via: String,
}

/// Appends this node to `Via`; `version` is that of the message received.
pub fn append_via(headers: &mut HeaderMap, version: Version, pseudonym: &str) {
    let protocol = match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        Version::HTTP_3 => "3.0",
        _ => "1.1",
    };
    append_member(headers, &VIA, &[protocol, " ", &token_of(pseudonym)].concat());
}

/// Says whether `Via` names `pseudonym`, in any case.
pub fn via_contains(headers: &HeaderMap, pseudonym: &str) -> bool {
    let pseudonym = token_of(pseudonym);
    members(headers, &VIA).any(|member| {
        let mut words = member.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.nth(1).is_some_and(|by| by.eq_ignore_ascii_case(pseudonym.as_bytes()))
    })
}

/// Appends one visit to `CDN-Loop`: the CDN, with the node as a parameter.
pub fn append_cdn_loop(headers: &mut HeaderMap, cdn_id: &str, node: &str) {
    let mut member = [&token_of(cdn_id), "; node="].concat();
    push_string(&mut member, &token_of(node));
    append_member(headers, &CDN_LOOP, &member);
}

/// Counts the visits to this CDN that `CDN-Loop` records (RFC 8586 §2).
pub fn loop_count(headers: &HeaderMap, cdn_id: &str) -> usize {
    visits(headers, cdn_id).count()
}

/// Says whether `CDN-Loop` records a visit to this very node.
pub fn has_visited(headers: &HeaderMap, cdn_id: &str, node: &str) -> bool {
    let node = token_of(node);
    visits(headers, cdn_id).any(|member| {
        let mut parameters = member.split(|byte| *byte == b';').skip(1);
        parameters.any(|parameter| node_of(parameter.trim_ascii()) == Some(node.as_bytes()))
    })
}

fn visits<'a>(headers: &'a HeaderMap, cdn_id: &str) -> impl Iterator<Item = &'a [u8]> {
    let cdn_id = token_of(cdn_id).into_owned();
    members(headers, &CDN_LOOP).filter(move |member| {
        let id = member.split(|byte| *byte == b';').next().unwrap_or_default();
        id.trim_ascii().eq_ignore_ascii_case(cdn_id.as_bytes())
    })
}

/// Value of a `node` parameter; `None` for other parameters.
fn node_of(parameter: &[u8]) -> Option<&[u8]> {
    let value = parameter.strip_prefix(b"node=")?;
    let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    Some(inner.unwrap_or(value))
}

/// Members of a list field, split at every comma of every line.
fn members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &HeaderName, lines: &[&'static [u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line).expect("well-formed value"));
        }
        headers
    }

    /// What a client may send to hide or to forge members.
    const JUNK: &[&[u8]] =
        &[b"\"", b"x (\"", b"x; a=\"\\", b",,,", b";", b"=", b"\xff", b"", b" ", b"1.1", b"("];

    #[test]
    fn via_says_which_protocol_was_received() {
        let cases = [
            (Version::HTTP_10, "1.0 edge-0"),
            (Version::HTTP_11, "1.1 edge-0"),
            (Version::HTTP_2, "2.0 edge-0"),
        ];
        for (version, expected) in cases {
            let mut headers = HeaderMap::new();
            append_via(&mut headers, version, "edge-0");
            assert_eq!(headers.get(VIA).map(HeaderValue::as_bytes), Some(expected.as_bytes()));
            append_via(&mut headers, Version::HTTP_11, "a b,c");
            let both = format!("{expected}, 1.1 a_b_c");
            assert_eq!(headers.get(VIA).map(HeaderValue::as_bytes), Some(both.as_bytes()));
            assert!(via_contains(&headers, "a b,c"), "and found under the name given");
        }
    }

    #[test]
    fn via_is_searched_by_whole_pseudonyms() {
        const CASES: &[(&[&[u8]], bool, &str)] = &[
            (&[], false, "no field"),
            (&[b"1.1 edge-0"], true, "alone"),
            (&[b"1.0 a, HTTP/1.1\tEDGE-0 (comment)"], true, "case, tab and comment"),
            (&[b"1.1 a", b"1.1 edge-0"], true, "on the second line"),
            (&[b"1.1 edge-01, 1.1 xedge-0"], false, "part of a name"),
            (&[b"edge-0"], false, "the protocol comes first"),
            (&[b"1.1 a (1.1 edge-0)"], false, "a comment is not a hop"),
        ];
        for &(lines, expected, why) in CASES {
            assert_eq!(via_contains(&headers(&VIA, lines), "edge-0"), expected, "{why}");
        }
    }

    #[test]
    fn visits_are_counted_by_cdn_and_found_by_node() {
        const CASES: &[(&[&[u8]], usize, bool, &str)] = &[
            (&[], 0, false, "no field"),
            (&[b"weir-1; node=\"edge-0\""], 1, true, "as we write it"),
            (&[b"WEIR-1;node=edge-0"], 1, true, "as another may write it again"),
            (&[b"weir-1; a=b ; node=\"edge-0\" ; c"], 1, true, "among other parameters"),
            (&[b"weir-1, weir-1; node=\"edge-1\""], 2, false, "other nodes"),
            (&[b"weir-1", b"other, weir-1"], 2, false, "over two lines"),
            (&[b"weir-10; node=\"edge-0\""], 0, false, "another CDN"),
            (&[b"other; node=\"edge-0\", weir-1"], 1, false, "another CDN's node"),
            (&[b"weir-1; node=\"edge-01\""], 1, false, "part of a name"),
        ];
        for &(lines, count, visited, why) in CASES {
            let headers = headers(&CDN_LOOP, lines);
            assert_eq!(loop_count(&headers, "weir-1"), count, "{why}");
            assert_eq!(has_visited(&headers, "weir-1", "edge-0"), visited, "{why}");
        }
    }

    #[test]
    fn junk_before_our_members_hides_none_of_them() {
        for junk in JUNK {
            let mut headers = headers(&CDN_LOOP, &[junk]);
            headers.insert(VIA, HeaderValue::from_bytes(junk).expect("well-formed value"));
            append_via(&mut headers, Version::HTTP_11, "edge-0");
            for visits in 1..=3 {
                append_cdn_loop(&mut headers, "weir-1", "edge \"0\"");
                assert_eq!(loop_count(&headers, "weir-1"), visits, "{headers:?}");
            }
            assert!(has_visited(&headers, "weir-1", "edge \"0\""), "{headers:?}");
            assert!(via_contains(&headers, "edge-0"), "{headers:?}");
        }
    }
}
