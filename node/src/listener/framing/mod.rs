//! Where does each request of an HTTP/1 connection begin and end, read as strictly as RFC 9112 allows?
//!
//! hyper reads requests leniently in places where others read them otherwise: lines that end in LF alone,
//! `Content-Length` beside `Transfer-Encoding`, codings before `chunked`, fragments. Whatever two readers can
//! take for two things is how one client's request becomes part of another's (RFC 9112 §11.2). So all bytes pass here
//! first. What is refused here is answered with an error and ends the connection; what passes is read by hyper in the
//! one way there is. Pure: no I/O and no clock. What hyper refuses by itself (names, values, versions) is left to it.
//!
//! # Cost
//!
//! One search for each line end of a head, and a comparison of the first letter of each line; bodies are skipped.

mod chunked;
mod head;

use chunked::Chunked;
use head::{Frame, Head};

/// Bytes of one line that are kept while the rest of it is on its way. hyper's bound on heads is reached before.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Why bytes are not taken for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They can be read in two ways, or in none; what is wrong.
    Ambiguous(&'static str),
    /// The body has a transfer coding other than `chunked` (RFC 9112 §6.1).
    UnknownCoding,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ambiguous(why) => why,
            Self::UnknownCoding => "the body has a transfer coding other than \"chunked\"",
        })
    }
}

impl std::error::Error for Fault {}

/// What of a connection's bytes concerns the requests on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// The head of this request, counted from 1, is not to be believed; nothing after it is a request.
    BadHead(u64, Fault),
    /// This request, counted from 1, wishes for another protocol; what follows it need not be HTTP.
    Upgrade(u64),
    /// The body of this request, counted from 1, is not one; nothing after it is a request.
    BadBody(u64, Fault),
}

/// Reads along with a connection.
#[derive(Debug)]
pub(super) struct Framing {
    state: State,
    head: Head,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Heads begun.
    begun: u64,
    /// Whether the last head has a fault, so that nobody looks for its end here.
    is_bad: bool,
}

#[derive(Debug)]
enum State {
    /// Between two requests.
    Between,
    Head,
    /// A body with so many bytes to come.
    Sized(u64),
    Chunked(Chunked),
    /// What comes is nothing that requests could be in.
    Opaque,
}

impl Framing {
    /// A connection on which nothing has come.
    pub(super) fn new() -> Self {
        Self {
            state: State::Between,
            head: Head::default(),
            line: Vec::new(),
            begun: 0,
            is_bad: false,
        }
    }

    /// Whether a head has begun and not ended, as far as can be told: one with a fault ends with its connection.
    pub(super) fn is_in_head(&self) -> bool {
        self.is_bad || matches!(self.state, State::Head)
    }

    /// Requests begun.
    pub(super) fn begun(&self) -> u64 {
        self.begun
    }

    /// Whether all that came belongs to whole requests.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.state, State::Between)
    }

    /// Reads on. `None` as long as all is well.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Option<Notice> {
        while !bytes.is_empty() {
            let notice = match &mut self.state {
                State::Opaque => return None,
                State::Sized(left) => {
                    let here = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= here as u64;
                    if *left == 0 {
                        self.state = State::Between;
                    }
                    bytes = bytes.get(here..).unwrap_or_default();
                    None
                }
                State::Chunked(chunks) => match chunks.read(bytes) {
                    Ok(rest) => {
                        if chunks.is_whole() {
                            self.state = State::Between;
                        }
                        bytes = rest;
                        None
                    }
                    Err(fault) => Some(Notice::BadBody(self.begun, fault)),
                },
                State::Between | State::Head => self.read_line(&mut bytes),
            };
            if notice.is_some() {
                self.is_bad = matches!(notice, Some(Notice::BadHead(..)));
                self.state = State::Opaque;
                return notice;
            }
        }
        None
    }

    /// Takes one line off `bytes`, or what there is of it.
    fn read_line(&mut self, bytes: &mut &[u8]) -> Option<Notice> {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.begin();
            if self.line.len() + bytes.len() > LINE_BYTES_MAX {
                return Some(self.bad_head("a line of the head is too long"));
            }
            self.line.extend_from_slice(bytes);
            *bytes = &[];
            return None;
        };
        let (line, rest) = bytes.split_at(end);
        *bytes = rest.get(1..).unwrap_or_default();
        if self.line.is_empty() {
            return self.take_line(line);
        }
        let mut whole = std::mem::take(&mut self.line);
        whole.extend_from_slice(line);
        let notice = self.take_line(&whole);
        whole.clear();
        self.line = whole;
        notice
    }

    /// A head begins with its first byte.
    fn begin(&mut self) {
        if matches!(self.state, State::Between) {
            self.state = State::Head;
            self.begun += 1;
            self.head = Head::default();
        }
    }

    /// One line without its LF.
    fn take_line(&mut self, line: &[u8]) -> Option<Notice> {
        let is_request_line = matches!(self.state, State::Between) || !self.head.has_line();
        let Some(line) = line.strip_suffix(b"\r") else {
            self.begin();
            return Some(self.bad_head("a line ends in LF without CR"));
        };
        match (line, is_request_line) {
            // RFC 9112 §2.2: an empty line before a request is skipped.
            ([], true) => {
                // What was begun in an earlier read was this line's CR.
                if self.is_in_head() {
                    self.begun -= 1;
                    self.state = State::Between;
                }
                None
            }
            ([], false) => self.end_head(),
            (line, true) => {
                self.begin();
                self.note(|head| head.request_line(line))
            }
            (line, false) => self.note(|head| head.field_line(line)),
        }
    }

    fn note(&mut self, read: impl FnOnce(&mut Head) -> Result<(), Fault>) -> Option<Notice> {
        read(&mut self.head).err().map(|fault| Notice::BadHead(self.begun, fault))
    }

    fn bad_head(&self, why: &'static str) -> Notice {
        Notice::BadHead(self.begun, Fault::Ambiguous(why))
    }

    fn end_head(&mut self) -> Option<Notice> {
        self.state = match self.head.frame() {
            Ok(Frame::Sized(0)) => State::Between,
            Ok(Frame::Sized(length)) => State::Sized(length),
            Ok(Frame::Chunked) => State::Chunked(Chunked::new()),
            Err(fault) => return Some(Notice::BadHead(self.begun, fault)),
        };
        self.head.wants_upgrade().then_some(Notice::Upgrade(self.begun))
    }
}

#[cfg(test)]
mod against_hyper;
#[cfg(test)]
mod tests;
