//! Which resource does a request ask for?
//!
//! A [`Target`] is the target URI in its normal form. The same value selects the site, makes the
//! cache key, goes upstream and is purged, so no two of these can disagree about what was meant.
//! The order of query parameters is not touched here: that is a rule of the site (see `query`).
//!
//! # Invariants
//!
//! 1. A target exists only in its normal form; parsing what [`Target::uri`] writes gives it back.
//! 2. It holds no space, control character or `#`, and never user information.

use std::fmt;
use std::str::FromStr;

use crate::host::name_of;
use crate::host::normalize_authority;
use crate::path::normalize_path;

/// Scheme of a target URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Cleartext HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// Writes the scheme as a URI has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Port that a URI of this scheme means when it names none (RFC 9110 §4.2).
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Target URI in its normal form (RFC 9110 §7.1, RFC 3986 §6.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    scheme: Scheme,
    host: String,
    path: String,
    query: Option<String>,
}

/// Why a request target was refused. All of these are the client's mistake (status 400).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The target is `*`, which names the server and no resource (RFC 9112 §3.2.4).
    #[error("the asterisk form names no resource")]
    AsteriskForm,
    /// A character that may not stand in this part of a URI.
    #[error("a character is not allowed in a request target")]
    BadCharacter,
    /// A `%` in the path without two hexadecimal digits.
    #[error("a percent sign is not followed by two hexadecimal digits")]
    BadEscape,
    /// The host is neither a name nor a bracketed IPv6 literal.
    #[error("the host is neither a name nor a bracketed IPv6 address")]
    BadHost,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    BadPort,
    /// An absolute URI does not begin with `http://` or `https://`.
    #[error("the URI does not begin with http:// or https://")]
    BadScheme,
    /// There is no host.
    #[error("the host is missing")]
    HostMissing,
    /// The path does not begin with a slash.
    #[error("the path does not begin with a slash")]
    PathNotAbsolute,
    /// The authority carries user information (RFC 9110 §4.2.4).
    #[error("user information is not allowed in a request target")]
    UserInfo,
}

impl Target {
    /// Parses an authority (`host` or `host:port`) and a path with its query.
    ///
    /// Bytes of the query stay exactly as they are, because what an escape or a `+` means there is
    /// known to the origin alone. A query that is present and empty differs from none.
    ///
    /// # Errors
    ///
    /// [`TargetError`] if any part is out of shape. The caller refuses the request: a repaired
    /// target would be read differently by somebody else on the way.
    pub fn parse(
        scheme: Scheme,
        authority: &str,
        path_and_query: &str,
    ) -> Result<Self, TargetError> {
        let host = normalize_authority(scheme, authority)?;
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        if query.is_some_and(|query| query.contains(is_refused_in_query)) {
            return Err(TargetError::BadCharacter);
        }
        let path = normalize_path(path)?;
        Ok(Self { scheme, host, path, query: query.map(str::to_owned) })
    }

    /// Scheme of the URI.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host in lower case; with `:port` unless that is the scheme's default.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Host in lower case without its port; IPv6 literals keep their brackets.
    pub fn host_without_port(&self) -> &str {
        name_of(&self.host)
    }

    /// The same target without a port.
    ///
    /// For a cache whose sites are told apart by name: the port says which listener a client came
    /// through, and one resource must not be stored once for each.
    #[must_use]
    pub fn without_port(mut self) -> Self {
        self.host.truncate(name_of(&self.host).len());
        self
    }

    /// Path in its normal form; begins with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Query without its `?`; `None` if there is no `?`, empty if nothing follows it.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Writes the absolute URI.
    pub fn uri(&self) -> String {
        self.to_string()
    }

    /// Writes path and query, the origin form of a request line (RFC 9112 §3.2.1).
    pub fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// Drops the query.
    pub fn without_query(self) -> Self {
        self.with_query(None)
    }

