//! What does a request head say (RFC 9112 §2 to §6)?
//!
//! A strict parser: whatever two implementations could read in two ways is refused, because a
//! proxy that forwards it should notice. Reads the head; bodies are read in `body`.
//!
//! # Invariants
//!
//! 1. A head has at most [`HEAD_BYTES_MAX`] bytes and arrives within [`IDLE_MAX`].
//! 2. An accepted head says in exactly one way where its body ends.

use std::io;

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tokio::time::timeout;

use crate::wire::{IDLE_MAX, Wire};

const HEAD_BYTES_MAX: usize = 64 << 10;

/// A request head that has been checked.
#[derive(Debug, Clone)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    /// As on the wire.
    pub(crate) target: String,
    /// Path of the target, not decoded; `*` for `OPTIONS *`.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) framing: Framing,
    pub(crate) http10: bool,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
}

/// Where a request body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Chunked,
    /// After this many bytes; 0 if there is no body.
    Length(u64),
}

/// A request that is answered with an error, after which the connection closes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {text}")]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Refused {
    pub(crate) fn new(status: u16, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::new(400, text)
    }
}

/// Why no request could be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The connection is of no further use.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The client can be told.
    #[error("the request was refused")]
    Refused(#[from] Refused),
}

/// Reads the next head; `None` if the client closed instead.
pub(crate) async fn read_head(wire: &mut Wire) -> Result<Option<RequestHead>, ReadError> {
    match timeout(IDLE_MAX, read_head_bytes(wire)).await {
        Ok(Ok(Some(bytes))) => Ok(Some(parse_head(&bytes)?)),
        Ok(Ok(None)) | Err(_) => Ok(None),
        Ok(Err(error)) => Err(error),
    }
}

async fn read_head_bytes(wire: &mut Wire) -> Result<Option<Bytes>, ReadError> {
    let mut searched = 0;
    loop {
        // RFC 9112 §2.2: empty lines before the request line are ignored.
        while wire.incoming().starts_with(b"\r\n") {
            wire.incoming().advance(2);
        }
        let from = searched;
        searched = wire.incoming().len().saturating_sub(2);
        if let Some(end) = find_end(wire.incoming(), from) {
            return match end > HEAD_BYTES_MAX {
                true => Err(too_large()),
                false => Ok(Some(wire.incoming().split_to(end).freeze())),
            };
        }
        if wire.incoming().len() > HEAD_BYTES_MAX {
            return Err(too_large());
        }
        if wire.read_more().await? == 0 {
            return Ok(None);
        }
    }
}

fn too_large() -> ReadError {
    Refused::new(431, "the request head is larger than 64 KiB").into()
}

/// Finds where the head ends, the blank line included. Bare LFs count here so that a head that
/// uses them is answered rather than waited for; the parser refuses it.
fn find_end(bytes: &[u8], from: usize) -> Option<usize> {
    let feeds = bytes.iter().enumerate().skip(from).filter(|&(_, &byte)| byte == b'\n');
    for (at, _) in feeds {
        match bytes.get(at + 1..) {
            Some([b'\n', ..]) => return Some(at + 2),
            Some([b'\r', b'\n', ..]) => return Some(at + 3),
            _ => {}
        }
    }
    None
}

/// Parses a whole head, from the request line to the blank line.
///
/// # Errors
///
/// [`Refused`] with 400, or with 417 or 501 for an expectation or coding that is not known.
pub(crate) fn parse_head(bytes: &[u8]) -> Result<RequestHead, Refused> {
    let text =
        bytes.strip_suffix(b"\r\n\r\n").ok_or_else(|| Refused::bad("a line must end with CRLF"))?;
    let mut lines =
        text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    if text.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r') {
        return Err(Refused::bad("a line must end with CRLF"));
    }
    let (method, target, http10) = parse_request_line(lines.next().unwrap_or_default())?;
    let (path, query) = split_target(&method, &target)?;
    let headers = parse_fields(lines)?;
    if !http10 && headers.get_all(header::HOST).iter().count() != 1 {
        return Err(Refused::bad("exactly one Host field is required (RFC 9112 §3.2)"));
    }
    Ok(RequestHead {
        framing: derive_framing(&headers, http10)?,
        keep_alive: is_kept_alive(&headers, http10),
        expects_continue: !http10 && expects_continue(&headers)?,
        method,
        target,
        path,
        query,
        headers,
        http10,
    })
}

