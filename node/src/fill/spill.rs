//! Where the bytes of a body go that is too large to keep in memory while clients read it.
//!
//! An unlinked file, so that nothing is left behind whatever happens to the process. Reads and
//! writes run on the blocking pool. A write that fails ends the spilling of that body, not the body.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use super::budget::{Budget, Reserved};

/// Bytes read back at once.
const READ_BYTES: usize = 64 * 1024;

/// Makes spill files in one folder, all together within one budget.
#[derive(Debug)]
pub(crate) struct SpillSpace {
    folder: PathBuf,
    budget: Arc<Budget>,
}

impl SpillSpace {
    /// Spill files in `folder`, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// The folder cannot be made; the caller reports it and the node does not start.
    pub(crate) fn open(folder: &Path, budget: Arc<Budget>) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self { folder: folder.to_owned(), budget })
    }

    /// A fresh, empty, unlinked file.
    pub(crate) async fn create(&self) -> io::Result<Spill> {
        // Nodes of one process may share the folder, and a process before this one may have had its
        // number.
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let path = self.folder.join(format!("fill-{:016x}", u64::from_le_bytes(random)));
        let file =
            spawn_blocking(move || create_unlinked(&path)).await.map_err(io::Error::other)??;
        let reserved = Mutex::new(self.budget.reserve());
        Ok(Spill { held: Arc::new(Held { file, reserved }), written: 0 })
    }
}

fn create_unlinked(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

/// A file and the disk space it is charged for, until its last reader is gone.
#[derive(Debug)]
struct Held {
    file: File,
    reserved: Mutex<Reserved>,
}

/// The prefix of one body on disk.
#[derive(Debug)]
pub(crate) struct Spill {
    held: Arc<Held>,
    written: u64,
}

impl Spill {
    /// Writes `bytes` after what is there.
    ///
    /// # Errors
    ///
    /// The disk refused or the budget is used up. What was written before stays readable.
    pub(crate) async fn append(&mut self, bytes: Bytes) -> io::Result<()> {
        let length = bytes.len() as u64;
        if !self.held.reserved.lock().grow(length) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "spill budget used up"));
        }
        let held = Arc::clone(&self.held);
        let offset = self.written;
        spawn_blocking(move || held.file.write_all_at(&bytes, offset))
            .await
            .map_err(io::Error::other)??;
        self.written += length;
        Ok(())
    }

    /// A handle that reads what has been written.
    pub(crate) fn reader(&self) -> SpillReader {
        SpillReader { held: Arc::clone(&self.held) }
    }
}

/// Reads a spilled prefix.
#[derive(Debug, Clone)]
pub(crate) struct SpillReader {
    held: Arc<Held>,
}

impl SpillReader {
    /// Reads at most `length` bytes, and at most 64 KiB, at `offset`; never empty on success.
    pub(crate) async fn read(self, offset: u64, length: u64) -> io::Result<Bytes> {
        let length = usize::try_from(length).unwrap_or(READ_BYTES).min(READ_BYTES);
        spawn_blocking(move || {
            let mut buffer = vec![0; length];
            self.held.file.read_exact_at(&mut buffer, offset)?;
            Ok(Bytes::from(buffer))
        })
        .await
        .map_err(io::Error::other)?
    }
}
