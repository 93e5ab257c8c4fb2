//! What did the server answer, and where does the answer end?
//!
//! A reader of HTTP/1.1 responses that is fed bytes as they come and keeps none of a body. It knows what a load driver
//! must know (status, framing, what the cache said) and looks at no other field. No I/O, no clock.
//!
//! 1. How the bytes are cut into pieces changes nothing.
//! 2. No byte makes it panic; an unfinished line is all that it keeps, and [`HEAD_MAX`] bounds it.

use memchr::memchr;

use super::outcome::{CacheOutcome, from_cache_status, from_x_cache};

/// The most bytes of a head, interim responses before it included, and of trailers.
pub(crate) const HEAD_MAX: usize = 64 * 1024;
/// The most bytes of the line that says how long a chunk is.
const CHUNK_LINE_MAX: usize = 1024;

/// A response that was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// From 200 to 599.
    pub(crate) status: u16,
    /// What the cache said of it.
    pub(crate) outcome: CacheOutcome,
    /// The content, without chunk framing.
    pub(crate) body_bytes: u64,
    /// Whether the connection may be used again.
    pub(crate) reusable: bool,
}

/// Why bytes are no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the status line is none")]
    StatusLine,
    #[error("a field has no name or no colon")]
    Field,
    #[error("the head is longer than {HEAD_MAX} bytes")]
    HeadTooLong,
    #[error("Content-Length is no number, or there are two")]
    Length,
    #[error("Content-Length and Transfer-Encoding contradict each other")]
    TwoFramings,
    #[error("a chunk is malformed")]
    Chunk,
    #[error("the protocol was switched without being asked to")]
    Switched,
    #[error("the connection ended in the head")]
    EndInHead,
    #[error("the connection ended in the body")]
    EndInBody,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    StatusLine,
    Fields,
    Body { left: u64 },
    UntilEnd,
    ChunkSize,
    Chunk { left: u64 },
    ChunkEnd,
    Trailers,
    Done,
}

#[derive(Debug, Clone, Copy, Default)]
struct Head {
    status: u16,
    old: bool,
    length: Option<u64>,
    coded: bool,
    chunked: bool,
    closes: bool,
    keeps: bool,
    x_cache: Option<CacheOutcome>,
    cache_status: Option<CacheOutcome>,
}

