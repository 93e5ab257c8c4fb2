//! Which requests are in a log, in whatever form it has?
//!
//! A [`TraceReader`] gives one [`Record`] after another, from a plain or gzipped file, in one of four forms that are told
//! apart by the first line. What the requests mean to a cache is decided in `replay`.
//!
//! # Invariants
//!
//! 1. No line panics. A line that cannot be read is counted, and the first few are named with their numbers.
//! 2. Memory does not grow with the log: one line of at most [`LINE_BYTES_MAX`] bytes is held at a time.

mod cloudfront;
mod combined;
mod instant;
mod lines;
mod tsv;
mod weir;

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead};
use std::path::Path;
use std::str::FromStr;

use weir_cache::Scheme;

pub use lines::LINE_BYTES_MAX;
use lines::Lines;

/// Unreadable lines that are named; more are counted.
const NAMED_MAX: usize = 5;

/// One request of a log. Texts are as the log has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it came, in milliseconds since any moment.
    pub at_ms: i64,
    /// Who asked: an address, a name or a number.
    pub client: String,
    /// Method.
    pub method: String,
    /// Scheme of the target; `http` where the log does not say.
    pub scheme: Scheme,
    /// Host, with a port if the log has one.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of its body; `None` where the log has none.
    pub bytes: Option<u64>,
    /// Cache-Control of the answer; `None` where the log does not say. Empty: there was none.
    pub cache_control: Option<String>,
    /// Whether the cache that wrote the log had it; `None` where the log does not say.
    pub observed_hit: Option<bool>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            at_ms: 0,
            client: String::new(),
            method: String::new(),
            scheme: Scheme::Http,
            host: String::new(),
            path: String::new(),
            status: 0,
            bytes: None,
            cache_control: None,
            observed_hit: None,
        }
    }
}

/// A form of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Columns separated by tabs, named in the first line: `ts_ms client method host path status size`, and
    /// `cache_control observed` where they are known. What `weir bench synth` writes.
    Tsv,
    /// The access log of a node, as JSON.
    Weir,
    /// The combined format of nginx and Apache, with a host before or after it or without.
    Combined,
    /// The standard log of CloudFront (W3C, tabs, `#Fields`).
    CloudFront,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tsv, Self::Weir, Self::Combined, Self::CloudFront];

    /// Returns the name used on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tsv => "tsv",
            Self::Weir => "weir",
            Self::Combined => "combined",
            Self::CloudFront => "cloudfront",
        }
    }

    /// Tells the form by the first line that is not empty.
    fn of_line(line: &str) -> Option<Self> {
        if line.starts_with('{') {
            Some(Self::Weir)
        } else if line.starts_with('#') {
            Some(Self::CloudFront)
        } else if tsv::is_header(line) || tsv::is_row(line) {
            Some(Self::Tsv)
        } else if line.contains(" [") && line.contains('"') {
            Some(Self::Combined)
        } else {
            None
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no [`Format`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown format of a log; expected tsv, weir, combined or cloudfront")]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or(UnknownFormat)
    }
}

/// Why a log cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be opened or read, or its compression is damaged.
    #[error("{file} cannot be read")]
    Io {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no line in it.
    #[error("{file} is empty")]
    Empty {
        /// The file.
        file: String,
    },
    /// The first line has no known form.
    #[error(
        "the form of {file} is not known; name it with --format: tsv (columns `ts_ms client method host path status \
         size`), weir (its access log as JSON), combined (nginx, Apache) or cloudfront"
    )]
    UnknownForm {
        /// The file.
        file: String,
    },
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadLine(pub(crate) &'static str);

/// Lines that could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BadLines {
    /// How many.
    pub count: u64,
    /// The first few: number of the line, from 1, and what is wrong with it.
    pub first: Vec<(u64, BadLine)>,
}

/// What a line was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// A request; the record holds it.
    Request,
    /// Something that is to be there and is no request for a cache.
    Other,
}

/// How lines of one form are read. A parser fills the record it is given and leaves nothing of the line before in it.
trait Parser: fmt::Debug {
    fn parse(&mut self, line: &str, record: &mut Record) -> Result<Line, BadLine>;
}

