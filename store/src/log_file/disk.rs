//! How does a log touch the disk, and how can a test make each touch fail?
//!
//! Every operation whose failure matters goes through [`Disk`], so that [`Faults`] can count it and
//! make it fail. Names within the folder are decided here; their meaning is not.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::faults::{DiskOp, Faults, meet};

/// The name of the log in its folder.
const LOG: &str = "purge.log";

/// The folder of a log, with the faults planned for it.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    faults: Option<Faults>,
}

impl Disk {
    pub(super) fn new(folder: &Path, faults: Option<Faults>) -> Self {
        Self { folder: folder.to_owned(), faults }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The log itself.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join(LOG)
    }

    /// The file whose lock says that the log is open.
    pub(super) fn lock(&self) -> PathBuf {
        self.folder.join(format!("{LOG}.lock"))
    }

    /// A log that is being made.
    pub(super) fn aside(&self) -> PathBuf {
        self.folder.join(format!("{LOG}.new"))
    }

    /// What the names of logs set aside begin with; a number follows.
    pub(super) fn damaged_prefix() -> String {
        format!("{LOG}.damaged-")
    }

    /// Opens a file for reading and writing.
    pub(super) fn open(&self, path: &Path) -> io::Result<File> {
        self.meet(DiskOp::Open, || plain(options().open(path)?))
    }

    /// Opens a file for reading and writing, and makes it if it is not there.
    pub(super) fn open_or_create(&self, path: &Path) -> io::Result<File> {
        self.meet(DiskOp::Create, || plain(options().create(true).open(path)?))
    }

    /// Makes a file that must not be there.
    pub(super) fn create(&self, path: &Path) -> io::Result<File> {
        self.meet(DiskOp::Create, || options().create_new(true).open(path))
    }

    /// Reads `file` from its beginning.
    pub(super) fn reader<'a>(&self, mut file: &'a File) -> io::Result<BufReader<&'a File>> {
        self.meet(DiskOp::Read, || file.seek(SeekFrom::Start(0)))?;
        Ok(BufReader::new(file))
    }

    /// Reads `len` bytes at `at`.
    pub(super) fn read(&self, file: &File, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.meet(DiskOp::Read, || file.read_exact_at(&mut bytes, at))?;
        Ok(bytes)
    }

    /// Writes all `bytes` at `at`. After an error any part of them may be there.
    pub(super) fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        if let Some(fault) = self.faults.as_ref().and_then(|faults| faults.meet(DiskOp::Write)) {
            file.write_all_at(fault.part_of(bytes), at)?;
            return Err(fault.error());
        }
        file.write_all_at(bytes, at)
    }

    pub(super) fn truncate(&self, file: &File, bytes: u64) -> io::Result<()> {
        self.meet(DiskOp::Truncate, || file.set_len(bytes))
    }

    /// Makes durable what was written, and the length that the file has grown to.
    pub(super) fn sync(&self, file: &File) -> io::Result<()> {
        self.meet(DiskOp::Sync, || file.sync_data())
    }

    /// Makes durable all there is to a file that was made or cut.
    pub(super) fn sync_all(&self, file: &File) -> io::Result<()> {
        self.meet(DiskOp::Sync, || file.sync_all())
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.meet(DiskOp::Rename, || std::fs::rename(from, to))
    }

    /// Takes a name away; one that is not there is no failure.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.meet(DiskOp::Unlink, || match std::fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done,
        })
    }

    /// Makes the names in the folder durable.
    pub(super) fn sync_folder(&self) -> io::Result<()> {
        self.meet(DiskOp::SyncFolder, || sync_folder(&self.folder))
    }

    fn meet<T>(&self, op: DiskOp, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        meet(self.faults.as_ref(), op, act)
    }
}

/// Makes the names in `folder` durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// For this user alone, and never through a link that someone else may have put there.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    let no_follow = OFlags::NOFOLLOW.bits().cast_signed();
    options.read(true).write(true).mode(0o600).custom_flags(no_follow);
    options
}

fn plain(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "not a plain file"))
    }
}
