//! Which request fields may an origin take for the truth about a request that the key knows nothing of?
//!
//! Frameworks build links, redirects and access decisions from fields that any client can send. A
//! response made from one would be stored for everyone under a key that does not contain it: cache
//! poisoning. These fields therefore go no further than the first node, unless the site makes them part
//! of the key. The fields that the first node sets itself are in [`crate::append_forwarded`].

use http::HeaderMap;
use http::header::HeaderName;

use crate::key::KeyRules;

/// Removes from a client's request every field that names another host, path, scheme, method or address
/// than the request itself, and that `rules` do not put into the key.
///
/// Costs one comparison of names for each field of the request.
pub fn strip_unkeyed(headers: &mut HeaderMap, rules: &KeyRules) {
    let found: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_override(name.as_str()) && !rules.headers.contains(name))
        .cloned()
        .collect();
    for name in found {
        headers.remove(name);
    }
}

/// Whether `name` is one of the fields that servers and frameworks are known to believe.
fn is_override(name: &str) -> bool {
    if !name.contains('_') {
        return is_believed(name);
    }
    // Gateways of the kind of CGI make no difference between `_` and `-`, so that under another name also the fields
    // could be set that the first node sets itself.
    let name = name.replace('_', "-");
    is_believed(&name) || name.starts_with("x-forwarded-") || name == "forwarded"
}

fn is_believed(name: &str) -> bool {
    if name.starts_with("x-invoke-") || name.starts_with("x-react-router-") {
        return true;
    }
    if let Some(rest) = name.strip_prefix("x-forwarded-") {
        // The first node appends to or replaces these three.
        return !matches!(rest, "for" | "host" | "proto");
    }
    matches!(
        name,
        "base-url"
            | "cf-connecting-ip"
            | "client-ip"
            | "destination"
            | "fastly-client-ip"
            | "front-end-https"
            | "proxy"
            | "proxy-host"
            | "request-uri"
            | "true-client-ip"
            | "x-amz-website-redirect-location"
            | "x-backend-host"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "x-forwarded"
            | "x-envoy-original-path"
            | "x-host"
            | "x-http-destinationurl"
            | "x-http-host-override"
            | "x-http-method"
            | "x-http-method-override"
            | "x-matched-path"
            | "x-method-override"
            | "x-middleware-invoke"
            | "x-middleware-prefetch"
            | "x-middleware-rewrite"
            | "x-middleware-subrequest"
            | "x-nextjs-data"
            | "x-now-route-matches"
            | "x-original-forwarded-for"
            | "x-original-host"
            | "x-original-uri"
            | "x-original-url"
            | "x-override-url"
            | "x-originating-ip"
            | "x-proxy-url"
            | "x-real-ip"
            | "x-remote-addr"
            | "x-remote-ip"
            | "x-rewrite-url"
            | "x-scheme"
            | "x-url-scheme"
            | "x-wap-profile"
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn left(names: &[&'static str], rules: &KeyRules) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.insert(*name, HeaderValue::from_static("evil.example"));
        }
        strip_unkeyed(&mut headers, rules);
        headers.keys().map(|name| name.as_str().to_owned()).collect()
    }

    #[test]
    fn fields_that_contradict_the_request_stay_with_the_client() {
        let rules = KeyRules::default();
        for name in [
            "x-forwarded-scheme",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x-forwarded-server",
            "x-host",
            "x-original-url",
            "x-rewrite-url",
            "x-http-method-override",
            "x-middleware-subrequest",
            "true-client-ip",
        ] {
            assert!(left(&[name], &rules).is_empty(), "{name}");
        }
    }

    #[test]
    fn ordinary_fields_and_those_that_the_first_node_sets_pass() {
        let names = ["accept", "cookie", "user-agent", "x-forwarded-for", "x-requested-with"];
        assert_eq!(left(&names, &KeyRules::default()), names);
    }

    #[test]
    fn a_field_that_is_part_of_the_key_passes() {
        let name = HeaderName::from_static("x-nextjs-data");
        let rules = KeyRules { headers: vec![name], ..KeyRules::default() };
        assert_eq!(left(&["x-nextjs-data", "x-host"], &rules), ["x-nextjs-data"]);
    }
}
