//! Traces of hops: a line with the name of the CDN, one with that of the node, then the fields of a
//! request as a client may send them.

#![no_main]

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Version};
use libfuzzer_sys::fuzz_target;
use weir_cache::{
    CacheStatus, ForwardReason, ProxyError, Scheme, append_cdn_loop, append_forwarded, append_via,
    has_visited, loop_count, proxy_status_value, via_contains,
};
use weir_fuzz::{Input, fields};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (cdn, node) = (input.text(), input.text());
    let claimed = fields(input.rest());
    check_via(&claimed, &node);
    check_loop(&claimed, &cdn, &node);
    check_forwarded(&claimed, &node);
    check_status(&claimed, &node);
});

/// Whatever the client claims, our member is found behind it.
fn check_via(claimed: &HeaderMap, node: &str) {
    let mut headers = claimed.clone();
    append_via(&mut headers, Version::HTTP_11, node);
    assert!(via_contains(&headers, node), "{headers:?}");
    check_kept(claimed, &headers, "via");
}

fn check_loop(claimed: &HeaderMap, cdn: &str, node: &str) {
    let before = loop_count(claimed, cdn);
    let mut headers = claimed.clone();
    for visits in 1..=2 {
        append_cdn_loop(&mut headers, cdn, node);
        assert_eq!(loop_count(&headers, cdn), before + visits, "{headers:?}");
        assert!(has_visited(&headers, cdn, node), "{headers:?}");
    }
    check_kept(claimed, &headers, "cdn-loop");
}

/// One line, which begins with the lines before.
fn check_kept(claimed: &HeaderMap, headers: &HeaderMap, name: &str) {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    assert_eq!(lines.len(), 1);
    let mut rest = lines[0];
    let claimed = claimed.get_all(name).iter().map(|line| line.as_bytes().trim_ascii());
    // A line without members leaves nothing behind, not even a comma.
    for before in claimed.filter(|line| !line.is_empty()) {
        rest = rest.strip_prefix(before).expect("it stays");
        rest = rest.strip_prefix(b", ").unwrap_or(rest);
    }
    assert!(!rest.is_empty());
}

/// The last element, as a parser of RFC 7239 finds it, is ours.
fn check_forwarded(claimed: &HeaderMap, host: &str) {
    for (client, node) in [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "\"[2001:db8::1]\"")] {
        let client: IpAddr = client.parse().expect("an address");
        let mut headers = claimed.clone();
        append_forwarded(&mut headers, client, host, Scheme::Https);
        let line = headers.get("forwarded").expect("it was appended").as_bytes();
        let last = last_element(line);
        assert!(last.starts_with(format!("for={node};host=\"").as_bytes()), "{headers:?}");
        assert!(last.ends_with(b"\";proto=https"), "{headers:?}");
        let for_line = headers.get("x-forwarded-for").expect("it was appended").as_bytes();
        let last = for_line.rsplit(|&byte| byte == b',').next().unwrap_or_default();
        assert_eq!(last.trim_ascii(), client.to_string().as_bytes());
        for single in ["x-forwarded-proto", "x-forwarded-host", "x-forwarded-for", "forwarded"] {
            assert!(headers.get_all(single).iter().count() <= 1, "{single}");
        }
        assert_eq!(headers["x-forwarded-proto"], "https");
        let named = HeaderValue::from_str(host).ok();
        assert_eq!(headers.get("x-forwarded-host"), named.as_ref());
    }
}

/// Splits at commas outside quoted strings.
fn last_element(line: &[u8]) -> &[u8] {
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => start = at + 1,
            _ => {}
        }
    }
    assert!(!quoted, "no quote is left open");
    line[start..].trim_ascii()
}

/// What we write ourselves is a structured field whatever the names.
fn check_status(claimed: &HeaderMap, name: &str) {
    let mut headers = HeaderMap::new();
    CacheStatus::hit(name.to_owned()).append_to(&mut headers);
    CacheStatus::forwarded(name.to_owned(), ForwardReason::Stale).append_to(&mut headers);
    assert_eq!(items(&headers["cache-status"]), Some(2));
    let value = proxy_status_value(name, ProxyError::DnsError, Some(name));
    assert_eq!(items(&value), Some(1));
    let mut headers = claimed.clone();
    CacheStatus::hit(name.to_owned()).append_to(&mut headers);
    check_kept(claimed, &headers, HeaderName::from_static("cache-status").as_str());
}

fn items(value: &HeaderValue) -> Option<usize> {
    sfv::Parser::new(value.as_bytes()).parse::<sfv::List>().ok().map(|list| list.len())
}
