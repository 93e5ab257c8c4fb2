//! Is this process the only one that works in the folder of a disk tier?
//!
//! Two nodes that share a folder would each remove what the other has just written. The lock is the
//! kernel's and ends with the process, however that ends; the file that carries it stays.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// The name of the locked file in its folder.
const LOCK: &str = "lock";

/// Held as long as this process works in a folder.
#[derive(Debug)]
pub(crate) struct FolderLock {
    /// Its lock ends when it is closed.
    _file: File,
}

/// Why a folder was not locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process works in it: end that, or use another folder.
    #[error("the folder {} is in use: another process keeps its stored responses there", folder.display())]
    InUse {
        /// The folder asked for.
        folder: PathBuf,
    },
    /// The disk or its permissions: nothing to do for a program, but it may pass.
    #[error("cannot lock the folder {}", folder.display())]
    Io {
        /// The folder asked for.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FolderLock {
    /// Locks `folder`, which is made for this user alone if it is not there. Does not wait.
    ///
    /// # Errors
    ///
    /// [`LockError`]. The folder is not locked by this process.
    pub(crate) fn take(folder: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { folder: folder.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let no_follow = OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).custom_flags(no_follow).open(folder.join(LOCK));
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::bodies::tests::Scratch;

    #[test]
    fn one_holder_a_folder() {
        let scratch = Scratch::new();
        let lock = FolderLock::take(scratch.path()).unwrap();
        let error = FolderLock::take(scratch.path()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, LockError::InUse { folder } if folder == scratch.path()));
        assert!(text.contains(&scratch.path().display().to_string()), "{text}");
        drop(lock);
        FolderLock::take(scratch.path()).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_locked_is_named() {
        let scratch = Scratch::new();
        std::fs::create_dir_all(scratch.path()).unwrap();
        let file = scratch.path().join("file");
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, scratch.path().join(LOCK)).unwrap();
        for folder in [file, scratch.path().to_owned()] {
            let error = FolderLock::take(&folder).unwrap_err();
            assert!(matches!(&error, LockError::Io { folder: named, .. } if *named == folder));
        }
    }
}
