//! What is the next line, in how much memory at most?
//!
//! Gzip is told by its first two bytes; several members in a row, as log rotation makes them, are one text.

use std::fmt;
use std::io::{self, BufRead, BufReader};

use flate2::bufread::MultiGzDecoder;

use super::BadLine;

/// The longest line that is read, in bytes; longer ones are passed over.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The lines of a text.
pub(super) struct Lines {
    reader: Box<dyn BufRead>,
    bytes: Vec<u8>,
    /// The line where it is not UTF-8.
    mended: String,
    number: u64,
    read: u64,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Lines {
    /// The lines that `reader` gives, unpacked if need be.
    pub(super) fn of(mut reader: impl BufRead + 'static) -> io::Result<Self> {
        let is_packed = reader.fill_buf()?.starts_with(&GZIP);
        let reader: Box<dyn BufRead> = if is_packed {
            Box::new(BufReader::with_capacity(64 * 1024, MultiGzDecoder::new(reader)))
        } else {
            Box::new(reader)
        };
        Ok(Self { reader, bytes: Vec::new(), mended: String::new(), number: 0, read: 0 })
    }

    /// The number of the line given last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of all lines so far.
    pub(super) fn bytes(&self) -> u64 {
        self.read
    }

    /// The next line without its end; `None` after the last one. Bytes that are no UTF-8 are replaced.
    pub(super) fn next(&mut self) -> io::Result<Option<Result<&str, BadLine>>> {
        self.bytes.clear();
        let mut is_too_long = false;
        let mut is_there = false;
        loop {
            let chunk = self.reader.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            is_there = true;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let piece = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or(chunk);
            is_too_long |= self.bytes.len() + piece.len() > LINE_BYTES_MAX;
            if !is_too_long {
                self.bytes.extend_from_slice(piece);
            }
            let used = piece.len() + usize::from(end.is_some());
            self.reader.consume(used);
            self.read += used as u64;
            if end.is_some() {
                break;
            }
        }
        if !is_there {
            return Ok(None);
        }
        self.number += 1;
        if is_too_long {
            return Ok(Some(Err(BadLine("longer than 64 KiB"))));
        }
        if self.bytes.last() == Some(&b'\r') {
            self.bytes.pop();
        }
        if let Ok(text) = std::str::from_utf8(&self.bytes) {
            return Ok(Some(Ok(text)));
        }
        self.mended = String::from_utf8_lossy(&self.bytes).into_owned();
        Ok(Some(Ok(&self.mended)))
    }
}
