//! What is the normal form of a request path (RFC 3986 §6.2.2)?
//!
//! Two spellings get one form only where the standard says that they mean the same: escapes of
//! unreserved characters are decoded, the digits of the others are upper-cased, and dot segments
//! are removed. Everything else stays: `%2F` is not `/`, `//` is not `/`, `a` is not `A`.
//!
//! # Invariants
//!
//! 1. The normal form begins with `/` and holds visible ASCII only, without `#`, `?` and `\`.
//! 2. Normalizing it again changes nothing: decoding never yields a `%`, and no `.` or `..` segment
//!    is left.

use std::str::Bytes;

use crate::escape::unescape;
use crate::target::TargetError;

/// Writes `path`, the part of the request target before `?`, in its normal form.
///
/// An empty path becomes `/` (RFC 3986 §6.2.3).
///
/// # Errors
///
/// [`TargetError`] if the path is `*`, does not begin with `/`, or holds a byte or an escape that
/// no path may hold.
pub(crate) fn normalize_path(path: &str) -> Result<String, TargetError> {
    match path.as_bytes().first() {
        None => Ok("/".to_owned()),
        Some(b'/') => decode_unreserved(path).map(remove_dot_segments),
        Some(_) if path == "*" => Err(TargetError::AsteriskForm),
        Some(_) => Err(TargetError::PathNotAbsolute),
    }
}

/// RFC 3986 §6.2.2.1 and §6.2.2.2. Refuses what would be read differently further upstream: some
/// servers take `\` for `/`, and `#` ends the path for all that parse a URI.
fn decode_unreserved(path: &str) -> Result<String, TargetError> {
    let mut normal = String::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => push_escape(&mut normal, &mut rest)?,
            b'#' | b'\\' => return Err(TargetError::BadCharacter),
            0x21..=0x7e => normal.push(char::from(byte)),
            _ => return Err(TargetError::BadCharacter),
        }
    }
    Ok(normal)
}

/// Writes the escape whose two digits come next in `rest`, decoded if it is needless.
fn push_escape(normal: &mut String, rest: &mut Bytes<'_>) -> Result<(), TargetError> {
    let (Some(high), Some(low)) = (rest.next(), rest.next()) else {
        return Err(TargetError::BadEscape);
    };
    match unescape(high, low).ok_or(TargetError::BadEscape)? {
        byte if is_unreserved(byte) => normal.push(char::from(byte)),
        _ => {
            normal.push('%');
            normal.push(char::from(high.to_ascii_uppercase()));
            normal.push(char::from(low.to_ascii_uppercase()));
        }
    }
    Ok(())
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 §5.2.4, on whole segments. `path` begins with `/`.
///
/// This comes after decoding, because `%2e%2e` is a dot segment as well (RFC 3986 §6.2.2.3).
fn remove_dot_segments(path: String) -> String {
    if !path.contains("/.") {
        return path;
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => {
                kept.push(segment);
                continue;
            }
        }
        // A dot segment at the end names a directory: its slash stays.
        if segments.peek().is_none() {
            kept.push("");
        }
    }
    kept.iter().flat_map(|segment| ["/", segment]).collect()
}

#[cfg(test)]
mod tests {
    use super::normalize_path;
    use crate::target::TargetError;

    #[test]
    fn a_path_has_one_normal_form_that_means_the_same() {
        const CASES: &[(&str, &str, &str)] = &[
            ("", "/", "an empty path is the root"),
            ("/", "/", "the root stays"),
            ("/a/b.html", "/a/b.html", "a plain path stays"),
            ("/A/b", "/A/b", "case has meaning in a path"),
            ("//a//b/", "//a//b/", "empty segments have meaning"),
            ("/%41%7e%2D%5f", "/A~-_", "escapes of unreserved characters are needless"),
            ("/a%2fb", "/a%2Fb", "an escaped slash is data; its digits are upper-cased"),
            ("/a%3fb%23", "/a%3Fb%23", "escaped delimiters stay"),
            ("/%2541", "/%2541", "an escaped percent sign is not decoded twice"),
            ("/%c3%a9%00", "/%C3%A9%00", "bytes outside ASCII and NUL stay escaped"),
            ("/a;b=1,c:@&$!'()*+", "/a;b=1,c:@&$!'()*+", "sub-delimiters stay as written"),
            ("/a/./b/../c", "/a/c", "dot segments go"),
            ("/a/%2E%2e/b", "/b", "so do escaped ones"),
            ("/a/%2e%2e%2fb", "/a/..%2Fb", "a segment that only begins with dots stays"),
            ("/..", "/", "nothing lies above the root"),
            ("/../../a", "/a", "however often one asks"),
            ("/..//a", "//a", "an empty segment is kept after dots"),
            ("/a//../b", "/a/b", "dots remove an empty segment too"),
            ("/a/..", "/", "a directory keeps its slash"),
            ("/a/.", "/a/", "so does this one"),
            ("/a/b/..", "/a/", "and this one"),
            ("/.well-known/...", "/.well-known/...", "names that begin with dots are names"),
        ];
        for &(path, expected, why) in CASES {
            assert_eq!(normalize_path(path).as_deref(), Ok(expected), "{why}: {path}");
            assert_eq!(normalize_path(expected).as_deref(), Ok(expected), "idempotent: {path}");
        }
    }

    #[test]
    fn a_path_that_two_servers_could_read_differently_is_refused() {
        const CASES: &[(&str, TargetError, &str)] = &[
            ("*", TargetError::AsteriskForm, "the form of OPTIONS names no resource"),
            ("a/b", TargetError::PathNotAbsolute, "relative"),
            ("http://h/", TargetError::PathNotAbsolute, "absolute form is split by the caller"),
            ("/%zz", TargetError::BadEscape, "no digits"),
            ("/%4", TargetError::BadEscape, "cut short"),
            ("/%", TargetError::BadEscape, "cut shorter"),
            ("/%+1", TargetError::BadEscape, "a sign is no digit"),
            ("/a b", TargetError::BadCharacter, "space"),
            ("/a\tb", TargetError::BadCharacter, "control character"),
            ("/a\0", TargetError::BadCharacter, "NUL"),
            ("/a\x7f", TargetError::BadCharacter, "DEL"),
            ("/a#b", TargetError::BadCharacter, "fragment"),
            ("/a\\..\\b", TargetError::BadCharacter, "some servers read this as a slash"),
            ("/é", TargetError::BadCharacter, "outside ASCII"),
        ];
        for &(path, expected, why) in CASES {
            assert_eq!(normalize_path(path), Err(expected), "{why}: {path:?}");
        }
    }
}