    /// Replaces the query by one that consists of parameters of the present one.
    pub(crate) fn with_query(self, query: Option<String>) -> Self {
        Self { query, ..self }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.host, self.path)?;
        match &self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    /// Parses an absolute URI, as the admin interface takes them.
    fn from_str(uri: &str) -> Result<Self, TargetError> {
        let (scheme, rest) = uri.split_once("://").ok_or(TargetError::BadScheme)?;
        let scheme = [Scheme::Http, Scheme::Https]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(scheme))
            .ok_or(TargetError::BadScheme)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at_checked(end).unwrap_or((rest, ""));
        Self::parse(scheme, authority, path_and_query)
    }
}

fn is_refused_in_query(character: char) -> bool {
    character.is_control() || matches!(character, ' ' | '#')
}

#[cfg(test)]
mod tests {
    use super::{Scheme, Target, TargetError};

    #[test]
    fn a_target_is_written_as_one_absolute_uri() {
        const CASES: &[(&str, &str, &str, &str)] = &[
            ("example.com", "", "http://example.com/", "the empty path is the root"),
            ("example.com:80", "/a", "http://example.com/a", "default port"),
            ("Example.com:81", "/a?b", "http://example.com:81/a?b", "port and query"),
            ("example.com", "?", "http://example.com/?", "an empty query is a query"),
            ("example.com", "/?a?b/../%7e%zz", "http://example.com/?a?b/../%7e%zz", "query as is"),
            ("example.com", "/?\\é\"", "http://example.com/?\\é\"", "more of the same"),
            ("[::1]:8080", "//x", "http://[::1]:8080//x", "IPv6"),
        ];
        for &(authority, path_and_query, expected, why) in CASES {
            let target = Target::parse(Scheme::Http, authority, path_and_query).expect(why);
            assert_eq!(target.uri(), expected, "{why}");
            assert_eq!(expected.parse(), Ok(target), "{why}");
        }
    }

    #[test]
    fn a_query_with_a_delimiter_of_the_message_is_refused() {
        for query in ["/?a b", "/?a#b", "/?a\r\nb", "/?a\0", "/?\x7f", "/?\u{85}"] {
            let target = Target::parse(Scheme::Http, "example.com", query);
            assert_eq!(target, Err(TargetError::BadCharacter), "{query:?}");
        }
    }

    #[test]
    fn an_absolute_uri_is_split_before_its_path_query_or_fragment() {
        const CASES: &[(&str, Result<&str, TargetError>, &str)] = &[
            ("HTTPS://A.b:443/x", Ok("https://a.b/x"), "scheme in any case"),
            ("http://a.b?x", Ok("http://a.b/?x"), "query right after the host"),
            ("http://a.b", Ok("http://a.b/"), "no path"),
            ("http://a.b#x", Err(TargetError::PathNotAbsolute), "fragment after the host"),
            ("http://a.b/#x", Err(TargetError::BadCharacter), "fragment"),
            ("http://a.b\\@c.d/", Err(TargetError::UserInfo), "no two readings of the host"),
            ("http:///x", Err(TargetError::HostMissing), "no host"),
            ("ftp://a.b/", Err(TargetError::BadScheme), "another scheme"),
            ("a.b/x", Err(TargetError::BadScheme), "no scheme"),
        ];
        for &(uri, expected, why) in CASES {
            let parsed = uri.parse::<Target>().map(|target| target.uri());
            assert_eq!(parsed.as_deref(), expected.as_ref().copied(), "{why}: {uri}");
        }
    }

    #[test]
    fn getters_return_the_parts() {
        let target = Target::parse(Scheme::Https, "A.b:8443", "/x?y=1").expect("well-formed");
        assert_eq!(target.scheme(), Scheme::Https);
        assert_eq!(target.host(), "a.b:8443");
        assert_eq!(target.host_without_port(), "a.b");
        assert_eq!(target.path(), "/x");
        assert_eq!(target.query(), Some("y=1"));
        assert_eq!(target.path_and_query(), "/x?y=1");
    }
}
