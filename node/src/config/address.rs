//! Which addresses a node may be told to ask: `http://host:port` or `https://host:port`, nothing else
//! of a URL.
//!
//! An upstream is a place to connect to, so that a path, a query or a user name in its address
//! would be ignored; they are refused instead. Names are not resolved here.
//!
//! # Invariants
//!
//! 1. A host is lower case; an IPv6 address is in brackets and in its canonical form.
//! 2. No error repeats the text it refuses: an address may carry a password by mistake.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// How a server is talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// Returns the scheme as URLs write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Returns the port where an address has none (RFC 9110 §4.2).
    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A server that is asked: a parent or an origin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamAddr {
    /// How it is talked to.
    pub scheme: Scheme,
    /// Name or address, lower case; an IPv6 address stands in brackets.
    pub host: String,
    /// TCP port, never 0.
    pub port: u16,
}

impl UpstreamAddr {
    /// Makes the address of a server that is asked over plain HTTP; `host` is as in [`Self::host`].
    pub fn plain(host: impl Into<String>, port: u16) -> Self {
        Self { scheme: Scheme::Http, host: host.into(), port }
    }

    /// Parses the address of a server that is never asked over TLS: an admin API.
    ///
    /// # Errors
    ///
    /// [`AddressError::Https`] beside those of parsing.
    pub fn parse_plain(text: &str) -> Result<Self, AddressError> {
        let address: Self = text.parse()?;
        match address.scheme {
            Scheme::Http => Ok(address),
            Scheme::Https => Err(AddressError::Https),
        }
    }

    /// Returns `host:port`, which both a resolver and a Host field accept.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Says whether a connection to this address would reach a listener at `listen`.
    ///
    /// Judged from the text alone: only `localhost` and literal addresses are recognized.
    pub(super) fn reaches(&self, listen: SocketAddr) -> bool {
        let Some(ip) = self.literal_ip() else { return false };
        let same_host = ip == listen.ip()
            || ip.is_unspecified()
            || (ip.is_loopback() && listen.ip().is_unspecified())
            || (self.host == "localhost" && listen.ip().is_loopback());
        same_host && self.port == listen.port()
    }

    fn literal_ip(&self) -> Option<IpAddr> {
        if self.host == "localhost" {
            return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        parse_literal(&self.host)
    }
}

/// The address that `host` is, in brackets or not; `None` for a name.
pub(crate) fn parse_literal(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

impl fmt::Display for UpstreamAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.as_str(), self.host, self.port)
    }
}

/// Why a text is no upstream address or no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text begins with neither `http://` nor `https://`.
    #[error("does not begin with `http://`")]
    Scheme,
    /// The text begins with `https://` where nobody speaks TLS.
    #[error("asks for TLS, which is not spoken there: use `http://`")]
    Https,
    /// A user name or a password stands before the host.
    #[error("holds a user name or a password, which would be sent to nobody: remove it")]
    UserInfo,
    /// Something follows the port.
    #[error("has a path or a query: only the host and the port belong here")]
    Path,
    /// The host is no name, IPv4 address or IPv6 address in brackets.
    #[error("names no host")]
    Host,
    /// The port is not from 1 to 65535.
    #[error("has a port that is not a number from 1 to 65535")]
    Port,
}

impl FromStr for UpstreamAddr {
    type Err = AddressError;

    /// Parses `http://host[:port]` or `https://host[:port]`; the port is 80 or 443 when left out, and a
    /// lone `/` may follow.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = split_scheme(text)?;
        // An empty path and `/` are the same (RFC 3986 §6.2.3).
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('@') {
            return Err(AddressError::UserInfo);
        }
        if authority.contains(['/', '?', '#']) {
            return Err(AddressError::Path);
        }
        let (host, port) = parse_authority(authority)?;
        Ok(Self { scheme, host, port: port.unwrap_or_else(|| scheme.default_port()) })
    }
}

fn split_scheme(text: &str) -> Result<(Scheme, &str), AddressError> {
    let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((Scheme::Http, rest)),
        "https" => Ok((Scheme::Https, rest)),
        _ => Err(AddressError::Scheme),
    }
}

/// Parses `host[:port]` to a normal form of the host and the port, if any.
///
/// # Errors
///
/// [`AddressError::Host`] or [`AddressError::Port`].
pub(super) fn parse_authority(text: &str) -> Result<(String, Option<u16>), AddressError> {
    let (host, port) = split_port(text)?;
    let port = port.map(parse_port).transpose()?;
    Ok((parse_host(host)?, port))
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), AddressError> {
    if !text.starts_with('[') {
        return Ok(match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        });
    }
    let end = text.find(']').ok_or(AddressError::Host)?;
    // `]` is one byte, so that its end is a character boundary.
    match text.split_at(end + 1) {
        (host, "") => Ok((host, None)),
        (host, tail) => tail.strip_prefix(':').map(|p| (host, Some(p))).ok_or(AddressError::Host),
    }
}

