//! Does a request ask for another protocol on its connection, and for which (RFC 9110 §7.8)?

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Version};

use crate::list::list_members;

/// The longest list of protocols that is passed on, in bytes.
const BYTES_MAX: usize = 256;

/// The protocols that a request asks to change to, as they are passed on; `None` where it asks for none
/// that a cache may pass on.
///
/// Only a GET in HTTP/1.1 that names Upgrade in Connection asks. `h2c` and its like are left out: they would
/// hand the client a connection to the upstream on which it may ask for anything, past every check here.
pub fn upgrade_protocols(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
) -> Option<HeaderValue> {
    let named =
        || list_members(headers, &CONNECTION).any(|member| member.eq_ignore_ascii_case(b"upgrade"));
    if *method != Method::GET || version != Version::HTTP_11 || !named() {
        return None;
    }
    let protocols: Vec<&[u8]> =
        list_members(headers, &UPGRADE).filter(|protocol| !is_http(protocol)).collect();
    let list = protocols.join(&b", "[..]);
    if list.is_empty() || list.len() > BYTES_MAX {
        return None;
    }
    HeaderValue::from_bytes(&list).ok()
}

/// Whether a protocol is HTTP itself, in clear text or behind TLS.
fn is_http(protocol: &[u8]) -> bool {
    let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
    ["h2c", "h2", "http", "tls"].iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::headers;

    #[test]
    fn a_get_that_says_so_on_its_connection_asks_for_protocols() {
        let long = format!("Connection: upgrade\nUpgrade: {}", "x".repeat(300));
        let cases: &[(&str, Option<&str>, &str)] = &[
            ("Connection: upgrade\nUpgrade: websocket", Some("websocket"), "as browsers say it"),
            ("Connection: keep-alive, Upgrade\nUpgrade: WebSocket", Some("WebSocket"), "any case"),
            ("Connection: upgrade\nUpgrade: a/1, b", Some("a/1, b"), "a list"),
            ("Connection: upgrade\nUpgrade: a\nUpgrade: b", Some("a, b"), "two lines"),
            ("Upgrade: websocket", None, "not named on the connection"),
            ("Connection: upgrade", None, "no protocol"),
            ("Connection: upgrade\nUpgrade: h2c", None, "HTTP in clear text"),
            ("Connection: upgrade\nUpgrade: H2C, websocket", Some("websocket"), "without it"),
            ("Connection: upgrade\nUpgrade: TLS/1.0, HTTP/2.0", None, "HTTP by other names"),
            (&long, None, "too long"),
        ];
        for &(fields, expected, why) in cases {
            let found = upgrade_protocols(&Method::GET, Version::HTTP_11, &headers(fields));
            assert_eq!(found, expected.map(HeaderValue::from_static), "{why}");
        }
        let asked = headers("Connection: upgrade\nUpgrade: websocket");
        assert_eq!(upgrade_protocols(&Method::POST, Version::HTTP_11, &asked), None);
        assert_eq!(upgrade_protocols(&Method::GET, Version::HTTP_10, &asked), None);
    }
}
