//! Which site does a host belong to?
//!
//! Hosts are matched by whole labels, so that `evil-example.com` is never taken for
//! `*.example.com`. What a site is, the table does not know. Ports are not looked at: a site is
//! the same on every port.
//!
//! # Invariants
//!
//! 1. The most specific pattern wins: an exact name, then the longest suffix, then `*`.
//! 2. No pattern is in the table twice, so the order of the configuration has no meaning.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use crate::host::normalize_name;

/// Hosts that a site answers for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `*`: any host.
    Any,
    /// `www.example.com`: this host. In the normal form that [`Target`](crate::Target) uses.
    Exact(String),
    /// `*.example.com`: every host below this name, one or more labels deep, not the name itself.
    /// Holds the name without `*.`, in normal form.
    Suffix(String),
}

/// A text that is no host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is not a host pattern (expected \"*\", a host without port such as \
     \"www.example.com\" or \"[2001:db8::1]\", or \"*.example.com\")"
)]
pub struct BadHostPattern {
    /// The text as it was given.
    pub given: String,
}

/// A pattern that two sites claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("host pattern \"{pattern}\" is listed twice")]
pub struct DuplicateHost {
    /// The pattern listed twice.
    pub pattern: HostPattern,
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(host) => f.write_str(host),
            Self::Suffix(name) => write!(f, "*.{name}"),
        }
    }
}

impl FromStr for HostPattern {
    type Err = BadHostPattern;

    fn from_str(text: &str) -> Result<Self, BadHostPattern> {
        let bad = || BadHostPattern { given: text.to_owned() };
        let normal = |name| normalize_name(name).map_err(|_reason| bad());
        match text.strip_prefix("*.") {
            _ if text == "*" => Ok(Self::Any),
            None => normal(text).map(Self::Exact),
            // An address has no labels.
            Some(name) if name.starts_with('[') => Err(bad()),
            Some(name) => normal(name).map(Self::Suffix),
        }
    }
}

/// Finds the entry of the site that answers for a host.
#[derive(Debug, Clone)]
pub struct HostTable<T> {
    any: Option<T>,
    exact: HashMap<String, T>,
    suffixes: HashMap<String, T>,
}

impl<T> HostTable<T> {
    /// Builds the table.
    ///
    /// # Errors
    ///
    /// [`DuplicateHost`] names the first pattern that is there twice.
    pub fn new(entries: Vec<(HostPattern, T)>) -> Result<Self, DuplicateHost> {
        let mut table = Self { any: None, exact: HashMap::new(), suffixes: HashMap::new() };
        for (pattern, entry) in entries {
            let replaced = match pattern.clone() {
                HostPattern::Any => table.any.replace(entry),
                HostPattern::Exact(host) => table.exact.insert(host, entry),
                HostPattern::Suffix(name) => table.suffixes.insert(name, entry),
            };
            if replaced.is_some() {
                return Err(DuplicateHost { pattern });
            }
        }
        Ok(table)
    }

    /// Finds the entry for a host in normal form, without port; `None` if no pattern matches.
    ///
    /// Costs one look-up per label of the host.
    pub fn find(&self, host_without_port: &str) -> Option<&T> {
        self.exact
            .get(host_without_port)
            .or_else(|| parents(host_without_port).find_map(|name| self.suffixes.get(name)))
            .or(self.any.as_ref())
    }
}

/// Names above `host`, the nearest (longest) first.
fn parents(host: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(host), |name| name.split_once('.').map(|(_, above)| above)).skip(1)
}

#[cfg(test)]
mod tests {
    use super::{DuplicateHost, HostPattern, HostTable};

    fn pattern(text: &str) -> HostPattern {
        text.parse().expect("well-formed pattern")
    }

    #[test]
    fn patterns_are_read_in_normal_form() {
        let cases = [
            ("*", HostPattern::Any),
            ("WWW.Example.com.", HostPattern::Exact("www.example.com".to_owned())),
            ("*.Example.com", HostPattern::Suffix("example.com".to_owned())),
            ("[2001:DB8::0:1]", HostPattern::Exact("[2001:db8::1]".to_owned())),
        ];
        for (text, expected) in cases {
            assert_eq!(pattern(text), expected, "{text}");
            assert_eq!(pattern(&expected.to_string()), expected, "written and read again: {text}");
        }
    }

    #[test]
    fn text_that_is_no_pattern_is_refused_with_what_was_expected() {
        for text in ["", "*.", "*example.com", "a.*.b", "**", "a.b:80", "http://a.b", "*.[::1]"] {
            let problem = text.parse::<HostPattern>().expect_err(text).to_string();
            assert!(problem.contains("*.example.com") && problem.contains(text), "{problem}");
        }
    }

    #[test]
    fn the_most_specific_pattern_wins() {
        let patterns = ["*", "example.com", "*.example.com", "*.img.example.com", "a.example.com"];
        let entries = patterns.map(|text| (pattern(text), text)).to_vec();
        let table = HostTable::new(entries).expect("no duplicates");
        const CASES: &[(&str, &str, &str)] = &[
            ("example.com", "example.com", "the name itself is not below itself"),
            ("a.example.com", "a.example.com", "exact before suffix"),
            ("b.example.com", "*.example.com", "one label below"),
            ("c.b.example.com", "*.example.com", "two labels below"),
            ("x.img.example.com", "*.img.example.com", "the longest suffix"),
            ("img.example.com", "*.example.com", "not below the longer suffix"),
            ("evil-example.com", "*", "labels are matched whole"),
            ("com", "*", "above"),
            ("[::1]", "*", "an address"),
        ];
        for &(host, expected, why) in CASES {
            assert_eq!(table.find(host), Some(&expected), "{why}: {host}");
        }
    }

    #[test]
    fn without_a_pattern_for_any_host_unknown_hosts_are_not_found() {
        let table = HostTable::new(vec![(pattern("*.example.com"), ())]).expect("no duplicates");
        assert_eq!(table.find("example.org"), None);
        assert_eq!(table.find("example.com"), None);
        assert_eq!(table.find(""), None);
    }

    #[test]
    fn a_pattern_listed_twice_is_named() {
        for text in ["*", "example.com", "*.example.com"] {
            let entries = vec![(pattern(text), 1), (pattern("x.org"), 2), (pattern(text), 3)];
            let problem = HostTable::new(entries).expect_err(text);
            assert_eq!(problem, DuplicateHost { pattern: pattern(text) });
            assert!(problem.to_string().contains(&format!("\"{text}\"")), "{problem}");
        }
    }
}
