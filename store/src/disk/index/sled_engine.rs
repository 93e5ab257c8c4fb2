//! An index in a folder of its own, by sled.
//!
//! One tree: keys carry prefixes of their own. What sled cannot do is made up for here and in
//! `guard`:
//!
//! - Its flush writes to the file and syncs neither the length of the file nor the drive, so the
//!   file is synced here once more. What is longer than 128 KiB, a page of the tree included, lies
//!   in a file of its own that is not: a power cut can take it.
//! - A batch that fails half way may be applied in part: [`Engine::may_tear`].
//! - Readers wait while a batch is applied, and both for a flush that a batch waits for.
//! - Opening reads all that was written since it was opened last, to note where everything is.
//! - Its files never shrink, and its memory is not bounded by its cache; see docs/decisions/0010.
//!   A rewrite at the start would have to read all of it, which takes longer than a start may.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use sled::{Config, Db, Mode};

use super::batch::Change;
use super::engine::Engine;
use super::error::Failure;
use super::{Batch, Rows};

/// How often sled writes what it has gathered, by a thread of its own.
const FLUSH_EVERY_MS: u64 = 500;
/// The least that sled takes for its cache.
const CACHE_BYTES_MIN: u64 = 1 << 20;
/// How long to wait before a lock is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(5);

pub(super) struct SledEngine {
    db: Db,
    /// The file with the log, which is all of it but for long values.
    log: PathBuf,
}

impl SledEngine {
    /// Opens the index in the folder `path`, or makes one. Reads much of it.
    ///
    /// A sled that was dropped holds its lock until its last thread is done: that is waited for,
    /// for `lock_within` at most.
    pub(super) fn open(
        path: &Path,
        cache_bytes: u64,
        lock_within: Duration,
    ) -> Result<Self, Failure> {
        let begin = Instant::now();
        let config = || {
            Config::new()
                .path(path)
                .cache_capacity(cache_bytes.max(CACHE_BYTES_MIN))
                .flush_every_ms(Some(FLUSH_EVERY_MS))
                .mode(Mode::LowSpace)
        };
        loop {
            match config().open().map_err(Failure::from) {
                Err(Failure::InUse) if begin.elapsed() < lock_within => {
                    thread::park_timeout(LOCK_RETRY);
                }
                opened => return Ok(Self { db: opened?, log: path.join("db") }),
            }
        }
    }
}

impl Engine for SledEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.db.get(key)?.map(|value| value.to_vec()))
    }

    fn apply(&self, batch: &Batch) -> Result<(), Failure> {
        let mut changes = sled::Batch::default();
        for change in batch.changes() {
            match change {
                Change::Put(key, value) => changes.insert(key.as_slice(), value.as_slice()),
                Change::Remove(key) => changes.remove(key.as_slice()),
            }
        }
        Ok(self.db.apply_batch(changes)?)
    }

    fn scan(&self, from: &[u8], below: &[u8], limit: usize) -> Result<Rows, Failure> {
        let mut rows = Rows::new();
        for row in self.db.range(from..below).take(limit) {
            let (key, value) = row?;
            rows.push((key.to_vec(), value.to_vec()));
        }
        Ok(rows)
    }

    fn flush(&self) -> Result<(), Failure> {
        self.db.flush()?;
        File::open(&self.log).and_then(|log| log.sync_data()).map_err(Failure::from_io)
    }

    fn may_tear(&self) -> bool {
        true
    }
}

impl From<sled::Error> for Failure {
    fn from(error: sled::Error) -> Self {
        match error {
            // Nothing but its text says so.
            sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
                Self::InUse
            }
            sled::Error::Io(error) => Self::from_io(error),
            error => Self::Damaged(error.to_string()),
        }
    }
}
