//! Where does a body in chunks end? (RFC 9112 §7.1)

use super::Fault;

/// Bytes of chunk extensions that one body may have; nobody has a use for them.
const EXTENSION_BYTES_MAX: u32 = 16 * 1024;
/// Bytes of trailers that one body may have.
const TRAILER_BYTES_MAX: u32 = 64 * 1024;
/// Hexadecimal digits of a size, leading zeros among them.
const DIGITS_MAX: u8 = 16;
/// The largest chunk: what fits a signed number, since others may have one.
const SIZE_MAX: u64 = i64::MAX.unsigned_abs();

/// Reads along with one body.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    /// The size of the chunk whose line is being read.
    size: u64,
    digits: u8,
    extension_bytes: u32,
    trailer_bytes: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    SizeStart,
    Size,
    /// After whitespace that only an extension may follow.
    BeforeExtension,
    Extension,
    /// After the CR that ends a line with a size.
    SizeEnd,
    Data(u64),
    /// After the last byte of a chunk.
    DataEnd,
    DataEndLf,
    /// At the first byte of a line of trailers.
    TrailerStart,
    Trailer,
    /// After the CR that ends such a line.
    TrailerLf,
    /// After the CR of the empty line.
    LastLf,
    Whole,
}

impl Chunked {
    /// A body of which nothing has come.
    pub(super) fn new() -> Self {
        Self { state: State::SizeStart, size: 0, digits: 0, extension_bytes: 0, trailer_bytes: 0 }
    }

    /// Whether the body has ended.
    pub(super) fn is_whole(&self) -> bool {
        self.state == State::Whole
    }

    /// Reads on; returns what follows the body, or nothing.
    pub(super) fn read<'a>(&mut self, mut bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
        while let (false, Some((&byte, rest))) = (self.is_whole(), bytes.split_first()) {
            if let State::Data(left) = self.state {
                let here = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - here as u64;
                self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                bytes = bytes.get(here..).unwrap_or_default();
            } else {
                self.state = self.step(byte).map_err(Fault::Ambiguous)?;
                bytes = rest;
            }
        }
        Ok(bytes)
    }

    fn step(&mut self, byte: u8) -> Result<State, &'static str> {
        match self.state {
            State::SizeStart | State::Size => self.size_byte(byte),
            State::BeforeExtension | State::Extension => self.extension_byte(byte),
            State::SizeEnd if byte == b'\n' && self.size == 0 => Ok(State::TrailerStart),
            State::SizeEnd if byte == b'\n' => Ok(State::Data(self.size)),
            State::SizeEnd => Err("the line of a chunk size does not end in CRLF"),
            State::DataEnd if byte == b'\r' => Ok(State::DataEndLf),
            State::DataEndLf if byte == b'\n' => Ok(State::SizeStart),
            State::DataEnd | State::DataEndLf => Err("a chunk does not end in CRLF"),
            State::TrailerStart if byte == b'\r' => Ok(State::LastLf),
            State::TrailerStart | State::Trailer => self.trailer_byte(byte),
            State::TrailerLf if byte == b'\n' => Ok(State::TrailerStart),
            State::LastLf if byte == b'\n' => Ok(State::Whole),
            State::TrailerLf | State::LastLf => Err("a trailer does not end in CRLF"),
            State::Data(_) | State::Whole => Ok(self.state),
        }
    }

    fn size_byte(&mut self, byte: u8) -> Result<State, &'static str> {
        let is_first = self.state == State::SizeStart;
        if let Some(digit) = char::from(byte).to_digit(16) {
            let (size, digits) = if is_first { (0, 0) } else { (self.size, self.digits) };
            let grown = size.checked_mul(16).map(|size| size + u64::from(digit));
            let fits = |size: &u64| *size <= SIZE_MAX && digits < DIGITS_MAX;
            self.size = grown.filter(fits).ok_or("a chunk size is too large")?;
            self.digits = digits + 1;
            return Ok(State::Size);
        }
        match byte {
            _ if is_first => Err("a chunk size does not begin with a hexadecimal digit"),
            b'\r' => Ok(State::SizeEnd),
            b';' => Ok(State::Extension),
            b' ' | b'\t' => Ok(State::BeforeExtension),
            _ => Err("a chunk size is not a hexadecimal number"),
        }
    }

    fn extension_byte(&mut self, byte: u8) -> Result<State, &'static str> {
        self.extension_bytes += 1;
        if self.extension_bytes > EXTENSION_BYTES_MAX {
            return Err("the chunk extensions are too long");
        }
        match (self.state, byte) {
            (State::BeforeExtension, b' ' | b'\t') => Ok(State::BeforeExtension),
            (State::BeforeExtension, b';') => Ok(State::Extension),
            (State::BeforeExtension, _) => Err("whitespace follows a chunk size"),
            (_, b'\r') => Ok(State::SizeEnd),
            (_, b'\t' | b' '..=b'~' | 0x80..) => Ok(State::Extension),
            _ => Err("a chunk extension has a control character"),
        }
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<State, &'static str> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX {
            return Err("the trailers are too long");
        }
        match (self.state, byte) {
            (_, b'\r') => Ok(State::TrailerLf),
            (State::TrailerStart, b' ' | b'\t') => Err("a trailer line is folded"),
            (_, b'\t' | b' '..=b'~' | 0x80..) => Ok(State::Trailer),
            _ => Err("a trailer has a control character"),
        }
    }
}
