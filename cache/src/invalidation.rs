//! What a successful change makes doubtful (RFC 9111 §4.4).
//!
//! Marking the responses is the store's work, at every tier on the path.

use http::header::{CONTENT_LOCATION, HeaderName, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::reference::same_origin_uri;

/// Says whether a response with `status` to `method` invalidates what is stored for the target.
///
/// Methods that are not known to be safe (RFC 9110 §9.2.1) count as changes, and only success and
/// redirection as changed.
pub fn invalidates(method: &Method, status: StatusCode) -> bool {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method);
    !safe && (status.is_success() || status.is_redirection())
}

/// Returns the absolute URIs that Location and Content-Location name within the origin of `target`.
///
/// `target` is an absolute URI. References to other origins are left out: nobody may invalidate
/// what belongs to another (RFC 9111 §4.4).
pub fn same_origin_references(target: &str, response_headers: &HeaderMap) -> Vec<String> {
    let names: [HeaderName; 2] = [LOCATION, CONTENT_LOCATION];
    names
        .iter()
        .flat_map(|name| response_headers.get_all(name))
        .map(HeaderValue::to_str)
        .filter_map(|reference| same_origin_uri(target, reference.ok()?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{TARGET, headers};

    #[test]
    fn successful_changes_invalidate() {
        // (method, status, expected, why); RFC 9111 §4.4.
        const CASES: &[(&str, u16, bool, &str)] = &[
            ("POST", 200, true, "changed"),
            ("PUT", 204, true, "changed"),
            ("DELETE", 303, true, "redirection is success"),
            ("M-SEARCH", 200, true, "not known to be safe"),
            ("get", 200, true, "methods are case-sensitive, so this one is unknown"),
            ("POST", 404, false, "refused"),
            ("POST", 500, false, "failed"),
            ("POST", 103, false, "not final"),
            ("GET", 200, false, "safe"),
            ("HEAD", 200, false, "safe"),
            ("OPTIONS", 200, false, "safe"),
            ("TRACE", 200, false, "safe"),
        ];
        for &(method, status, expected, why) in CASES {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(invalidates(&method, status), expected, "{why}: {method} {status}");
        }
    }

    #[test]
    fn references_within_the_origin_are_followed() {
        let fields = "Location: /x\nContent-Location: y\nLocation: http://evil.test/z";
        assert_eq!(
            same_origin_references(TARGET, &headers(fields)),
            ["http://example.com/x", "http://example.com/a/y"]
        );
        assert!(same_origin_references(TARGET, &headers("Location: http://[")).is_empty());
        assert!(same_origin_references(TARGET, &HeaderMap::new()).is_empty());
    }
}
