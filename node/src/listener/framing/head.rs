//! What does a request's head say about where its body ends? (RFC 9112 §6)

use super::Fault;

/// The largest length: what fits a signed number, since others may have one.
const LENGTH_MAX: u64 = i64::MAX.unsigned_abs();

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// After so many bytes.
    Sized(u64),
    /// After its last chunk.
    Chunked,
}

/// What has been read of a head.
#[derive(Debug, Default)]
pub(super) struct Head {
    has_line: bool,
    length: Option<u64>,
    is_chunked: bool,
    wants_upgrade: bool,
}

impl Head {
    /// Whether the request line has come.
    pub(super) fn has_line(&self) -> bool {
        self.has_line
    }

    /// Whether the request wishes for another protocol (RFC 9110 §7.8).
    pub(super) fn wants_upgrade(&self) -> bool {
        self.wants_upgrade
    }

    /// Reads the request line.
    pub(super) fn request_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.has_line = true;
        // RFC 9112 §3.2: a fragment is no part of a target. hyper would cut it off, others keep it.
        if memchr::memchr(b'#', line).is_some() {
            return Err(Fault::Ambiguous("the target has a fragment"));
        }
        if line.starts_with(b"CONNECT ") {
            self.wants_upgrade = true;
        }
        Ok(())
    }

    /// Reads one field line.
    pub(super) fn field_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        match line.first().map(u8::to_ascii_lowercase) {
            Some(b'c') => {
                if let Some(value) = value_of(line, b"content-length") {
                    return self.content_length(value);
                }
            }
            Some(b't') => {
                if let Some(value) = value_of(line, b"transfer-encoding") {
                    return self.transfer_encoding(value);
                }
            }
            Some(b'u') => self.wants_upgrade |= value_of(line, b"upgrade").is_some(),
            _ => {}
        }
        Ok(())
    }

    /// Where the body ends that follows a whole head.
    pub(super) fn frame(&self) -> Result<Frame, Fault> {
        match (self.length, self.is_chunked) {
            // RFC 9112 §6.3 lets the chunks win; who reads by the length sees another request.
            (Some(_), true) => {
                Err(Fault::Ambiguous("both Content-Length and Transfer-Encoding are given"))
            }
            (None, true) => Ok(Frame::Chunked),
            (length, false) => Ok(Frame::Sized(length.unwrap_or(0))),
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let digits = std::str::from_utf8(value).unwrap_or_default();
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let length = digits.parse().ok().filter(|length| is_number && *length <= LENGTH_MAX);
        let Some(length) = length else {
            return Err(Fault::Ambiguous("Content-Length is not one decimal number"));
        };
        if self.length.replace(length).is_some() {
            return Err(Fault::Ambiguous("more than one Content-Length"));
        }
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.is_chunked {
            return Err(Fault::Ambiguous("more than one Transfer-Encoding"));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            let all_known = codings.clone().all(is_registered);
            // Chunked must come last, and once; another coding before it is understood and not taken.
            let chunks = codings.clone().filter(|coding| coding.eq_ignore_ascii_case(b"chunked"));
            let is_last =
                codings.next_back().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
            return Err(if all_known && is_last && chunks.count() == 1 {
                Fault::UnknownCoding
            } else {
                Fault::Ambiguous("Transfer-Encoding is not \"chunked\"")
            });
        }
        self.is_chunked = true;
        Ok(())
    }
}

/// Codings that IANA's registry has beside `chunked`.
fn is_registered(coding: &[u8]) -> bool {
    ["chunked", "gzip", "x-gzip", "deflate", "compress", "x-compress"]
        .iter()
        .any(|known| coding.eq_ignore_ascii_case(known.as_bytes()))
}

/// The value of `line` if its name is `name`, in lower case. A name that only resembles it, with a space before the
/// colon or a control character, is refused by hyper.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    // SP and HTAB are optional whitespace; what else `trim_ascii` would cut off is part of the value.
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    found.eq_ignore_ascii_case(name).then_some(value.get(start..end)?)
}
