//! What does the guard want of an engine that lies on disk?
//!
//! Only the map itself. An engine may panic, hang and leave itself unusable after an error: what
//! follows from that is decided in `guard`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use super::error::Failure;
use super::{Batch, Rows};

/// An ordered map of bytes on disk. Dropping it closes it, and may panic or hang.
pub(super) trait Engine: Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Failure>;

    /// Applies all of it or nothing, as far as [`Engine::may_tear`] does not say otherwise.
    fn apply(&self, batch: &Batch) -> Result<(), Failure>;

    /// `from` is less than `below`.
    fn scan(&self, from: &[u8], below: &[u8], limit: usize) -> Result<Rows, Failure>;

    fn flush(&self) -> Result<(), Failure>;

    /// Whether an [`Engine::apply`] that fails may have applied a part of the batch.
    fn may_tear(&self) -> bool;
}

/// Opens a file for reading and writing, for this user alone and never through a link.
pub(super) fn open_file(path: &Path, create: bool) -> io::Result<File> {
    let no_follow = OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .mode(0o600)
        .custom_flags(no_follow)
        .open(path)
}
