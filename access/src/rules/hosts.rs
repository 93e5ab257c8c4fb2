//! Which host does a URL in a header field name, and is it one of a list?
//!
//! `http://good.example:80@evil.example/` names `evil.example` to a browser and `good.example` to a careless reader. So
//! what does not parse strictly has no host at all, and hosts are matched by whole labels: `evil-example.com` is
//! neither `example.com` nor below it.
//!
//! # Invariant
//!
//! Nothing is allocated: a request without rules that refuse it costs no more for having been looked at.

use std::collections::HashSet;
use std::net::Ipv6Addr;

use weir_cache::HostPattern;

/// Bytes of the longest host name (RFC 1035 §2.3.4).
const NAME_MAX: usize = 253;

/// A host in normal form: lower case, without the root's dot, without port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "on the stack for one check; a box would be an allocation"
)]
pub(crate) enum Host {
    Name { bytes: [u8; NAME_MAX], len: usize },
    V6(Ipv6Addr),
}

impl Host {
    /// Reads the host of `http://host:port/...` or `https://...`; `None` if there is any doubt.
    pub(crate) fn of_url(url: &[u8]) -> Option<Self> {
        let rest = strip_scheme(url)?;
        let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
        Self::of_authority(rest.get(..end)?)
    }

    /// Reads `host` or `host:port`.
    pub(crate) fn of_authority(authority: &[u8]) -> Option<Self> {
        let (name, port) = if authority.first() == Some(&b'[') {
            let end = authority.iter().position(|byte| *byte == b']')?.checked_add(1)?;
            authority.split_at_checked(end)?
        } else {
            let end = authority.iter().position(|byte| *byte == b':').unwrap_or(authority.len());
            authority.split_at_checked(end)?
        };
        if !is_port(port) {
            return None;
        }
        match name.strip_prefix(b"[") {
            Some(literal) => {
                let text = std::str::from_utf8(literal.strip_suffix(b"]")?).ok()?;
                text.parse().ok().map(Self::V6)
            }
            None => Self::of_name(name),
        }
    }

    fn of_name(name: &[u8]) -> Option<Self> {
        let name = name.strip_suffix(b".").unwrap_or(name);
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let label = |label: &[u8]| !label.is_empty() && label.iter().all(plain);
        if !name.split(|byte| *byte == b'.').all(label) {
            return None;
        }
        let mut bytes = [0; NAME_MAX];
        let lower = bytes.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        Some(Self::Name { bytes, len: name.len() })
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Name { bytes, len } => std::str::from_utf8(bytes.get(..*len)?).ok(),
            Self::V6(_) => None,
        }
    }
}

fn strip_scheme(url: &[u8]) -> Option<&[u8]> {
    [&b"https://"[..], b"http://"].into_iter().find_map(|scheme| {
        let (given, rest) = url.split_at_checked(scheme.len())?;
        given.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// Nothing, or a colon and up to five digits.
fn is_port(text: &[u8]) -> bool {
    match text.split_first() {
        None => true,
        Some((b':', digits)) => {
            (1..=5).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
        }
        Some(_) => false,
    }
}

/// Patterns for hosts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    any: bool,
    exact: HashSet<String>,
    below: HashSet<String>,
    v6: HashSet<Ipv6Addr>,
}

impl Hosts {
    pub(crate) fn new(patterns: impl IntoIterator<Item = HostPattern>) -> Self {
        let mut hosts = Self::default();
        for pattern in patterns {
            match pattern {
                HostPattern::Any => hosts.any = true,
                HostPattern::Suffix(name) => {
                    hosts.below.insert(name);
                }
                HostPattern::Exact(name) => match Host::of_authority(name.as_bytes()) {
                    Some(Host::V6(address)) => {
                        hosts.v6.insert(address);
                    }
                    _ => {
                        hosts.exact.insert(name);
                    }
                },
            }
        }
        hosts
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.any && self.exact.is_empty() && self.below.is_empty() && self.v6.is_empty()
    }

    /// Says whether a pattern stands for the host. Costs a look-up a label.
    pub(crate) fn have(&self, host: &Host) -> bool {
        if self.any {
            return true;
        }
        if let Host::V6(address) = host {
            return self.v6.contains(address);
        }
        let Some(name) = host.name() else { return false };
        let names = std::iter::successors(Some(name), |name| Some(name.split_once('.')?.1));
        self.exact.contains(name) || names.skip(1).any(|above| self.below.contains(above))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_one_host_or_none() {
        // (url, host)
        const CASES: &[(&[u8], Option<&str>)] = &[
            (b"http://example.com", Some("example.com")),
            (b"HTTPS://WWW.Example.COM:8443/a?b#c", Some("www.example.com")),
            (b"http://example.com./", Some("example.com")),
            (b"http://example.com?x=@evil.test", Some("example.com")),
            (b"http://example.com#@evil.test", Some("example.com")),
            (b"http://127.0.0.1:80/", Some("127.0.0.1")),
            (b"http://example.com/\xff", Some("example.com")),
            (b"http://good.test:80@evil.test/", None),
            (b"http://good.test@evil.test/", None),
            (b"http://good.test\\@evil.test/", None),
            (b"http://evil.test\\.good.test/", None),
            (b"http://good.test%2eevil.test/", None),
            (b"http://good.test:x/", None),
            (b"http://good.test:/", None),
            (b"http://good.test:123456/", None),
            (b"http:///good.test/", None),
            (b"http:/good.test/", None),
            (b"//good.test/", None),
            (b"good.test", None),
            (b"ftp://good.test/", None),
            (b"http://go od.test/", None),
            (b"http://good..test/", None),
            (b"http://\xc3\xa9.test/", None),
            (b" http://good.test/", None),
            (b"about:blank", None),
            (b"null", None),
            (b"http://[::1", None),
            (b"http://[127.0.0.1]/", None),
        ];
        for &(url, expected) in CASES {
            let host = Host::of_url(url);
            let name = host.as_ref().and_then(Host::name);
            assert_eq!(name, expected, "{}", String::from_utf8_lossy(url));
            assert_eq!(host.is_some(), expected.is_some());
        }
        let long = format!("http://{}/", "a.".repeat(127));
        assert!(Host::of_url(long.as_bytes()).is_some(), "253 and the root's dot");
        let long = format!("http://{}/", "a.".repeat(128));
        assert_eq!(Host::of_url(long.as_bytes()), None);
    }

    #[test]
    fn hosts_are_matched_by_whole_labels() {
        let patterns = ["example.com", "*.example.com", "*.img.test", "[2001:db8::1]", "10.0.0.1"];
        let hosts = Hosts::new(patterns.map(|text| text.parse().unwrap()));
        // (host, expected)
        const CASES: &[(&str, bool)] = &[
            ("example.com", true),
            ("EXAMPLE.com.", true),
            ("a.b.example.com", true),
            ("evil-example.com", false),
            ("example.com.evil.test", false),
            ("notexample.com", false),
            ("img.test", false),
            ("a.img.test", true),
            ("com", false),
            ("[2001:DB8:0::1]:80", true),
            ("[::1]", false),
            ("10.0.0.1", true),
            ("1.10.0.0.1", false),
        ];
        for &(host, expected) in CASES {
            let host_read = Host::of_authority(host.as_bytes()).unwrap();
            assert_eq!(hosts.have(&host_read), expected, "{host}");
        }
        let any = Hosts::new(["*".parse().unwrap()]);
        assert!(any.have(&Host::of_authority(b"[::1]").unwrap()));
        assert!(Hosts::default().is_empty() && !any.is_empty());
    }
}