/// Reads the requests of a log one by one.
#[derive(Debug)]
pub struct TraceReader {
    file: String,
    lines: Lines,
    /// A line that was read to tell the form.
    ahead: Option<String>,
    parser: Box<dyn Parser>,
    format: Format,
    bad: BadLines,
    others: u64,
}

impl TraceReader {
    /// Opens the log at `path`. `format` is told by the first line where it is `None`; `host` is taken for requests of
    /// which the log does not say it.
    ///
    /// # Errors
    ///
    /// [`TraceError`].
    pub fn open(path: &Path, format: Option<Format>, host: &str) -> Result<Self, TraceError> {
        let name = path.display().to_string();
        let opened = File::open(path).and_then(|file| Lines::of(io::BufReader::new(file)));
        let lines = opened.map_err(|source| TraceError::Io { file: name.clone(), source })?;
        Self::new(name, lines, format, host)
    }

    /// Reads a log that is at hand, called `name` in messages. Otherwise as [`Self::open`].
    ///
    /// # Errors
    ///
    /// [`TraceError`].
    pub fn of_reader(
        name: &str,
        reader: impl BufRead + 'static,
        format: Option<Format>,
        host: &str,
    ) -> Result<Self, TraceError> {
        let lines =
            Lines::of(reader).map_err(|source| TraceError::Io { file: name.to_owned(), source })?;
        Self::new(name.to_owned(), lines, format, host)
    }

    fn new(
        file: String,
        mut lines: Lines,
        format: Option<Format>,
        host: &str,
    ) -> Result<Self, TraceError> {
        let first = loop {
            match lines.next() {
                Err(source) => return Err(TraceError::Io { file, source }),
                Ok(None) => return Err(TraceError::Empty { file }),
                Ok(Some(Ok(line))) if line.trim().is_empty() => {}
                Ok(Some(Ok(line))) => break line.to_owned(),
                Ok(Some(Err(_too_long))) => break String::new(),
            }
        };
        let Some(format) = format.or_else(|| Format::of_line(&first)) else {
            return Err(TraceError::UnknownForm { file });
        };
        let parser: Box<dyn Parser> = match format {
            Format::Tsv => Box::new(tsv::Tsv::default()),
            Format::Weir => Box::new(weir::Weir),
            Format::Combined => Box::new(combined::Combined::new(host)),
            Format::CloudFront => Box::new(cloudfront::CloudFront::default()),
        };
        Ok(Self {
            file,
            lines,
            ahead: Some(first),
            parser,
            format,
            bad: BadLines::default(),
            others: 0,
        })
    }

    /// Reads the next request into `record`; returns whether there was one.
    ///
    /// # Errors
    ///
    /// [`TraceError::Io`]; the requests before it have been given.
    pub fn next_into(&mut self, record: &mut Record) -> Result<bool, TraceError> {
        loop {
            let parsed = if let Some(line) = self.ahead.take() {
                self.parser.parse(&line, record)
            } else {
                match self.lines.next() {
                    Err(source) => return Err(TraceError::Io { file: self.file.clone(), source }),
                    Ok(None) => return Ok(false),
                    Ok(Some(Err(too_long))) => Err(too_long),
                    Ok(Some(Ok(""))) => Ok(Line::Other),
                    Ok(Some(Ok(line))) => self.parser.parse(line, record),
                }
            };
            match parsed {
                Ok(Line::Request) => return Ok(true),
                Ok(Line::Other) => self.others += 1,
                Err(bad) => {
                    self.bad.count += 1;
                    if self.bad.first.len() < NAMED_MAX {
                        self.bad.first.push((self.lines.number(), bad));
                    }
                }
            }
        }
    }

    /// The form of the log.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Lines that could not be read so far.
    #[must_use]
    pub fn bad_lines(&self) -> &BadLines {
        &self.bad
    }

    /// Compressed and plain bytes read so far are not the same; these are the bytes of lines.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.lines.bytes()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
