//! For whom is this request forwarded (RFC 7239)?
//!
//! Written by the node that faces the client. The client's address is added behind what the client
//! claims; host and protocol are replaced, because origins build links from them and whoever chose
//! them could have those links stored for others.

use std::net::IpAddr;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header::FORWARDED;

use crate::member::append_member;
use crate::member::push_string;
use crate::target::Scheme;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Adds `client`, which asked for `host` by `scheme`, to `Forwarded` and the `X-Forwarded-*` fields.
///
/// Where a `Forwarded` line has an open quote, all lines are dropped: our element behind it would
/// be read as part of the quoted text.
pub fn append_forwarded(headers: &mut HeaderMap, client: IpAddr, host: &str, scheme: Scheme) {
    // A socket for both families reports IPv4 clients as mapped addresses.
    let client = client.to_canonical();
    let address = client.to_string();
    append_member(headers, &X_FORWARDED_FOR, &address);
    if headers.get_all(FORWARDED).iter().any(|line| ends_in_quotes(line.as_bytes())) {
        headers.remove(FORWARDED);
    }
    append_member(headers, &FORWARDED, &element((client, &address), host, scheme));
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme.as_str()));
    match HeaderValue::from_str(host) {
        Ok(host) => headers.insert(X_FORWARDED_HOST, host),
        Err(_unwritable) => headers.remove(X_FORWARDED_HOST),
    };
}

/// Writes one element of `Forwarded` (RFC 7239 §4). IPv6 goes in brackets and quotes (§6).
fn element((client, address): (IpAddr, &str), host: &str, scheme: Scheme) -> String {
    let [before, behind] =
        if client.is_ipv6() { ["for=\"[", "]\";host="] } else { ["for=", ";host="] };
    let mut element =
        String::with_capacity(address.len().saturating_add(host.len()).saturating_add(40));
    for part in [before, address, behind] {
        element.push_str(part);
    }
    push_string(&mut element, host);
    element.push_str(";proto=");
    element.push_str(scheme.as_str());
    element
}

/// Says whether a quoted string is still open at the end of `line` (RFC 9110 §5.6.4).
fn ends_in_quotes(line: &[u8]) -> bool {
    let mut quoted = false;
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            // What follows is data, a quote as well.
            b'\\' if quoted => {
                bytes.next();
            }
            _ => {}
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
        let text = |line: &HeaderValue| line.to_str().expect("visible ASCII").to_owned();
        headers.get_all(name).iter().map(text).collect()
    }

    #[test]
    fn a_client_is_added_behind_those_before_it() {
        const CASES: &[(&str, &str, &str, &str)] = &[
            ("192.0.2.1", "192.0.2.1", "for=192.0.2.1", "IPv4"),
            ("2001:db8::1", "2001:db8::1", "for=\"[2001:db8::1]\"", "IPv6"),
            ("::ffff:192.0.2.1", "192.0.2.1", "for=192.0.2.1", "IPv4 on a socket for both"),
        ];
        for &(client, address, node, why) in CASES {
            let mut headers = HeaderMap::new();
            let client = client.parse().expect("an address");
            append_forwarded(&mut headers, client, "a.b:8080", Scheme::Https);
            let element = format!("{node};host=\"a.b:8080\";proto=https");
            assert_eq!(lines(&headers, &X_FORWARDED_FOR), [address], "{why}");
            assert_eq!(lines(&headers, &FORWARDED), [element.as_str()], "{why}");
            append_forwarded(&mut headers, client, "a.b:8080", Scheme::Https);
            assert_eq!(lines(&headers, &X_FORWARDED_FOR), [format!("{address}, {address}")]);
            assert_eq!(lines(&headers, &FORWARDED), [format!("{element}, {element}")]);
        }
    }

    #[test]
    fn a_client_chooses_neither_host_nor_protocol() {
        let mut headers = HeaderMap::new();
        for name in [X_FORWARDED_HOST, X_FORWARDED_PROTO] {
            headers.append(&name, HeaderValue::from_static("evil"));
            headers.append(&name, HeaderValue::from_static("evil2"));
        }
        let client = IpAddr::from([192, 0, 2, 1]);
        append_forwarded(&mut headers, client, "a.b", Scheme::Http);
        assert_eq!(lines(&headers, &X_FORWARDED_HOST), ["a.b"]);
        assert_eq!(lines(&headers, &X_FORWARDED_PROTO), ["http"]);
        append_forwarded(&mut headers, client, "a\r\nb", Scheme::Http);
        assert!(lines(&headers, &X_FORWARDED_HOST).is_empty(), "no host rather than the old one");
    }

    #[test]
    fn an_open_quote_does_not_swallow_our_element() {
        const CASES: &[(&str, bool, &str)] = &[
            ("for=\"a\"", true, "closed"),
            ("for=\"a\\\"b\"", true, "a quote inside"),
            ("for=a\\\"b\"", true, "outside quotes a backslash is nothing special"),
            ("for=\"a", false, "open"),
            ("for=\"a\\\"", false, "open behind an escaped quote"),
            ("for=\"a\\", false, "open behind an escape"),
        ];
        for &(claimed, kept, why) in CASES {
            let mut headers = HeaderMap::new();
            headers.append(FORWARDED, HeaderValue::from_static("for=b"));
            headers.append(FORWARDED, HeaderValue::from_static(claimed));
            append_forwarded(&mut headers, IpAddr::from([192, 0, 2, 1]), "a.b", Scheme::Http);
            let ours = "for=192.0.2.1;host=\"a.b\";proto=http";
            let before = if kept { format!("for=b, {claimed}, ") } else { String::new() };
            assert_eq!(lines(&headers, &FORWARDED), [format!("{before}{ours}")], "{why}");
        }
    }
}
