//! What does one purge mean?
//!
//! A selector is written over normal forms: hosts in lower case, paths without dot segments, queries as
//! the site's key rules leave them. The scheme does not count, nor does the port, which is no part of
//! a key. Which hosts have a site is not known here.

use std::fmt;
use std::str::FromStr;

use crate::host::normalize_name;
use crate::target::{Scheme, Target};

use super::tags::TAG_BYTES_MAX;
use super::url_glob::UrlGlob;

/// Stored responses that a purge means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// Everything stored.
    Everything,
    /// URLs of this form.
    Glob(UrlGlob),
    /// Everything of this host.
    Host(Box<str>),
    /// URLs of one host whose path and query begin with this text, character by character.
    Prefix {
        /// The host.
        host: Box<str>,
        /// How path and query begin.
        path: Box<str>,
    },
    /// Responses that carry this tag.
    Tag(Box<str>),
    /// One URL, in every variant, for GET and HEAD: host, path and query.
    Url(Box<str>),
}

/// Why a text selects nothing, with what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no {what} (expected {expected})")]
pub struct BadSelector {
    /// What it was to be.
    pub what: &'static str,
    /// The text.
    pub given: String,
    /// What would have been right.
    pub expected: &'static str,
}

impl Selector {
    /// Selects one URL; `target` as the site's key rules leave it.
    pub fn url(target: &Target) -> Self {
        Self::Url(resource(target).into())
    }

    /// Reads a host.
    ///
    /// # Errors
    ///
    /// [`BadSelector`] if it is no host name or address without port.
    pub fn host(text: &str) -> Result<Self, BadSelector> {
        let expected = "a host without scheme and port, such as \"www.example.com\"";
        let bad = || BadSelector { what: "host", given: text.to_owned(), expected };
        normalize_name(text).map(|host| Self::Host(host.into())).map_err(|_reason| bad())
    }

    /// Reads the beginning of URLs, with or without a scheme.
    ///
    /// # Errors
    ///
    /// [`BadSelector`] without a host and a path, or with a query.
    pub fn prefix(text: &str) -> Result<Self, BadSelector> {
        let bad = |expected| BadSelector { what: "prefix", given: text.to_owned(), expected };
        let bare = without_scheme(text);
        let slash = bare
            .find('/')
            .ok_or_else(|| bad("a host and a path, such as \"https://www.example.com/img/\""))?;
        let (host, path) = bare.split_at(slash);
        if path.contains(['?', '#']) {
            return Err(bad(
                "no query; a glob such as \"www.example.com/search?q=*\" can have one",
            ));
        }
        let target = Target::parse(Scheme::Http, host, path).map_err(|_reason| {
            bad("a host and a path, such as \"https://www.example.com/img/\"")
        })?;
        Ok(Self::Prefix { host: target.host_without_port().into(), path: target.path().into() })
    }

    /// Reads a tag.
    ///
    /// # Errors
    ///
    /// [`BadSelector`] if it is empty, too long, or has control characters or spaces around it.
    pub fn tag(text: &str) -> Result<Self, BadSelector> {
        let fits = !text.is_empty() && text.len() <= TAG_BYTES_MAX;
        if fits && text.trim() == text && !text.chars().any(char::is_control) {
            return Ok(Self::Tag(text.into()));
        }
        let expected = "1 to 1024 bytes without control characters or spaces around them";
        Err(BadSelector { what: "tag", given: text.to_owned(), expected })
    }
}

/// Host, path and query of a target: what purges compare.
pub(crate) fn resource(target: &Target) -> String {
    format!("{}{}", target.host_without_port(), target.path_and_query())
}

/// A URL without `http://` or `https://`, whose letters may have any case.
pub(super) fn without_scheme(text: &str) -> &str {
    ["http://", "https://"]
        .iter()
        .find_map(|scheme| {
            let head = text.get(..scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then(|| text.get(scheme.len()..)).flatten()
        })
        .unwrap_or(text)
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Glob(glob) => write!(f, "glob:{glob}"),
            Self::Host(host) => write!(f, "host:{host}"),
            Self::Prefix { host, path } => write!(f, "prefix:{host}{path}"),
            Self::Tag(tag) => write!(f, "tag:{tag}"),
            Self::Url(url) => write!(f, "url:{url}"),
        }
    }
}

/// Reads what [`Display`](fmt::Display) writes: the form in the log and between nodes.
impl FromStr for Selector {
    type Err = BadSelector;

    fn from_str(text: &str) -> Result<Self, BadSelector> {
        if text == "everything" {
            return Ok(Self::Everything);
        }
        let expected = "everything, or url:, prefix:, host:, tag: or glob: and what it names";
        let bad = || BadSelector { what: "selector", given: text.to_owned(), expected };
        let (kind, rest) = text.split_once(':').ok_or_else(bad)?;
        match kind {
            "glob" => rest.parse().map(Self::Glob),
            "host" => Self::host(rest),
            // Written from normal forms, so nothing is normalized again.
            "prefix" => {
                let slash = rest.find('/').ok_or_else(bad)?;
                let (host, path) = rest.split_at(slash);
                Ok(Self::Prefix { host: host.into(), path: path.into() })
            }
            "tag" => Self::tag(rest),
            "url" if rest.contains('/') => Ok(Self::Url(rest.into())),
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_in_normal_form_and_written_back() {
        let cases = [
            (Selector::host("WWW.Example.com"), "host:www.example.com"),
            (Selector::prefix("https://A.b/x/../img/"), "prefix:a.b/img/"),
            (Selector::prefix("a.b:8080/%7Ex"), "prefix:a.b/~x"),
            (Selector::tag("sku 42"), "tag:sku 42"),
            ("everything".parse(), "everything"),
            ("glob:A.b/*.js".parse(), "glob:a.b/*.js"),
            ("url:a.b/x?y=1".parse(), "url:a.b/x?y=1"),
        ];
        for (selector, expected) in cases {
            let selector = selector.unwrap();
            assert_eq!(selector.to_string(), expected);
            assert_eq!(expected.parse::<Selector>().unwrap(), selector, "{expected}");
        }
    }

    #[test]
    fn what_selects_nothing_is_refused_with_what_was_expected() {
        let refused = [
            Selector::host(""),
            Selector::host("a.b/c"),
            Selector::host("http://a.b"),
            Selector::prefix("/img/"),
            Selector::prefix("a.b"),
            Selector::prefix("a.b/x?y"),
            Selector::tag(""),
            Selector::tag(" a"),
            Selector::tag("a\nb"),
            Selector::tag(&"x".repeat(1025)),
            "".parse(),
            "url:x".parse(),
            "word:x".parse(),
            "prefix:x".parse(),
        ];
        for selector in refused {
            let error = selector.unwrap_err();
            assert!(error.to_string().contains("expected"), "{error}");
        }
    }
}
