//! How long is a request body, and what is in it (RFC 9112 §6, §7.1)?
//!
//! Bodies are counted; they are kept only for an echo. Trailers are kept as they came, chunk extensions
//! are read and dropped.

use crate::{
    request::{Framing, ReadError, Refused},
    wire::Wire,
};

/// Largest body that is kept.
const KEPT_BYTES_MAX: usize = 64 << 20;
/// Longest chunk size line or trailer line.
const LINE_BYTES_MAX: usize = 16 << 10;
/// Most trailer lines.
const TRAILER_LINES_MAX: usize = 100;
/// Digits of the longest chunk size, below 2^60.
const SIZE_DIGITS_MAX: usize = 15;

/// What has arrived of a body. Valid also after an error: then it is the part that came.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) len: u64,
    /// The bytes themselves, if they were asked for.
    pub(crate) kept: Option<Vec<u8>>,
    /// Lines behind the last chunk.
    pub(crate) trailers: Vec<String>,
}

impl Received {
    /// An empty body that keeps its bytes if `keeps` says so.
    pub(crate) fn new(keeps: bool) -> Self {
        Self { len: 0, kept: keeps.then(Vec::new), trailers: Vec::new() }
    }

    fn add(&mut self, piece: &[u8]) -> Result<(), Refused> {
        self.len = self.len.saturating_add(piece.len() as u64);
        match &mut self.kept {
            Some(kept) if kept.len() + piece.len() > KEPT_BYTES_MAX => {
                Err(Refused::new(413, "a body to be echoed has at most 64 MiB"))
            }
            Some(kept) => {
                kept.extend_from_slice(piece);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Reads the whole body into `received`.
pub(crate) async fn read_body(
    wire: &mut Wire,
    framing: Framing,
    received: &mut Received,
) -> Result<(), ReadError> {
    match framing {
        Framing::Length(length) => read_exact(wire, length, received).await,
        Framing::Chunked => read_chunks(wire, received).await,
    }
}

async fn read_exact(
    wire: &mut Wire,
    length: u64,
    received: &mut Received,
) -> Result<(), ReadError> {
    let mut left = length;
    while left > 0 {
        let piece = wire.read_piece(left).await?;
        left = left.saturating_sub(piece.len() as u64);
        received.add(&piece)?;
    }
    Ok(())
}

async fn read_chunks(wire: &mut Wire, received: &mut Received) -> Result<(), ReadError> {
    loop {
        let size = parse_size(&wire.read_line(LINE_BYTES_MAX).await?)?;
        if size == 0 {
            return read_trailers(wire, received).await;
        }
        read_exact(wire, size, received).await?;
        if !wire.read_line(LINE_BYTES_MAX).await?.is_empty() {
            return Err(Refused::bad("a chunk is longer than its size says").into());
        }
    }
}

async fn read_trailers(wire: &mut Wire, received: &mut Received) -> Result<(), ReadError> {
    for _ in 0..TRAILER_LINES_MAX {
        let line = wire.read_line(LINE_BYTES_MAX).await?;
        if line.is_empty() {
            return Ok(());
        }
        received.trailers.push(String::from_utf8_lossy(&line).into_owned());
    }
    Err(Refused::bad("too many trailer fields").into())
}

/// Parses a chunk size line: hex digits, then an extension that starts with a semicolon.
fn parse_size(line: &[u8]) -> Result<u64, Refused> {
    let refused = || Refused::bad("a chunk size must be 1 to 15 hex digits");
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
    let is_size = digits.iter().all(u8::is_ascii_hexdigit) && digits.len() <= SIZE_DIGITS_MAX;
    let text = str::from_utf8(digits).ok().filter(|_| is_size).ok_or_else(refused)?;
    u64::from_str_radix(text, 16).map_err(|_invalid| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes_are_hex_digits_only() {
        const CASES: &[(&str, Option<u64>, &str)] = &[
            ("0", Some(0), "last chunk"),
            ("1aF", Some(0x1af), "both cases"),
            ("5;name=\"x\"", Some(5), "extension"),
            ("", None, "empty"),
            (";x", None, "extension alone"),
            ("+5", None, "sign"),
            ("0x5", None, "prefix"),
            ("5 ", None, "space"),
            ("fffffffffffffffd", None, "would overflow an addition"),
        ];
        for &(line, expected, why) in CASES {
            assert_eq!(parse_size(line.as_bytes()).ok(), expected, "{why}: {line:?}");
        }
    }
}