fn parse_request_line(line: &[u8]) -> Result<(Method, String, bool), Refused> {
    let refused = || Refused::bad("the request line must be: METHOD SP TARGET SP HTTP/1.1");
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(refused());
    };
    let http10 = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        _ => return Err(refused()),
    };
    let method = Method::from_bytes(method).map_err(|_invalid| refused())?;
    if target.is_empty() || !target.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(Refused::bad("the target has a character that no target can have"));
    }
    let target = str::from_utf8(target).map_err(|_invalid| refused())?;
    Ok((method, target.to_owned(), http10))
}

/// Splits the target into path and query (RFC 9112 §3.2, all four forms).
fn split_target(method: &Method, target: &str) -> Result<(String, Option<String>), Refused> {
    if *method == Method::CONNECT || (*method == Method::OPTIONS && target == "*") {
        return Ok((target.to_owned(), None));
    }
    let local = match target.split_once("://") {
        Some(("http" | "https", rest)) => {
            rest.find(['/', '?']).map_or("", |start| rest.get(start..).unwrap_or_default())
        }
        _ if target.starts_with('/') => target,
        _ => return Err(Refused::bad("the target must start with / or http://")),
    };
    let (path, query) =
        local.split_once('?').map_or((local, None), |(path, query)| (path, Some(query)));
    let path = if path.is_empty() { "/" } else { path };
    Ok((path.to_owned(), query.map(str::to_owned)))
}

fn parse_fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<HeaderMap, Refused> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let refused = || Refused::bad(format!("bad field line: {:?}", excerpt(line)));
        let colon = line.iter().position(|&byte| byte == b':').ok_or_else(refused)?;
        let (name, value) = line.split_at_checked(colon).ok_or_else(refused)?;
        // A name with a space before its colon, or a folded line, is no token and fails here
        // (RFC 9112 §5.1, §5.2).
        let name = HeaderName::from_bytes(name).map_err(|_invalid| refused())?;
        let value = trim_ows(value.strip_prefix(b":").unwrap_or(value));
        let value = HeaderValue::from_bytes(value).map_err(|_invalid| refused())?;
        headers
            .try_append(name, value)
            .map_err(|_full| Refused::new(431, "the request has too many fields"))?;
    }
    Ok(headers)
}

/// Trims what RFC 9110 §5.6.3 calls OWS: spaces and tabs, nothing else.
fn trim_ows(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn excerpt(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().take(80).collect()
}

/// Decides where the body ends (RFC 9112 §6.3). Refuses what that section lets a server repair.
fn derive_framing(headers: &HeaderMap, http10: bool) -> Result<Framing, Refused> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    match (codings.next(), lengths.next()) {
        (None, None) => Ok(Framing::Length(0)),
        (None, Some(length)) if lengths.next().is_none() => parse_length(length),
        (None, Some(_)) => Err(Refused::bad("more than one Content-Length field")),
        (Some(_), Some(_)) => Err(Refused::bad("both Transfer-Encoding and Content-Length")),
        (Some(_), None) if http10 => Err(Refused::bad("Transfer-Encoding in HTTP/1.0")),
        (Some(coding), None) => match codings.next() {
            None if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            _ => Err(Refused::new(501, "the only transfer coding understood is chunked, once")),
        },
    }
}

fn parse_length(value: &HeaderValue) -> Result<Framing, Refused> {
    let refused = || Refused::bad("Content-Length must be a number below 2^63");
    let text = value.to_str().map_err(|_invalid| refused())?;
    // RFC 9110 §8.6: digits only. `parse` alone would take a plus sign.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refused());
    }
    let length: i64 = text.parse().map_err(|_invalid| refused())?;
    Ok(Framing::Length(length.unsigned_abs()))
}

fn is_kept_alive(headers: &HeaderMap, http10: bool) -> bool {
    let says = |option: &str| {
        let values = headers.get_all(header::CONNECTION).iter().filter_map(|v| v.to_str().ok());
        values.flat_map(|v| v.split(',')).any(|v| v.trim().eq_ignore_ascii_case(option))
    };
    // RFC 9112 §9.3.
    !says("close") && (!http10 || says("keep-alive"))
}

