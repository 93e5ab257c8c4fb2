//! Files of bodies that are open for reading, each checked against its digest before its first use.
//!
//! # Invariants
//!
//! 1. No byte of a file is handed out before all of it was compared with its digest since this process
//!    began, unless this process wrote it.
//! 2. At most so many files are kept open; those in the middle of an answer stay open beyond that, and
//!    are bounded by the number of answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use quick_cache::sync::Cache;

use super::bearings::{Bearings, DiskEvent};
use super::bodies::{Bodies, BodyError, Digest, OpenBody};
use super::loose::Loose;
use super::read::ReadWays;

/// Digests remembered as right, beyond the files that are open.
const CHECKED_MAX: usize = 65_536;

/// Opens files of bodies.
pub(super) struct Reads {
    bodies: Arc<Bodies>,
    bearings: Arc<dyn Bearings>,
    open: Cache<Digest, Arc<OpenBody>>,
    checked: Cache<Digest, ()>,
    damaged: AtomicU64,
    missing: AtomicU64,
    failed: AtomicU64,
    /// Files that the sweep must leave alone.
    pub(super) loose: Loose,
    pub(super) ways: ReadWays,
}

impl Reads {
    /// Keeps at most `open_max` files open.
    pub(super) fn new(bodies: Arc<Bodies>, bearings: Arc<dyn Bearings>, open_max: usize) -> Self {
        Self {
            bodies,
            bearings,
            open: Cache::new(open_max),
            checked: Cache::new(CHECKED_MAX),
            damaged: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            loose: Loose::default(),
            ways: ReadWays::new(),
        }
    }

    /// A file that is open already. Costs no system call.
    pub(super) fn at_hand(&self, digest: &Digest) -> Option<Arc<OpenBody>> {
        self.open.get(digest)
    }

    /// Opens a file. Blocks; reads all of it the first time.
    ///
    /// # Errors
    ///
    /// The file is gone or not what was written, and then it was set aside; or the system refused.
    /// Whatever it was is counted.
    pub(super) fn open(&self, digest: &Digest, length: u64) -> Result<Arc<OpenBody>, BodyError> {
        if let Some(open) = self.open.get(digest) {
            return Ok(open);
        }
        let opened = self.open_checked(digest, length);
        match &opened {
            Ok(open) => self.open.insert(*digest, Arc::clone(open)),
            Err(error) => self.on_error(digest, error),
        }
        opened
    }

    /// All the content of a file, which is not kept open. Blocks.
    ///
    /// # Errors
    ///
    /// As for [`Reads::open`].
    pub(super) fn read_whole(&self, digest: &Digest, length: u64) -> Result<Bytes, BodyError> {
        let read = self.bodies.open_body(digest, length).and_then(|open| {
            if self.checked.get(digest).is_some() {
                return open.read_all();
            }
            let content = open.read_verified()?;
            self.checked.insert(*digest, ());
            Ok(content)
        });
        read.inspect_err(|error| self.on_error(digest, error))
    }

    fn open_checked(&self, digest: &Digest, length: u64) -> Result<Arc<OpenBody>, BodyError> {
        let open = self.bodies.open_body(digest, length)?;
        if self.checked.get(digest).is_none() {
            open.verify()?;
            self.checked.insert(*digest, ());
        }
        Ok(Arc::new(open))
    }

    fn on_error(&self, digest: &Digest, error: &BodyError) {
        match error {
            BodyError::Missing => self.missing.fetch_add(1, Relaxed),
            BodyError::Io { .. } => self.failed.fetch_add(1, Relaxed),
            BodyError::Damaged { .. } => {
                self.on_damage(digest);
                0
            }
        };
    }

    /// Sets a file aside that is not what was written.
    pub(super) fn on_damage(&self, digest: &Digest) {
        self.forget(digest);
        self.bearings.note(DiskEvent::Damaged { digest: digest.to_string() });
        self.damaged.fetch_add(1, Relaxed);
        // Where it cannot be moved it stays, and is found damaged again.
        drop(self.bodies.set_aside(digest));
    }

    /// Notes that this process wrote the file.
    pub(super) fn written(&self, digest: &Digest) {
        self.checked.insert(*digest, ());
    }

    /// Closes the file as soon as no answer reads it, and trusts it no more.
    pub(super) fn forget(&self, digest: &Digest) {
        self.open.remove(digest);
        self.checked.remove(digest);
    }

    /// Files kept open.
    pub(super) fn open_files(&self) -> usize {
        self.open.len()
    }

    /// Files found damaged, missing, and not readable.
    pub(super) fn faults(&self) -> (u64, u64, u64) {
        (self.damaged.load(Relaxed), self.missing.load(Relaxed), self.failed.load(Relaxed))
    }
}

impl std::fmt::Debug for Reads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reads").field("open", &self.open.len()).finish_non_exhaustive()
    }
}
