//! What is the normal form of an authority and of a host name?
//!
//! The form is lower case, without the scheme's default port and without the root's trailing dot
//! (RFC 3986 §6.2.2.1, §6.2.3; RFC 9110 §4.2.3). IPv6 literals are parsed and written in the form
//! of RFC 5952, in brackets. Whether anybody serves the host is decided in `site`.
//!
//! # Invariants
//!
//! 1. A normal name holds only `a-z`, `0-9`, `-`, `.`, `_`, or is a bracketed IPv6 literal; so it
//!    can be written into a URI, a header field or a log as it is.
//! 2. Normalizing it again changes nothing.

use std::net::Ipv6Addr;

use crate::target::{Scheme, TargetError};

/// Bytes in the longest host name (RFC 1035 §2.3.4, written without the root's dot).
const NAME_BYTES_MAX: usize = 253;

/// Writes `authority` (`host` or `host:port`) in its normal form for `scheme`.
///
/// # Errors
///
/// [`TargetError`] if there is user information, no host, or a host or port out of shape.
pub(crate) fn normalize_authority(scheme: Scheme, authority: &str) -> Result<String, TargetError> {
    if authority.contains('@') {
        return Err(TargetError::UserInfo);
    }
    let (name, port) = split_port(authority)?;
    let name = normalize_name(name)?;
    match port.map(parse_port).transpose()? {
        Some(port) if port != scheme.default_port() => Ok(format!("{name}:{port}")),
        _ => Ok(name),
    }
}

/// Writes a host name or a bracketed IPv6 literal, without a port, in its normal form.
///
/// # Errors
///
/// [`TargetError::HostMissing`] if it is empty, [`TargetError::BadHost`] if it is out of shape.
pub(crate) fn normalize_name(name: &str) -> Result<String, TargetError> {
    if let Some(literal) = name.strip_prefix('[') {
        let address = literal.strip_suffix(']').and_then(|text| text.parse::<Ipv6Addr>().ok());
        return address.map(|address| format!("[{address}]")).ok_or(TargetError::BadHost);
    }
    if name.is_empty() {
        return Err(TargetError::HostMissing);
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > NAME_BYTES_MAX || !name.split('.').all(is_label) {
        return Err(TargetError::BadHost);
    }
    Ok(name.to_ascii_lowercase())
}

/// Splits a normal authority into its host; the port, if any, is dropped.
pub(crate) fn name_of(authority: &str) -> &str {
    split_port(authority).map_or(authority, |(name, _)| name)
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !label.is_empty() && label.bytes().all(allowed)
}

/// Splits at the colon before the port, which is not one of those inside an IPv6 literal.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), TargetError> {
    if !authority.starts_with('[') {
        return Ok(match authority.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        });
    }
    let end = authority.find(']').ok_or(TargetError::BadHost)?.saturating_add(1);
    match authority.split_at_checked(end) {
        Some((name, "")) => Ok((name, None)),
        Some((name, port)) => Ok((name, Some(port.strip_prefix(':').ok_or(TargetError::BadHost)?))),
        None => Err(TargetError::BadHost),
    }
}

/// Digits only: `u16::from_str` would take a sign as well.
fn parse_port(port: &str) -> Result<u16, TargetError> {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(TargetError::BadPort),
    }
}

#[cfg(test)]
mod tests {
    use super::{name_of, normalize_authority};
    use crate::target::{Scheme, TargetError};

    #[test]
    fn an_authority_has_one_normal_form() {
        const CASES: &[(Scheme, &str, &str, &str)] = &[
            (Scheme::Http, "example.com", "example.com", "a plain name stays"),
            (Scheme::Http, "WWW.Example.COM", "www.example.com", "case has no meaning"),
            (Scheme::Http, "example.com.", "example.com", "the root's dot is dropped"),
            (Scheme::Http, "example.com.:8080", "example.com:8080", "before a port too"),
            (Scheme::Http, "example.com:80", "example.com", "default port of http"),
            (Scheme::Https, "example.com:443", "example.com", "default port of https"),
            (Scheme::Https, "example.com:80", "example.com:80", "not the default of https"),
            (Scheme::Http, "example.com:0080", "example.com", "a port is a number"),
            (Scheme::Http, "example.com:65535", "example.com:65535", "the highest port"),
            (Scheme::Http, "a_b-c.1", "a_b-c.1", "underscore and digits"),
            (Scheme::Http, "127.0.0.1:8080", "127.0.0.1:8080", "IPv4"),
            (Scheme::Http, "[::1]", "[::1]", "IPv6"),
            (Scheme::Http, "[2001:DB8:0:0::1]:80", "[2001:db8::1]", "one form of IPv6"),
            (Scheme::Http, "[::1]:8080", "[::1]:8080", "IPv6 with a port"),
        ];
        for &(scheme, authority, expected, why) in CASES {
            let normal = normalize_authority(scheme, authority);
            assert_eq!(normal.as_deref(), Ok(expected), "{why}: {authority}");
            let again = normalize_authority(scheme, expected);
            assert_eq!(again.as_deref(), Ok(expected), "idempotent: {authority}");
        }
    }

    #[test]
    fn an_authority_that_is_more_or_less_than_a_host_is_refused() {
        let long = "a".repeat(254);
        let cases: &[(&str, TargetError, &str)] = &[
            ("", TargetError::HostMissing, "nothing"),
            (":80", TargetError::HostMissing, "only a port"),
            (".", TargetError::BadHost, "only the root"),
            ("a..b", TargetError::BadHost, "empty label"),
            ("example.com..", TargetError::BadHost, "two dots at the end"),
            ("user@example.com", TargetError::UserInfo, "user information"),
            ("a:b@example.com", TargetError::UserInfo, "with a password"),
            ("example.com:", TargetError::BadPort, "empty port"),
            ("example.com:0", TargetError::BadPort, "no such port"),
            ("example.com:65536", TargetError::BadPort, "no such port either"),
            ("example.com:+80", TargetError::BadPort, "a sign"),
            ("example.com:80:80", TargetError::BadPort, "two ports"),
            ("example.com/x", TargetError::BadHost, "the start of a path"),
            ("exa mple.com", TargetError::BadHost, "space"),
            ("ex%61mple.com", TargetError::BadHost, "escapes are not decoded in a host"),
            ("bücher.example", TargetError::BadHost, "outside ASCII"),
            ("::1", TargetError::HostMissing, "IPv6 without brackets"),
            ("[::1", TargetError::BadHost, "open bracket"),
            ("[::1]x", TargetError::BadHost, "text after the bracket"),
            ("[::1].", TargetError::BadHost, "a literal has no root"),
            ("[fe80::1%25eth0]", TargetError::BadHost, "zones mean nothing to others"),
            ("[v1.x]", TargetError::BadHost, "future literals"),
            ("[127.0.0.1]", TargetError::BadHost, "IPv4 has no brackets"),
            (&long, TargetError::BadHost, "longer than a name can be"),
        ];
        for &(authority, expected, why) in cases {
            let normal = normalize_authority(Scheme::Http, authority);
            assert_eq!(normal, Err(expected), "{why}: {authority}");
        }
    }

    #[test]
    fn the_name_is_what_precedes_the_port() {
        const CASES: &[(&str, &str)] =
            &[("a.b", "a.b"), ("a.b:1", "a.b"), ("[::1]", "[::1]"), ("[::1]:1", "[::1]")];
        for &(authority, expected) in CASES {
            assert_eq!(name_of(authority), expected);
        }
    }
}
