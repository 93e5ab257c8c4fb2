//! What TLS means to one site: where clients without it are sent, and what those with it are told.
//!
//! # Invariants
//!
//! 1. A redirect leads to the host that was asked for, which this site has, and to no other.
//! 2. `Strict-Transport-Security` of a site's own is sent over TLS only, and never for an IP address (RFC 6797 §7.2, §8.1.1).

use http::header::STRICT_TRANSPORT_SECURITY;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use weir_cache::Target;

use super::names::address_of;
use crate::config::SiteTls;

/// Where certificate authorities look for proof that a host is ours, over plain HTTP (RFC 8555 §8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// The keys of `[site.tls]` as requests need them.
#[derive(Debug)]
pub(crate) struct SiteSecurity {
    redirect: bool,
    redirect_port: Option<u16>,
    hsts: Option<HeaderValue>,
    /// Whether clients without a certificate are turned away.
    pub(crate) requires_certificate: bool,
    /// The field in which the origin is told whose certificate a client has shown.
    pub(crate) certificate_field: Option<HeaderName>,
}

impl SiteSecurity {
    /// What `config` says.
    pub(crate) fn new(config: &SiteTls) -> Self {
        Self {
            redirect: config.redirect,
            redirect_port: config.redirect_port,
            hsts: hsts(config),
            requires_certificate: config.require_client_certificate,
            certificate_field: config.client_certificate_field.clone(),
        }
    }

    /// Whether a plain request may be answered with something else than the response, or changed before.
    pub(crate) fn concerns(&self, secured: bool) -> bool {
        let redirects = self.redirect && !secured;
        redirects || self.requires_certificate || self.certificate_field.is_some()
    }

    /// Where a request for `target` that came without TLS is sent, and how; `None` where it is answered.
    /// `own_port` is where this node listens for TLS.
    pub(crate) fn redirect(
        &self,
        method: &Method,
        target: &Target,
        own_port: Option<u16>,
    ) -> Option<(StatusCode, HeaderValue)> {
        let port = self.redirect_port.or(own_port).filter(|_| self.redirect)?;
        if is_challenge(target.path()) {
            return None;
        }
        let host = target.host_without_port();
        let port = if port == 443 { String::new() } else { format!(":{port}") };
        let location = format!("https://{host}{port}{}", target.path_and_query());
        // Everyone knows 301; only 308 keeps other methods and their bodies (RFC 9110 §15.4.9).
        let status = match *method {
            Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
            _ => StatusCode::PERMANENT_REDIRECT,
        };
        HeaderValue::from_str(&location).ok().map(|location| (status, location))
    }

    /// Says in the answer to a request over TLS for `host` how long clients are to use TLS only.
    pub(crate) fn promise(&self, host: &str, headers: &mut HeaderMap) {
        if let Some(hsts) = &self.hsts
            && address_of(host).is_none()
        {
            headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
    }
}

/// Whether `path` is one where certificate authorities look.
pub(crate) fn is_challenge(path: &str) -> bool {
    path.starts_with(CHALLENGES)
}

fn hsts(config: &SiteTls) -> Option<HeaderValue> {
    let mut text = format!("max-age={}", config.hsts?.as_secs());
    if config.hsts_subdomains {
        text.push_str("; includeSubDomains");
    }
    if config.hsts_preload {
        text.push_str("; preload");
    }
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_cache::Scheme;

    use super::*;

    #[test]
    fn redirects_lead_to_the_same_host_and_nowhere_else() {
        let port = |redirect_port| SiteTls { redirect: true, redirect_port, ..SiteTls::default() };
        // (keys, own port, method, authority, target, status and Location)
        type Case =
            (SiteTls, Option<u16>, Method, &'static str, &'static str, Option<&'static str>);
        let cases: [Case; 12] = [
            (SiteTls::default(), Some(443), Method::GET, "a.test", "/", None),
            (port(None), None, Method::GET, "a.test", "/", None),
            (
                port(None),
                Some(443),
                Method::GET,
                "a.test",
                "/x?y=1&z",
                Some("301 https://a.test/x?y=1&z"),
            ),
            (port(None), Some(443), Method::HEAD, "A.test.", "/", Some("301 https://a.test/")),
            (
                port(None),
                Some(8443),
                Method::GET,
                "a.test:8080",
                "/",
                Some("301 https://a.test:8443/"),
            ),
            (
                port(Some(443)),
                Some(8443),
                Method::GET,
                "a.test:8080",
                "/",
                Some("301 https://a.test/"),
            ),
            (port(Some(444)), None, Method::POST, "a.test", "/p", Some("308 https://a.test:444/p")),
            (port(None), Some(443), Method::OPTIONS, "a.test", "/", Some("308 https://a.test/")),
            (port(None), Some(443), Method::GET, "[::1]:80", "/", Some("301 https://[::1]/")),
            (
                port(None),
                Some(443),
                Method::GET,
                "a.test",
                "//evil.test/",
                Some("301 https://a.test//evil.test/"),
            ),
            (port(None), Some(443), Method::GET, "a.test", "/.well-known/acme-challenge/t", None),
            (
                port(None),
                Some(443),
                Method::GET,
                "a.test",
                "/.well-known/acme-challenge",
                Some("301 https://a.test/.well-known/acme-challenge"),
            ),
        ];
        for (keys, own, method, authority, path, expected) in cases {
            let target = Target::parse(Scheme::Http, authority, path).unwrap().without_port();
            let sent = SiteSecurity::new(&keys).redirect(&method, &target, own);
            let sent =
                sent.map(|(status, to)| format!("{} {}", status.as_u16(), to.to_str().unwrap()));
            assert_eq!(sent.as_deref(), expected, "{method} {authority} {path}");
        }
    }

    #[test]
    fn hosts_that_are_names_promise_what_the_site_says() {
        let hsts = |days: u64, hsts_subdomains, hsts_preload| SiteTls {
            hsts: Some(Duration::from_secs(days * 86_400)),
            hsts_subdomains,
            hsts_preload,
            ..SiteTls::default()
        };
        let cases = [
            (SiteTls::default(), "a.test", "origin's"),
            (hsts(365, false, false), "a.test", "max-age=31536000"),
            (hsts(365, true, true), "a.test", "max-age=31536000; includeSubDomains; preload"),
            (hsts(0, false, false), "a.test", "max-age=0"),
            (hsts(365, false, false), "127.0.0.1", "origin's"),
            (hsts(365, false, false), "[::1]", "origin's"),
        ];
        for (keys, host, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.append(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("origin's"));
            SiteSecurity::new(&keys).promise(host, &mut headers);
            let all: Vec<_> = headers.get_all(STRICT_TRANSPORT_SECURITY).iter().collect();
            assert_eq!(all, [expected], "{host}");
        }
    }
}
