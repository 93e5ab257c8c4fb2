//! What does a file of records hold, and where does what can be trusted end?
//!
//! Pure but for the reader: nothing is repaired here. Appends are met one by one, so that the
//! memory needed is that of the longest.

use std::io::{self, Read};

use super::Damage;
use super::format::{
    CHECK_BYTES, HEAD_BYTES, HEADER_BYTES, Head, Header, HeaderProblem, Kind, Place, record_check,
};

/// Why no records come from a file.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// What is there cannot be trusted. The epoch is that of the header, if that is right.
    Damaged { why: Damage, epoch: Option<u64> },
    /// The disk did not hand out what is there.
    Io(io::Error),
    /// Another version wrote it.
    OtherVersion(u32),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A record whose checks are right and that follows what is before it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) seq: u64,
    pub(super) payload: Vec<u8>,
}

/// Reads appends in the order in which they were written.
#[derive(Debug)]
pub(super) struct Scan<R> {
    reader: R,
    /// Bytes of the file.
    bytes: u64,
    /// Where the next record begins, or where the last whole append ended.
    at: u64,
    header: Header,
    last_seq: u64,
}

impl<R: Read> Scan<R> {
    /// Reads the header of a file of `bytes` bytes.
    ///
    /// A file that ends within it is damaged, never torn: a log gets its name once its header is
    /// durable.
    pub(super) fn begin(mut reader: R, bytes: u64) -> Result<Self, Unreadable> {
        let damaged = || Unreadable::Damaged { why: Damage::Header, epoch: None };
        if bytes < HEADER_BYTES as u64 {
            return Err(damaged());
        }
        let mut header = [0; HEADER_BYTES];
        reader.read_exact(&mut header)?;
        let header = Header::decode(&header).map_err(|problem| match problem {
            HeaderProblem::Damaged => damaged(),
            HeaderProblem::OtherVersion(version) => Unreadable::OtherVersion(version),
        })?;
        let last_seq = header.first_seq - 1;
        Ok(Self { reader, bytes, at: HEADER_BYTES as u64, header, last_seq })
    }

    /// Where the next append begins; after the last one, where that ends.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The records of the next append, or `None` if the file ends before the next one is whole.
    pub(super) fn next_append(&mut self) -> Result<Option<Vec<Record>>, Unreadable> {
        let start = self.at;
        let seq_before = self.last_seq;
        let mut records = Vec::new();
        loop {
            let Some(record) = self.next_record(!records.is_empty())? else {
                self.at = start;
                self.last_seq = seq_before;
                return Ok(None);
            };
            let is_last = record.kind != Kind::EntryPart;
            records.push(record);
            if is_last {
                return Ok(Some(records));
            }
        }
    }

    fn next_record(&mut self, within_append: bool) -> Result<Option<Record>, Unreadable> {
        let left = self.bytes - self.at;
        if left < HEAD_BYTES as u64 {
            return Ok(None);
        }
        let place = Place { epoch: self.header.epoch, at: self.at };
        let mut head_bytes = [0; HEAD_BYTES];
        self.reader.read_exact(&mut head_bytes)?;
        let head = Head::decode(&head_bytes, place).map_err(|why| self.damaged(why))?;
        if !self.follows(head, within_append) {
            return Err(self.damaged(Damage::Order { at: place.at }));
        }
        if left < head.record_bytes() {
            return Ok(None);
        }
        let mut payload = vec![0; head.payload_bytes];
        self.reader.read_exact(&mut payload)?;
        let mut check = [0; CHECK_BYTES];
        self.reader.read_exact(&mut check)?;
        if check != record_check(place, &head_bytes, &payload) {
            return Err(self.damaged(Damage::Record { at: place.at }));
        }
        self.at += head.record_bytes();
        self.last_seq = head.seq;
        Ok(Some(Record { kind: head.kind, seq: head.seq, payload }))
    }

    fn follows(&self, head: Head, within_append: bool) -> bool {
        if head.kind.is_entry() {
            head.seq == self.last_seq + 1
        } else {
            !within_append && head.seq == self.last_seq
        }
    }

    fn damaged(&self, why: Damage) -> Unreadable {
        Unreadable::Damaged { why, epoch: Some(self.header.epoch) }
    }
}

/// All that a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) header: Header,
    pub(super) entries: Vec<(u64, Vec<u8>)>,
    pub(super) members: Vec<String>,
    /// The number of the last entry, compacted or not.
    pub(super) last_seq: u64,
    /// Where the last whole append begins; where the header ends if there is none.
    pub(super) last_append_at: u64,
    /// Where the last whole append ends. What follows is torn.
    pub(super) whole_bytes: u64,
}

impl Contents {
    /// What a log without records holds.
    pub(super) fn empty(header: Header) -> Self {
        Self {
            header,
            entries: Vec::new(),
            members: Vec::new(),
            last_seq: header.first_seq - 1,
            last_append_at: HEADER_BYTES as u64,
            whole_bytes: HEADER_BYTES as u64,
        }
    }

    /// Reads a file of `bytes` bytes to its end.
    pub(super) fn read(reader: impl Read, bytes: u64) -> Result<Self, Unreadable> {
        let mut scan = Scan::begin(reader, bytes)?;
        let mut contents = Self::empty(scan.header);
        loop {
            let start = scan.at();
            let Some(records) = scan.next_append()? else { break };
            for record in records {
                if contents.take(record).is_none() {
                    return Err(scan.damaged(Damage::Meaning { at: start }));
                }
            }
            contents.last_append_at = start;
        }
        contents.last_seq = scan.last_seq;
        contents.whole_bytes = scan.at();
        Ok(contents)
    }

    /// Takes in what `record` says, or returns `None` if a name is not text.
    fn take(&mut self, record: Record) -> Option<()> {
        if record.kind.is_entry() {
            self.entries.push((record.seq, record.payload));
            return Some(());
        }
        let member = String::from_utf8(record.payload).ok()?;
        self.members.retain(|enrolled| *enrolled != member);
        if record.kind == Kind::Enrol {
            self.members.push(member);
        }
        Some(())
    }
}
