//! What must outlive a crash of the node that numbers purges: which entries has it acknowledged,
//! and which members do they concern?
//!
//! One file of sealed records, only ever appended to. A payload is bytes whose meaning is the
//! caller's; so is when to compact, whom to enrol, and what to do when a log is replaced. All calls
//! block on the disk: run them on a thread that may wait. Nothing here retries, and no clock is
//! read.
//!
//! ```text
//!   purge.log            header, then records (see `format`)
//!   purge.log.lock       held while the log is open: one process a folder
//!   purge.log.new        a log being made or compacted; becomes purge.log by a rename
//!   purge.log.damaged-7  a log that could not be trusted, kept for whoever wants to look
//! ```
//!
//! # Invariants
//!
//! 1. **A number is given to one entry per epoch.** Nodes remember how far they have applied an
//!    epoch. If a number were given again, a node that had the first entry would take the second
//!    for done, and would go on serving what it should have purged.
//! 2. What was acknowledged is found again, and so is every member enrolled and not struck.
//! 3. An append is found as a whole or not at all, however many entries it has.
//! 4. What `open` reports is on the disk before it returns, also if it was never acknowledged:
//!    others will hear of it by its number.
//!
//! # A torn tail is cut, damage begins another epoch
//!
//! An append is one write, then one `fdatasync`, then an acknowledgement. If the file ends before
//! the last append is as long as it says, it was never synced in full and so never acknowledged: it
//! is cut off, and its number is free.
//!
//! A record that has its full length but a wrong check, or is out of order, may have been
//! acknowledged and spoilt since. Cutting there would give its number, and those after it, a second
//! time. So the file is set aside and a log with another epoch begins, whereupon every node
//! validates what it stores. This costs validations and is never wrong; it also is what happens if
//! a power cut left an unfinished append with its full length but not its bytes, as some file
//! systems do.
//!
//! A spoilt length could make any record look like a torn tail. Hence the head of a record has a
//! check of its own: only a file that ends within a head, or after a head that is right, is torn.
//!
//! What no check within the file can show is a log cut short from outside, or put back from a copy.
//! A node that has applied more than the log's last number has met one, and must say so.
//!
//! # When the disk fails
//!
//! A failed write is taken back by truncation, and the log goes on. If it cannot be taken back, or
//! if a sync fails, what lies on the disk is unknown, and asking again would prove nothing: the
//! kernel may have dropped the pages that it could not write, and report success the next time. The
//! log then refuses everything until it is opened anew. The append in question may be found then,
//! so a purge that was reported as failed may yet happen; this is harmless. `open` writes the last
//! append once more, because it may exist in memory only.

mod compact;
mod disk;
mod error;
mod format;
mod open;
mod scan;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};

use self::disk::Disk;
pub use self::error::{Damage, LogAppendError, LogOpenError};
use self::format::{Batch, Kind, Payload};
use crate::faults::Faults;

/// Bytes of the longest payload.
pub const LOG_PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of one append, all payloads and their seals together.
pub const LOG_APPEND_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of the whole file. All entries are in memory once, when the log is opened.
pub const LOG_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Bytes of a member's name.
pub const LOG_MEMBER_BYTES_MAX: usize = 1024;

/// A durable log, open for appending by this process alone until it is dropped.
#[derive(Debug)]
pub struct LogFile {
    disk: Disk,
    file: File,
    epoch: u64,
    first_seq: u64,
    last_seq: u64,
    /// In the order of enrolment.
    members: Vec<String>,
    /// Where the last acknowledged record ends.
    bytes: u64,
    bytes_max: u64,
    /// Set when what lies on the disk is not known any more; never reset.
    poisoned: bool,
    /// Held for its lock, which ends with it. Declared last, so that it is dropped last.
    _lock: File,
}

/// What a log held when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The epoch of the log, which is `new_epoch` unless it is [`Born::Resumed`].
    pub epoch: u64,
    /// Where the log comes from.
    pub born: Born,
    /// The number of the first entry kept, or of the next one if none is; those before were
    /// compacted.
    pub first_seq: u64,
    /// The entries kept with their numbers, which have no gaps.
    pub entries: Vec<(u64, Vec<u8>)>,
    /// The members enrolled and not struck, in the order of enrolment.
    pub members: Vec<String>,
    /// Bytes of an unfinished append that were cut off; 0 after an orderly end.
    pub cut_bytes: u64,
}

