//! How does a log get rid of entries that nobody needs any more?
//!
//! By writing what is kept into another file, which then takes its name. When that may happen is
//! the caller's decision.
//!
//! # Invariants
//!
//! 1. Until the rename the log is untouched; from then on the new file is whole and durable.
//! 2. Nothing is acknowledged between a rename and the sync of the folder: if the rename were
//!    undone by a power cut, it would be lost.

use std::fs::File;
use std::io;

use super::format::{Batch, HEADER_BYTES, Header, Kind, Payload};
use super::open::create_aside;
use super::scan::{Scan, Unreadable};
use super::{Damage, LOG_PAYLOAD_BYTES_MAX, LogAppendError, LogFile};

/// Bytes gathered before they are written.
const CHUNK_BYTES: usize = 256 * 1024;

impl LogFile {
    /// Drops all entries before `keep_from`, and what was noted of members that are struck.
    ///
    /// Epoch, members, the other entries and the count of numbers stay. `keep_from` beyond the last
    /// entry drops all, one that is compacted already drops none. Reads and writes the whole file,
    /// twice the room is needed meanwhile.
    ///
    /// # Errors
    ///
    /// [`LogAppendError`]. No entry is lost.
    pub fn compact(&mut self, keep_from: u64) -> Result<(), LogAppendError> {
        self.usable()?;
        let first_seq = keep_from.clamp(self.first_seq, self.last_seq + 1);
        let (file, bytes) = self.write_aside(first_seq).map_err(|problem| {
            // What is left would be removed by the next compaction anyway.
            drop(std::fs::remove_file(self.disk.aside()));
            self.not_compacted(problem)
        })?;
        // A rename that fails may have happened: the file in hand may have no name any more.
        let renamed = self.disk.rename(&self.disk.aside(), &self.disk.log());
        if let Err(source) = renamed.and_then(|()| self.disk.sync_folder()) {
            return Err(self.poison(source));
        }
        self.file = file;
        self.first_seq = first_seq;
        self.bytes = bytes;
        Ok(())
    }

    fn not_compacted(&mut self, problem: Problem) -> LogAppendError {
        match problem {
            Problem::Damaged(why) => {
                self.poisoned = true;
                LogAppendError::Damaged { why }
            }
            Problem::Io(source) => LogAppendError::NotWritten { source },
        }
    }

    /// Writes what is kept into a file of its own and makes it durable; returns its length too.
    fn write_aside(&self, first_seq: u64) -> Result<(File, u64), Problem> {
        let mut aside = Aside { log: self, file: create_aside(&self.disk)?, batch: self.batch(0) };
        let header = Header { epoch: self.epoch, first_seq };
        self.disk.write(&aside.file, &header.encode(), 0)?;
        aside.batch = self.batch(HEADER_BYTES as u64);
        for member in &self.members {
            aside.push(Kind::Enrol, first_seq - 1, member.as_bytes())?;
        }
        self.copy_entries(first_seq, &mut aside)?;
        aside.flush()?;
        self.disk.sync_all(&aside.file)?;
        Ok((aside.file, aside.batch.end()))
    }

    /// Copies the entries from `first_seq` on, each of which is checked on the way.
    fn copy_entries(&self, first_seq: u64, aside: &mut Aside<'_>) -> Result<(), Problem> {
        let present = self.file.metadata()?.len();
        if present < self.bytes {
            return Err(Problem::Damaged(Damage::Short { at: present }));
        }
        let mut scan = Scan::begin(self.disk.reader(&self.file)?, self.bytes)?;
        while let Some(records) = scan.next_append()? {
            let kept =
                records.iter().filter(|record| record.kind.is_entry() && record.seq >= first_seq);
            for record in kept {
                aside.push(record.kind, record.seq, &record.payload)?;
            }
        }
        if scan.at() == self.bytes {
            Ok(())
        } else {
            Err(Problem::Damaged(Damage::Short { at: scan.at() }))
        }
    }

    fn batch(&self, start: u64) -> Batch {
        Batch::new(self.epoch, start)
    }
}

/// Why no file was written aside.
enum Problem {
    Damaged(Damage),
    Io(io::Error),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Unreadable> for Problem {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Damaged { why, .. } => Self::Damaged(why),
            Unreadable::Io(error) => Self::Io(error),
            Unreadable::OtherVersion(_) => Self::Damaged(Damage::Header),
        }
    }
}

impl From<LogAppendError> for Problem {
    fn from(error: LogAppendError) -> Self {
        Self::Io(io::Error::other(error))
    }
}

/// The file that is to take the place of a log.
struct Aside<'a> {
    log: &'a LogFile,
    file: File,
    /// What is not written yet.
    batch: Batch,
}

impl Aside<'_> {
    fn push(&mut self, kind: Kind, seq: u64, payload: &[u8]) -> Result<(), Problem> {
        self.batch.push(kind, seq, Payload::check(payload, LOG_PAYLOAD_BYTES_MAX)?);
        if self.batch.bytes().len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.log.disk.write(&self.file, self.batch.bytes(), self.batch.start())?;
        self.batch = self.log.batch(self.batch.end());
        Ok(())
    }
}
