//! List fields: field lines; every one of them is read as a list and as what else reads lists.

#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use weir_cache::{
    Direction, RequestDirectives, list_members, parse_age, reduce_accept_encoding, strip_hop_by_hop,
};
use weir_fuzz::fields;

fuzz_target!(|data: &[u8]| {
    let headers = fields(data);
    for name in headers.keys() {
        let found: Vec<&[u8]> = list_members(&headers, name).collect();
        assert_eq!(found, line_by_line(&headers, name), "lines do not reach into one another");
        for member in &found {
            check_member(member);
        }
        check_joined(&headers, name);
    }
    let _ = RequestDirectives::parse(&headers);
    assert!(parse_age(&headers).as_secs() <= 1 << 31);
    check_encodings(&headers);
    check_strip(&headers);
});

fn line_by_line<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Vec<&'a [u8]> {
    let mut found = Vec::new();
    for line in headers.get_all(name) {
        let line = line.as_bytes();
        if line.contains(&b'"') {
            found.extend(split_quoted(line));
        } else {
            found.extend(line.split(|&byte| byte == b',').map(trim).filter(|m| !m.is_empty()));
        }
    }
    found
}

/// Splits at commas outside quoted strings (RFC 9110 §5.6.4), told in another way than the library:
/// by where each string ends.
fn split_quoted(line: &[u8]) -> Vec<&[u8]> {
    let mut members = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < line.len() {
        match line[at] {
            b',' => {
                members.push(trim(&line[start..at]));
                start = at + 1;
            }
            b'"' => at = end_of_string(line, at + 1),
            _ => {}
        }
        at += 1;
    }
    members.push(trim(&line[start.min(line.len())..]));
    members.retain(|member| !member.is_empty());
    members
}

/// Finds the quote that closes a string, or the end of the line.
fn end_of_string(line: &[u8], mut at: usize) -> usize {
    while at < line.len() && line[at] != b'"' {
        at += if line[at] == b'\\' { 2 } else { 1 };
    }
    at
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

fn check_member(member: &[u8]) {
    assert!(!member.is_empty() && trim(member) == member);
    assert!(member.contains(&b'"') || !member.contains(&b','));
}

/// Lines whose quotes are closed mean the same on one line (RFC 9110 §5.3).
fn check_joined(headers: &HeaderMap, name: &http::HeaderName) {
    let found: Vec<&[u8]> = list_members(headers, name).collect();
    let closed = |line: &&[u8]| {
        let mut at = 0;
        while at < line.len() {
            if line[at] == b'"' {
                at = end_of_string(line, at + 1);
                if at >= line.len() {
                    return false;
                }
            }
            at += 1;
        }
        true
    };
    if !found.iter().all(closed) {
        return;
    }
    let joined = HeaderValue::from_bytes(&found.join(b", ".as_slice())).expect("of legal bytes");
    let one = HeaderMap::from_iter([(name.clone(), joined)]);
    assert_eq!(list_members(&one, name).collect::<Vec<_>>(), found);
}

fn check_encodings(headers: &HeaderMap) {
    let mut once = headers.clone();
    reduce_accept_encoding(&mut once);
    let mut twice = once.clone();
    reduce_accept_encoding(&mut twice);
    assert_eq!(once, twice);
}

/// Nothing of the connection is left, and a second time changes nothing.
fn check_strip(headers: &HeaderMap) {
    for direction in [Direction::Request, Direction::Response] {
        let mut once = headers.clone();
        strip_hop_by_hop(&mut once, direction);
        for gone in ["connection", "te", "trailer", "transfer-encoding", "upgrade", "keep-alive"] {
            assert!(!once.contains_key(gone), "{gone}");
        }
        for kept in ["cache-control", "content-length", "vary", "age", "date", "set-cookie"] {
            assert_eq!(once.contains_key(kept), headers.contains_key(kept), "{kept}");
        }
        let mut twice = once.clone();
        strip_hop_by_hop(&mut twice, direction);
        assert_eq!(once, twice);
    }
}