/// Where an open log comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Born {
    /// No log was there; this one has the new epoch.
    New,
    /// The log that was there could not be trusted; this one has the new epoch.
    Replaced {
        /// What was wrong with the old one.
        why: Damage,
        /// Where the old one lies.
        set_aside: PathBuf,
    },
    /// The log goes on where it ended.
    Resumed,
}

impl LogFile {
    /// Opens the log in `folder`, or makes one, and the folder, if there is none.
    ///
    /// A log that is made gets `new_epoch`, which must be one that no log before it had. Reads the
    /// whole file. The folder is made for this user alone; the mode of one that exists is left as
    /// it is.
    ///
    /// # Errors
    ///
    /// [`LogOpenError`]. Nothing was lost; damage is no error but [`Born::Replaced`].
    pub fn open(folder: &Path, new_epoch: u64) -> Result<(Self, Recovered), LogOpenError> {
        Self::open_on(Disk::new(folder, None), new_epoch)
    }

    /// Opens the log like [`LogFile::open`], on a disk that fails where `faults` says.
    ///
    /// For tests of what depends on a log.
    ///
    /// # Errors
    ///
    /// [`LogOpenError`].
    pub fn open_with_faults(
        folder: &Path,
        new_epoch: u64,
        faults: &Faults,
    ) -> Result<(Self, Recovered), LogOpenError> {
        Self::open_on(Disk::new(folder, Some(faults.clone())), new_epoch)
    }

    fn open_on(disk: Disk, new_epoch: u64) -> Result<(Self, Recovered), LogOpenError> {
        let opened = open::open(&disk, new_epoch)?;
        let contents = opened.contents;
        let log = Self {
            disk,
            file: opened.file,
            epoch: contents.header.epoch,
            first_seq: contents.header.first_seq,
            last_seq: contents.last_seq,
            members: contents.members.clone(),
            bytes: contents.whole_bytes,
            bytes_max: LOG_BYTES_MAX,
            poisoned: false,
            _lock: opened.lock,
        };
        let recovered = Recovered {
            epoch: contents.header.epoch,
            born: opened.born,
            first_seq: contents.header.first_seq,
            entries: contents.entries,
            members: contents.members,
            cut_bytes: opened.cut_bytes,
        };
        Ok((log, recovered))
    }

    /// Appends one entry per payload and returns the number of the last, once all are durable.
    ///
    /// All or none: also after a crash. Without payloads nothing happens. Costs one write and one
    /// `fdatasync`, whatever the number of payloads.
    ///
    /// # Errors
    ///
    /// [`LogAppendError`]. No entry was acknowledged; after [`LogAppendError::Uncertain`] they may
    /// be found all the same when the log is opened again.
    pub fn append(&mut self, payloads: &[&[u8]]) -> Result<u64, LogAppendError> {
        let mut batch = Batch::new(self.epoch, self.bytes);
        let mut last_seq = self.last_seq;
        for (index, payload) in payloads.iter().enumerate() {
            let payload = Payload::check(payload, LOG_PAYLOAD_BYTES_MAX)?;
            let is_last = index + 1 == payloads.len();
            last_seq += 1;
            batch.push(if is_last { Kind::Entry } else { Kind::EntryPart }, last_seq, payload);
            if batch.bytes().len() > LOG_APPEND_BYTES_MAX {
                let bytes = batch.bytes().len();
                return Err(LogAppendError::TooLarge { bytes, bytes_max: LOG_APPEND_BYTES_MAX });
            }
        }
        self.write(batch.bytes())?;
        self.last_seq = last_seq;
        Ok(last_seq)
    }