/// Reads one response after another.
#[derive(Debug)]
pub(crate) struct Reader {
    state: State,
    head: Head,
    without_body: bool,
    line: Vec<u8>,
    line_bytes_left: usize,
    body_bytes: u64,
    begun: bool,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Done,
            head: Head::default(),
            without_body: false,
            line: Vec::new(),
            line_bytes_left: 0,
            body_bytes: 0,
            begun: false,
        }
    }

    /// Expects a response; `without_body` if it answers a HEAD.
    pub(crate) fn begin(&mut self, without_body: bool) {
        self.state = State::StatusLine;
        self.head = Head::default();
        self.without_body = without_body;
        self.line.clear();
        self.line_bytes_left = HEAD_MAX;
        self.body_bytes = 0;
        self.begun = false;
    }

    /// Whether a byte of the response has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Takes what came in; `None` while there is more to come.
    ///
    /// Bytes after the end make the connection not reusable: nobody asked for them.
    ///
    /// # Errors
    ///
    /// [`Broken`] if this is no response; the connection is of no more use.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<Option<Answer>, Broken> {
        self.begun |= !bytes.is_empty();
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Done => break,
                State::Body { left } => {
                    let (taken, rest) = self.content(bytes, left);
                    let left = left - taken;
                    self.state = if left == 0 { State::Done } else { State::Body { left } };
                    rest
                }
                State::Chunk { left } => {
                    let (taken, rest) = self.content(bytes, left);
                    let left = left - taken;
                    self.state = if left == 0 { State::ChunkEnd } else { State::Chunk { left } };
                    rest
                }
                State::UntilEnd => self.content(bytes, u64::MAX).1,
                State::StatusLine
                | State::Fields
                | State::ChunkSize
                | State::ChunkEnd
                | State::Trailers => self.lines(bytes)?,
            };
        }
        Ok((self.state == State::Done).then(|| self.answer(bytes.is_empty())))
    }

    /// Takes the end of the connection, which ends a body of unstated length.
    ///
    /// # Errors
    ///
    /// [`Broken`] if the response was not whole.
    pub(crate) fn end(&self) -> Result<Answer, Broken> {
        match self.state {
            State::StatusLine | State::Fields => Err(Broken::EndInHead),
            State::UntilEnd | State::Done => Ok(self.answer(false)),
            State::Body { .. }
            | State::ChunkSize
            | State::Chunk { .. }
            | State::ChunkEnd
            | State::Trailers => Err(Broken::EndInBody),
        }
    }

    fn answer(&self, clean: bool) -> Answer {
        let Head { status, old, closes, keeps, x_cache, cache_status, .. } = self.head;
        let outcome = x_cache.or(cache_status).unwrap_or(CacheOutcome::Unsaid);
        let reusable = clean && !closes && (!old || keeps);
        Answer { status, outcome, body_bytes: self.body_bytes, reusable }
    }

    /// Counts at most `left` bytes of content; returns how many, and the bytes after them.
    fn content<'bytes>(&mut self, bytes: &'bytes [u8], left: u64) -> (u64, &'bytes [u8]) {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let taken = u64::try_from(here).unwrap_or(u64::MAX);
        self.body_bytes = self.body_bytes.saturating_add(taken);
        (taken, bytes.get(here..).unwrap_or_default())
    }

    /// Takes one line, or the beginning of one; returns the bytes after it.
    fn lines<'bytes>(&mut self, bytes: &'bytes [u8]) -> Result<&'bytes [u8], Broken> {
        let end = memchr(b'\n', bytes);
        let here = end.map_or(bytes.len(), |at| at + 1);
        let (piece, rest) = bytes.split_at_checked(here).unwrap_or((bytes, &[]));
        self.line_bytes_left =
            self.line_bytes_left.checked_sub(here).ok_or_else(|| self.too_long())?;
        if end.is_none() {
            self.line.extend_from_slice(piece);
        } else if self.line.is_empty() {
            self.on_line(without_line_end(piece))?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(piece);
            let done = self.on_line(without_line_end(&line));
            line.clear();
            self.line = line;
            done?;
        }
        Ok(rest)
    }

    fn too_long(&self) -> Broken {
        match self.state {
            State::ChunkSize | State::ChunkEnd => Broken::Chunk,
            _ => Broken::HeadTooLong,
        }
    }

    fn on_line(&mut self, line: &[u8]) -> Result<(), Broken> {
        match self.state {
            State::StatusLine => self.on_status_line(line)?,
            State::Fields if line.is_empty() => self.on_head()?,
            State::Fields => self.head.on_field(line)?,
            State::ChunkSize => match parse_chunk_size(line).ok_or(Broken::Chunk)? {
                0 => {
                    self.state = State::Trailers;
                    self.line_bytes_left = HEAD_MAX;
                }
                left => self.state = State::Chunk { left },
            },
            State::ChunkEnd if line.is_empty() => self.expect_chunk(),
            State::ChunkEnd => return Err(Broken::Chunk),
            State::Trailers if line.is_empty() => self.state = State::Done,
            State::Trailers
            | State::Body { .. }
            | State::Chunk { .. }
            | State::UntilEnd
            | State::Done => {}
        }
        if matches!(self.state, State::Chunk { .. }) {
            self.line_bytes_left = CHUNK_LINE_MAX;
        }
        Ok(())
    }

    fn on_status_line(&mut self, line: &[u8]) -> Result<(), Broken> {
        let (old, status) = parse_status_line(line).ok_or(Broken::StatusLine)?;
        self.head = Head { status, old, ..Head::default() };
        self.state = State::Fields;
        Ok(())
    }

    /// Decides where the body ends (RFC 9112 §6.3).
    fn on_head(&mut self) -> Result<(), Broken> {
        let head = self.head;
        if head.coded && head.length.is_some() {
            return Err(Broken::TwoFramings);
        }
        match head.status {
            101 => return Err(Broken::Switched),
            // Interim responses share the bound of the head, so that their number has one.
            100..200 => self.state = State::StatusLine,
            204 | 304 => self.state = State::Done,
            _ if self.without_body => self.state = State::Done,
            _ if head.chunked => self.expect_chunk(),
            _ => {
                self.state = match head.length {
                    Some(0) if !head.coded => State::Done,
                    Some(left) if !head.coded => State::Body { left },
                    _ => State::UntilEnd,
                };
            }
        }
        Ok(())
    }

    fn expect_chunk(&mut self) {
        self.state = State::ChunkSize;
        self.line_bytes_left = CHUNK_LINE_MAX;
    }
}

impl Head {
    fn on_field(&mut self, line: &[u8]) -> Result<(), Broken> {
        let colon = memchr(b':', line).filter(|at| *at > 0).ok_or(Broken::Field)?;
        let (name, value) = line.split_at_checked(colon).ok_or(Broken::Field)?;
        if name.iter().any(|byte| byte.is_ascii_whitespace()) {
            return Err(Broken::Field);
        }
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        // By length first: most fields are none of these.
        match name.len() {
            7 if name.eq_ignore_ascii_case(b"x-cache") => self.x_cache = from_x_cache(value),
            10 if name.eq_ignore_ascii_case(b"connection") => self.on_connection(value),
            12 if name.eq_ignore_ascii_case(b"cache-status") => {
                self.cache_status = from_cache_status(value);
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.on_length(value)?,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.coded = true;
                let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
                self.chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
            }
            _ => {}
        }
        Ok(())
    }

    fn on_connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.closes |= option.eq_ignore_ascii_case(b"close");
            self.keeps |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn on_length(&mut self, value: &[u8]) -> Result<(), Broken> {
        let length = parse_number(value, 10).ok_or(Broken::Length)?;
        if self.length.is_some_and(|before| before != length) {
            return Err(Broken::Length);
        }
        self.length = Some(length);
        Ok(())
    }
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Whether the sender is older than HTTP/1.1, and the status.
fn parse_status_line(line: &[u8]) -> Option<(bool, u16)> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (minor, rest) = rest.split_first()?;
    let rest = rest.strip_prefix(b" ")?;
    let (status, after) = rest.split_at_checked(3)?;
    let status = u16::try_from(parse_number(status, 10)?).ok()?;
    let whole = minor.is_ascii_digit() && (after.is_empty() || after.starts_with(b" "));
    (whole && (100..600).contains(&status)).then_some((*minor == b'0', status))
}

fn parse_chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t'));
    parse_number(line.get(..end.unwrap_or(line.len()))?, 16)
}

/// Digits alone; `None` if there are none, other bytes, or too many.
fn parse_number(digits: &[u8], radix: u32) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = char::from(*byte).to_digit(radix)?;
        number.checked_mul(u64::from(radix))?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests;