fn parse_port(text: &str) -> Result<u16, AddressError> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(AddressError::Port),
    }
}

fn parse_host(text: &str) -> Result<String, AddressError> {
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        let ip: Ipv6Addr = inner.parse().ok().ok_or(AddressError::Host)?;
        return Ok(format!("[{ip}]"));
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    // A name whose last label is a number is an IPv4 address or a mistake (RFC 3986 §7.4).
    let numeric = last.bytes().all(|b| b.is_ascii_digit());
    let valid = name.len() <= 253
        && name.split('.').all(is_label)
        && (!numeric || name.parse::<Ipv4Addr>().is_ok());
    if valid { Ok(name) } else { Err(AddressError::Host) }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_addresses_are_scheme_host_and_port() {
        // (text, expected, why)
        let cases: &[(&str, Result<&str, AddressError>, &str)] = &[
            ("http://127.0.0.1:8000", Ok("http://127.0.0.1:8000"), "as written"),
            ("HTTP://WWW.Example.com", Ok("http://www.example.com:80"), "case and default port"),
            ("http://a.example./", Ok("http://a.example:80"), "final dot and lone slash"),
            ("http://[::0001]:81", Ok("http://[::1]:81"), "IPv6 in canonical form"),
            ("http://shield_0:8280", Ok("http://shield_0:8280"), "names in container networks"),
            ("127.0.0.1:8000", Err(AddressError::Scheme), "no scheme"),
            ("ftp://a", Err(AddressError::Scheme), "another scheme"),
            ("https://a", Ok("https://a:443"), "TLS and its default port"),
            ("https://a:80", Ok("https://a:80"), "TLS on a port of plain HTTP"),
            ("HTTPS://[::1]/", Ok("https://[::1]:443"), "TLS to an address"),
            ("https://u:p@a", Err(AddressError::UserInfo), "user name and password over TLS"),
            ("https://a/b", Err(AddressError::Path), "path over TLS"),
            ("https://a:0", Err(AddressError::Port), "port zero over TLS"),
            ("https://", Err(AddressError::Host), "no host over TLS"),
            ("httpss://a", Err(AddressError::Scheme), "nearly TLS"),
            ("http://u:p@a", Err(AddressError::UserInfo), "user name and password"),
            ("http://a/b", Err(AddressError::Path), "path"),
            ("http://a//", Err(AddressError::Path), "two slashes are a path"),
            ("http://a?b", Err(AddressError::Path), "query"),
            ("http://", Err(AddressError::Host), "no host"),
            ("http://a..b", Err(AddressError::Host), "empty label"),
            ("http://*.a", Err(AddressError::Host), "a pattern is no host"),
            ("http://1.2.3", Err(AddressError::Host), "three numbers"),
            ("http://::1", Err(AddressError::Port), "IPv6 without brackets"),
            ("http://[::1", Err(AddressError::Host), "open bracket"),
            ("http://[::1]x", Err(AddressError::Host), "text after the bracket"),
            ("http://[fe80::1%eth0]", Err(AddressError::Host), "zone"),
            ("http://a:0", Err(AddressError::Port), "port zero"),
            ("http://a:+80", Err(AddressError::Port), "signed port"),
            ("http://a:", Err(AddressError::Port), "empty port"),
            ("http://a:65536", Err(AddressError::Port), "port too large"),
        ];
        for (text, expected, why) in cases {
            let got = text.parse::<UpstreamAddr>().map(|a| a.to_string());
            assert_eq!(got, expected.map(str::to_owned), "{why}: {text}");
        }
    }

    #[test]
    fn an_admin_api_is_not_asked_over_tls() {
        assert_eq!(UpstreamAddr::parse_plain("https://a"), Err(AddressError::Https));
        assert_eq!(UpstreamAddr::parse_plain("http://a:81"), Ok(UpstreamAddr::plain("a", 81)));
        assert_eq!(UpstreamAddr::parse_plain("https://a/b"), Err(AddressError::Path));
    }

    #[test]
    fn an_address_knows_the_listener_it_would_reach() {
        // (upstream, listener, expected)
        let cases = [
            ("http://127.0.0.1:80", "127.0.0.1:80", true),
            ("http://127.0.0.1:81", "127.0.0.1:80", false),
            ("http://127.0.0.2:80", "127.0.0.1:80", false),
            ("http://127.0.0.2:80", "0.0.0.0:80", true),
            ("http://[::1]:80", "[::]:80", true),
            ("http://localhost:80", "127.0.0.1:80", true),
            ("http://localhost:80", "[::1]:80", true),
            ("http://localhost:80", "192.0.2.1:80", false),
            ("http://shield:80", "0.0.0.0:80", false),
        ];
        for (upstream, listen, expected) in cases {
            let upstream: UpstreamAddr = upstream.parse().unwrap();
            assert_eq!(upstream.reaches(listen.parse().unwrap()), expected, "{upstream} {listen}");
        }
    }
}
