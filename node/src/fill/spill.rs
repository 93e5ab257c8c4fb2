//! Where the bytes of a body go that is too large to keep in memory while clients read it.
//!
//! An unlinked file, so that nothing is left behind whatever happens to the process. Reads and
//! writes run on the blocking pool. A write that fails ends the spilling of that body, not the body.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::budget::{Budget, Reserved};

/// Bytes read back at once.
const READ_BYTES: usize = 64 * 1024;

/// Makes spill files in one folder, all together within one budget.
#[derive(Debug)]
pub(crate) struct SpillSpace {
    folder: PathBuf,
    budget: Arc<Budget>,
    serial: AtomicU64,
}

impl SpillSpace {
    /// Spill files in `folder`, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// The folder cannot be made; the caller reports it and the node does not start.
    pub(crate) fn open(folder: &Path, budget: Arc<Budget>) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), budget, serial: AtomicU64::new(0) })
    }

    /// A fresh, empty, unlinked file.
    pub(crate) async fn create(&self) -> io::Result<Spill> {
        let serial = self.serial.fetch_add(1, Relaxed);
        let path = self.folder.join(format!("fill-{}-{serial}", std::process::id()));
        let file =
            spawn_blocking(move || create_unlinked(&path)).await.map_err(io::Error::other)??;
        Ok(Spill { file: Arc::new(file), written: 0, reserved: self.budget.reserve() })
    }
}

fn create_unlinked(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

/// The prefix of one body on disk.
#[derive(Debug)]
pub(crate) struct Spill {
    file: Arc<File>,
    written: u64,
    reserved: Reserved,
}

impl Spill {
    /// Writes `bytes` after what is there.
    ///
    /// # Errors
    ///
    /// The disk refused or the budget is used up. What was written before stays readable.
    pub(crate) async fn append(&mut self, bytes: Bytes) -> io::Result<()> {
        let length = bytes.len() as u64;
        if !self.reserved.grow(length) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "spill budget used up"));
        }
        let file = Arc::clone(&self.file);
        let offset = self.written;
        spawn_blocking(move || file.write_all_at(&bytes, offset))
            .await
            .map_err(io::Error::other)??;
        self.written += length;
        Ok(())
    }

    /// Bytes written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// A handle that reads what has been written.
    pub(crate) fn reader(&self) -> SpillReader {
        SpillReader { file: Arc::clone(&self.file) }
    }
}

/// Reads a spilled prefix.
#[derive(Debug, Clone)]
pub(crate) struct SpillReader {
    file: Arc<File>,
}

impl SpillReader {
    /// Reads at most `length` bytes, and at most 64 KiB, at `offset`; never empty on success.
    pub(crate) async fn read(self, offset: u64, length: u64) -> io::Result<Bytes> {
        let length = usize::try_from(length).unwrap_or(READ_BYTES).min(READ_BYTES);
        spawn_blocking(move || {
            let mut buffer = vec![0; length];
            self.file.read_exact_at(&mut buffer, offset)?;
            Ok(Bytes::from(buffer))
        })
        .await
        .map_err(io::Error::other)?
    }
}