    /// Makes it durable that `member` is on the roll. One that is already costs nothing.
    ///
    /// # Errors
    ///
    /// [`LogAppendError`]. The member is not on the roll; after [`LogAppendError::Uncertain`] it
    /// may be found there when the log is opened again.
    pub fn enrol(&mut self, member: &str) -> Result<(), LogAppendError> {
        if self.members.iter().any(|enrolled| enrolled == member) {
            return self.usable();
        }
        self.write_member(Kind::Enrol, member)?;
        self.members.push(member.to_owned());
        Ok(())
    }

    /// Makes it durable that `member` is not on the roll. One that was not costs nothing.
    ///
    /// # Errors
    ///
    /// [`LogAppendError`]. The member is on the roll as before; after [`LogAppendError::Uncertain`]
    /// it may be gone when the log is opened again.
    pub fn strike(&mut self, member: &str) -> Result<(), LogAppendError> {
        let Some(index) = self.members.iter().position(|enrolled| enrolled == member) else {
            return self.usable();
        };
        self.write_member(Kind::Strike, member)?;
        self.members.remove(index);
        Ok(())
    }

    /// Takes the log away, durably, so that the next one to open the folder finds none.
    ///
    /// For a log that must not be believed any more; it refuses everything from then on. Works on a
    /// disk that is full.
    ///
    /// # Errors
    ///
    /// What the system said. The log may be found again; this may be tried again.
    pub fn remove(&mut self) -> std::io::Result<()> {
        self.poisoned = true;
        self.disk.remove(&self.disk.log())?;
        self.disk.sync_folder()
    }

    /// Sets the log aside, as `open` does with one that is damaged, and returns where it lies.
    ///
    /// For a log whose payloads make no sense to the caller; it refuses everything from then on.
    ///
    /// # Errors
    ///
    /// What the system said. The log may be found again; this may be tried again.
    pub fn set_aside(&mut self) -> std::io::Result<PathBuf> {
        self.poisoned = true;
        open::set_aside(&self.disk)
    }

    /// The epoch of the log, the same until it is replaced.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The number of the first entry kept, or of the next one if none is.
    #[must_use]
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// The number of the last entry acknowledged in this epoch, compacted or not; 0 before the
    /// first.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The members on the roll, in the order of enrolment.
    #[must_use]
    pub fn members(&self) -> &[String] {
        &self.members
    }

    /// Bytes of the file. At most [`LOG_BYTES_MAX`].
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn write_member(&mut self, kind: Kind, member: &str) -> Result<(), LogAppendError> {
        let payload = Payload::check(member.as_bytes(), LOG_MEMBER_BYTES_MAX)?;
        let mut batch = Batch::new(self.epoch, self.bytes);
        batch.push(kind, self.last_seq, payload);
        self.write(batch.bytes())
    }

    /// Makes `records` durable at the end of the file, or leaves the file as it was.
    fn write(&mut self, records: &[u8]) -> Result<(), LogAppendError> {
        self.usable()?;
        if records.is_empty() {
            return Ok(());
        }
        let end = self.bytes + records.len() as u64;
        if end > self.bytes_max {
            return Err(LogAppendError::Full { bytes_max: self.bytes_max });
        }
        if let Err(source) = self.disk.write(&self.file, records, self.bytes) {
            return Err(match self.take_back() {
                Ok(()) => LogAppendError::NotWritten { source },
                Err(_) => self.poison(source),
            });
        }
        if let Err(source) = self.disk.sync(&self.file) {
            // Success would prove nothing, but it makes it less likely that the entry is found.
            drop(self.take_back());
            return Err(self.poison(source));
        }
        self.bytes = end;
        Ok(())
    }

    /// Cuts off all that was written after the last acknowledged record.
    fn take_back(&self) -> std::io::Result<()> {
        self.disk.truncate(&self.file, self.bytes)?;
        self.disk.sync_all(&self.file)
    }

    /// Refuses all that follows, because `source` leaves open what lies on the disk.
    fn poison(&mut self, source: std::io::Error) -> LogAppendError {
        self.poisoned = true;
        LogAppendError::Uncertain { source }
    }

    fn usable(&self) -> Result<(), LogAppendError> {
        if self.poisoned { Err(LogAppendError::Poisoned) } else { Ok(()) }
    }
}
