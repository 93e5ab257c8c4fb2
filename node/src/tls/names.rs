//! Which hosts is a certificate for, and which certificate is for a host?
//!
//! Names come from the subject alternative names alone (RFC 9525 §2). A `*` stands for exactly one label,
//! the first one. The exact name wins over the wildcard; of two certificates for one name, the first.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

/// A name that a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CertifiedName {
    /// An IP address.
    Address(IpAddr),
    /// Every host with one label before this domain.
    Below(String),
    /// This host.
    Exact(String),
}

impl CertifiedName {
    /// The DNS name `text` of a certificate; `None` where no host can match it.
    pub(crate) fn of_dns(text: &str) -> Option<Self> {
        let name = normal(text);
        let (wild, rest) = match name.strip_prefix("*.") {
            Some(domain) => (true, domain.to_owned()),
            None => (false, name),
        };
        let valid = rest.len() <= 253 && rest.split('.').all(is_label);
        // `*.com` would be for a whole registry; no authority signs it, and no client believes it.
        match (valid, wild) {
            (true, true) if rest.contains('.') => Some(Self::Below(rest)),
            (true, false) => Some(Self::Exact(rest)),
            _ => None,
        }
    }

    /// The address of 4 or 16 bytes in a certificate.
    pub(crate) fn of_address(bytes: &[u8]) -> Option<Self> {
        if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
            return Some(Self::Address(IpAddr::from(v4)));
        }
        <[u8; 16]>::try_from(bytes).ok().map(|v6| Self::Address(IpAddr::from(v6)))
    }

    /// Whether a client that asks `host` (without port, an IPv6 address in brackets) may be shown it.
    pub(crate) fn covers(&self, host: &str) -> bool {
        match self {
            Self::Address(address) => address_of(host) == Some(*address),
            Self::Below(domain) => {
                let host = normal(host);
                host.split_once('.').is_some_and(|(first, rest)| is_label(first) && rest == domain)
            }
            Self::Exact(name) => normal(host) == *name,
        }
    }
}

impl fmt::Display for CertifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Below(domain) => write!(f, "*.{domain}"),
            Self::Exact(name) => f.write_str(name),
        }
    }
}

/// The form in which names are compared.
pub(crate) fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// The address that `host` is, in brackets or not; `None` for a name.
pub(crate) fn address_of(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// What is there for a name.
#[derive(Debug)]
pub(crate) struct NameTable<T> {
    exact: HashMap<String, T>,
    below: HashMap<String, T>,
}

impl<T: Clone> NameTable<T> {
    /// A table of `entries`, of which the first for a name counts. Addresses are left out: no client asks
    /// for them by name (RFC 6066 §3).
    pub(crate) fn new<'a>(entries: impl Iterator<Item = (&'a CertifiedName, T)>) -> Self {
        let mut table = Self { exact: HashMap::new(), below: HashMap::new() };
        for (name, entry) in entries {
            match name {
                CertifiedName::Exact(name) => table.exact.entry(name.clone()).or_insert(entry),
                CertifiedName::Below(domain) => table.below.entry(domain.clone()).or_insert(entry),
                CertifiedName::Address(_) => continue,
            };
        }
        table
    }

    /// What is there for `host`; `None` if there is nothing.
    pub(crate) fn find(&self, host: &str) -> Option<&T> {
        let host = normal(host);
        self.exact.get(&host).or_else(|| {
            let (first, domain) = host.split_once('.')?;
            self.below.get(domain).filter(|_| is_label(first))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cover_hosts_label_by_label() {
        // (name in the certificate, host, covered, why)
        let cases = [
            ("a.test", "a.test", true, "the same"),
            ("A.test", "a.TEST.", true, "case and the final dot do not count"),
            ("a.test", "b.a.test", false, "below it"),
            ("*.a.test", "b.a.test", true, "one label"),
            ("*.a.test", "*.a.test", false, "a star is no label of a host"),
            ("*.a.test", "a.test", false, "the domain itself"),
            ("*.a.test", "c.b.a.test", false, "two labels"),
            ("*.a.test", ".a.test", false, "an empty label"),
            ("*.a.test", "b.a.test.", true, "the final dot"),
            ("localhost", "localhost", true, "one label alone"),
            ("1.2.3.4", "1.2.3.4", true, "an address written as a name"),
        ];
        for (name, host, covered, why) in cases {
            assert_eq!(
                CertifiedName::of_dns(name).unwrap().covers(host),
                covered,
                "{why}: {name} {host}"
            );
        }
        let v6 = CertifiedName::of_address(&std::net::Ipv6Addr::LOCALHOST.octets()).unwrap();
        assert!(v6.covers("[::1]") && v6.covers("[0:0::1]") && !v6.covers("localhost"));
        assert!(CertifiedName::of_address(&[127, 0, 0, 1]).unwrap().covers("127.0.0.1"));
    }

    #[test]
    fn what_no_host_can_match_is_no_name() {
        for bad in [
            "",
            "*",
            "*.",
            "*.test",
            "a.*.test",
            "a*.x.test",
            "a..b",
            "*.*.a.test",
            "a b",
            "é.test",
        ] {
            assert_eq!(CertifiedName::of_dns(bad), None, "{bad}");
        }
        assert_eq!(CertifiedName::of_address(&[1, 2, 3]), None);
    }

    #[test]
    fn the_exact_name_wins_and_then_the_first() {
        let names: Vec<_> = ["*.a.test", "www.a.test", "*.a.test", "b.test", "B.test"]
            .iter()
            .map(|name| CertifiedName::of_dns(name).unwrap())
            .collect();
        let table = NameTable::new(names.iter().zip(0..));
        // (host, entry)
        let cases = [
            ("www.a.test", Some(1)),
            ("WWW.A.test.", Some(1)),
            ("img.a.test", Some(0)),
            ("x.img.a.test", None),
            ("a.test", None),
            ("b.test", Some(3)),
            ("", None),
            (".", None),
            (".a.test", None),
        ];
        for (host, entry) in cases {
            assert_eq!(table.find(host).copied(), entry, "{host}");
        }
    }
}
