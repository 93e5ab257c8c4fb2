//! How does an index go on when the disk is full?
//!
//! The system is asked for room beyond the last byte that was written, before it is needed. When there is
//! none to be had any more, that much can still be written, which is enough to remove rows for a while, and
//! so to make room. Where the file system cannot reserve room, nothing is different from a plain file.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};
use rustix::fs::{FallocateFlags, fallocate};

/// Bytes beyond the last one written that are asked for.
const AHEAD: u64 = 4 << 20;

/// A file with room ahead.
#[derive(Debug)]
pub(super) struct RoomAhead {
    backend: FileBackend,
    /// The same file.
    file: File,
    /// The file has room up to here.
    until: AtomicU64,
}

impl RoomAhead {
    /// Takes a file that is open for writing.
    pub(super) fn new(file: File) -> Result<Self, DatabaseError> {
        let own = file.try_clone().map_err(redb::StorageError::from)?;
        let written = file.metadata().map_err(redb::StorageError::from)?;
        let backend = FileBackend::new(file)?;
        let room = Self { backend, file: own, until: AtomicU64::new(0) };
        // What the system has given out, in its units, is about as far as it was written.
        room.ask(written.blocks().saturating_mul(512).min(written.len()));
        Ok(room)
    }

    /// Asks for room beyond `end`, where less than half of it is left.
    fn ask(&self, end: u64) {
        let until = self.until.load(Ordering::Relaxed);
        if end.saturating_add(AHEAD / 2) <= until {
            return;
        }
        let wanted = end.saturating_add(AHEAD);
        let more = wanted.saturating_sub(until);
        // The length stays as it is: the engine sets it.
        if fallocate(&self.file, FallocateFlags::KEEP_SIZE, until, more).is_ok() {
            self.until.fetch_max(wanted, Ordering::Relaxed);
        }
    }
}

impl StorageBackend for RoomAhead {
    fn len(&self) -> Result<u64, io::Error> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        // A shorter file loses what it has beyond.
        self.until.fetch_min(len, Ordering::Relaxed);
        self.backend.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.backend.write(offset, data)?;
        self.ask(offset.saturating_add(crate::response::length(data.len())));
        Ok(())
    }

    fn close(&self) -> Result<(), io::Error> {
        self.backend.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.backend.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.backend.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.backend.query_lock_range(start, end)
    }
}
