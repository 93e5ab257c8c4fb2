//! How does a log touch the disk, and how can a test make each touch fail?
//!
//! Every operation whose failure matters goes through [`Disk`], so that [`Faults`] can count it and
//! make it fail. Names within the folder are decided here; their meaning is not.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::OFlags;

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
            file.write_all_at(&bytes[..fault.done.min(bytes.len())], at)?;
            return Err(fault.kind.into());
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
        self.meet(DiskOp::Remove, || match std::fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done,
        })
    }

    /// Makes the names in the folder durable.
    pub(super) fn sync_folder(&self) -> io::Result<()> {
        self.meet(DiskOp::SyncFolder, || sync_folder(&self.folder))
    }

    fn meet<T>(&self, op: DiskOp, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let Some(fault) = self.faults.as_ref().and_then(|faults| faults.meet(op)) else {
            return act();
        };
        if fault.done > 0 {
            drop(act()?);
        }
        Err(fault.kind.into())
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

/// One touch of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskOp {
    /// A file is made, or opened if it is there.
    Create,
    /// A file that is there is opened.
    Open,
    /// Reading begins.
    Read,
    /// A file loses its name.
    Remove,
    /// A file gets another name.
    Rename,
    /// Bytes are made durable.
    Sync,
    /// Names are made durable.
    SyncFolder,
    /// A file is cut.
    Truncate,
    /// Bytes are written.
    Write,
}

/// Makes chosen operations of a disk fail, and counts those that were tried.
///
/// All clones share one plan. Without a plan everything works.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    seen: Vec<DiskOp>,
    faults: Vec<Fault>,
    /// What fails everything from a crash on.
    crash: Option<Fault>,
}

#[derive(Debug, Clone, Copy)]
struct Fault {
    /// `None` matches every operation.
    op: Option<DiskOp>,
    /// Matching operations that still work.
    after: usize,
    kind: ErrorKind,
    /// How much of it is done all the same: the bytes of a write, or all of anything else unless 0.
    done: usize,
    crash: bool,
}

impl Faults {
    /// Lets `op` work `after` times more, and then fail once with `kind`.
    ///
    /// It fails when `done` bytes of it are written. Any other operation fails undone if `done` is
    /// 0, and else when it is done.
    pub fn fail(&self, op: DiskOp, after: usize, kind: ErrorKind, done: usize) {
        self.add(Fault { op: Some(op), after, kind, done, crash: false });
    }

    /// Like [`Faults::fail`], whatever the operation is.
    pub fn fail_any(&self, after: usize, kind: ErrorKind, done: usize) {
        self.add(Fault { op: None, after, kind, done, crash: false });
    }

    /// Like [`Faults::fail_any`], and nothing works from then on, as if the process had ended.
    pub fn crash(&self, after: usize, done: usize) {
        self.add(Fault { op: None, after, kind: ErrorKind::Other, done, crash: true });
    }

    /// The operations tried since this was asked last.
    #[must_use]
    pub fn take_seen(&self) -> Vec<DiskOp> {
        std::mem::take(&mut self.plan.lock().seen)
    }

    fn add(&self, fault: Fault) {
        self.plan.lock().faults.push(fault);
    }

    /// Counts `op`, and returns how it fails if it does.
    fn meet(&self, op: DiskOp) -> Option<Fault> {
        let mut plan = self.plan.lock();
        plan.seen.push(op);
        if plan.crash.is_some() {
            return plan.crash;
        }
        let mut due = None;
        for (index, fault) in plan.faults.iter_mut().enumerate() {
            if fault.op.is_some_and(|wanted| wanted != op) {
                continue;
            }
            match fault.after.checked_sub(1) {
                Some(left) => fault.after = left,
                None => due = Some(index),
            }
        }
        let fault = plan.faults.remove(due?);
        if fault.crash {
            plan.crash = Some(Fault { done: 0, ..fault });
        }
        Some(fault)
    }
}
