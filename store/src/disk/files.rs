//! How does the disk tier touch its files, and how can a test make each touch fail?
//!
//! Every operation whose failure matters goes through [`Files`], so that [`Faults`] can count it and make
//! it fail. What the files are called and what they hold is not known here.
//!
//! Files and folders are made for this user alone, and a link is never followed to a file.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};

use crate::faults::{DiskOp, Faults, meet};

/// The operations, with the faults planned for them. Clones share one plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    faults: Option<Faults>,
}

/// Room on the file system of a folder, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// All there is.
    pub(crate) total: u64,
    /// What this user can still write.
    pub(crate) free: u64,
}

impl Files {
    pub(super) fn new(faults: Option<Faults>) -> Self {
        Self { faults }
    }

    /// Makes a folder and those above it; one that is there is left as it is.
    pub(super) fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.meet(DiskOp::MakeFolder, || DirBuilder::new().recursive(true).mode(0o700).create(path))
    }

    /// The names in a folder, in no order.
    pub(super) fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.meet(DiskOp::List, || {
            std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
        })
    }

    /// Makes a file that must not be there.
    pub(super) fn create(&self, path: &Path) -> io::Result<File> {
        self.meet(DiskOp::Create, || options().write(true).create_new(true).open(path))
    }

    /// Opens a file for reading.
    pub(super) fn open(&self, path: &Path) -> io::Result<File> {
        self.meet(DiskOp::Open, || plain(options().open(path)?))
    }

    /// Opens a file for reading and writing.
    pub(super) fn open_to_write(&self, path: &Path) -> io::Result<File> {
        self.meet(DiskOp::Open, || plain(options().write(true).open(path)?))
    }

    /// Reads what there is at `at`, until `buffer` is full or the file ends; returns how much it is.
    pub(super) fn read(&self, file: &File, mut buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.meet(DiskOp::Read, || {
            let (wanted, mut at) = (buffer.len(), at);
            while !buffer.is_empty() {
                let count = match file.read_at(buffer, at) {
                    Ok(0) => break,
                    Ok(count) => count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                };
                at += crate::response::length(count);
                buffer = std::mem::take(&mut buffer).get_mut(count..).unwrap_or_default();
            }
            Ok(wanted - buffer.len())
        })
    }

    /// Writes all `bytes` at `at`. After an error any part of them may be there.
    pub(super) fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        if let Some(fault) = self.faults.as_ref().and_then(|faults| faults.meet(DiskOp::Write)) {
            file.write_all_at(fault.part_of(bytes), at)?;
            return Err(fault.error());
        }
        file.write_all_at(bytes, at)
    }

    /// Cuts a file to its first `bytes`.
    pub(super) fn truncate(&self, file: &File, bytes: u64) -> io::Result<()> {
        self.meet(DiskOp::Truncate, || file.set_len(bytes))
    }

    /// Makes durable what was written, and the length that the file has grown to.
    pub(super) fn sync(&self, file: &File) -> io::Result<()> {
        self.meet(DiskOp::Sync, || file.sync_data())
    }

    /// Makes the names in a folder durable.
    pub(super) fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.meet(DiskOp::SyncFolder, || File::open(folder)?.sync_all())
    }

    /// Gives a file another name; whatever has that name loses it.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.meet(DiskOp::Rename, || std::fs::rename(from, to))
    }

    /// Gives a file another name, and says whether it has it: not where something has that name already, or where the
    /// file system cannot tell.
    pub(super) fn rename_new(&self, from: &Path, to: &Path) -> io::Result<bool> {
        use rustix::io::Errno;
        self.meet(DiskOp::Rename, || {
            match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
                Ok(()) => Ok(true),
                Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Takes the name of a file away. Whoever has it open can go on reading.
    pub(super) fn unlink(&self, path: &Path) -> io::Result<()> {
        self.meet(DiskOp::Unlink, || std::fs::remove_file(path))
    }

    fn meet<T>(&self, op: DiskOp, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        meet(self.faults.as_ref(), op, act)
    }
}

/// How much room the file system has that `folder` is on. Costs one system call.
///
/// # Errors
///
/// What the system says; the folder may be missing.
pub(crate) fn space(folder: &Path) -> io::Result<Space> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(Space {
        total: found.f_blocks.saturating_mul(found.f_frsize),
        free: found.f_bavail.saturating_mul(found.f_frsize),
    })
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let no_follow = OFlags::NOFOLLOW.bits().cast_signed();
    options.read(true).mode(0o600).custom_flags(no_follow);
    options
}

fn plain(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "not a plain file"))
    }
}