fn expects_continue(headers: &HeaderMap) -> Result<bool, Refused> {
    match headers.get(header::EXPECT) {
        None => Ok(false),
        Some(value) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) => Err(Refused::new(417, "the only expectation met is 100-continue")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RequestHead, Refused> {
        parse_head(format!("{text}\r\n\r\n").as_bytes())
    }

    #[test]
    fn heads_that_can_be_read_in_two_ways_are_refused() {
        // (head without blank line, status, why)
        const CASES: &[(&str, u16, &str)] = &[
            ("GET /\r\nHost: a", 400, "no version"),
            ("GET / HTTP/2.0\r\nHost: a", 400, "another version"),
            ("GET  / HTTP/1.1\r\nHost: a", 400, "two spaces"),
            ("GET /a#b HTTP/1.1\r\nHost: a", 400, "fragment"),
            ("GET /\u{e9} HTTP/1.1\r\nHost: a", 400, "not ASCII"),
            ("GET a HTTP/1.1\r\nHost: a", 400, "relative target"),
            ("GET / HTTP/1.1", 400, "no Host"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a", 400, "two Hosts"),
            ("GET / HTTP/1.1\nHost: a", 400, "bare LF"),
            ("GET / HTTP/1.1\r\nHost: a\rX: b", 400, "bare CR"),
            ("GET / HTTP/1.1\r\nHost : a", 400, "space before colon"),
            ("GET / HTTP/1.1\r\nHost: a\r\n b", 400, "folded line"),
            ("GET / HTTP/1.1\r\nHost: a\r\nno colon", 400, "no colon"),
            ("GET / HTTP/1.1\r\nHost: a\r\n: b", 400, "empty name"),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \0", 400, "NUL"),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{c}", 400, "form feed is no OWS"),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +5", 400, "sign"),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length:", 400, "empty length"),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5", 400, "list"),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808", 400, "2^63"),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5", 400, "twice"),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
                400,
                "both",
            ),
            ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked", 400, "chunked in 1.0"),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x, chunked", 501, "other coding"),
            ("GET / HTTP/1.1\r\nHost: a\r\nExpect: x", 417, "other expectation"),
        ];
        for &(head, status, why) in CASES {
            let refused = parse(head).expect_err(why);
            assert_eq!(refused.status, status, "{why}: {head:?} {refused}");
        }
    }

    #[test]
    fn targets_of_all_forms_are_split() {
        const CASES: &[(&str, &str, &str, Option<&str>)] = &[
            ("GET", "/a?b?c", "/a", Some("b?c")),
            ("GET", "/a://b", "/a://b", None),
            ("GET", "http://host:1/a?b", "/a", Some("b")),
            ("GET", "http://host", "/", None),
            ("GET", "http://host?b", "/", Some("b")),
            ("OPTIONS", "*", "*", None),
            ("CONNECT", "host:443", "host:443", None),
        ];
        for &(method, target, path, query) in CASES {
            let head = parse(&format!("{method} {target} HTTP/1.1\r\nHost: a")).unwrap();
            assert_eq!((head.path.as_str(), head.query.as_deref()), (path, query), "{target}");
            assert_eq!(head.target, target);
        }
    }

    #[test]
    fn keep_alive_follows_version_and_connection_field() {
        const CASES: &[(&str, bool)] = &[
            ("GET / HTTP/1.1\r\nHost: a", true),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close", false),
            ("GET / HTTP/1.0", false),
            ("GET / HTTP/1.0\r\nConnection: keep-alive", true),
        ];
        for &(head, expected) in CASES {
            assert_eq!(parse(head).unwrap().keep_alive, expected, "{head}");
        }
    }

    #[test]
    fn the_end_of_a_head_is_found_wherever_the_search_resumes() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        for from in 0..25 {
            assert_eq!(find_end(bytes, from), Some(27), "from {from}");
        }
        assert_eq!(find_end(b"GET /\n\nrest", 0), Some(7), "bare LFs end a head too");
        assert_eq!(find_end(b"GET / HTTP/1.1\r\nHost: a\r\n\r", 0), None);
    }
}
